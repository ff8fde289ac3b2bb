//! `--limit`: nothing is done that is only right when the other hosts follow.

use super::change::{Cause, Operation};
use super::leave::recorded_instances;
use super::order::holds;
use super::refuse::refusal;
use super::step::{Action, Step};
use super::{Considered, Input, Refusal};
use crate::resource::Body;

/// Why this plan may not be applied to some hosts alone.
pub(super) fn limited(input: &Input<'_>, considered: &[Considered<'_>], steps: &[Step]) -> Vec<Refusal> {
    if input.excluded.is_empty() {
        return Vec::new();
    }
    let mut refusals = Vec::new();
    let shared = format!("{}/conf/config.yaml", input.topology.root);
    let others =
        input.excluded.iter().find(|host| input.topology.hosts.get(*host).is_some_and(|node| node.synapse));
    for one in considered {
        let Some(change) = &one.change else { continue };
        let intended = matches!(change.cause, Cause::Intended | Cause::DriftAndChange)
            && change.operation == Operation::Update;
        if let (true, Some(other)) = (intended && change.name == shared, others) {
            refusals.push(refusal(
                &change.host,
                format!("{shared} must be the same on every host and would change here but not on {other}"),
                "leave out `--limit`, or name all hosts that run Synapse",
            ));
        }
    }
    refusals.extend(held_elsewhere(input, considered));
    for step in steps {
        if let Action::PutSecret { origin: Some(origin), file } = &step.action
            && input.excluded.contains(origin)
        {
            refusals.push(refusal(
                &step.host,
                format!("secret {} has to come from {origin}, which `--limit` leaves out", file.name),
                "add that host to `--limit`",
            ));
        }
        if let Action::GenerateSecret { file, .. } = &step.action {
            refusals.push(refusal(
                &step.host,
                format!("secret {} may exist on a host that `--limit` leaves out", file.name),
                "make the first apply without `--limit`",
            ));
        }
    }
    refusals
}

/// What a process holds is never held twice: not by itself on its former host, which is left out,
/// and not by one that only main's host remembers.
fn held_elsewhere(input: &Input<'_>, considered: &[Considered<'_>]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for one in considered {
        let (Body::Service { unit, .. }, Some(change)) = (&one.resource.body, &one.change) else { continue };
        let host = &one.resource.address.host;
        let instance =
            input.topology.instances.iter().find(|instance| (&instance.host, &instance.unit) == (host, unit));
        let Some(instance) = instance.filter(|_| change.operation == Operation::Create) else { continue };
        let before = recorded_instances(input).find(|(name, _)| **name == instance.name);
        let main = input.topology.instances.first().map(|main| &main.host);
        if let Some((name, before)) = before
            && input.excluded.contains(&before.host)
        {
            refusals.push(refusal(
                host,
                format!(
                    "{name} would start here and may still run on {}, which `--limit` leaves out",
                    before.host
                ),
                "add that host to `--limit`",
            ));
        } else if let Some(main) = main.filter(|main| input.excluded.contains(main))
            && !holds(instance).is_empty()
        {
            refusals.push(refusal(
                host,
                format!(
                    "{} would start here, and who held {} before is recorded on {main}, which `--limit` leaves out",
                    instance.name,
                    holds(instance).join(" and ")
                ),
                "add that host to `--limit`",
            ));
        }
    }
    refusals
}
