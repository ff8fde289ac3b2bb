//! Packages that pip would have to choose because the lock has none for a host's Python: `--locked` forbids it.

use indexmap::IndexMap;

use super::refuse::refusal;
use super::step::Action;
use super::{Plan, Refusal};
use crate::facts::HostFacts;

/// Why the plan may not be applied with `--locked`; empty: it may.
pub fn unlocked(plan: &Plan, facts: &IndexMap<String, HostFacts>) -> Vec<Refusal> {
    let chosen =
        plan.steps.iter().filter(|step| matches!(step.action, Action::BuildVenv { resolves: true, .. }));
    chosen
        .map(|step| {
            let (which, help) = match facts.get(&step.host).and_then(HostFacts::python_tag) {
                Some(tag) => {
                    (format!("for {tag}"), "apply without --locked where people work, and commit it")
                }
                None => (
                    "that are known to fit, as there is no Python yet".to_owned(),
                    "install python3 there, or apply without --locked where people work, and commit it",
                ),
            };
            let summary =
                format!("inventory.lock has no packages {which}, and --locked forbids to choose some");
            refusal(&step.host, summary, help)
        })
        .collect()
}
