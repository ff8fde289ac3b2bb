//! The body of a plan's page: what changes, as diffs; in which steps; why.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::diff::diff;
use super::filter::Filters;
use super::{Around, contents, escape, prose, steps, tiles, unreachable};
use crate::facts::HostError;
use crate::plan::Plan;
use crate::plan::change::{Cause, Operation};
use crate::plan::step::Action;
use crate::render::plan::{fold, numbers, short, summary};

/// Longest diff that is unfolded at first, lines, and all of them together.
const UNFOLDED: (usize, usize) = (60, 400);

/// The whole page. `errors`: hosts that are missing from the plan.
pub fn page(plan: &Plan, errors: &[(String, HostError)], around: &Around<'_>) -> String {
    let mut out = String::new();
    let mut filters = Filters::default();
    // Writing to a String cannot fail.
    let _ = body(&mut out, plan, errors, around, &mut filters);
    super::page(around, &filters.rules(), &out)
}

fn body(
    out: &mut String,
    plan: &Plan,
    errors: &[(String, HostError)],
    around: &Around<'_>,
    filters: &mut Filters,
) -> std::fmt::Result {
    writeln!(out, "<p class=\"p-sum\">{}</p>", escape(&summary(plan, errors.len())))?;
    if !plan.is_empty() {
        let (add, change, delete) = plan.counts();
        let restarts = plan.steps.iter().filter(|step| matches!(step.action, Action::Restart { .. })).count();
        let drift =
            plan.changes.iter().filter(|change| matches!(change.cause, Cause::Drift | Cause::DriftAndChange));
        tiles(
            out,
            &[
                ("p-create", add, "to add"),
                ("p-update", change, "to change"),
                ("p-delete", delete, "to delete"),
                ("p-update", drift.count(), "changed by somebody else"),
                ("p-update", restarts, if restarts == 1 { "restart" } else { "restarts" }),
                ("p-dim", plan.steps.len(), if plan.steps.len() == 1 { "step" } else { "steps" }),
            ],
        )?;
    }
    unreachable(out, errors)?;
    for refusal in &plan.refusals {
        let host = refusal.host.as_ref().map_or_else(String::new, |host| format!("{host}: "));
        writeln!(
            out,
            "<p class=\"p-refused\"><strong>Cannot be applied.</strong> {}<br>{}</p>",
            prose(&format!("{host}{}", refusal.summary)),
            prose(&refusal.help)
        )?;
    }
    if let Some(deletes) = &plan.deletes {
        writeln!(
            out,
            "<p class=\"p-refused\"><strong>Many deletes.</strong> {}<br><code>apply</code> asks; with <code>--yes</code> it needs <code>--allow-deletes</code> as well</p>",
            prose(&deletes.sentence())
        )?;
    }
    for note in &plan.notes {
        writeln!(out, "<p class=\"p-note\">{}</p>", prose(note))?;
    }
    let parts = [
        (!plan.changes.is_empty(), ("changes", "Changes")),
        (!plan.steps.is_empty(), ("steps", "Steps")),
        (around.picture.is_some(), ("topology", "Topology")),
    ];
    contents(out, &parts.iter().filter(|(there, _)| *there).map(|(_, part)| *part).collect::<Vec<_>>())?;
    let hosts = changes(out, plan, filters)?;
    steps_of(out, plan, &hosts, filters)
}

/// Ids of the boxes, by what they stand for.
struct Boxes {
    operations: Vec<String>,
    hosts: Vec<String>,
}

impl Boxes {
    fn new(plan: &Plan, filters: &mut Filters) -> Self {
        let count = |which: &dyn Fn(Operation) -> bool| {
            plan.changes.iter().filter(|change| which(change.operation)).count()
        };
        let operations = [
            ("added", count(&|one| one == Operation::Create)),
            ("changed", count(&|one| one == Operation::Update)),
            ("removed or forgotten", count(&|one| matches!(one, Operation::Delete | Operation::Forget))),
        ];
        let operations = filters.group("what", &operations.map(|(label, count)| (label.to_owned(), count)));
        let of = |host: &String| plan.changes.iter().filter(|change| change.host == *host).count();
        let hosts: Vec<_> = plan.hosts.iter().map(|host| (host.clone(), of(host))).collect();
        let hosts = filters.group("where", &hosts);
        if plan.changes.iter().any(|change| change.cause != Cause::Intended) {
            filters.only("only what somebody changed on a host", "p-intended");
        }
        filters.unfold();
        Self { operations, hosts }
    }

