//! A plan as people read it, and as programs do.

mod blocks;
mod document;
pub(super) mod fold;

pub use document::{json, no_plan, saved_json};

use std::fmt::Write as _;

use clap::ValueEnum;

use super::incomplete::incomplete;
use super::paint::Paint;
use crate::facts::conversation::clean;
use crate::plan::Plan;
use crate::plan::change::{Cause, Change, Operation};
use crate::plan::diff::body;
use crate::plan::saved::Saved;
use crate::plan::step::Action;

/// How much of what changes inside files is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DiffStyle {
    /// Unified diffs.
    #[default]
    Full,
    /// The number of lines added and removed.
    Summary,
    /// Nothing.
    None,
}

/// New files are shown up to this many lines; the rest is counted.
const NEW_FILE_LINES: usize = 12;

/// Other diffs likewise.
const DIFF_LINES: usize = 60;

/// How a plan is shown.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// How much of what changes inside files.
    pub diff: DiffStyle,
    /// With colours.
    pub color: bool,
    /// Every change and step stands by itself, and diffs are shown whole.
    pub verbose: bool,
}

/// The plan for a person. `unreachable`: how many hosts are missing from it.
pub fn text(plan: &Plan, style: Style, unreachable: usize) -> String {
    let paint = Paint(style.color);
    let mut out = String::new();
    let entries = fold::changes(&plan.changes, style.verbose);
    for hosts in fold::sections(&entries, &plan.hosts) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", paint.bold(&fold::places(&hosts)));
        let mut module = "";
        for entry in fold::of(&entries, &hosts) {
            if entry.changes[0].module != module {
                module = &entry.changes[0].module;
                let _ = writeln!(out, "  {module}");
            }
            one_entry(&mut out, entry, style, &paint);
        }
        out.push('\n');
    }
    if !plan.steps.is_empty() {
        let _ = writeln!(out, "{}", paint.bold("Steps, in this order"));
        let runs = fold::steps(&plan.steps, style.verbose);
        let runs = if style.verbose { runs } else { blocks::merged(runs) };
        let width = runs.iter().map(|run| numbers(run).chars().count()).max().unwrap_or(0);
        for run in &runs {
            one_run(&mut out, run, width, &paint);
        }
        out.push('\n');
    }
    for note in &plan.notes {
        let _ = writeln!(out, "note: {}", clean(note));
    }
    if let Some(deletes) = &plan.deletes {
        let _ = writeln!(out, "{}: {}", paint.red("many deletes"), clean(&deletes.sentence()));
        let _ = writeln!(
            out,
            "  {}: `apply` asks; with `--yes` it needs `--allow-deletes` as well",
            paint.cyan("help")
        );
    }
    for refusal in &plan.refusals {
        let host = refusal.host.as_ref().map_or_else(String::new, |host| format!("{host}: "));
        let _ = writeln!(out, "{}: {host}{}", paint.red("cannot be applied"), clean(&refusal.summary));
        let _ = writeln!(out, "  {}: {}", paint.cyan("help"), clean(&refusal.help));
    }
    let _ = writeln!(out, "{}", paint.bold(&summary(plan, unreachable)));
    out
}

/// `Plan: 3 to add, 1 to change, 0 to delete.` or `No changes.`
pub fn summary(plan: &Plan, unreachable: usize) -> String {
    let missing = incomplete(unreachable);
    if plan.hosts.is_empty() && unreachable > 0 {
        return format!("Nothing is known.{missing}");
    }
    if plan.is_empty() {
        let hosts = plan.hosts.len();
        let hosts = if hosts == 1 { "1 host is".to_owned() } else { format!("{hosts} hosts are") };
        return format!("No changes. {hosts} as the inventory says ({} resources).{missing}", plan.unchanged);
    }
    let (add, change, delete) = plan.counts();
    let mut text = format!("Plan: {add} to add, {change} to change, {delete} to delete.");
    let forgotten = plan.changes.iter().filter(|change| change.operation == Operation::Forget).count();
    if forgotten > 0 {
        let _ = write!(text, " {forgotten} to forget.");
    }
    let restarts = plan.steps.iter().filter(|step| matches!(step.action, Action::Restart { .. })).count();
    if restarts > 0 {
        let _ = write!(text, " {restarts} {}.", if restarts == 1 { "restart" } else { "restarts" });
    }
    let drift = plan
        .changes
        .iter()
        .filter(|change| matches!(change.cause, Cause::Drift | Cause::DriftAndChange))
        .count();
    if drift > 0 {
        let _ = write!(text, " {drift} of these undo what somebody changed on a host.");
    }
    let _ = write!(text, " {} unchanged.{missing}", plan.unchanged);
    text
}

