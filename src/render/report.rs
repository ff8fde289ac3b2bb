//! What an apply did, as people read it.

use std::fmt::Write as _;

use super::paint::Paint;
use crate::apply::{Outcome, Report};
use crate::facts::conversation::clean;

/// The report: failures with their output, what did not run, and one line of summary.
pub fn text(report: &Report, color: bool, seconds: u64) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    let count =
        |wanted: fn(&Outcome) -> bool| report.outcomes.iter().filter(|(_, outcome)| wanted(outcome)).count();
    for (step, outcome) in &report.outcomes {
        let (what, lines) = match outcome {
            Outcome::Failed(lines) => ("failed", lines.as_slice()),
            Outcome::Lost(reason) => ("was cut off", std::slice::from_ref(reason)),
            Outcome::Done | Outcome::Skipped => continue,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} {}: {} {what}", paint.red("✗"), step.host, clean(&step.action.title()));
        for line in lines {
            let _ = writeln!(out, "    {}", clean(line));
        }
    }
    for (host, error) in &report.host_errors {
        let _ = writeln!(out, "{} {host}: {}", paint.red("✗"), clean(&error.summary));
    }
    let (done, skipped) =
        (count(|outcome| *outcome == Outcome::Done), count(|outcome| *outcome == Outcome::Skipped));
    let total = report.outcomes.len();
    let line = if report.succeeded() {
        format!("Apply complete: {done} {} done in {seconds} s.", if done == 1 { "step" } else { "steps" })
    } else {
        let why = if report.signal == 0 { "Apply failed" } else { "Apply interrupted" };
        format!(
            "{why}: {done} of {total} steps done, {skipped} not begun. `synprov plan` shows what remains; applying again finishes it."
        )
    };
    let _ = writeln!(out, "{}", paint.bold(&line));
    out
}
