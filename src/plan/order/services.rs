//! Processes start, restart and reload by stage; what holds something that moves stops first.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Considered;
use super::super::leave::{attempted_instances, recorded_instances};
use super::super::service::is_active;
use super::super::step::{Action, Startable};
use super::datastores::{POSTGRESQL, settles_after_start};
use super::roll::Restart;
use super::{Builder, addresses, has, holds, outdated, rules, why};
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
            let service = self.considered.iter().find(|one| {
                let address = &one.resource.address;
                address.kind == "service"
                    && (&address.host, &address.name) == (&instance.host, &instance.unit)
            });
            let taken = taken.or_else(|| {
                let reshaped = |held: &&String| rules::reshaped(self.input, service?, held).then_some(());
                instance.holds.iter().find(|held| reshaped(held).is_some())
            });
            let reason = match (moved, renamed, taken) {
                (true, ..) => "it runs on another host from now on".to_owned(),
                (_, Some(now), _) => format!("it is {} from now on", now.unit),
                (_, _, Some(held)) => rules::of_stop(held),
                _ => continue,
            };
            let Some(facts) = self.input.facts.get(&instance.host) else { continue };
            let unit = facts.units.get(&instance.unit);
            if !unit.is_some_and(|unit| is_active(unit) || unit.active == "activating") {
                continue;
            }
            // What runs with all that is asked of it now has let go already: an apply was cut short.
            if service.is_some_and(|one| outdated(one).is_none()) {
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

    /// Everything of a stage: what stands still starts, what has to take something over does.
    pub(super) fn services(&mut self, stage: Stage, vacated: &BTreeSet<(String, String)>) {
        let begun = std::mem::take(&mut self.begun);
        let of_stage = self.considered.iter().filter(|one| {
            let address = &one.resource.address;
            matches!(&one.resource.body, Body::Service { stage: of, .. } if *of == stage)
                && !begun.contains(&(address.host.clone(), address.name.clone()))
        });
        let of_stage: Vec<&'a Considered<'a>> = of_stage.collect();
        self.begun = begun;
        if matches!(stage, Stage::Writer | Stage::Worker) {
            // What stands still first: it is away, or has never been there.
            let restarts = self.bring(&of_stage, vacated);
            if !restarts.is_empty() {
                self.gate();
            }
            self.roll(restarts, vacated);
        } else {
            self.bring_in_place(&of_stage, vacated);
        }
    }

    /// Persisters that change among themselves start before anybody else hears of it.
    pub(super) fn persisters(&mut self, vacated: &BTreeSet<(String, String)>) {
        let first = self.persisters_first();
        let considered: &'a [Considered<'a>] = self.considered;
        let services = considered.iter().filter(|one| {
            let address = &one.resource.address;
            first.iter().any(|it| (&it.host, &it.unit) == (&address.host, &address.name))
        });
        let services: Vec<&'a Considered<'a>> = services.collect();
        self.begun = services
            .iter()
            .map(|one| (one.resource.address.host.clone(), one.resource.address.name.clone()))
            .collect();
        self.bring_in_place(&services, vacated);
    }

    /// Host by host, restarts before starts.
    fn bring_in_place(&mut self, services: &[&'a Considered<'a>], vacated: &BTreeSet<(String, String)>) {
        for host in self.hosts() {
            let here: Vec<_> =
                services.iter().copied().filter(|one| one.resource.address.host == host).collect();
            for restart in self.restarts(&here, vacated) {
                self.restart(restart, false);
            }
            self.bring(&here, vacated);
        }
    }

    /// Those that run and have to take something over.
    fn restarts(
        &self,
        services: &[&'a Considered<'a>],
        vacated: &BTreeSet<(String, String)>,
    ) -> Vec<Restart<'a>> {
        let due = services
            .iter()
            .filter(|one| self.stands(one, vacated) == Stands::Running && outdated(one).is_some());
        due.filter_map(|one| {
            let Body::Service { reload, .. } = &one.resource.body else { return None };
            let rereads = one.outdated.as_ref().is_some_and(|outdated| outdated.rereads);
            Some(Restart { one, service: self.startable(one)?, reload: *reload, rereads })
        })
        .collect()
    }

    /// Starts what stands still and enables what runs, side by side on each host; gives back who has to
    /// take something over.
    fn bring(
        &mut self,
        services: &[&'a Considered<'a>],
        vacated: &BTreeSet<(String, String)>,
    ) -> Vec<Restart<'a>> {
        for host in self.hosts() {
            let (mut start, mut enable) = (Vec::new(), Vec::new());
            for one in services.iter().copied().filter(|one| one.resource.address.host == host) {
                let Some(service) = self.startable(one) else { continue };
                match self.stands(one, vacated) {
                    Stands::Vacated => start.push((one, service)),
                    Stands::Still if one.change.is_some() => start.push((one, service)),
                    Stands::Running if outdated(one).is_none() && has(one, "enabled") => {
                        enable.push((one, service.unit));
                    }
                    _ => {}
                }
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
        self.restarts(services, vacated)
    }

    fn stands(&self, one: &Considered<'_>, vacated: &BTreeSet<(String, String)>) -> Stands {
        let address = &one.resource.address;
        if vacated.contains(&(address.host.clone(), address.name.clone())) {
            return Stands::Vacated;
        }
        let unit = self.input.facts[&address.host].units.get(&address.name);
        if unit.is_some_and(is_active) { Stands::Running } else { Stands::Still }
    }

    fn startable(&self, one: &Considered<'_>) -> Option<Startable> {
        let Body::Service { unit, ready, .. } = &one.resource.body else { return None };
        let mut service = Startable { unit: unit.clone(), ready: ready.clone() };
        let host = &one.resource.address.host;
        if unit == POSTGRESQL && self.changed(host).iter().any(|one| settles_after_start(one)) {
            // Where it listens is set while it runs: the step after this one waits for that.
            service.ready.listens.clear();
        }
        Some(service)
    }
}

/// Whether a process is there when its stage comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It was stopped so that others could take over.
    Vacated,
    Still,
    Running,
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
