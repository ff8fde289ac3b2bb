//! What `start`, `stop` and the others do, for people.

use std::fmt::Write as _;

use super::paint::Paint;
use super::report::failed;
use crate::apply::{Outcome, Report};
use crate::facts::conversation::clean;
use crate::plan::control::act::Verb;
use crate::plan::{Plan, Step};

/// The steps in order, or why there are none.
pub fn text(verb: Verb, plan: &Plan, color: bool) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    // Writing to a String cannot fail.
    for refusal in &plan.refusals {
        let host = refusal.host.as_ref().map_or_else(String::new, |host| format!("{host}: "));
        let _ = writeln!(out, "{} {host}{}", paint.red("refused:"), clean(&refusal.summary));
        let _ = writeln!(out, "  {} {}", paint.cyan("help:"), clean(&refusal.help));
    }
    if !plan.refusals.is_empty() {
        return out;
    }
    if plan.steps.is_empty() {
        let so = match verb {
            Verb::Start => "runs already",
            Verb::Stop => "is stopped already",
            Verb::Restart | Verb::Reload => "runs",
            Verb::Enable => "starts at boot already",
            Verb::Disable => "does not start at boot already",
        };
        let what = match (verb, plan.unchanged) {
            (Verb::Restart | Verb::Reload, _) => "Nothing to do: none of these runs".to_owned(),
            (_, 1) => format!("Nothing to do: it {so}"),
            (_, count) => format!("Nothing to do: each of these {count} {so}"),
        };
        let _ = writeln!(out, "{what}.");
        return out;
    }
    out.push_str(&steps(plan));
    out
}

/// The steps alone, numbered.
pub fn steps(plan: &Plan) -> String {
    let line =
        |step: &Step| format!("  {:>3}. {}: {}\n", step.id + 1, step.host, clean(&step.action.title()));
    plan.steps.iter().map(line).collect()
}

/// What became of it.
pub fn report(verb: &str, report: &Report, color: bool, seconds: u64) -> String {
    let paint = Paint(color);
    let mut out = failed(report, paint);
    let done = report.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Done).count();
    let total = report.outcomes.len();
    let line = if report.succeeded() {
        format!("{verb}: done in {seconds} s.")
    } else {
        let why = if report.signal == 0 { "failed" } else { "was interrupted" };
        format!("{verb} {why}: {done} of {total} steps done; `synprov status` shows how things are.")
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", paint.bold(&line));
    out
}
