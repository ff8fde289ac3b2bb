//! How each process is: a table for people, a document for programs.

use std::fmt::Write as _;

use serde_json::json;

use super::incomplete::{incomplete, unreachable};
use super::paint::Paint;
use crate::facts::HostError;
use crate::facts::conversation::clean;
use crate::plan::control::status::Status;

/// Version of the JSON layout.
const FORMAT_VERSION: u32 = 1;
/// Columns of the table.
const HEADS: [&str; 9] =
    ["HOST", "PROCESS", "STATE", "FOR", "READY", "CONFIGURATION", "VERSION", "MEMORY", "RESTARTS"];

/// A line a process, then what is to be said against those that are not well. `unasked`: hosts whose processes
/// are not among them.
pub fn text(all: &[Status], unasked: usize, color: bool) -> String {
    let paint = Paint(color);
    let rows: Vec<[String; 9]> = all.iter().map(row).collect();
    let mut widths = HEADS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; 9]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = format!("{}\n", paint.dim(&line(&HEADS.map(str::to_owned))));
    for (one, row) in all.iter().zip(&rows) {
        let text = line(row);
        // Writing to a String cannot fail.
        let _ = match (one.well, one.state.as_str()) {
            (true, _) => writeln!(out, "{text}"),
            (_, "running") => writeln!(out, "{}", paint.yellow(&text)),
            _ => writeln!(out, "{}", paint.red(&text)),
        };
    }
    let unwell: Vec<&Status> = all.iter().filter(|one| !one.well).collect();
    if !unwell.is_empty() {
        out.push('\n');
    }
    for one in &unwell {
        for said in complaints(one) {
            let _ = writeln!(out, "{} {} {}: {said}", paint.red("✗"), one.host, one.name);
        }
    }
    let well = all.len() - unwell.len();
    let summary = match (unwell.len(), well, unasked) {
        (0, 0, 1..) => "Nothing is known.".to_owned(),
        (0, 1, 0) => "It is well.".to_owned(),
        (0, _, 0) => format!("All {well} processes are well."),
        (0, ..) => format!("All {well} processes on hosts that answered are well."),
        _ => format!("{well} of {} processes are well.", all.len()),
    };
    let _ = writeln!(out, "\n{}", paint.bold(&(summary + &incomplete(unasked))));
    out
}

fn complaints(one: &Status) -> Vec<String> {
    let missing = one.missing.iter().map(|missing| format!("it is not ready: it lacks that {missing}"));
    let mut said: Vec<String> = missing.chain(one.reason.clone()).map(|text| clean(&text)).collect();
    if said.is_empty() {
        said.push(format!("it is {}", clean(&one.state)));
    }
    said
}

fn row(one: &Status) -> [String; 9] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let configuration = match one.current {
        Some(true) => "current",
        Some(false) => "outdated",
        None => "-",
    };
    [
        one.host.clone(),
        one.name.clone(),
        clean(one.state.split(',').next().unwrap_or_default()),
        or_dash(one.seconds.map(span)),
        if one.ready { "yes" } else { "no" }.to_owned(),
        configuration.to_owned(),
        or_dash(one.version.as_deref().map(clean)),
        or_dash(one.memory.map(bytes)),
        one.restarts.to_string(),
    ]
}

/// Seconds in at most two units: `3 d 2 h`.
fn span(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn bytes(bytes: u64) -> String {
    const MB: u64 = 1 << 20;
    match bytes / MB {
        0..10_000 => format!("{} MB", bytes / MB),
        more => format!("{} GB", more / 1024),
    }
}

/// The same for programs: `schema/status.schema.json`.
pub fn json(server_name: &str, all: &[Status], errors: &[(String, HostError)]) -> String {
    let document = json!({
        "format_version": FORMAT_VERSION,
        "server_name": server_name,
        "well": errors.is_empty() && all.iter().all(|one| one.well),
        "processes": all,
        "unreachable": unreachable(errors),
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::{bytes, span};

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!([0, 59, 60, 3600, 93_600].map(span), ["0 s", "59 s", "1 min", "1 h 0 min", "1 d 2 h"]);
        assert_eq!([5 << 20, 20 << 30].map(bytes), ["5 MB", "20 GB"]);
    }
}