fn one_entry(out: &mut String, entry: &fold::Entry<'_>, style: Style, paint: &Paint) {
    let change = entry.changes[0];
    let several = entry.names();
    let own = if several.is_some() { fold::own(&change.kind, &change.name) } else { "" };
    let cause = match change.cause {
        Cause::Intended => String::new(),
        Cause::Drift => format!(" {}", paint.yellow("[drift]")),
        Cause::DriftAndChange => format!(" {}", paint.yellow("[drift and change]")),
        Cause::Unmanaged => format!(" {}", paint.red("[unmanaged]")),
    };
    let times = if several.is_some() {
        format!(" {}", paint.bold(&format!("× {}", entry.changes.len())))
    } else {
        String::new()
    };
    let _ = writeln!(
        out,
        "  {} {} {}{times}{cause} {}",
        sign(change.operation, paint),
        change.kind,
        clean(&entry.name()),
        paint.dim(&format!("({})", clean(&fold::general(&change.reason, own))))
    );
    if let Some(names) = &several {
        let _ = writeln!(out, "      {}", clean(names));
    }
    if change.operation == Operation::Update {
        for (attribute, before, after) in &change.attributes {
            // The diff and the reason in the line above say the same.
            let told = (attribute == "content" && change.diff.is_some()) || attribute == "configuration";
            if told || (entry.changes.len() > 1 && fold::digest_of(attribute)) {
                continue;
            }
            let show = |value: &Option<String>| {
                value.as_deref().map_or("none".to_owned(), |value| short(&clean(value)))
            };
            let _ = writeln!(out, "      {attribute}: {} -> {}", show(before), show(after));
        }
    }
    let Some(text) = &change.diff else { return };
    match style.diff {
        DiffStyle::None => {}
        DiffStyle::Summary => {
            let edits = fold::edits(text);
            let count = |sign: char| edits.lines().filter(|line| line.starts_with(sign)).count();
            let each = if several.is_some() { "each: " } else { "" };
            let added = match count('+') {
                1 => "1 line".to_owned(),
                n => format!("{n} lines"),
            };
            let _ = writeln!(out, "      {each}{added} added, {} removed", count('-'));
        }
        DiffStyle::Full => {
            let lines = match (&several, change.operation) {
                (None, _) | (_, Operation::Create) => text.clone(),
                // Around the lines that are the same in all stand others that are not.
                _ => fold::edits(&fold::general(text, own)),
            };
            if several.is_some() && change.operation == Operation::Create {
                let note = "the first of them; the others differ in names and numbers (-v shows each)";
                let _ = writeln!(out, "      {}", paint.dim(note));
            }
            full_diff(out, change, &lines, style.verbose, paint);
        }
    }
}

fn full_diff(out: &mut String, change: &Change, text: &str, verbose: bool, paint: &Paint) {
    // The header repeats the name that stands in the line above.
    let lines: Vec<&str> = body(text).lines().collect();
    let new = change.operation == Operation::Create;
    let most = match (verbose, new) {
        (true, _) => usize::MAX,
        (false, true) => NEW_FILE_LINES + 1,
        (false, false) => DIFF_LINES,
    };
    let shown = lines.len().min(most);
    for line in &lines[..shown] {
        let painted = match line.chars().next() {
            Some('+') => paint.green(line),
            Some('-') => paint.red(line),
            Some('@') => {
                if new {
                    continue;
                }
                paint.cyan(line)
            }
            _ => (*line).to_owned(),
        };
        let _ = writeln!(out, "      {painted}");
    }
    if shown < lines.len() {
        let _ = writeln!(
            out,
            "      {}",
            paint.dim(&format!("… {} more lines (-v or --json shows them)", lines.len() - shown))
        );
    }
}

/// `4.`, `4–33.`, or `4…33.` if others stand between them.
pub(super) fn numbers(run: &fold::Run<'_>) -> String {
    match run.steps.as_slice() {
        [first, .., last] if last.id - first.id >= run.steps.len() => {
            format!("{}…{}.", first.id + 1, last.id + 1)
        }
        [first, .., last] => format!("{}–{}.", first.id + 1, last.id + 1),
        steps => steps.first().map_or_else(String::new, |only| format!("{}.", only.id + 1)),
    }
}

fn one_run(out: &mut String, run: &fold::Run<'_>, width: usize, paint: &Paint) {
    let (title, why) = run.words();
    let loud = run
        .steps
        .iter()
        .any(|step| matches!(&step.action, Action::PreparePostgresql { restart: Some(_), .. }));
    let title = clean(&title);
    let title = if loud { paint.red(&title) } else { title };
    let times = match run.steps.len() {
        1 => String::new(),
        n => format!(" {}", paint.bold(&format!("× {n}"))),
    };
    let why = paint.dim(&format!("({})", clean(&why)));
    let _ = writeln!(out, "  {:>width$} {}: {title}{times} {why}", numbers(run), run.hosts());
    if let Some(names) = run.names() {
        let _ = writeln!(out, "  {:>width$}   {}", "", clean(&names));
    }
}

fn sign(operation: Operation, paint: &Paint) -> String {
    match operation {
        Operation::Create => paint.green("+"),
        Operation::Update => paint.yellow("~"),
        Operation::Delete => paint.red("-"),
        Operation::Forget => paint.dim("·"),
    }
}

/// Digests are shown by their beginning.
pub(super) fn short(value: &str) -> String {
    let digest = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digest { value[..12].to_owned() } else { value.to_owned() }
}

/// A saved plan for a person: what it was made from, and the plan.
pub fn saved_text(saved: &Saved, style: Style) -> String {
    let paint = Paint(style.color);
    let made = &saved.made;
    let mut head = format!("Plan of {}, made {} by {}", made.inventory.path, made.at, made.by);
    if made.lab {
        head.push_str(", for throwaway hosts");
    }
    if !made.limit.is_empty() {
        let _ = write!(head, ", only for {}", made.limit.join(", "));
    }
    if !made.target.is_empty() {
        let _ = write!(head, ", only {} and what that needs", made.target.join(", "));
    }
    for flag in &made.allowed {
        let _ = write!(head, ", with {flag}");
    }
    format!("{}\n\n{}", paint.dim(&clean(&head)), text(&saved.plan, style, 0))
}
