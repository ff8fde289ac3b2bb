//! What an apply learns while it runs, and the record lines that follow from it.
//!
//! Values the plan could not know (`(known after apply)`) are replaced here by what hosts answered.

mod after;
mod before;

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::routed::Routed;
use crate::facts::HostFacts;
use crate::facts::record::Entry;
use crate::plan::Plan;
use crate::plan::service::digest;
use crate::plan::step::{Action, Step};
use crate::plan::target::Targeted;
use crate::secret::{Secret, redact};

/// What a host said of a service that is ready.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// InvocationID of its start.
    pub invocation: String,
    /// Start of its newest worker process, in ticks; empty if it has none.
    pub workers: String,
    /// Seconds that it was waited for; empty if nobody waited.
    pub took: String,
}

/// The running knowledge of an apply.
pub struct Ledger<'a> {
    plan: &'a Plan,
    facts: &'a IndexMap<String, HostFacts>,
    /// `--target`: of everything else the records go on saying what they said.
    targeted: Option<&'a Targeted>,
    revisions: BTreeMap<(String, String), String>,
    started: BTreeMap<(String, String), Seen>,
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
        targeted: Option<&'a Targeted>,
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
            targeted,
            revisions,
            started: BTreeMap::new(),
            venvs: BTreeMap::new(),
            values: secrets.clone(),
            resolved: IndexMap::new(),
        }
    }

    /// What the apply began with.
    pub fn facts(&self) -> &IndexMap<String, HostFacts> {
        self.facts
    }

    /// A host's own hash of a secret changed.
    pub fn revision(&mut self, host: &str, name: String, revision: String) {
        self.revisions.insert((host.to_owned(), name), revision);
    }

    /// A service was started.
    pub fn started(&mut self, host: &str, unit: String, seen: Seen) {
        self.started.insert((host.to_owned(), unit), seen);
    }

    /// A venv was sealed.
    pub fn venv(&mut self, host: &str, path: String, packages: String) {
        self.venvs.insert((host.to_owned(), path), packages);
    }

    /// A secret's value is in memory.
    pub fn value(&mut self, name: String, value: Secret) {
        self.values.insert(name, value);
    }

    /// What a step said, without the values that are in memory (the host does the same with those it has).
    pub fn redact(&self, line: &str) -> String {
        redact(line, self.values.iter().map(|(name, value)| (name.as_str(), value)))
    }

    /// The value, if it is in memory.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.values.get(name)
    }

    /// Digest of what a service reads, if it is about to take it over without a restart.
    fn rereads(&self, host: &str, address: &str) -> Option<String> {
        let about = |step: &&Step| {
            step.host == host
                && matches!(&step.action, Action::Reread { service } if service.unit == unit_of(address))
        };
        self.plan.steps.iter().find(about)?;
        Some(digest(&self.plan.entries.get(address)?.started.as_ref()?.inputs))
    }

    fn routed(&self) -> Routed<'a> {
        Routed::new(self.plan)
    }

    /// What the record says of `address` when `step` begins.
    fn known(&self, step: &Step, address: &str) -> Option<Entry> {
        let recorded = self.facts[&step.host].record.entries.get(address);
        let Some((before, routing)) = self.routed().before(step, address) else { return recorded.cloned() };
        let entry = recorded.or_else(|| self.plan.entries.get(address))?.clone();
        if routing.file == address {
            return Some(routing.file_entry(entry));
        }
        let seen = self.started.get(&(before.host.clone(), unit_of(address).to_owned())).cloned();
        let seen = seen.unwrap_or_default();
        Some(routing.service_entry(entry, seen.invocation, seen.workers))
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

    /// Addresses that are forgotten once a step is done.
    fn leaving<'s>(&'s self, step: &'s Step) -> impl Iterator<Item = &'s String> {
        let gone = |name: &str| match &step.action {
            Action::Remove { files, directories, .. } => {
                files.iter().any(|(path, _)| path == name) || directories.iter().any(|path| path == name)
            }
            Action::Swap { gone, .. } => gone.iter().any(|(path, _)| path == name),
            // One that serves us no longer.
            Action::Reload { service } => service.unit == name,
            Action::Stop { unit, disable: true, .. } => unit == name,
            _ => false,
        };
        let here = self.plan.forgotten.iter().filter(|(host, _)| *host == step.host);
        here.map(|(_, address)| address)
            .filter(move |address| gone(address.split_once(':').map_or("", |(_, name)| name)))
    }
}

/// The unit of a service's address.
fn unit_of(address: &str) -> &str {
    address.split_once("/service:").map_or("", |(_, unit)| unit)
}
