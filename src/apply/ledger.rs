//! What an apply learns while it runs, and the record lines that follow from it.
//!
//! Values the plan could not know (`(known after apply)`) are replaced here by what hosts answered.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::facts::record::{
    self, Attributes, Entry, FORMAT, Header, Record, RecordedInstance, RecordedTopology,
};
use crate::facts::{HostFacts, record::Started};
use crate::plan::input::unknown_revision;
use crate::plan::step::{Action, Step};
use crate::plan::values::KNOWN_AFTER_APPLY;
use crate::plan::{Plan, order};
use crate::secret::Secret;
use crate::topology::Topology;

/// The running knowledge of an apply.
pub struct Ledger<'a> {
    plan: &'a Plan,
    facts: &'a IndexMap<String, HostFacts>,
    revisions: BTreeMap<(String, String), String>,
    started: BTreeMap<(String, String), (String, String)>,
    venvs: BTreeMap<(String, String), String>,
    values: BTreeMap<String, Secret>,
    /// Requirement lines that pip resolved, by Python tag: for the lock.
    pub resolved: IndexMap<String, Vec<String>>,
}

impl<'a> Ledger<'a> {
    /// Starts with what the facts say and the controller's own secrets.
    pub fn new(
        plan: &'a Plan,
        facts: &'a IndexMap<String, HostFacts>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Self {
        let mut revisions = BTreeMap::new();
        for (host, fact) in facts {
            for (name, secret) in &fact.secrets {
                revisions.insert((host.clone(), name.clone()), secret.revision.clone());
            }
        }
        Self {
            plan,
            facts,
            revisions,
            started: BTreeMap::new(),
            venvs: BTreeMap::new(),
            values: secrets.clone(),
            resolved: IndexMap::new(),
        }
    }

    /// A host's own hash of a secret changed.
    pub fn revision(&mut self, host: &str, name: String, revision: String) {
        self.revisions.insert((host.to_owned(), name), revision);
    }

    /// A service was started.
    pub fn started(&mut self, host: &str, unit: String, invocation: String, workers: String) {
        self.started.insert((host.to_owned(), unit), (invocation, workers));
    }

    /// A venv was sealed.
    pub fn venv(&mut self, host: &str, path: String, packages: String) {
        self.venvs.insert((host.to_owned(), path), packages);
    }

    /// A secret's value is in memory.
    pub fn value(&mut self, name: String, value: Secret) {
        self.values.insert(name, value);
    }

