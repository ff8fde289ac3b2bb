//! The report for a person, short enough for cron's mail. Nothing to tell is no text at all.

use std::fmt::Write as _;

use super::Report;
use crate::facts::conversation::clean;
use crate::plan::diff::body;
use crate::plan::drift::{Class, Difference, Finding};
use crate::render::incomplete::incomplete;
use crate::render::paint::Paint;
use crate::render::time::minute;

/// Findings that are told; the rest is counted.
const FINDINGS: usize = 40;
/// Lines of a diff that are told.
const LINES: usize = 12;
/// Attributes or units of a finding that are told.
const ITEMS: usize = 6;
/// Longest value of an attribute, characters.
const VALUE: usize = 80;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// Also what is intended and not applied.
    pub pending: bool,
    /// Also what is only worth knowing, and nothing cut short.
    pub verbose: bool,
    /// With colours.
    pub color: bool,
}

/// The report; empty if there is nothing in this scope to tell.
pub fn text(report: &Report<'_>, scope: Scope) -> String {
    let paint = Paint(scope.color);
    let told = |finding: &&Finding| match finding.class {
        Class::Drift => true,
        Class::Pending => scope.pending,
        Class::Information => scope.verbose,
    };
    let findings: Vec<&Finding> = report.drift.findings.iter().filter(told).collect();
    if findings.is_empty() && report.errors.is_empty() {
        return String::new();
    }
    let most = if scope.verbose { usize::MAX } else { FINDINGS };
    let mut out = String::new();
    let mut host = "";
    // Writing to a String cannot fail.
    for finding in findings.iter().take(most) {
        if finding.host != host {
            host = &finding.host;
            let _ = writeln!(out, "{}", paint.bold(host));
        }
        one(&mut out, finding, scope, paint);
    }
    if findings.len() > most {
        let _ = writeln!(out, "… and {} more (-v or --format json tells all)", findings.len() - most);
    }
    for (host, error) in report.errors {
        let _ = writeln!(
            out,
            "{}\n  {} {}",
            paint.bold(host),
            paint.red("could not be asked:"),
            clean(&error.summary)
        );
        if let Some(help) = &error.help {
            let _ = writeln!(out, "  {}", clean(help));
        }
    }
    let _ = writeln!(out, "\n{}", paint.bold(&summary(report)));
    if findings.iter().any(|finding| finding.class == Class::Drift && finding.healed_by_apply) {
        let _ = writeln!(
            out,
            "`synprov plan` shows what puts it back, `synprov apply` does it; or let the inventory say it."
        );
    }
    out
}

fn one(out: &mut String, finding: &Finding, scope: Scope, paint: Paint) {
    let mark = match finding.class {
        Class::Drift => paint.red("!"),
        Class::Pending => paint.yellow("~"),
        Class::Information => paint.dim("i"),
    };
    let owner = finding.module.as_ref().map_or_else(String::new, |module| format!(" [{}]", clean(module)));
    let since = finding.since.map_or_else(String::new, |at| format!(", since {}", minute(at)));
    let kind = finding.kind.replace('_', " ");
    let _ =
        writeln!(out, "  {mark} {kind} {}{owner}: {}{since}", clean(&finding.name), clean(&finding.summary));
    let shown = telling(finding);
    for one in cut(&shown, scope) {
        let value = |value: &Option<String>| value.as_deref().map_or("none".to_owned(), short);
        let _ =
            writeln!(out, "      {}: {} -> {}", clean(&one.name), value(&one.expected), value(&one.found));
    }
    if let Some(diff) = &finding.diff {
        let lines: Vec<&str> = body(diff).lines().filter(|line| line.starts_with(['+', '-'])).collect();
        let most = if scope.verbose { usize::MAX } else { LINES };
        for line in lines.iter().take(most) {
            let line = clean(line);
            let painted = if line.starts_with('+') { paint.green(&line) } else { paint.red(&line) };
            let _ = writeln!(out, "      {painted}");
        }
        if lines.len() > most {
            let _ = writeln!(out, "      … {} more lines", lines.len() - most);
        }
    }
    if !finding.affects.is_empty() {
        let units: Vec<String> = cut(&finding.affects, scope).iter().map(|unit| clean(unit)).collect();
        let more = finding.affects.len() - units.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(out, "      concerns {}{more}", units.join(", "));
    }
    if finding.class == Class::Drift {
        if let Some(advice) = &finding.advice {
            let _ = writeln!(out, "      {}", clean(advice));
        }
        if let Some(command) = &finding.command {
            let _ = writeln!(out, "      on {}: {}", finding.host, clean(command));
        }
    }
}

fn cut<T>(items: &[T], scope: Scope) -> &[T] {
    if scope.verbose { items } else { &items[..items.len().min(ITEMS)] }
}

/// Differences that tell a person something: a diff, where there is one, says it better than two digests.
pub(in crate::render) fn telling(finding: &Finding) -> Vec<&Difference> {
    finding
        .differences
        .iter()
        .filter(|one| !(finding.diff.is_some() && one.name == "content"))
        .filter(|one| !digest(one.expected.as_deref()) && !digest(one.found.as_deref()))
        .collect()
}

fn digest(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn short(value: &str) -> String {
    let value = clean(value);
    if value.chars().count() <= VALUE {
        return value;
    }
    format!("{}…", value.chars().take(VALUE).collect::<String>())
}

/// `Drift: 2 things on 1 host were changed by somebody else. …`
pub(in crate::render) fn summary(report: &Report<'_>) -> String {
    let drift = report.count(Class::Drift);
    let mut hosts: Vec<&str> = report.drift.of(Class::Drift).map(|finding| finding.host.as_str()).collect();
    hosts.dedup();
    let (things, on) =
        (if drift == 1 { "thing" } else { "things" }, if hosts.len() == 1 { "host" } else { "hosts" });
    let mut text = match drift {
        0 if report.errors.is_empty() => "No drift.".to_owned(),
        0 if report.drift.hosts.is_empty() => "Nothing is known.".to_owned(),
        0 => "No drift on hosts that answered.".to_owned(),
        _ => format!("Drift of {}: {drift} {things} on {} {on}.", report.server_name, hosts.len()),
    };
    match report.count(Class::Pending) {
        0 => {}
        1 => text.push_str(" 1 change of the inventory is not applied yet."),
        n => {
            let _ = write!(text, " {n} changes of the inventory are not applied yet.");
        }
    }
    text + &incomplete(report.errors.len())
}
