//! Why a process restarts, or not, as text.

use std::fmt::Write as _;

use super::paint::Paint;
use crate::plan::why::{Cause, Does, Why};

/// A paragraph a unit.
pub fn text(all: &[Why], color: bool) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    for why in all {
        // Writing to a String cannot fail.
        let _ = write(&mut out, why, &paint);
    }
    out
}

fn write(out: &mut String, why: &Why, paint: &Paint) -> std::fmt::Result {
    let name = match &why.instance {
        Some(instance) => {
            format!("{} on {} {}", paint.bold(instance), why.host, paint.dim(&format!("({})", why.unit)))
        }
        None => format!("{} on {}", paint.bold(&why.unit), why.host),
    };
    let running = why.running_for.map(duration);
    match (why.does, &why.reason) {
        (None, _) => {
            let since = running.map(|time| format!(", as it has for {time}")).unwrap_or_default();
            writeln!(out, "{name} does not restart: it runs with what it should{since}")?;
        }
        (Some(does), reason) => {
            let does = match does {
                Does::Start => "will be started",
                Does::Restart => "will restart",
                Does::Reload => "will reload",
                Does::Stop => "will be stopped",
            };
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            writeln!(out, "{name} {does}{reason}")?;
            for cause in &why.causes {
                writeln!(out, "  {}{}", cause.what, note(cause))?;
                keys(out, cause)?;
            }
            if let Some(time) = running {
                writeln!(out, "  {}", paint.dim(&format!("it has been running for {time}")))?;
            }
        }
    }
    for cause in &why.passed_over {
        let names: Vec<&str> = cause.keys.iter().map(|key| key.key.as_str()).collect();
        let line = format!("{} changes in what this process does not read: {}", cause.what, names.join(", "));
        writeln!(out, "  {}", paint.dim(&line))?;
    }
    Ok(())
}

fn note(cause: &Cause) -> String {
    cause.note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default()
}

fn keys(out: &mut String, cause: &Cause) -> std::fmt::Result {
    for key in &cause.keys {
        match (&key.before, &key.after) {
            (Some(before), Some(after)) => writeln!(out, "    {}: {before} -> {after}", key.key)?,
            (None, Some(after)) => writeln!(out, "    {}: (not there) -> {after}", key.key)?,
            (Some(before), None) => writeln!(out, "    {}: {before} -> (not there)", key.key)?,
            (None, None) => {}
        }
    }
    Ok(())
}

/// `3 days 2 h`, `4 min 5 s`.
fn duration(microseconds: i64) -> String {
    let seconds = microseconds / 1_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, hours, _) => format!("1 day {hours} h"),
        (days, hours, _) => format!("{days} days {hours} h"),
    }
}
