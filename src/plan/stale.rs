//! What of a plan is no longer so, each thing by its name.
//!
//! Compares two plans, or what two plans were made from. Never here: where they come from.

use std::collections::BTreeMap;

use super::change::Change;
use super::saved::{Made, Stand};
use super::{Plan, Step};

/// How `now` differs from the plan that was `saved`: a line each.
pub fn plans(saved: &Plan, now: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let find = |plan: &'_ Plan, address: &str| plan.changes.iter().position(|one| one.address == address);
    for change in &saved.changes {
        match find(now, &change.address).map(|at| &now.changes[at]) {
            None => lines.push(format!("{} is as the inventory says now", named(change))),
            Some(other) if !same(change, other) => {
                lines.push(format!("{}: {}", named(change), difference(change, other)));
            }
            Some(_) => {}
        }
    }
    for change in &now.changes {
        if find(saved, &change.address).is_none() {
            lines.push(format!("{} would change now: {}", named(change), change.reason));
        }
    }
    for refusal in &now.refusals {
        if !saved.refusals.contains(refusal) {
            let host = refusal.host.as_ref().map_or_else(String::new, |host| format!("{host}: "));
            lines.push(format!("{host}{}", refusal.summary));
        }
    }
    // Steps follow from changes; where those are the same, these say what else they follow from.
    if lines.is_empty() {
        for (one, other, words) in
            [(saved, now, "is no longer a step of it"), (now, saved, "would be a step of it now")]
        {
            let missing = |step: &&Step| !other.steps.iter().any(|known| same_step(step, known));
            lines.extend(
                one.steps
                    .iter()
                    .filter(missing)
                    .map(|step| format!("{}: {} {words}", step.host, step.action.title())),
            );
        }
        let order = |plan: &Plan| -> Vec<(String, String, Vec<usize>)> {
            plan.steps
                .iter()
                .map(|step| (step.host.clone(), step.action.title(), step.after.clone()))
                .collect()
        };
        if lines.is_empty() && order(saved) != order(now) {
            lines.push("its steps come in another order now".to_owned());
        }
    }
    lines
}

/// How hosts differ from what a plan took for granted: those it changes, or that it knows as other.
pub fn hosts(made: &Made, saved: &Plan, now: &BTreeMap<String, Stand>) -> Vec<String> {
    let mut lines = Vec::new();
    for (host, then) in &made.hosts {
        let Some(now) = now.get(host) else {
            lines.push(format!("{host} takes no part any more"));
            continue;
        };
        let touched = saved.steps.iter().any(|step| step.host == *host);
        if touched && then.generation != now.generation {
            lines.push(format!(
                "{host} was applied to since (its record is at {} instead of {})",
                now.generation, then.generation
            ));
        }
        let unknown = || "none".to_owned();
        if then.synapse != now.synapse {
            lines.push(format!(
                "Synapse on {host} is {} instead of {}",
                now.synapse.clone().unwrap_or_else(unknown),
                then.synapse.clone().unwrap_or_else(unknown)
            ));
        } else if then.packages != now.packages {
            lines.push(format!("the packages beside Synapse on {host} are others"));
        }
    }
    for host in now.keys().filter(|host| !made.hosts.contains_key(*host)) {
        lines.push(format!("{host} takes part now"));
    }
    lines
}

fn named(change: &Change) -> String {
    format!("{}: {} {}", change.host, change.kind, change.name)
}

/// As far as a file keeps it: what a reader sees, in the same bytes.
fn same(one: &Change, other: &Change) -> bool {
    one == other
}

fn same_step(one: &Step, other: &Step) -> bool {
    // Contents are not kept in a file; their digests are.
    one.host == other.host
        && serde_json::to_value(&one.action).ok() == serde_json::to_value(&other.action).ok()
}

fn difference(saved: &Change, now: &Change) -> String {
    if saved.operation != now.operation {
        return format!("it was to be {}, now to be {}", word(saved), word(now));
    }
    let short = |value: Option<&String>| {
        let value = value.map_or("nothing", String::as_str);
        let digest = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digest { value[..12].to_owned() } else { value.to_owned() }
    };
    let attribute = |change: &Change, name: &str| {
        change
            .attributes
            .iter()
            .find(|(known, ..)| known == name)
            .map(|(_, before, after)| (before.clone(), after.clone()))
    };
    let mut names: Vec<&String> =
        saved.attributes.iter().chain(&now.attributes).map(|(name, ..)| name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (then, now) = (attribute(saved, name), attribute(now, name));
        if then == now {
            continue;
        }
        return match (then, now) {
            (Some((then, _)), Some((now, _))) if then != now => {
                format!("its {name} is {} instead of {}", short(now.as_ref()), short(then.as_ref()))
            }
            (Some((_, then)), Some((_, now))) => {
                format!("its {name} would become {} instead of {}", short(now.as_ref()), short(then.as_ref()))
            }
            (Some(_), None) => format!("its {name} is as the inventory says now"),
            _ => format!("its {name} differs now"),
        };
    }
    if saved.reason != now.reason {
        return format!("the reason is now: {}", now.reason);
    }
    "what would change in it is another".to_owned()
}

fn word(change: &Change) -> &'static str {
    use super::change::Operation;
    match change.operation {
        Operation::Create => "created",
        Operation::Update => "changed",
        Operation::Delete => "removed",
        Operation::Forget => "forgotten",
    }
}
