//! What the record says once a step is done, and once all are.

use std::collections::BTreeMap;

use super::{Ledger, Seen, unit_of};
use crate::facts::record::{self, Attributes, Entry, FORMAT, Header, Record, Started};
use crate::plan::input::unknown_revision;
use crate::plan::remember::remembered;
use crate::plan::step::{Action, Step};
use crate::plan::target::Targeted;
use crate::plan::values::KNOWN_AFTER_APPLY;
use crate::topology::Topology;

impl Ledger<'_> {
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
