//! Why a part may not be applied alone: what is only right when others follow.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::super::change::Change;
use super::super::order::holds;
use super::super::{Plan, Refusal, refuse};
use super::{Targeted, takes_part};
use crate::facts::HostFacts;
use crate::resource::{Body, Resource};
use crate::topology::Topology;

impl Targeted {
    /// Why `plan`, made of what is chosen, may not be applied alone. `topology`, `resources`: all of it.
    pub fn refusals(
        &self,
        topology: &Topology,
        resources: &[Resource],
        facts: &IndexMap<String, HostFacts>,
        plan: &Plan,
    ) -> Vec<Refusal> {
        let mut refusals = self.shared(topology, resources, facts, plan);
        refusals.extend(self.moving(topology));
        refusals.extend(self.unreachable(topology, plan));
        refusals.sort();
        refusals.dedup();
        refusals
    }

    /// Files that others read too, or that must be the same elsewhere.
    fn shared(
        &self,
        topology: &Topology,
        resources: &[Resource],
        facts: &IndexMap<String, HostFacts>,
        plan: &Plan,
    ) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let config = format!("{}/conf/config.yaml", topology.root);
        for change in plan.changes.iter().filter(|change| change.kind == "file") {
            let Some(Body::File { inputs_of, content, .. }) =
                resources.iter().find(|one| one.address.to_string() == change.address).map(|one| &one.body)
            else {
                continue;
            };
            let mut others = Vec::new();
            for (unit, digest) in inputs_of {
                let service = resources.iter().find(|one| {
                    one.address.host == change.host
                        && matches!(&one.body, Body::Service { unit: of, .. } if of == unit)
                });
                let Some(service) = service.map(|one| one.address.to_string()) else { continue };
                if self.chosen.contains(&service) {
                    continue;
                }
                let entry = facts.get(&change.host).and_then(|facts| facts.record.entries.get(&service));
                let read = entry.and_then(|entry| entry.started.as_ref()?.inputs.get(&change.name));
                // Revisions of secrets stand behind the digest.
                if entry.is_some() && !read.is_some_and(|read| read.starts_with(digest.as_str())) {
                    others.push(unit.as_str());
                }
            }
            if !others.is_empty() {
                refusals.push(refuse::refusal(
                    &change.host,
                    format!(
                        "{} would change for {} too, which `--target` leaves out",
                        change.name,
                        others.join(", ")
                    ),
                    "add them to `--target`, or leave out `--target`",
                ));
            }
            let other = topology.hosts.values().find(|host| {
                let same = format!("{}/", host.name);
                host.synapse
                    && host.name != change.host
                    && !plan.changes.iter().any(|one| one.host == host.name && one.name == config)
                    && facts.get(&host.name).is_some_and(|facts| {
                        facts.record.entries.iter().any(|(address, entry)| {
                            address.starts_with(&same)
                                && address.ends_with(&format!("/file:{config}"))
                                && entry.applied.as_ref().and_then(|applied| applied.get("content"))
                                    != Some(&content.digest())
                        })
                    })
            });
            if let (true, Some(other)) = (change.name == config, other) {
                refusals.push(refuse::refusal(
                    &change.host,
                    format!(
                        "{config} must be the same on every host and would change here but not on {}",
                        other.name
                    ),
                    "leave out `--target`",
                ));
            }
        }
        refusals
    }

    /// What is held alone passes from one process to another: both sides, or none.
    fn moving(&self, topology: &Topology) -> Vec<Refusal> {
        let mut after: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for one in &topology.instances {
            for held in holds(one) {
                after.entry(held).or_default().insert(&one.name);
            }
        }
        let mut before: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (name, one) in &self.before.instances {
            for held in &one.holds {
                before.entry(held.clone()).or_default().insert(name);
            }
        }
        let part = |name: &&&str| {
            topology.instances.iter().any(|one| one.name == **name && takes_part(one, &self.resources))
        };
        let none = BTreeSet::new();
        // What nobody is named for is main's.
        let main = topology.instances.first().filter(|_| !self.before.instances.is_empty());
        let mut refusals = Vec::new();
        for held in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let (was, now) = (before.get(held).unwrap_or(&none), after.get(held).unwrap_or(&none));
            let mut concerned: BTreeSet<&str> = was.union(now).copied().collect();
            if was.is_empty() || now.is_empty() {
                concerned.extend(main.map(|main| main.name.as_str()));
            }
            let left_out: Vec<&str> = concerned.iter().filter(|name| !part(name)).copied().collect();
            if was != now && !left_out.is_empty() && left_out.len() < concerned.len() {
                refusals.push(Refusal {
                    host: None,
                    summary: format!(
                        "{held} passes between processes, and `--target` leaves out {}",
                        left_out.join(", ")
                    ),
                    help: "add them to `--target`, or leave out `--target`".to_owned(),
                });
            }
        }
        refusals
    }

    /// A proxy would route to what was never started.
    fn unreachable(&self, topology: &Topology, plan: &Plan) -> Vec<Refusal> {
        let proxy =
            |change: &&Change| change.kind == "file" && matches!(change.module.as_str(), "nginx" | "haproxy");
        let Some(change) = plan.changes.iter().find(proxy) else { return Vec::new() };
        let servers = topology.upstreams.values().flat_map(|upstream| &upstream.servers);
        let names: BTreeSet<&String> = servers.map(|server| &server.instance).collect();
        let missing = topology.instances.iter().filter(|one| {
            names.contains(&one.name)
                && !takes_part(one, &self.resources)
                && !self.before.instances.contains_key(&one.name)
        });
        missing
            .map(|one| {
                refuse::refusal(
                    &change.host,
                    format!(
                        "{} would send requests to {}, which `--target` leaves out",
                        change.name, one.name
                    ),
                    "add it to `--target`, or leave out `--target`",
                )
            })
            .collect()
    }
}
