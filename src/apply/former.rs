//! A former generation as something to plan for, made of what hosts keep of it.
//!
//! Hosts are believed as far as they could do harm anyway. What the deployment was follows from the
//! inventory that main's host keeps; what a host keeps as its own desired state is applied to that host
//! alone, and may name only secrets that the host holds by that inventory. How hosts are reached never
//! comes from here, and no source of a secret outside of the hosts (a command!) is ever asked.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::facts::HostFacts;
use crate::facts::generation::{Meta, Stored, Unusable};
use crate::inventory::SecretSource;
use crate::plan::{Allow, Input, Plan, plan};
use crate::resource::{Body, Resource};
use crate::topology::Topology;

/// A generation that hosts were in.
#[derive(Debug, Clone)]
pub struct Former {
    /// Who made it, when, and what of, as main's host says.
    pub meta: Meta,
    /// What the inventory meant.
    pub topology: Topology,
    /// Desired state of all hosts that were asked.
    pub resources: Vec<Resource>,
    /// Which generation each host's part is of.
    pub numbers: BTreeMap<String, u64>,
    /// The inventory's text.
    pub inventory: String,
    /// The lock's text.
    pub lock: String,
    /// Host name to address, for the record.
    pub addresses: BTreeMap<String, String>,
}

/// What an inventory with its lock means: [`Former::of`] is given how that is found out.
pub struct Meaning {
    /// Its topology.
    pub topology: Topology,
    /// Hosts that are neither retired nor lost, with their addresses.
    pub addresses: BTreeMap<String, String>,
}

/// Finds out what an inventory (first) with its lock (second) means; an error in one sentence.
pub type Understand<'a> = dyn Fn(&str, &str) -> Result<Meaning, String> + 'a;

/// Why there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFormer {
    /// Nothing was applied before.
    #[error("nothing was applied before this")]
    First,
    /// No host keeps one with this number.
    #[error("no host keeps it any more")]
    Gone,
    /// A host has a record and no generation: an older synprov made it.
    #[error("{host} keeps no generation: an older synprov applied last there")]
    NotKept {
        /// Host.
        host: String,
    },
    /// What a host keeps is of no use.
    #[error("what {host} keeps of it is of no use: {why}")]
    Unusable {
        /// Host.
        host: String,
        /// In one sentence.
        why: String,
    },
}

impl Former {
    /// The generation that `facts` brought.
    ///
    /// `main`: the host whose word counts for the whole, if it keeps one. Hosts that keep none were not
    /// part of it, unless their record says that something was applied there (`needs` says whether
    /// that is an error).
    pub fn of(
        facts: &IndexMap<String, HostFacts>,
        main: &str,
        needs: bool,
        understand: &Understand<'_>,
    ) -> Result<Self, NoFormer> {
        let kept: IndexMap<&String, &Stored> =
            facts.iter().filter_map(|(host, facts)| Some((host, facts.generation.as_ref()?))).collect();
        let lacks =
            |(host, facts): &(&String, &HostFacts)| facts.generation_number() > 0 && !kept.contains_key(host);
        if let Some((host, _)) = facts.iter().find(lacks).filter(|_| needs) {
            return Err(NoFormer::NotKept { host: host.clone() });
        }
        let newest = kept.iter().max_by_key(|(_, stored)| stored.number);
        let Some((speaker, whole)) = kept.get_key_value(&main.to_owned()).or(newest) else {
            return Err(if needs { NoFormer::First } else { NoFormer::Gone });
        };
        let unusable = |host: &str| {
            let host = host.to_owned();
            move |why: Unusable| NoFormer::Unusable { host, why: why.to_string() }
        };
        let meta = whole.meta().map_err(unusable(speaker))?;
        let inventory = whole.inventory().map_err(unusable(speaker))?;
        let lock = whole.lock().map_err(unusable(speaker))?;
        let Meaning { mut topology, addresses } = understand(&inventory, &lock)
            .map_err(|why| NoFormer::Unusable { host: (*speaker).clone(), why })?;
        let mut resources = Vec::new();
        for (host, stored) in &kept {
            let its = stored.resources(host).map_err(unusable(host))?;
            if let Some(name) = its.iter().find_map(|one| foreign(one, host, &topology)) {
                let why = format!("it asks for secret {name}, which is not for that host");
                return Err(NoFormer::Unusable { host: (*host).clone(), why });
            }
            resources.extend(its);
        }
        let numbers = kept.iter().map(|(host, stored)| ((*host).clone(), stored.number)).collect();
        only_hosts_know(&mut topology);
        Ok(Self { meta, topology, resources, numbers, inventory, lock, addresses })
    }

    /// Makes those hosts of it that are not there any more lost, and those that were no part of it retired.
    pub fn among(&mut self, present: impl Fn(&str) -> bool, hosts: impl Iterator<Item = String>) {
        let gone: Vec<String> = self.topology.hosts.keys().filter(|host| !present(host)).cloned().collect();
        for host in gone {
            self.topology.hosts.shift_remove(&host);
            self.addresses.remove(&host);
            self.topology.lost.push(host);
        }
        let new = hosts.filter(|host| !self.topology.hosts.contains_key(host)).collect::<Vec<_>>();
        self.topology.retired.extend(new);
    }

    /// The plan towards it.
    pub fn plan(&self, facts: &IndexMap<String, HostFacts>, excluded: &[String], allow: Allow) -> Plan {
        let none = BTreeMap::new();
        plan(&Input::new(&self.topology, &self.resources, facts, &none, excluded, allow))
    }
}

/// Values of secrets are those that hosts have: the controller's may be others by now.
fn only_hosts_know(topology: &mut Topology) {
    for node in topology.secrets.values_mut() {
        node.source = SecretSource::Generate;
    }
}

/// A secret that the resource names and its host has no business with.
fn foreign(resource: &Resource, host: &str, topology: &Topology) -> Option<String> {
    let named: Vec<&str> = match &resource.body {
        Body::File { content, .. } => content.secrets(),
        Body::Secret { name, .. } => vec![name],
        Body::Postgresql { password, .. } => vec![password],
        Body::Service { secrets, .. } => secrets.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let its = |name: &&str| {
        topology.secrets.get(*name).is_some_and(|node| node.hosts.iter().any(|holder| holder == host))
    };
    named.into_iter().find(|name| !its(name)).map(str::to_owned)
}
