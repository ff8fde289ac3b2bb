//! The body of a drift report's page: what somebody else changed, apart from what is not applied yet.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::diff::diff;
use super::filter::Filters;
use super::{Around, contents, escape, prose, tiles, unreachable};
use crate::plan::drift::{Class, Finding, What};
use crate::render::drift::{Report, summary, telling};
use crate::render::time::minute;

/// Where the findings of a class are told, and how.
struct Part {
    class: Class,
    id: &'static str,
    title: &'static str,
    meaning: &'static str,
    sign: &'static str,
    colour: &'static str,
}

const PARTS: [Part; 3] = [
    Part {
        class: Class::Drift,
        id: "drift",
        title: "Changed by somebody else",
        meaning: "Not by synprov, since the last apply.",
        sign: "!",
        colour: "p-delete",
    },
    Part {
        class: Class::Pending,
        id: "pending",
        title: "Not applied yet",
        meaning: "The inventory asks for it, and nobody has applied it: no drift.",
        sign: "~",
        colour: "p-update",
    },
    Part {
        class: Class::Information,
        id: "information",
        title: "Worth knowing",
        meaning: "Nothing to do.",
        sign: "i",
        colour: "p-dim",
    },
];

/// The whole page.
pub fn page(report: &Report<'_>, around: &Around<'_>) -> String {
    let mut out = String::new();
    let mut filters = Filters::default();
    // Writing to a String cannot fail.
    let _ = body(&mut out, report, around, &mut filters);
    super::page(around, &filters.rules(), &out)
}

fn body(
    out: &mut String,
    report: &Report<'_>,
    around: &Around<'_>,
    filters: &mut Filters,
) -> std::fmt::Result {
    let drift = report.drift;
    writeln!(out, "<p class=\"p-sum\">{}</p>", escape(&summary(report)))?;
    let (hosts, lost) = (drift.hosts.len(), report.errors.len());
    tiles(
        out,
        &[
            ("p-delete", report.count(Class::Drift), "changed by somebody else"),
            ("p-update", report.count(Class::Pending), "not applied yet"),
            ("p-dim", report.count(Class::Information), "worth knowing"),
            ("p-dim", hosts, if hosts == 1 { "host asked" } else { "hosts asked" }),
            ("p-delete", lost, "could not be asked"),
        ],
    )?;
    unreachable(out, report.errors)?;
    if drift.of(Class::Drift).any(|finding| finding.healed_by_apply) {
        out.write_str(
            "<p class=\"p-note\"><code>synprov plan</code> shows what puts it back, <code>synprov apply</code> does it; \
             or let the inventory say it.</p>\n",
        )?;
    }
    let there = PARTS.iter().filter(|part| report.count(part.class) > 0);
    let mut parts: Vec<_> = there.clone().map(|part| (part.id, part.title)).collect();
    if around.picture.is_some() {
        parts.push(("topology", "Topology"));
    }
    contents(out, &parts)?;
    if drift.findings.is_empty() {
        return Ok(());
    }
    let boxes = Boxes::new(report, filters);
    writeln!(out, "{}", filters.boxes())?;
    for part in there {
        let Part { id, title, meaning, .. } = part;
        let findings: Vec<&Finding> = drift.of(part.class).collect();
        writeln!(out, "<h2 id=\"{id}\">{title}</h2>\n<p class=\"p-dim\">{meaning}</p>")?;
        for here in findings.chunk_by(|one, other| one.host == other.host) {
            writeln!(out, "<section class=\"{}\">", boxes.classes(here, filters))?;
            writeln!(out, "<h3>{}</h3>", escape(&here[0].host))?;
            for finding in here {
                let classes = boxes.classes(std::slice::from_ref(finding), filters);
                one(out, finding, part, &classes)?;
            }
            out.write_str("</section>\n")?;
        }
    }
    Ok(())
}

