//! What an apply learns while it runs, and the record lines that follow from it.
//!
//! Values the plan could not know (`(known after apply)`) are replaced here by what hosts answered.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::routed::Routed;
use crate::facts::record::{self, ATTEMPTED, Attributes, Entry, FORMAT, Header, Record};
use crate::facts::{HostFacts, record::Started};
use crate::plan::Plan;
use crate::plan::change::Cause;
use crate::plan::input::unknown_revision;
use crate::plan::remember::remembered;
use crate::plan::service::digest;
use crate::plan::step::{Action, Step};
use crate::plan::target::Targeted;
use crate::plan::values::KNOWN_AFTER_APPLY;
use crate::secret::{Secret, redact};
use crate::topology::Topology;

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

    /// Record lines that must be on disk before `step` changes anything.
    pub fn before(&self, step: &Step) -> String {
        let mut lines = String::new();
        if matches!(step.action, Action::DaemonReload | Action::Enable { .. }) {
            return lines;
        }
        let record = &self.facts[&step.host].record;
        lines.push_str(&self.attempt(step));
        for address in self.touched(step) {
            let Some(desired) = self.plan.entries.get(address) else { continue };
            let old = self.known(step, address);
            let mut entry = old.unwrap_or_else(|| Entry { meta: desired.meta.clone(), ..Entry::default() });
            entry.pending.clone_from(&desired.applied);
            on_the_way(address, &mut entry);
            lines.push_str(&entry.line(address));
        }
        for (address, reason) in step.action.owes() {
            if !self.known(step, address).is_some_and(|entry| self.shows(step, address, &entry)) {
                lines.push_str(&self.owed(step, address, reason));
            }
        }
        if let Some(routing) = self.routed().of(step)
            && let Some(mut entry) = self.known(step, routing.file)
        {
            let after = routing.file_entry(entry.clone());
            (entry.pending, entry.meta) = (after.applied, after.meta);
            lines.push_str(&entry.line(routing.file));
            lines.push_str(&self.owed(step, routing.service, "processes are routed around"));
        }
        if matches!(step.action, Action::Swap { .. } | Action::Remove { .. }) {
            // What goes may be wanted again, on the way back; it was us who took it away.
            for address in self.leaving(step) {
                if let Some(mut entry) = record.entries.get(address).cloned() {
                    entry.pending.clone_from(&entry.applied);
                    lines.push_str(&entry.line(address));
                }
            }
        }
        if let Action::Stop { unit, disable, .. } = &step.action {
            // It starts again later in this plan, or on the way back; should that never happen, it was us who stopped it.
            let address = format!("/service:{unit}");
            let known = record.entries.iter().filter(|(known, _)| known.ends_with(&address));
            for (known, entry) in known {
                let mut entry = entry.clone();
                entry.pending.clone_from(&entry.applied);
                on_the_way(known, &mut entry);
                if let Some(pending) = entry.pending.as_mut().filter(|_| *disable) {
                    pending.insert("enabled".to_owned(), KNOWN_AFTER_APPLY.to_owned());
                }
                lines.push_str(&entry.line(known));
            }
        }
        lines
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

    /// Before anything is put in place on a host: which instances may run there from now on.
    fn attempt(&self, step: &Step) -> String {
        let begun = self.plan.steps.iter().find(|other| other.host == step.host && !other.action.prepares());
        let attempt =
            begun.filter(|first| first.id == step.id).and_then(|_| self.plan.attempts.get(&step.host));
        attempt.map_or_else(String::new, |attempt| record::line(ATTEMPTED, attempt))
    }

    /// Whether what a process was started with tells by itself that it has to start again. Then nothing
    /// is owed: should what it reads come back to what it was, it need not.
    fn shows(&self, step: &Step, address: &str, entry: &Entry) -> bool {
        let (Some(started), Some(unit)) =
            (&entry.started, self.facts[&step.host].units.get(unit_of(address)))
        else {
            return false;
        };
        let reloads = entry.meta.get("reload").is_some_and(|reload| reload == "true");
        let same =
            started.invocation == unit.invocation && (!reloads || started.workers == unit.newest_worker());
        let wanted = self.plan.entries.get(address).and_then(|entry| entry.started.as_ref());
        let change = self.plan.changes.iter().find(|change| change.address == address);
        same && self.rereads(&step.host, address).is_none()
            && started.owed.is_none()
            && wanted.is_some_and(|wanted| wanted.inputs != started.inputs)
            && change.is_some_and(|change| change.cause == Cause::Intended)
    }

    /// The line that says that a service has to take something over, whoever started what runs now.
    fn owed(&self, step: &Step, address: &str, reason: &str) -> String {
        let Some(mut entry) = self.known(step, address) else { return String::new() };
        let Some(started) = &mut entry.started else { return String::new() };
        started.owed = Some(reason.to_owned());
        started.rereads = self.rereads(&step.host, address);
        let unit = unit_of(address);
        let seen = self.started.get(&(step.host.clone(), unit.to_owned())).cloned().or_else(|| {
            let unit = self.facts[&step.host].units.get(unit)?;
            let (invocation, workers) = (unit.invocation.clone(), unit.newest_worker());
            Some(Seen { invocation, workers, took: String::new() })
        });
        if let Some(seen) = seen {
            started.invocation = seen.invocation;
            if entry.meta.get("reload").is_some_and(|reload| reload == "true") {
                started.workers = seen.workers;
            }
        }
        entry.line(address)
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

    /// Lines of a step that routes, once it has. `awaited`: its proxy's new start is yet to come.
    fn routes(&self, step: &Step, awaited: &[&str]) -> String {
        let Some(routing) = self.routed().of(step) else { return String::new() };
        let mut lines = String::new();
        let recorded = |address: &str| {
            let entries = &self.facts[&step.host].record.entries;
            entries.get(address).or_else(|| self.plan.entries.get(address)).cloned()
        };
        if let Some(entry) = recorded(routing.file) {
            lines.push_str(&routing.file_entry(entry).line(routing.file));
        }
        if let Some(entry) = recorded(routing.service) {
            let unit = unit_of(routing.service);
            let (invocation, workers) = if awaited.contains(&unit) {
                (format!("(invocation of {unit})"), format!("(workers of {unit})"))
            } else {
                let seen = self.started.get(&(step.host.clone(), unit.to_owned())).cloned();
                let seen = seen.unwrap_or_default();
                (seen.invocation, seen.workers)
            };
            lines.push_str(&routing.service_entry(entry, invocation, workers).line(routing.service));
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

    /// Record lines that take back what [`Ledger::before`] wrote for a set that was not put in place after all.
    pub fn undone(&self, step: &Step) -> String {
        let as_known = |address: &str| {
            self.known(step, address).map_or_else(|| record::forget(address), |entry| entry.line(address))
        };
        let began = !self.attempt(step).is_empty();
        let attempted = began.then(|| match &self.facts[&step.host].record.attempted {
            Some(before) => record::line(ATTEMPTED, before),
            None => record::forget(ATTEMPTED),
        });
        if let Some(routing) = self.routed().of(step) {
            return as_known(routing.file)
                + &as_known(routing.service)
                + attempted.as_deref().unwrap_or_default();
        }
        if !matches!(step.action, Action::Swap { .. }) {
            return String::new();
        }
        let earlier = || self.plan.steps.iter().filter(|other| other.host == step.host && other.id < step.id);
        let owed_before = |address: &String| {
            earlier().any(|other| other.action.owes().iter().any(|(owed, _)| owed == address))
        };
        let owed = step.action.owes().iter().map(|(address, _)| address);
        let lines = step
            .completes
            .iter()
            .chain(owed.filter(|address| !owed_before(address)))
            .chain(self.leaving(step))
            .map(|address| as_known(address));
        lines.chain(attempted).collect()
    }

    /// Record lines that say that `step` is done.
    pub fn after(&self, step: &Step) -> String {
        self.done(step, &[], None)
    }

    /// The same lines before the step has begun: what only the host can tell then stands in them as
    /// `(invocation of UNIT)`, `(workers of UNIT)`, `(packages of VENV)`, `(known after apply: SECRET)`.
    pub fn promise(&self, step: &Step) -> String {
        let secret = match &step.action {
            Action::GenerateSecret { file, .. } | Action::PutSecret { file, .. } => Some(file.name.as_str()),
            _ => None,
        };
        self.done(step, &step.action.awaited(), secret)
    }

    fn done(&self, step: &Step, awaited: &[&str], unknown: Option<&str>) -> String {
        let mut lines = self.routes(step, awaited);
        for address in self.touched(step) {
            if let Some(entry) = self.entry(&step.host, address, awaited, unknown) {
                lines.push_str(&entry.line(address));
            }
        }
        self.leaving(step).for_each(|address| lines.push_str(&record::forget(address)));
        lines
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

    /// The whole record of a host after every step has succeeded; it is in this generation then.
    pub fn record(
        &self,
        host: &str,
        topology: &Topology,
        modules: &str,
        addresses: &BTreeMap<String, String>,
        generation: u64,
    ) -> String {
        let facts = &self.facts[host];
        let header = Header {
            format: FORMAT,
            synprov: env!("CARGO_PKG_VERSION").to_owned(),
            modules: modules.to_owned(),
            generation,
        };
        let prefix = format!("{host}/");
        let entries = self.plan.entries.keys().filter(|address| address.starts_with(&prefix));
        let mut entries: BTreeMap<String, Entry> = entries
            .filter_map(|address| Some((address.clone(), self.entry(host, address, &[], None)?)))
            .collect();
        if let Some(targeted) = self.targeted {
            let others =
                facts.record.entries.iter().filter(|(address, _)| !targeted.chosen.contains(*address));
            entries.extend(others.map(|(address, entry)| (address.clone(), entry.clone())));
        }
        let main = topology.instances.first().is_some_and(|main| main.host == host);
        let topology = main.then(|| {
            let took_part = |host: &str| self.facts.contains_key(host);
            let mut now = remembered(topology, addresses, took_part, facts.record.topology.as_ref());
            now.instances.extend(self.targeted.map(Targeted::remembered).unwrap_or_default());
            now
        });
        Record { header: Some(header), topology, attempted: None, entries }.text()
    }

    /// The entry of a resource with everything known filled in. Nothing is known yet of the start of
    /// `awaited` units and of the value of the secret `unknown`.
    fn entry(&self, host: &str, address: &str, awaited: &[&str], unknown: Option<&str>) -> Option<Entry> {
        let mut entry = self.plan.entries.get(address)?.clone();
        let name = address.split_once(':').map_or("", |(_, name)| name);
        if let Some(applied) = &mut entry.applied {
            self.fill(host, applied, unknown);
            if let Some(packages) =
                applied.get_mut("packages").filter(|packages| *packages == KNOWN_AFTER_APPLY)
            {
                let digest = self.venvs.get(&(host.to_owned(), name.to_owned())).cloned();
                *packages = digest.unwrap_or_else(|| format!("(packages of {name})"));
            }
        }
        if let Some(started) = &mut entry.started {
            self.fill(host, &mut started.inputs, unknown);
            let seen = self.started.get(&(host.to_owned(), name.to_owned())).cloned().or_else(|| {
                let unit = self.facts[host].units.get(name)?;
                let entry = self.facts[host].record.entries.get(address);
                let before = entry.and_then(|entry| entry.started.as_ref());
                Some(Seen {
                    invocation: unit.invocation.clone(),
                    workers: unit.newest_worker(),
                    took: before.map(|before| before.took.clone()).unwrap_or_default(),
                })
            });
            let promised = || Seen {
                invocation: format!("(invocation of {name})"),
                workers: format!("(workers of {name})"),
                took: format!("(seconds of {name})"),
            };
            let Seen { invocation, workers, took } =
                if awaited.contains(&name) { promised() } else { seen.unwrap_or_default() };
            let reloads = entry.meta.get("reload").is_some_and(|reload| reload == "true");
            // What reads again is not away: how long it takes to start is known from before.
            let before =
                self.facts[host].record.entries.get(address).and_then(|entry| entry.started.as_ref());
            let took = match self.rereads(host, address) {
                Some(_) => before.map(|before| before.took.clone()).unwrap_or_default(),
                None => took,
            };
            let (workers, took) = if reloads { (workers, String::new()) } else { (String::new(), took) };
            let inputs = std::mem::take(&mut started.inputs);
            *started = Started { invocation, workers, took, inputs, owed: None, rereads: None };
        }
        Some(entry)
    }

    fn fill(&self, host: &str, attributes: &mut Attributes, unknown: Option<&str>) {
        for ((of, name), revision) in &self.revisions {
            if of == host && unknown != Some(name) {
                let mark = unknown_revision(name);
                for value in attributes.values_mut().filter(|value| value.contains(&mark)) {
                    *value = value.replace(&mark, revision);
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

/// The unit of a service's address.
fn unit_of(address: &str) -> &str {
    address.split_once("/service:").map_or("", |(_, unit)| unit)
}
