//! Steps as a graph: a lane a host, time from top to bottom, bars where several are waited for.
//!
//! What follows from other lines is left out. Equal steps that follow each other are one box, as in the list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::escape;
use crate::plan::{Action, Plan, Step};
use crate::render::plan::fold;

const LANE: usize = 290;
const BETWEEN: usize = 26;
const BOX: usize = 262;
const HEIGHT: usize = 40;
/// From the top of a row to the top of the next.
const ROW: usize = HEIGHT + 30;
const TOP: usize = 44;
/// Characters of a line in a box, beside its number.
const CHARACTERS: usize = 30;

/// Equal steps of one host.
struct Node {
    lane: usize,
    row: usize,
    /// Nodes that it waits for directly.
    after: BTreeSet<usize>,
    number: String,
    title: String,
    class: &'static str,
}

/// Draws it.
pub fn graph(plan: &Plan, runs: &[fold::Run<'_>]) -> String {
    let hosts: Vec<&str> = plan
        .hosts
        .iter()
        .map(String::as_str)
        .filter(|host| plan.steps.iter().any(|step| step.host == *host))
        .collect();
    let nodes = nodes(runs, &hosts);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut out, &hosts, &nodes);
    out
}

fn nodes(runs: &[fold::Run<'_>], hosts: &[&str]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    // Which node a step is in.
    let mut of: BTreeMap<usize, usize> = BTreeMap::new();
    // All nodes before each.
    let mut before: Vec<BTreeSet<usize>> = Vec::new();
    for run in runs {
        let first = nodes.len();
        for (lane, host) in hosts.iter().enumerate() {
            let steps: Vec<_> = run.steps.iter().filter(|step| step.host == *host).collect();
            let (Some(begin), Some(end)) = (steps.first(), steps.last()) else { continue };
            for step in &steps {
                of.insert(step.id, nodes.len());
            }
            let number = if steps.len() > 1 {
                format!("{}–{}", begin.id + 1, end.id + 1)
            } else {
                (begin.id + 1).to_string()
            };
            let title = title(run, &steps);
            let class = class(&begin.action);
            nodes.push(Node { lane, row: 0, after: BTreeSet::new(), number, title, class });
            before.push(BTreeSet::new());
        }
        for node in first..nodes.len() {
            let host = hosts[nodes[node].lane];
            let waits: BTreeSet<usize> = run
                .steps
                .iter()
                .filter(|step| step.host == host)
                .flat_map(|step| step.after.iter().filter_map(|id| of.get(id)).copied())
                // Within a run hosts may wait for each other in turn; the list says so by its numbers.
                .filter(|other| *other < first)
                .collect();
            for other in waits.iter().rev() {
                if !before[node].contains(other) {
                    let theirs = before[*other].clone();
                    before[node].extend(theirs);
                    before[node].insert(*other);
                    nodes[node].after.insert(*other);
                }
            }
            let row = nodes[node].after.iter().map(|other| nodes[*other].row + 1).max();
            // A lane goes down: no two boxes of a host side by side.
            let lane = nodes[..node]
                .iter()
                .filter(|other| other.lane == nodes[node].lane)
                .map(|other| other.row + 1)
                .max();
            nodes[node].row = row.max(lane).unwrap_or(0);
        }
    }
    nodes
}

/// What these steps of a run do; several name their processes where the title of one names its unit.
fn title(run: &fold::Run<'_>, steps: &[&&Step]) -> String {
    let [only] = steps else {
        let names: Vec<&str> = steps.iter().flat_map(|step| fold::processes(&step.action)).collect();
        let (general, _) = run.words();
        let words = general.split(' ').map(|word| match word.contains(fold::NAME) && !names.is_empty() {
            true => fold::listed(&names),
            false => word.to_owned(),
        });
        let title = words.collect::<Vec<_>>().join(" ");
        return if title == general { format!("{title} × {}", steps.len()) } else { title };
    };
    only.action.title()
}

/// What it does to a deployment that runs.
fn class(action: &Action) -> &'static str {
    match action {
        action if action.prepares() => "p-prepares",
        Action::Stop { .. } | Action::Remove { .. } => "p-stops",
        Action::Start { .. }
        | Action::Restart { .. }
        | Action::PreparePostgresql { restart: Some(_), .. } => "p-starts",
        Action::Reload { .. } | Action::Reread { .. } | Action::Route { .. } | Action::Drain { .. } => {
            "p-routes"
        }
        _ => "p-places",
    }
}

fn draw(out: &mut String, hosts: &[&str], nodes: &[Node]) -> std::fmt::Result {
    let rows = nodes.iter().map(|node| node.row + 1).max().unwrap_or(0);
    let (wide, tall) = (hosts.len() * (LANE + BETWEEN) - BETWEEN, TOP + rows * ROW);
    writeln!(
        out,
        "<svg class=\"p-steps\" viewBox=\"0 0 {wide} {tall}\" width=\"{wide}\" height=\"{tall}\" role=\"img\">\n\
         <title>Steps, a column for each host, from top to bottom</title>\n\
         <defs><marker id=\"p-arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\"/></marker></defs>"
    )?;
    for (lane, host) in hosts.iter().enumerate() {
        let x = lane * (LANE + BETWEEN);
        writeln!(
            out,
            "<rect class=\"p-lane\" x=\"{x}\" y=\"0\" width=\"{LANE}\" height=\"{tall}\" rx=\"8\"/>\
             <text class=\"p-host\" x=\"{}\" y=\"24\">{}</text>",
            x + 16,
            escape(host)
        )?;
    }
    lines(out, nodes)?;
    nodes.iter().try_for_each(|node| drawn(out, node))?;
    writeln!(out, "</svg>")
}

