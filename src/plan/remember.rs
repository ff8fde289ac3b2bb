//! What records remember of an apply that has come to its end, and whether they do.
//!
//! Never here: what a single resource is (`values.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::Input;
use super::order::holds;
use crate::facts::record::{RecordedInstance, RecordedTopology};
use crate::topology::{Instance, Topology};

/// The topology as main's host is to remember it: of hosts that took part as it is now, of the others
/// (`--limit`) as it was.
///
/// `addresses`: hosts of the inventory, neither retired nor lost, with where they are reached.
pub fn remembered(
    topology: &Topology,
    addresses: &BTreeMap<String, String>,
    took_part: impl Fn(&str) -> bool,
    before: Option<&RecordedTopology>,
) -> RecordedTopology {
    let empty = RecordedTopology::default();
    let before = before.unwrap_or(&empty);
    // A host that is gone for good took no part and is no more to be remembered.
    let absent = |host: &String| addresses.contains_key(host) && !took_part(host);
    let mut hosts: BTreeMap<String, String> = addresses
        .iter()
        .filter(|(host, _)| took_part(host))
        .map(|(host, at)| (host.clone(), at.clone()))
        .collect();
    hosts.extend(
        before.hosts.iter().filter(|(host, _)| absent(host)).map(|(host, at)| (host.clone(), at.clone())),
    );
    let old = before.instances.iter().filter(|(_, instance)| absent(&instance.host));
    let mut instances: BTreeMap<String, RecordedInstance> =
        old.map(|(name, instance)| (name.clone(), instance.clone())).collect();
    let here = topology.instances.iter().filter(|instance| took_part(&instance.host));
    instances.extend(here.map(|instance| (instance.name.clone(), recorded(instance))));
    RecordedTopology { hosts, instances }
}

pub(super) fn recorded(instance: &Instance) -> RecordedInstance {
    let ports = [("client", instance.client_port), ("replication", instance.replication_port)];
    RecordedInstance {
        host: instance.host.clone(),
        unit: instance.unit.clone(),
        ports: ports.into_iter().filter_map(|(name, port)| Some((name.to_owned(), port?))).collect(),
        holds: holds(instance),
    }
}

/// By host, its instances as they are about to be.
pub(super) fn attempts(input: &Input<'_>) -> BTreeMap<String, RecordedTopology> {
    let mut attempts = BTreeMap::new();
    for host in input.facts.keys() {
        let here = input.topology.instances.iter().filter(|instance| &instance.host == host);
        let instances = here.map(|instance| (instance.name.clone(), recorded(instance))).collect();
        attempts.insert(host.clone(), RecordedTopology { instances, ..RecordedTopology::default() });
    }
    attempts
}

/// Hosts whose record an apply that was cut short left behind what is.
pub(super) fn unsettled(input: &Input<'_>, forgotten: &[(String, String)]) -> Vec<String> {
    let main = input.topology.instances.first().map(|main| main.host.as_str());
    let hosts = input.facts.iter().filter(|(host, facts)| {
        let record = &facts.record;
        let unfinished = record.entries.values().any(|entry| {
            entry.pending.is_some() || entry.started.as_ref().is_some_and(|started| started.owed.is_some())
        });
        let begun = record.attempted.is_some();
        let lists_what_left = forgotten.iter().any(|(of, _)| of == *host);
        unfinished
            || begun
            || lists_what_left
            || (main == Some(host) && another(input, record.topology.as_ref()))
    });
    hosts.map(|(host, _)| host.clone()).collect()
}

/// Main's host remembers another topology than the present one. Addresses of hosts do not count.
fn another(input: &Input<'_>, before: Option<&RecordedTopology>) -> bool {
    let Some(before) = before else { return true };
    let hosts = input.topology.hosts.values().filter(|host| !host.retired);
    let addresses = hosts.map(|host| (host.name.clone(), String::new())).collect();
    let now = remembered(input.topology, &addresses, |host| input.facts.contains_key(host), Some(before));
    let names = |topology: &RecordedTopology| topology.hosts.keys().cloned().collect::<BTreeSet<_>>();
    now.instances != before.instances || names(&now) != names(before)
}