    fn operation(&self, operation: Operation) -> String {
        let at = match operation {
            Operation::Create => 0,
            Operation::Update => 1,
            Operation::Delete | Operation::Forget => 2,
        };
        self.operations[at].clone()
    }

    fn hosts(&self, plan: &Plan, of: &[&str]) -> Vec<String> {
        let known = plan.hosts.iter().zip(&self.hosts);
        known.filter(|(host, _)| of.contains(&host.as_str())).map(|(_, id)| id.clone()).collect()
    }
}

fn changes(out: &mut String, plan: &Plan, filters: &mut Filters) -> Result<Boxes, std::fmt::Error> {
    let boxes = Boxes::new(plan, filters);
    if plan.changes.is_empty() {
        return Ok(boxes);
    }
    writeln!(out, "<h2 id=\"changes\">Changes</h2>\n{}", filters.boxes())?;
    let entries = fold::changes(&plan.changes, false);
    let mut room = UNFOLDED.1;
    for hosts in fold::sections(&entries, &plan.hosts) {
        let here = fold::of(&entries, &hosts);
        let place = filters.class(&boxes.hosts(plan, &hosts));
        writeln!(out, "<section class=\"{place} {}\">", of_all(&boxes, &here, filters))?;
        writeln!(out, "<h3>{}</h3>", escape(&fold::places(&hosts)))?;
        for group in here.chunk_by(|one, other| one.changes[0].module == other.changes[0].module) {
            writeln!(out, "<div class=\"p-module {}\">", of_all(&boxes, group, filters))?;
            writeln!(out, "<h4>{}</h4>", escape(&group[0].changes[0].module))?;
            for entry in group {
                let class = of_all(&boxes, std::slice::from_ref(entry), filters);
                one(out, entry, &class, &mut room)?;
            }
            out.write_str("</div>\n")?;
        }
        out.write_str("</section>\n")?;
    }
    Ok(boxes)
}

