//! A plan as people read it, and as programs do.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::paint::Paint;
use crate::facts::HostError;
use crate::facts::conversation::clean;
use crate::plan::change::{Cause, Change, Operation};
use crate::plan::saved::Saved;
use crate::plan::step::Action;
use crate::plan::{Plan, Step};

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

/// How a plan is shown.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// How much of what changes inside files.
    pub diff: DiffStyle,
    /// With colours.
    pub color: bool,
    /// New files are shown whole.
    pub verbose: bool,
}

/// The plan for a person. `unreachable`: how many hosts are missing from it.
pub fn text(plan: &Plan, style: Style, unreachable: usize) -> String {
    let paint = Paint(style.color);
    let mut out = String::new();
    for host in &plan.hosts {
        let changes: Vec<&Change> = plan.changes.iter().filter(|change| change.host == *host).collect();
        if changes.is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", paint.bold(host));
        let mut module = "";
        for change in changes {
            if change.module != module {
                module = &change.module;
                let _ = writeln!(out, "  {module}");
            }
            one_change(&mut out, change, style, &paint);
        }
        out.push('\n');
    }
    if !plan.steps.is_empty() {
        let _ = writeln!(out, "{}", paint.bold("Steps, in this order"));
        let width = plan.steps.len().to_string().len();
        for step in &plan.steps {
            one_step(&mut out, step, width, &paint);
        }
        out.push('\n');
    }
    for note in &plan.notes {
        let _ = writeln!(out, "note: {}", clean(note));
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
    let missing = match unreachable {
        0 => String::new(),
        1 => " 1 host could not be asked: this answer is incomplete.".to_owned(),
        n => format!(" {n} hosts could not be asked: this answer is incomplete."),
    };
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

fn one_change(out: &mut String, change: &Change, style: Style, paint: &Paint) {
    let (sign, name) = (sign(change.operation, paint), clean(&change.name));
    let cause = match change.cause {
        Cause::Intended => String::new(),
        Cause::Drift => format!(" {}", paint.yellow("[drift]")),
        Cause::DriftAndChange => format!(" {}", paint.yellow("[drift and change]")),
        Cause::Unmanaged => format!(" {}", paint.red("[unmanaged]")),
    };
    let _ = writeln!(
        out,
        "  {sign} {} {name}{cause} {}",
        change.kind,
        paint.dim(&format!("({})", clean(&change.reason)))
    );
    if change.operation == Operation::Update {
        for (attribute, before, after) in &change.attributes {
            // The diff and the reason in the line above say the same.
            if (attribute == "content" && change.diff.is_some()) || attribute == "configuration" {
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
            let body = || text.lines().filter(|line| !line.starts_with("+++") && !line.starts_with("---"));
            let added = body().filter(|line| line.starts_with('+')).count();
            let removed = body().filter(|line| line.starts_with('-')).count();
            let _ = writeln!(out, "      {added} lines added, {removed} removed");
        }
        DiffStyle::Full => full_diff(out, change, text, style.verbose, paint),
    }
}

fn full_diff(out: &mut String, change: &Change, text: &str, verbose: bool, paint: &Paint) {
    // The header repeats the name that stands in the line above.
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("+++ ") && !line.starts_with("--- ")).collect();
    let new = change.operation == Operation::Create;
    let shown = if new && !verbose { lines.len().min(NEW_FILE_LINES + 1) } else { lines.len() };
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

fn one_step(out: &mut String, step: &Step, width: usize, paint: &Paint) {
    let title = clean(&step.action.title());
    let loud = matches!(&step.action, Action::PreparePostgresql { restart: Some(_), .. });
    let title = if loud { paint.red(&title) } else { title };
    let why = paint.dim(&format!("({})", clean(&step.why)));
    let _ = writeln!(out, "  {:>width$}. {}: {title} {why}", step.id + 1, step.host);
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
fn short(value: &str) -> String {
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
    for flag in &made.allowed {
        let _ = write!(head, ", with {flag}");
    }
    format!("{}\n\n{}", paint.dim(&clean(&head)), text(&saved.plan, style, 0))
}

/// A saved plan as JSON: the plan's document, with what it was made from.
pub fn saved_json(saved: &Saved) -> String {
    let mut document = document(&saved.plan, &[]);
    document["made"] = serde_json::to_value(&saved.made).unwrap_or_default();
    format!("{document:#}\n")
}

/// The plan as one JSON document, with the hosts that are missing from it.
pub fn json(plan: &Plan, errors: &[(String, HostError)]) -> String {
    format!("{:#}\n", document(plan, errors))
}

fn document(plan: &Plan, errors: &[(String, HostError)]) -> Value {
    let mut document = serde_json::to_value(plan).unwrap_or_default();
    let (add, change, delete) = plan.counts();
    document["summary"] =
        json!({"add": add, "change": change, "delete": delete, "unchanged": plan.unchanged});
    document["complete"] = errors.is_empty().into();
    document["applyable"] = (errors.is_empty() && plan.refusals.is_empty()).into();
    document["unreachable"] = errors
        .iter()
        .map(|(host, error)| json!({"host": host, "summary": clean(&error.summary), "help": error.help}))
        .collect();
    if let Some(steps) = document["steps"].as_array_mut() {
        for (value, step) in steps.iter_mut().zip(&plan.steps) {
            value["title"] = step.action.title().into();
        }
    }
    document
}
