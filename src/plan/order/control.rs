//! Services alone, in the order of a plan: brought up by stage, taken down in reverse.

use std::collections::BTreeSet;

use super::super::leave::Left;
use super::super::service::is_active;
use super::super::step::{Action, Startable};
use super::super::{Considered, Input};
use super::{Builder, addresses, why};
use crate::resource::{Body, Resource, Stage};

/// What happens to the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) enum Bring {
    /// Those that run restart (a proxy reloads), the others start.
    Anew,
    /// Those that run read again what they can.
    Reload,
    /// They stop.
    Down,
    /// They start at boot.
    Enable,
    /// They do not.
    Disable,
}

/// Order of starting.
const UP: [Stage; 5] = [Stage::Datastore, Stage::Main, Stage::Writer, Stage::Worker, Stage::Proxy];
/// Longest wait for requests in flight before a process stops, seconds; nothing is routed to it any more.
const DRAIN_SECONDS: u32 = 60;

/// The steps for these services, which are all to have it done to them.
pub(in crate::plan) fn bring(
    input: &Input<'_>,
    considered: &[Considered<'_>],
    how: Bring,
) -> Vec<super::Step> {
    let left = Left::default();
    let mut builder = Builder::new(input, considered, &left);
    let mut stages = UP;
    if how == Bring::Down {
        stages.reverse();
    }
    for stage in stages {
        match how {
            Bring::Anew => builder.services(stage, &BTreeSet::new()),
            Bring::Reload => builder.each(stage, |builder, host, one, service| {
                let action = reloading(one.resource, service);
                // Its process goes on: the record has nothing to learn.
                let goes_on = matches!(action, Action::Reread { .. });
                let completes = if goes_on { Vec::new() } else { addresses(&[one]) };
                builder.push(host, action, why(&[one]), completes);
            }),
            Bring::Down => {
                // Requests end only where nobody sends new ones.
                let quiet = !proxy_runs(input, considered);
                builder.each(stage, |builder, host, one, service| {
                    let ports = listener(input, one).filter(|_| quiet).into_iter().collect();
                    let drain_seconds = if quiet { DRAIN_SECONDS } else { 0 };
                    let action = Action::Stop { unit: service.unit, ports, drain_seconds, disable: false };
                    builder.push(host, action, why(&[one]), addresses(&[one]));
                });
            }
            Bring::Enable | Bring::Disable => {
                for host in builder.hosts() {
                    let ones = builder.of_stage(&host, stage);
                    if ones.is_empty() {
                        continue;
                    }
                    let units = ones.iter().map(|one| one.resource.address.name.clone()).collect();
                    let action = if how == Bring::Enable {
                        Action::Enable { units }
                    } else {
                        Action::Disable { units }
                    };
                    builder.push(&host, action, why(&ones), addresses(&ones));
                }
            }
        }
        builder.gate();
    }
    builder.steps
}

/// Whether a service can read anything again while it runs.
pub(in crate::plan) fn reloads(resource: &Resource) -> bool {
    matches!(
        &resource.body,
        Body::Service { stage: Stage::Main | Stage::Writer | Stage::Worker | Stage::Proxy, .. }
    )
}

fn reloading(resource: &Resource, service: Startable) -> Action {
    match &resource.body {
        Body::Service { reload: true, .. } => Action::Reload { service },
        _ => Action::Reread { service },
    }
}

/// A proxy runs that is not among those that stop.
fn proxy_runs(input: &Input<'_>, considered: &[Considered<'_>]) -> bool {
    input.resources.iter().any(|resource| {
        let Body::Service { unit, stage: Stage::Proxy, .. } = &resource.body else { return false };
        let active = input
            .facts
            .get(&resource.address.host)
            .is_some_and(|facts| facts.units.get(unit).is_some_and(is_active));
        active && !considered.iter().any(|one| one.resource.address == resource.address)
    })
}

/// Port of the listener for requests of a Synapse process.
fn listener(input: &Input<'_>, one: &Considered<'_>) -> Option<u16> {
    let address = &one.resource.address;
    let instances = &input.topology.instances;
    instances.iter().find(|it| it.unit == address.name && it.host == address.host)?.client_port
}

impl<'a> Builder<'a, '_> {
    fn of_stage(&self, host: &str, stage: Stage) -> Vec<&'a Considered<'a>> {
        let mut ones = self.changed(host);
        ones.retain(|one| matches!(&one.resource.body, Body::Service { stage: of, .. } if *of == stage));
        ones
    }

    fn each(&mut self, stage: Stage, mut push: impl FnMut(&mut Self, &str, &Considered<'_>, Startable)) {
        for host in self.hosts() {
            for one in self.of_stage(&host, stage) {
                let Body::Service { unit, ready, .. } = &one.resource.body else { continue };
                let service = Startable { unit: unit.clone(), ready: ready.clone() };
                push(self, &host, one, service);
            }
        }
    }
}