/// Ids of the boxes, by what they stand for.
struct Boxes<'a> {
    hosts: Vec<(&'a str, String)>,
    kinds: Vec<(&'a str, String)>,
}

impl<'a> Boxes<'a> {
    fn new(report: &Report<'a>, filters: &mut Filters) -> Self {
        let findings = &report.drift.findings;
        let group = |filters: &mut Filters, legend, of: &dyn Fn(&'a Finding) -> &'a str| {
            let mut names: Vec<&str> = Vec::new();
            for name in findings.iter().map(of) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let count = |name: &str| findings.iter().filter(|finding| of(finding) == name).count();
            let labels: Vec<_> = names.iter().map(|name| (name.replace('_', " "), count(name))).collect();
            let ids = filters.group(legend, &labels);
            names.into_iter().zip(ids).collect()
        };
        let hosts = group(filters, "where", &|finding| &finding.host);
        let kinds = group(filters, "what", &|finding| &finding.kind);
        if findings.iter().any(by_hand) {
            filters.only("only what an apply does not put right", "p-healed");
        }
        filters.unfold();
        Self { hosts, kinds }
    }

    /// Classes of what holds these findings.
    fn classes(&self, findings: &[&Finding], filters: &mut Filters) -> String {
        let ids = |known: &[(&str, String)], names: &BTreeSet<&str>| -> Vec<String> {
            known.iter().filter(|(name, _)| names.contains(name)).map(|(_, id)| id.clone()).collect()
        };
        let hosts = findings.iter().map(|finding| finding.host.as_str()).collect();
        let kinds = findings.iter().map(|finding| finding.kind.as_str()).collect();
        let classes =
            [filters.class(&ids(&self.hosts, &hosts)), filters.class(&ids(&self.kinds, &kinds))].join(" ");
        let healed = !findings.iter().any(|finding| by_hand(finding));
        if healed { format!("{classes} p-healed") } else { classes }
    }
}

/// An apply does not put it right.
fn by_hand(finding: &Finding) -> bool {
    finding.class == Class::Drift && !finding.healed_by_apply
}

fn one(out: &mut String, finding: &Finding, part: &Part, classes: &str) -> std::fmt::Result {
    let Part { sign, colour, .. } = part;
    let owner = escape(finding.module.as_deref().unwrap_or("nobody"));
    let since = finding
        .since
        .map_or_else(String::new, |at| format!(" <span class=\"p-dim\">since {}</span>", minute(at)));
    // Pending and worth knowing: what nobody has to act upon here is folded.
    let open = if finding.class == Class::Drift { " open" } else { "" };
    writeln!(
        out,
        "<details class=\"p-entry {colour} {classes}\"{open}><summary><span class=\"p-sign\">{sign}</span>{} <code>{}</code> <span class=\"p-mark\">owner: {owner}</span>{since}</summary>\n\
         <p>{}</p>",
        escape(&finding.kind.replace('_', " ")),
        escape(&finding.name),
        prose(&finding.summary),
    )?;
    differences(out, finding)?;
    if let Some(text) = &finding.diff {
        diff(out, text, ("should be", "found"))?;
    }
    if !finding.affects.is_empty() {
        let units: Vec<String> =
            finding.affects.iter().map(|unit| format!("<code>{}</code>", escape(unit))).collect();
        writeln!(out, "<p><span class=\"p-dim\">concerns</span> {}</p>", units.join(", "))?;
    }
    if finding.class == Class::Drift {
        if let Some(advice) = &finding.advice {
            writeln!(out, "<p>{}</p>", prose(advice))?;
        }
        if let Some(command) = &finding.command {
            let host = escape(&finding.host);
            writeln!(out, "<p class=\"p-dim\">on {host}, as root:</p>\n<pre>{}</pre>", escape(command))?;
        }
        if finding.healed_by_apply {
            out.write_str("<p class=\"p-dim\">An apply puts it right.</p>\n")?;
        }
    }
    out.write_str("</details>\n")
}

fn differences(out: &mut String, finding: &Finding) -> std::fmt::Result {
    let shown = telling(finding);
    // Of what is gone, everything is.
    if shown.is_empty() || finding.change == What::Removed {
        return Ok(());
    }
    out.write_str("<table><tr><th></th><th>should be</th><th>found</th></tr>\n")?;
    for one in shown {
        let value = |value: &Option<String>| value.as_deref().map_or("–".to_owned(), escape);
        writeln!(
            out,
            "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
            escape(&one.name),
            value(&one.expected),
            value(&one.found)
        )?;
    }
    out.write_str("</table>\n")
}
