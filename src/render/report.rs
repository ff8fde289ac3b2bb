//! What an apply did, as people read it.

use std::fmt::Write as _;

use super::paint::Paint;
use crate::apply::{Outcome, Report, WayBack};
use crate::facts::conversation::clean;
use crate::plan::Step;

/// The report: failures with their output, what did not run, and one line of summary.
pub fn text(report: &Report, color: bool, seconds: u64) -> String {
    let paint = Paint(color);
    let mut out = failed(report, paint);
    let count =
        |wanted: fn(&Outcome) -> bool| report.outcomes.iter().filter(|(_, outcome)| wanted(outcome)).count();
    let (done, skipped) =
        (count(|outcome| *outcome == Outcome::Done), count(|outcome| *outcome == Outcome::Skipped));
    let total = report.outcomes.len();
    let line = if report.succeeded() {
        format!("Apply complete: {done} {} done in {seconds} s.", if done == 1 { "step" } else { "steps" })
    } else {
        let why = if report.signal == 0 { "Apply failed" } else { "Apply interrupted" };
        let after = match &report.way_back {
            Some(WayBack::Returned { .. } | WayBack::Failed { .. }) => "",
            _ => " `synprov plan` shows what remains; applying again finishes it.",
        };
        format!("{why}: {done} of {total} steps done, {skipped} not begun.{after}")
    };
    let _ = writeln!(out, "{}", paint.bold(&line));
    match &report.way_back {
        None => {}
        Some(WayBack::NotTried(why)) => {
            let _ = writeln!(out, "Not rolled back: {}.", clean(why));
        }
        Some(WayBack::Returned { generation, steps }) => {
            let steps = match steps {
                // Only secrets were replaced, and have their former values again.
                0 => String::new(),
                1 => " in 1 step".to_owned(),
                steps => format!(" in {steps} steps"),
            };
            let line = format!(
                "Rolled back{steps}: all hosts are as generation {generation} says, verified; every service is ready."
            );
            let _ = writeln!(out, "{}", paint.bold(&line));
            let _ = writeln!(
                out,
                "What somebody had changed by hand and this apply overwrote is not brought back. `synprov plan` shows the intended change again."
            );
        }
        Some(WayBack::Failed { generation, reasons, outcomes }) => {
            let to = generation.map_or_else(String::new, |number| format!(" to generation {number}"));
            let _ = writeln!(out, "{}", paint.bold(&format!("The way back{to} failed too:")));
            for reason in reasons {
                let _ = writeln!(out, "{} {}", paint.red("✗"), clean(reason));
            }
            failures(&mut out, outcomes, paint);
            let _ = writeln!(
                out,
                "Hosts are between two generations. `synprov plan` shows what differs from the inventory; mend what is said above, then apply."
            );
        }
    }
    out
}

/// What failed, with its output.
pub(super) fn failed(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    failures(&mut out, &report.outcomes, paint);
    for (host, error) in &report.host_errors {
        let _ = writeln!(out, "{} {host}: {}", paint.red("✗"), clean(&error.summary));
    }
    out
}

/// Steps that failed, with their output.
fn failures(out: &mut String, outcomes: &[(Step, Outcome)], paint: Paint) {
    for (step, outcome) in outcomes {
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
}