    /// The value, if it is in memory.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.values.get(name)
    }

    /// Record lines that must be on disk before `step` changes anything.
    pub fn before(&self, step: &Step) -> String {
        let mut lines = String::new();
        if matches!(step.action, Action::DaemonReload | Action::Enable { .. }) {
            return lines;
        }
        let record = &self.facts[&step.host].record;
        for address in self.touched(step) {
            let Some(desired) = self.plan.entries.get(address) else { continue };
            let old = record.entries.get(address);
            let mut entry =
                old.cloned().unwrap_or_else(|| Entry { meta: desired.meta.clone(), ..Entry::default() });
            entry.pending.clone_from(&desired.applied);
            on_the_way(address, &mut entry);
            lines.push_str(&entry.line(address));
        }
        if let Action::Swap { owes, .. } | Action::RaiseDirective { owes, .. } = &step.action {
            for (address, reason) in owes {
                let Some(mut entry) = record.entries.get(address).cloned() else { continue };
                if let Some(started) = &mut entry.started {
                    started.owed = Some(reason.clone());
                    lines.push_str(&entry.line(address));
                }
            }
        }
        if let Action::Stop { unit, disable: false, .. } = &step.action {
            // It starts again later in this plan; should that never happen, it was us who stopped it.
            let address = format!("/service:{unit}");
            let known = record.entries.iter().filter(|(known, _)| known.ends_with(&address));
            for (known, entry) in known {
                let mut entry = entry.clone();
                entry.pending.clone_from(&entry.applied);
                on_the_way(known, &mut entry);
                lines.push_str(&entry.line(known));
            }
        }
        lines
    }

    /// What a step completes, and the cluster it restarts on the way: that one is stopped for a
    /// moment, by us, should the apply die just then.
    fn touched<'s>(&'s self, step: &'s Step) -> impl Iterator<Item = &'s String> {
        let restarted = match &step.action {
            Action::PreparePostgresql { restart: Some(service), .. } => {
                let (host, unit) = (format!("{}/", step.host), format!("/service:{}", service.unit));
                self.plan
                    .entries
                    .keys()
                    .find(|address| address.starts_with(&host) && address.ends_with(&unit))
            }
            _ => None,
        };
        step.completes.iter().chain(restarted)
    }

    /// Record lines that say that `step` is done.
    pub fn after(&self, step: &Step) -> String {
        let mut lines = String::new();
        for address in self.touched(step) {
            if let Some(entry) = self.entry(&step.host, address) {
                lines.push_str(&entry.line(address));
            }
        }
        if let Action::Remove { files, directories } = &step.action {
            let gone = |name: &str| {
                files.iter().any(|(path, _)| path == name) || directories.iter().any(|path| path == name)
            };
            for (host, address) in &self.plan.forgotten {
                let name = address.split_once(':').map_or("", |(_, name)| name);
                if *host == step.host && gone(name) {
                    lines.push_str(&record::forget(address));
                }
            }
        }
        lines
    }

    /// The whole record of a host after every step has succeeded.
    pub fn record(
        &self,
        host: &str,
        topology: &Topology,
        modules: &str,
        addresses: &BTreeMap<String, String>,
    ) -> String {
        let facts = &self.facts[host];
        let generation = facts.record.header.as_ref().map_or(0, |header| header.generation) + 1;
        let header = Header {
            format: FORMAT,
            synprov: env!("CARGO_PKG_VERSION").to_owned(),
            modules: modules.to_owned(),
            generation,
        };
        let prefix = format!("{host}/");
        let entries = self.plan.entries.keys().filter(|address| address.starts_with(&prefix));
        let entries =
            entries.filter_map(|address| Some((address.clone(), self.entry(host, address)?))).collect();
        let main = topology.instances.first().is_some_and(|main| main.host == host);
        let topology = main.then(|| recorded(topology, addresses));
        Record { header: Some(header), topology, entries }.text()
    }

    /// The entry of a resource with everything known filled in.
    fn entry(&self, host: &str, address: &str) -> Option<Entry> {
        let mut entry = self.plan.entries.get(address)?.clone();
        let name = address.split_once(':').map_or("", |(_, name)| name);
        if let Some(applied) = &mut entry.applied {
            self.fill(host, applied);
            if let Some(packages) =
                applied.get_mut("packages").filter(|packages| *packages == KNOWN_AFTER_APPLY)
                && let Some(digest) = self.venvs.get(&(host.to_owned(), name.to_owned()))
            {
                packages.clone_from(digest);
            }
        }
        if let Some(started) = &mut entry.started {
            self.fill(host, &mut started.inputs);
            let seen = self.started.get(&(host.to_owned(), name.to_owned())).cloned().or_else(|| {
                let unit = self.facts[host].units.get(name)?;
                Some((unit.invocation.clone(), unit.newest_worker()))
            });
            let (invocation, workers) = seen.unwrap_or_default();
            let reloads = entry.meta.get("reload").is_some_and(|reload| reload == "true");
            let workers = if reloads { workers } else { String::new() };
            *started =
                Started { invocation, workers, inputs: std::mem::take(&mut started.inputs), owed: None };
        }
        Some(entry)
    }

    fn fill(&self, host: &str, attributes: &mut Attributes) {
        for ((of, name), revision) in &self.revisions {
            if of == host {
                let unknown = unknown_revision(name);
                for value in attributes.values_mut().filter(|value| value.contains(&unknown)) {
                    *value = value.replace(&unknown, revision);
                }
            }
        }
    }
}

/// A service that is being stopped or started may be found in any state if we die on the way.
fn on_the_way(address: &str, entry: &mut Entry) {
    if let Some(active) = entry.pending.as_mut().and_then(|pending| pending.get_mut("active"))
        && address.contains("/service:")
    {
        KNOWN_AFTER_APPLY.clone_into(active);
    }
}

fn recorded(topology: &Topology, addresses: &BTreeMap<String, String>) -> RecordedTopology {
    let instances = topology.instances.iter().map(|instance| {
        let ports = [("client", instance.client_port), ("replication", instance.replication_port)];
        let recorded = RecordedInstance {
            host: instance.host.clone(),
            unit: instance.unit.clone(),
            ports: ports.into_iter().filter_map(|(name, port)| Some((name.to_owned(), port?))).collect(),
            holds: order::holds(instance),
        };
        (instance.name.clone(), recorded)
    });
    RecordedTopology { hosts: addresses.clone(), instances: instances.collect() }
}
