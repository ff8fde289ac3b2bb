//! Processes start, restart and reload by stage; what holds something that moves stops first.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Considered;
use super::super::leave::{attempted_instances, recorded_instances};
use super::super::service::is_active;
use super::super::step::{Action, Startable};
use super::datastores::{POSTGRESQL, settles_after_start};
use super::{Builder, addresses, has, holds, outdated, why};
use crate::facts::record::RecordedInstance;
use crate::resource::{Body, Stage};

impl<'a> Builder<'a, '_> {
    /// Stops whatever holds something (a stream, a job, a name) that another process takes over.
    pub(super) fn vacate(&mut self) -> BTreeSet<(String, String)> {
        let topology = self.input.topology;
        let recorded: Vec<_> = recorded_instances(self.input).collect();
        // An apply that died, or goes back, may have started others than the records' topology says.
        let attempted: Vec<_> = attempted_instances(self.input).collect();
        let begun =
            |host: &String| self.input.facts.get(host).is_some_and(|facts| facts.record.attempted.is_some());
        let elsewhere = recorded.iter().filter(|(_, instance)| !begun(&instance.host)).copied();
        let between: Vec<_> = attempted.iter().copied().chain(elsewhere).collect();
        let mut after: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for instance in &topology.instances {
            for held in holds(instance) {
                after.entry(held).or_default().insert(&instance.name);
            }
        }
        let mut vacated = BTreeSet::new();
        let (settled, between) = (holders(&recorded), holders(&between));
        let known = recorded.iter().map(|one| (one, &settled));
        for ((name, instance), before) in known.chain(attempted.iter().map(|one| (one, &between))) {
            if vacated.contains(&(instance.host.clone(), instance.unit.clone())) {
                continue;
            }
            let now = topology.instances.iter().find(|now| now.name == **name);
            let moved = now.is_some_and(|now| now.host != instance.host);
            let renamed = now.filter(|now| now.unit != instance.unit);
            let taken = instance.holds.iter().find(|held| {
                let (was, now) = (before.get(held.as_str()), after.get(*held));
                // Held by others now (by main, if nobody is named), or a list that has another shape.
                was != now
            });
            let reason = match (moved, renamed, taken) {
                (true, ..) => "it runs on another host from now on".to_owned(),
                (_, Some(now), _) => format!("it is {} from now on", now.unit),
                (_, _, Some(held)) => format!("{held} is held by other processes from now on"),
                _ => continue,
            };
            let Some(facts) = self.input.facts.get(&instance.host) else { continue };
            let unit = facts.units.get(&instance.unit);
            if !unit.is_some_and(|unit| is_active(unit) || unit.active == "activating") {
                continue;
            }
            // What runs with all that is asked of it now has let go already: an apply was cut short.
            let current = self.considered.iter().any(|one| {
                let address = &one.resource.address;
                address.kind == "service"
                    && (&address.host, &address.name) == (&instance.host, &instance.unit)
                    && outdated(one).is_none()
            });
            if current {
                continue;
            }
            let leaves = self
                .left
                .units
                .iter()
                .any(|(host, unit, _)| (host, unit) == (&instance.host, &instance.unit));
            let action = Action::Stop {
                unit: instance.unit.clone(),
                ports: Vec::new(),
                drain_seconds: 0,
                disable: leaves,
            };
            self.push(&instance.host, action, reason, Vec::new());
            vacated.insert((instance.host.clone(), instance.unit.clone()));
        }
        vacated
    }

    pub(super) fn services(&mut self, stage: Stage, vacated: &BTreeSet<(String, String)>) {
        for host in self.hosts() {
            let of_stage: Vec<&Considered<'_>> = self
                .considered
                .iter()
                .filter(|one| one.resource.address.host == host)
                .filter(|one| matches!(&one.resource.body, Body::Service { stage: of, .. } if *of == stage))
                .collect();
            let (mut start, mut restart, mut enable) = (Vec::new(), Vec::new(), Vec::new());
            for one in of_stage {
                let Body::Service { unit, ready, reload, .. } = &one.resource.body else { continue };
                let mut service = Startable { unit: unit.clone(), ready: ready.clone() };
                if unit == POSTGRESQL && self.changed(&host).iter().any(|one| settles_after_start(one)) {
                    // Where it listens is set while it runs: the step after this one waits for that.
                    service.ready.listens.clear();
                }
                let active = self.input.facts[&host].units.get(unit).is_some_and(is_active);
                if !active || vacated.contains(&(host.clone(), unit.clone())) {
                    if one.change.is_some() || vacated.contains(&(host.clone(), unit.clone())) {
                        start.push((one, service));
                    }
                } else if outdated(one).is_some() {
                    restart.push((one, service, *reload));
                } else if has(one, "enabled") {
                    enable.push((one, unit.clone()));
                }
            }
            for (one, service, reload) in restart {
                if has(one, "enabled") {
                    // It is as desired only once it has restarted too.
                    let units = vec![service.unit.clone()];
                    self.push(&host, Action::Enable { units }, "it would not start at boot", Vec::new());
                }
                // Of some things Synapse takes new ones over while it runs: nobody is cut off then.
                let rereads = one.outdated.as_ref().is_some_and(|outdated| outdated.rereads);
                let action = match (reload, rereads) {
                    (true, _) => Action::Reload { service },
                    (_, true) => Action::Reread { service },
                    _ => Action::Restart { service },
                };
                self.push(&host, action, why(&[one]), vec![one.resource.address.to_string()]);
            }
            if !start.is_empty() {
                let ones: Vec<_> = start.iter().map(|(one, _)| *one).collect();
                let services = start.into_iter().map(|(_, service)| service).collect();
                self.push(&host, Action::Start { services }, why_start(&ones), addresses(&ones));
            }
            if !enable.is_empty() {
                let ones: Vec<_> = enable.iter().map(|(one, _)| *one).collect();
                let units = enable.into_iter().map(|(_, unit)| unit).collect();
                self.push(&host, Action::Enable { units }, why(&ones), addresses(&ones));
            }
        }
    }
}

/// Who holds what.
fn holders<'n>(instances: &[(&'n String, &'n RecordedInstance)]) -> BTreeMap<&'n str, BTreeSet<&'n str>> {
    let mut holders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, instance) in instances {
        for held in &instance.holds {
            holders.entry(held).or_default().insert(name);
        }
    }
    holders
}

/// Why several services start: what each was before.
fn why_start(ones: &[&Considered<'_>]) -> String {
    let mut reasons: Vec<&str> =
        ones.iter().filter_map(|one| one.change.as_ref()).map(|change| change.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    if reasons.len() < 2 { why(ones) } else { reasons.join("; ") }
}
