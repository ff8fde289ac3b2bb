//! Generations, as people and programs read them.

use std::fmt::Write as _;

use serde::Serialize;

use super::incomplete::{incomplete, unreachable};
use super::paint::Paint;
use super::time::utc;
use crate::facts::HostError;
use crate::facts::conversation::clean;
use crate::facts::generation::Meta;

/// A generation with the hosts that keep it.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Who, when, what.
    #[serde(flatten)]
    pub meta: Meta,
    /// Hosts that keep it.
    pub kept: Vec<String>,
    /// Those among them that are in it now.
    pub current: Vec<String>,
}

/// Version of the JSON layout: `schema/history.schema.json`.
const FORMAT: u32 = 1;

/// A line a generation, newest last. `unasked`: hosts that may keep others.
pub fn text(listed: &[Listed], unasked: usize, color: bool) -> String {
    let paint = Paint(color);
    if listed.is_empty() && unasked > 0 {
        return format!("Nothing is known.{}\n", incomplete(unasked));
    }
    if listed.is_empty() {
        return "No generation is kept: nothing was applied yet, or by an older synprov.\n".to_owned();
    }
    let rows: Vec<[String; 5]> = listed
        .iter()
        .map(|one| {
            let meta = &one.meta;
            [meta.number.to_string(), utc(meta.at), clean(&meta.who), clean(&meta.synapse), what(meta)]
        })
        .collect();
    let heads = ["GENERATION", "WHEN", "WHO", "SYNAPSE", "WHAT"].map(str::to_owned);
    let width = |column: usize| {
        std::iter::once(&heads).chain(&rows).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut out = String::new();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", paint.bold(&line(&heads)));
    let all: usize = listed.iter().flat_map(|one| &one.current).count();
    for (one, row) in listed.iter().zip(&rows) {
        let now = match one.current.len() {
            0 => String::new(),
            count if count == all => paint.green("  ← now"),
            _ => paint.green(&format!("  ← now: {}", one.current.join(", "))),
        };
        let _ = writeln!(out, "{}{now}", line(row));
    }
    if unasked > 0 {
        let _ = writeln!(out, "\n{}", incomplete(unasked).trim_start());
    }
    out
}

/// All that is known of each.
pub fn whole(listed: &[Listed], color: bool) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    for one in listed {
        let meta = &one.meta;
        let _ = writeln!(
            out,
            "{}, {}, {}, Synapse {}, synprov {}",
            paint.bold(&format!("Generation {}", meta.number)),
            utc(meta.at),
            clean(&meta.who),
            clean(&meta.synapse),
            clean(&meta.synprov)
        );
        let _ = writeln!(out, "on {}: {}", meta.hosts.join(", "), what(meta));
        for change in &meta.changes {
            let _ = writeln!(out, "  {}", clean(change));
        }
        if meta.more > 0 {
            let _ = writeln!(out, "  and {} more", meta.more);
        }
    }
    out
}

/// What a generation changed, in few words.
fn what(meta: &Meta) -> String {
    let count = |sign: char| meta.changes.iter().filter(|line| line.starts_with(sign)).count();
    let counted =
        [(count('+'), "created"), (count('~'), "changed"), (count('-'), "removed"), (meta.more, "more")];
    let words: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let words = if words.is_empty() { "nothing but the record".to_owned() } else { words.join(", ") };
    match meta.back_to {
        Some(number) => format!("back to {number}: {words}"),
        None => words,
    }
}

/// As `schema/history.schema.json` says.
pub fn json(listed: &[Listed], errors: &[(String, HostError)]) -> String {
    let document = serde_json::json!({
        "format_version": FORMAT,
        "generations": listed,
        "unreachable": unreachable(errors),
    });
    format!("{document:#}\n")
}
