//! A plan as one page: for a review on a phone, an attachment, a build's artifacts.
//!
//! It asks nobody for anything and runs nothing: no script, no address in it is fetched, and its policy
//! says so to the browser. What a host or an inventory says is escaped, always.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::plan::{fold, numbers, summary};
use crate::facts::conversation::clean;
use crate::plan::Plan;
use crate::plan::change::{Cause, Operation};

const STYLE: &str = include_str!("html.css");

/// What stands around a plan.
pub struct Around<'a> {
    /// Title: what the plan is of.
    pub title: &'a str,
    /// When, by whom.
    pub made: &'a str,
    /// The topology as [`super::graph::svg`] draws it, if it is known.
    pub picture: Option<&'a str>,
    /// How many hosts are missing from the plan.
    pub unreachable: usize,
}

/// The whole page.
pub fn page(plan: &Plan, around: &Around<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, plan, around);
    out
}

/// Only the style sheets that are in it, by their digests, are in force; nothing else is loaded or sent.
fn policy(picture: Option<&str>) -> String {
    let drawn = picture.and_then(|svg| svg.split_once("<style>")?.1.split_once("</style>"));
    let styles = [Some(STYLE), drawn.map(|(style, _)| style)];
    let digests: Vec<String> = styles
        .into_iter()
        .flatten()
        .map(|style| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(style.as_bytes()))))
        .collect();
    format!("default-src 'none'; style-src {}; base-uri 'none'; form-action 'none'", digests.join(" "))
}

fn write(out: &mut String, plan: &Plan, around: &Around<'_>) -> std::fmt::Result {
    let title = escape(around.title);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p class=\"p-dim\">{}</p>\n<p class=\"p-sum\">{}</p>\n",
        policy(around.picture),
        escape(around.made),
        escape(&summary(plan, around.unreachable)),
    )?;
    for refusal in &plan.refusals {
        let host = refusal.host.as_ref().map_or_else(String::new, |host| format!("{host}: "));
        writeln!(
            out,
            "<p class=\"p-refused\"><strong>Cannot be applied.</strong> {}<br>{}</p>",
            escape(&format!("{host}{}", refusal.summary)),
            escape(&refusal.help)
        )?;
    }
    if let Some(deletes) = &plan.deletes {
        writeln!(
            out,
            "<p class=\"p-refused\"><strong>Many deletes.</strong> {}<br>apply asks; with --yes it needs --allow-deletes as well</p>",
            escape(&deletes.sentence())
        )?;
    }
    for note in &plan.notes {
        writeln!(out, "<p class=\"p-note\">{}</p>", escape(note))?;
    }
    if let Some(picture) = around.picture {
        writeln!(
            out,
            "<details><summary>Hosts, processes and what each is for</summary>\n\
             <div class=\"p-scroll p-picture\">{picture}</div></details>"
        )?;
    }
    changes(out, plan)?;
    steps(out, plan)?;
    out.write_str("</body>\n</html>\n")
}

fn changes(out: &mut String, plan: &Plan) -> std::fmt::Result {
    if plan.changes.is_empty() {
        return Ok(());
    }
    out.write_str("<h2>Changes</h2>\n<div class=\"p-filters\">\n")?;
    for (id, label, on) in [
        ("p-create", "added", true),
        ("p-update", "changed", true),
        ("p-delete", "removed or forgotten", true),
        ("p-drift", "only what somebody changed on a host", false),
    ] {
        let checked = if on { " checked" } else { "" };
        writeln!(out, "<label><input type=\"checkbox\" id=\"{id}\"{checked}> {label}</label>")?;
    }
    out.write_str("</div>\n")?;
    let entries = fold::changes(&plan.changes, false);
    for hosts in fold::sections(&entries, &plan.hosts) {
        writeln!(out, "<h2>{}</h2>", escape(&hosts.join(", ")))?;
        let mut module = "";
        for entry in fold::of(&entries, &hosts) {
            if entry.changes[0].module != module {
                module = &entry.changes[0].module;
                writeln!(out, "<h3>{}</h3>", escape(module))?;
            }
            one(out, entry)?;
        }
    }
    Ok(())
}

