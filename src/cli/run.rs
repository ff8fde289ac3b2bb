//! What all runs that change hosts have in common: their name, and how they end.

use serde_json::json;

use super::{Exit, Output, clock};
use crate::apply::{Outcome, Report, WayBack};
use crate::facts::HostErrorKind;

/// What a run's report means for the exit code.
pub fn exit(report: &Report) -> Exit {
    if report.signal != 0 {
        return Exit::Interrupted(u8::try_from(report.signal).unwrap_or(2));
    }
    if report.succeeded() {
        return Exit::Done;
    }
    match report.way_back {
        Some(WayBack::Returned { .. }) => return Exit::RolledBack,
        Some(WayBack::Failed { .. }) => return Exit::Broken,
        Some(WayBack::NotTried(_)) | None => {}
    }
    let locked = report.host_errors.iter().any(|(_, error)| error.kind == HostErrorKind::Locked);
    if locked { Exit::Error.worse(Exit::Locked) } else { Exit::Error }
}

/// Names this run to others: who, where, which process, since when.
pub fn who(verb: &str) -> String {
    format!("{}, process {}, synprov {verb} since {}", clock::who(), std::process::id(), clock::utc_now())
}

/// For the last event.
pub fn sum_up(report: &Report, seconds: u64, output: &Output) {
    let count = |wanted: fn(&Outcome) -> bool| report.outcomes.iter().filter(|(_, one)| wanted(one)).count();
    let steps = json!({
        "total": report.outcomes.len(),
        "done": count(|one| matches!(one, Outcome::Done)),
        "failed": count(|one| matches!(one, Outcome::Failed(_) | Outcome::Lost(_))),
        "skipped": count(|one| matches!(one, Outcome::Skipped)),
    });
    output.sum_up("steps", steps);
    output.sum_up("interrupted", (report.signal != 0).into());
    output.sum_up("seconds", seconds.into());
    for (host, error) in &report.host_errors {
        output.diagnose(&format!("{host}: {error}"), error.help.as_deref());
    }
    let Some(way_back) = &report.way_back else { return };
    let way_back = match way_back {
        WayBack::NotTried(why) => json!({"outcome": "not_tried", "reasons": [why]}),
        WayBack::Returned { generation, .. } => {
            json!({"outcome": "returned", "generation": generation, "reasons": []})
        }
        WayBack::Failed { generation, reasons, .. } => {
            json!({"outcome": "failed", "generation": generation, "reasons": reasons})
        }
    };
    output.sum_up("way_back", way_back);
}
