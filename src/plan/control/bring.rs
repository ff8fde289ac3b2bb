//! Secrets that came from elsewhere, onto main's host: the few steps of a plan that this takes, and no others.

use crate::plan::{Action, Input, Plan, Step};

/// Of `plan`, over the same facts with the secrets' values on the controller, the steps on main's host that put
/// them in place: their user, their directories, themselves.
pub fn bring(input: &Input<'_>, plan: &Plan) -> Plan {
    let main = input.topology.instances.first().map(|main| main.host.as_str());
    let here = |step: &&Step| Some(step.host.as_str()) == main;
    let puts = |step: &Step| matches!(&step.action, Action::PutSecret { origin: None, .. });
    let last = plan.steps.iter().filter(here).filter(|step| puts(step)).map(|step| step.id).max();
    let wanted = |step: &&Step| {
        Some(step.id) < last.map(|last| last + 1)
            && (puts(step)
                || matches!(&step.action, Action::CreateUser { .. } | Action::MakeDirectories { .. }))
    };
    let mut steps: Vec<Step> = plan.steps.iter().filter(here).filter(wanted).cloned().collect();
    for (at, step) in steps.iter_mut().enumerate() {
        (step.id, step.after) = (at, at.checked_sub(1).into_iter().collect());
    }
    let (changes, refusals, forgotten, attempts) = Default::default();
    Plan { steps, changes, refusals, forgotten, attempts, ..plan.clone() }
}