fn one(out: &mut String, entry: &fold::Entry<'_>) -> std::fmt::Result {
    let change = entry.changes[0];
    let (sign, class) = match change.operation {
        Operation::Create => ("+", "p-create"),
        Operation::Update => ("~", "p-update"),
        Operation::Delete => ("−", "p-delete"),
        Operation::Forget => ("·", "p-delete"),
    };
    let (mark, cause) = match change.cause {
        Cause::Intended => (None, "p-intended"),
        Cause::Drift => (Some("drift"), "p-drifted"),
        Cause::DriftAndChange => (Some("drift and change"), "p-drifted"),
        Cause::Unmanaged => (Some("unmanaged"), "p-drifted"),
    };
    let names = entry.names();
    let own = if names.is_some() { fold::own(&change.kind, &change.name) } else { "" };
    let times = names.as_ref().map(|_| format!(" <strong>× {}</strong>", entry.changes.len()));
    writeln!(
        out,
        "<details class=\"{class} {cause}\"><summary><span class=\"p-sign\">{sign}</span>{} <code>{}</code>{}{} \
         <span class=\"p-dim\">{}</span></summary>",
        escape(&change.kind),
        escape(&entry.name()),
        times.unwrap_or_default(),
        mark.map(|mark| format!(" <span class=\"p-mark\">{mark}</span>")).unwrap_or_default(),
        escape(&fold::general(&change.reason, own)),
    )?;
    if let Some(names) = &names {
        writeln!(out, "<p>{}</p>", escape(names))?;
    }
    let attributes: Vec<_> = change
        .attributes
        .iter()
        .filter(|(name, ..)| !(name == "content" && change.diff.is_some()))
        .filter(|(name, ..)| entry.changes.len() == 1 || !fold::digest_of(name))
        .collect();
    if !attributes.is_empty() {
        out.write_str("<table><tr><th></th><th>found</th><th>will be</th></tr>\n")?;
        for (name, before, after) in attributes {
            let show = |value: &Option<String>| {
                value.as_deref().map_or_else(|| "–".to_owned(), |value| escape(&super::plan::short(value)))
            };
            writeln!(
                out,
                "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
                escape(name),
                show(before),
                show(after)
            )?;
        }
        out.write_str("</table>\n")?;
    }
    if let Some(text) = &change.diff {
        let several = names.is_some() && change.operation != Operation::Create;
        let lines = if several { fold::edits(&fold::general(text, own)) } else { text.clone() };
        diff(out, &lines)?;
    }
    out.write_str("</details>\n")
}

fn diff(out: &mut String, text: &str) -> std::fmt::Result {
    out.write_str("<pre>")?;
    for line in text.lines().filter(|line| !line.starts_with("+++ ") && !line.starts_with("--- ")) {
        let class = match line.chars().next() {
            Some('+') => " class=\"p-plus\"",
            Some('-') => " class=\"p-minus\"",
            Some('@') => " class=\"p-hunk\"",
            _ => "",
        };
        write!(out, "<span{class}>{}</span>", escape(line))?;
    }
    out.write_str("</pre>\n")
}

fn steps(out: &mut String, plan: &Plan) -> std::fmt::Result {
    if plan.steps.is_empty() {
        return Ok(());
    }
    out.write_str("<h2>Steps, in this order</h2>\n<ol>\n")?;
    for run in fold::steps(&plan.steps, false) {
        let (title, why) = run.words();
        let times = if run.steps.len() > 1 {
            format!(" <strong>× {}</strong>", run.steps.len())
        } else {
            String::new()
        };
        let first = run.steps.first().map_or(0, |step| step.id + 1);
        write!(
            out,
            "<li value=\"{first}\">{}: {}{times} <span class=\"p-dim\">{}</span>",
            escape(&run.hosts()),
            escape(&title),
            escape(&why)
        )?;
        if run.steps.len() > 1 {
            write!(
                out,
                " <span class=\"p-dim\">(steps {})</span>",
                escape(numbers(&run).trim_end_matches('.'))
            )?;
        }
        if let Some(names) = run.names() {
            write!(out, "<br>{}", escape(&names))?;
        }
        out.write_str("</li>\n")?;
    }
    out.write_str("</ol>\n")
}

/// Text that stays text, in an element and in a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