/// Classes of what holds these entries.
fn of_all(boxes: &Boxes, entries: &[&fold::Entry<'_>], filters: &mut Filters) -> String {
    let operations: BTreeSet<String> =
        entries.iter().map(|entry| boxes.operation(entry.changes[0].operation)).collect();
    let class = filters.class(&operations.into_iter().collect::<Vec<_>>());
    let intended = entries.iter().all(|entry| entry.changes[0].cause == Cause::Intended);
    if intended { format!("{class} p-intended") } else { class }
}

fn one(out: &mut String, entry: &fold::Entry<'_>, class: &str, room: &mut usize) -> std::fmt::Result {
    let change = entry.changes[0];
    let (sign, operation) = match change.operation {
        Operation::Create => ("+", "p-create"),
        Operation::Update => ("~", "p-update"),
        Operation::Delete => ("−", "p-delete"),
        Operation::Forget => ("·", "p-delete"),
    };
    let mark = match change.cause {
        Cause::Intended => None,
        Cause::Drift => Some("drift"),
        Cause::DriftAndChange => Some("drift and change"),
        Cause::Unmanaged => Some("unmanaged"),
    };
    let names = entry.names();
    let own = if names.is_some() { fold::own(&change.kind, &change.name) } else { "" };
    let times = names.as_ref().map(|_| format!(" <strong>× {}</strong>", entry.changes.len()));
    let head = format!(
        "<span class=\"p-sign\">{sign}</span>{} <code>{}</code>{}{} <span class=\"p-dim\">{}</span>",
        escape(&change.kind.replace('_', " ")),
        escape(&entry.name()),
        times.unwrap_or_default(),
        mark.map(|mark| format!(" <span class=\"p-mark\">{mark}</span>")).unwrap_or_default(),
        escape(&fold::general(&change.reason, own)),
    );
    let mut inside = String::new();
    if let Some(names) = &names {
        writeln!(inside, "<p>{}</p>", escape(names))?;
    }
    // Of what is new, what it will be is all there is.
    attributes(&mut inside, entry)?;
    let mut lines = 0;
    if let Some(text) = &change.diff {
        let several = names.is_some() && change.operation != Operation::Create;
        let text = if several { fold::edits(&fold::general(text, own)) } else { text.clone() };
        if names.is_some() && change.operation == Operation::Create {
            inside.write_str(
                "<p class=\"p-dim\">The first of them; the others differ in names and numbers.</p>\n",
            )?;
        }
        lines = text.lines().count();
        diff(&mut inside, &text, ("found", "will be"))?;
    }
    if inside.is_empty() {
        return writeln!(out, "<div class=\"p-entry {operation} {class}\">{head}</div>");
    }
    // What is new is long and seldom surprising.
    let open = change.operation != Operation::Create && lines <= UNFOLDED.0.min(*room);
    *room -= if open { lines } else { 0 };
    let open = if open { " open" } else { "" };
    writeln!(
        out,
        "<details class=\"p-entry {operation} {class}\"{open}><summary>{head}</summary>\n{inside}</details>"
    )
}

fn attributes(out: &mut String, entry: &fold::Entry<'_>) -> std::fmt::Result {
    let change = entry.changes[0];
    let attributes: Vec<_> = change
        .attributes
        .iter()
        // The diff, and the reason in the line above, say the same.
        .filter(|(name, ..)| !(name == "content" && change.diff.is_some()) && name != "configuration")
        .filter(|(name, ..)| entry.changes.len() == 1 || !fold::digest_of(name))
        .collect();
    if attributes.is_empty() {
        return Ok(());
    }
    out.write_str("<table><tr><th></th><th>found</th><th>will be</th></tr>\n")?;
    for (name, before, after) in attributes {
        let show = |value: &Option<String>| {
            value.as_deref().map_or_else(|| "–".to_owned(), |value| escape(&short(value)))
        };
        writeln!(out, "<tr><th>{}</th><td>{}</td><td>{}</td></tr>", escape(name), show(before), show(after))?;
    }
    out.write_str("</table>\n")
}

fn steps_of(out: &mut String, plan: &Plan, boxes: &Boxes, filters: &mut Filters) -> std::fmt::Result {
    if plan.steps.is_empty() {
        return Ok(());
    }
    let runs = fold::steps(&plan.steps, false);
    writeln!(
        out,
        "<h2 id=\"steps\">Steps</h2>\n<p class=\"p-dim\">A box begins when all is done that leads to it; hosts work side by side.</p>\n\
         {}<div class=\"p-scroll\">{}</div>\n<h3>In this order</h3>\n<ol>",
        steps::LEGEND,
        steps::graph(plan, &runs)
    )?;
    for run in &runs {
        let (title, why) = run.words();
        let first = run.steps.first().map_or(0, |step| step.id + 1);
        let on: Vec<&str> = run.steps.iter().map(|step| step.host.as_str()).collect();
        let class = filters.class(&boxes.hosts(plan, &on));
        write!(
            out,
            "<li value=\"{first}\" class=\"{class}\"><strong>{}</strong> {}",
            escape(&run.hosts()),
            escape(&title),
        )?;
        if run.steps.len() > 1 {
            let numbers = numbers(run);
            write!(
                out,
                " <strong>× {}</strong> <span class=\"p-dim\">(steps {})</span>",
                run.steps.len(),
                escape(numbers.trim_end_matches('.'))
            )?;
        }
        if let Some(names) = run.names() {
            write!(out, "<br>{}", escape(&names))?;
        }
        writeln!(out, "<br><span class=\"p-dim\">{}</span></li>", escape(&why))?;
    }
    out.write_str("</ol>\n")
}
