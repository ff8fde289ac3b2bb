//! Restarts of workers: pools of several a few at a time, with nothing routed to those that are away.
//!
//! Rounds are gates over all hosts: what fails in one stops the next. Who is alone restarts when the
//! pools are through: had the configuration been bad, a pool would have told before.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Considered;
use super::super::service::is_active;
use super::super::step::{Action, Startable};
use super::proxies::{Routing, routings};
use super::{Builder, has, rules, why};
use crate::topology::Instance;

/// A running service that takes its configuration over.
pub(super) struct Restart<'a> {
    pub one: &'a Considered<'a>,
    pub service: Startable,
    /// By new worker processes.
    pub reload: bool,
    /// By being told to.
    pub rereads: bool,
}

/// Processes of which only so many may be away at the same time.
struct Group<'a> {
    members: BTreeSet<&'a str>,
    at_a_time: usize,
}

impl<'a> Builder<'a, '_> {
    /// Restarts of one stage. `vacated`: what is stopped by now.
    pub(super) fn roll(&mut self, restarts: Vec<Restart<'a>>, vacated: &BTreeSet<(String, String)>) {
        // What takes its configuration over while it runs is never away.
        let (reloads, restarts): (Vec<_>, Vec<_>) =
            restarts.into_iter().partition(|one| one.reload || one.rereads);
        for reload in reloads {
            self.restart(reload, true);
        }
        if restarts.is_empty() {
            return;
        }
        let (considered, input) = (self.considered, self.input);
        let at_once = rules::at_once(input, considered).is_some();
        let blind = at_once || !self.routes;
        let mut routings = if blind { Vec::new() } else { routings(input, considered).unwrap_or_default() };
        let groups = if at_once { Vec::new() } else { self.groups(&routings, vacated) };
        let (rounds, alone) = rounds(restarts, &groups, |one| self.instance(one));
        for round in rounds {
            let of_round: Vec<&Instance> =
                round.iter().filter_map(|restart| self.instance(restart.one)).collect();
            let away: Vec<&Instance> = of_round
                .into_iter()
                .filter(|one| {
                    let address = one.client.as_deref().unwrap_or_default();
                    routings.iter().any(|routing| routing.can_spare(address))
                })
                .collect();
            self.route_around(&mut routings, &away, "they restart next; the others of their pools serve");
            self.gate();
            for one in away.iter().filter(|_| input.rolling.drain_seconds > 0) {
                let Some(listener) = one.client.clone() else { continue };
                let (unit, seconds) = (one.unit.clone(), input.rolling.drain_seconds);
                let action = Action::Drain { unit, listener, seconds };
                self.push(&one.host, action, "no long poll and no upload is cut off", Vec::new());
            }
            for restart in round {
                self.restart(restart, true);
            }
            self.gate();
        }
        self.route_around(&mut routings, &[], "all of this stage have restarted");
        self.gate();
        for restart in alone {
            self.restart(restart, false);
        }
    }

    /// One restart, or reload. `served`: others of its pool answer meanwhile.
    pub(super) fn restart(&mut self, restart: Restart<'a>, served: bool) {
        let Restart { one, service, reload, rereads } = restart;
        let address = &one.resource.address;
        if has(one, "enabled") {
            // It is as desired only once it has restarted too.
            let units = vec![service.unit.clone()];
            self.push(&address.host, Action::Enable { units }, "it would not start at boot", Vec::new());
        }
        let mut reason = why(&[one]);
        if let Some(rule) = rules::of_restart(self.input, one) {
            reason = format!("{reason}; {rule}");
        }
        if !reload && !rereads && !served && self.instance(one).is_some() {
            reason = format!("{reason}; away {}", self.away_for(one));
        }
        // Of some things Synapse takes new ones over while it runs: nobody is cut off then.
        let action = match (reload, rereads) {
            (true, _) => Action::Reload { service },
            (_, true) => Action::Reread { service },
            _ => Action::Restart { service },
        };
        self.push(&address.host, action, reason, vec![address.to_string()]);
    }

    /// How long a process takes to start, as it was seen the last time.
    fn away_for(&self, one: &Considered<'_>) -> String {
        let entry = self.input.entry(&one.resource.address);
        match entry.and_then(|entry| entry.started.as_ref()).map(|started| started.took.as_str()) {
            None | Some("") => "for as long as it takes to start".to_owned(),
            Some(seconds) => format!("for about {seconds} s, as its last start took"),
        }
    }

    /// The Synapse process behind a service.
    pub(super) fn instance(&self, one: &Considered<'_>) -> Option<&'a Instance> {
        let address = &one.resource.address;
        let topology = self.input.topology;
        topology.instances.iter().find(|it| (&it.host, &it.unit) == (&address.host, &address.name))
    }

    /// Pools, and whoever shares an upstream, as far as they run.
    fn groups(&self, routings: &[Routing], vacated: &BTreeSet<(String, String)>) -> Vec<Group<'a>> {
        let input = self.input;
        let instances = &input.topology.instances;
        let runs = |one: &Instance| {
            let unit = input.facts.get(&one.host).and_then(|facts| facts.units.get(&one.unit));
            unit.is_some_and(is_active) && !vacated.contains(&(one.host.clone(), one.unit.clone()))
        };
        let mut pools: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for one in instances.iter().filter(|one| runs(one)) {
            pools.entry(&one.pool).or_default().insert(&one.name);
        }
        let mut groups: Vec<BTreeSet<&str>> = pools.into_values().collect();
        for servers in routings.iter().flat_map(Routing::upstreams) {
            let behind = |address: &String| instances.iter().find(|one| one.client.as_ref() == Some(address));
            let behind = servers.iter().filter_map(behind).filter(|one| runs(one));
            groups.push(behind.map(|one| one.name.as_str()).collect());
        }
        let several = groups.into_iter().filter(|members| members.len() > 1);
        let limited =
            several.map(|members| Group { at_a_time: input.rolling.batch.of(members.len()), members });
        limited.collect()
    }
}

/// Each restart in the first round that has room for it in all groups it is of; who is in none is alone.
fn rounds<'a>(
    restarts: Vec<Restart<'a>>,
    groups: &[Group<'_>],
    instance: impl Fn(&Considered<'_>) -> Option<&'a Instance>,
) -> (Vec<Vec<Restart<'a>>>, Vec<Restart<'a>>) {
    let mut rounds: Vec<(Vec<Restart<'a>>, Vec<usize>)> = Vec::new();
    let mut alone = Vec::new();
    for restart in restarts {
        let name = instance(restart.one).map_or("", |one| one.name.as_str());
        let of: Vec<usize> = (0..groups.len()).filter(|at| groups[*at].members.contains(name)).collect();
        if of.is_empty() {
            alone.push(restart);
            continue;
        }
        let room = |away: &Vec<usize>| of.iter().all(|at| away[*at] < groups[*at].at_a_time);
        let at = rounds.iter().position(|(_, away)| room(away)).unwrap_or(rounds.len());
        if at == rounds.len() {
            rounds.push((Vec::new(), vec![0; groups.len()]));
        }
        let (round, away) = &mut rounds[at];
        round.push(restart);
        of.iter().for_each(|at| away[*at] += 1);
    }
    (rounds.into_iter().map(|(round, _)| round).collect(), alone)
}