fn middle(lane: usize) -> usize {
    lane * (LANE + BETWEEN) + LANE / 2
}

fn top(row: usize) -> usize {
    TOP + row * ROW
}

/// Lines, with a bar where the same several are waited for.
fn lines(out: &mut String, nodes: &[Node]) -> std::fmt::Result {
    let mut waiting: BTreeMap<&BTreeSet<usize>, Vec<usize>> = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate().filter(|(_, node)| !node.after.is_empty()) {
        waiting.entry(&node.after).or_default().push(at);
    }
    for (after, then) in waiting {
        // A little above the first that waits.
        let y = then.iter().map(|at| top(nodes[*at].row)).min().unwrap_or(TOP) - 16;
        let xs = || then.iter().chain(after.iter()).map(|at| middle(nodes[*at].lane));
        let (left, right) = (xs().min().unwrap_or(0), xs().max().unwrap_or(0));
        let bar = after.len() > 1;
        for at in after {
            let (x, from) = (middle(nodes[*at].lane), top(nodes[*at].row) + HEIGHT);
            // What stands in the way is passed on its left.
            let lane = nodes[*at].lane;
            let in_way = nodes
                .iter()
                .any(|other| other.lane == lane && other.row > nodes[*at].row && top(other.row) < y);
            if in_way {
                let (side, from) = (lane * (LANE + BETWEEN) + 7, from - HEIGHT / 2);
                write!(out, "<path class=\"p-line\" d=\"M{} {from}H{side}V{y}H{x}\"/>", side + 9)?;
            } else {
                write!(out, "<path class=\"p-line\" d=\"M{x} {from}V{y}\"/>")?;
            }
        }
        if bar {
            write!(
                out,
                "<rect class=\"p-bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"4\" rx=\"2\"/>",
                left - 40,
                y - 2,
                right - left + 80
            )?;
        } else if left < right {
            write!(out, "<path class=\"p-line\" d=\"M{left} {y}H{right}\"/>")?;
        }
        for at in &then {
            let (x, to) = (middle(nodes[*at].lane), top(nodes[*at].row));
            write!(out, "<path class=\"p-line\" d=\"M{x} {y}V{}\" marker-end=\"url(#p-arrow)\"/>", to - 1)?;
        }
    }
    writeln!(out)
}

fn drawn(out: &mut String, node: &Node) -> std::fmt::Result {
    let (x, y) = (node.lane * (LANE + BETWEEN) + (LANE - BOX) / 2, top(node.row));
    write!(
        out,
        "<g class=\"{}\"><title>{}: {}</title><rect class=\"p-box\" x=\"{x}\" y=\"{y}\" width=\"{BOX}\" height=\"{HEIGHT}\" rx=\"5\"/>\
         <rect class=\"p-stripe\" x=\"{x}\" y=\"{y}\" width=\"5\" height=\"{HEIGHT}\" rx=\"2\"/>\
         <text class=\"p-number\" x=\"{}\" y=\"{}\">{}</text>",
        node.class,
        node.number,
        escape(&node.title),
        x + 11,
        y + 24,
        node.number,
    )?;
    let lines = broken(&node.title);
    for (at, line) in lines.iter().enumerate() {
        let y = if lines.len() == 1 { y + 24 } else { y + 17 + at * 15 };
        write!(out, "<text class=\"p-word\" x=\"{}\" y=\"{y}\">{}</text>", x + 52, escape(line))?;
    }
    writeln!(out, "</g>")
}

/// At most two lines that fit, broken where a word or a name ends; the list has the whole.
fn broken(title: &str) -> Vec<String> {
    let letters: Vec<char> = title.chars().collect();
    if letters.len() <= CHARACTERS {
        return vec![title.to_owned()];
    }
    let ends = |at: &usize| matches!(letters[at - 1], ' ' | '/') || letters[*at] == '@';
    let at = (CHARACTERS / 2..=CHARACTERS).rev().find(ends).unwrap_or(CHARACTERS);
    let (first, rest) = letters.split_at(at);
    let text = |letters: &[char]| letters.iter().collect::<String>();
    let second = match rest.len().checked_sub(CHARACTERS) {
        None | Some(0) => text(rest),
        // Of a list the beginning tells more, of a path the end.
        Some(_) if title.contains(", ") => text(&rest[..CHARACTERS - 1]) + "…",
        Some(more) => format!("…{}", text(&rest[more + 1..])),
    };
    vec![text(first).trim_end().to_owned(), second]
}

/// What the colours mean.
pub const LEGEND: &str = "<p class=\"p-legend\"><span class=\"p-prepares\">prepares: nothing that runs reads it</span>\
    <span class=\"p-places\">puts in place</span><span class=\"p-starts\">starts or restarts</span>\
    <span class=\"p-routes\">takes over without a restart</span><span class=\"p-stops\">stops or removes</span></p>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_broken_where_words_and_names_end() {
        assert_eq!(broken("restart nginx.service"), ["restart nginx.service"]);
        assert_eq!(
            broken("restart matrix_generic_worker@sync2.service"),
            ["restart matrix_generic_worker", "@sync2.service"]
        );
        assert_eq!(
            broken("stage /etc/systemd/system/matrix_generic_worker@sync5.service.d/matrix.conf"),
            ["stage /etc/systemd/system/", "…r@sync5.service.d/matrix.conf"]
        );
        for title in ["é".repeat(200), "a, ".repeat(50), "x".repeat(31), String::new()] {
            assert!(broken(&title).iter().all(|line| line.chars().count() <= CHARACTERS), "{title}");
        }
    }
}
