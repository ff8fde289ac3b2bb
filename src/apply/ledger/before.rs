//! What the record says while a step is on its way, and again if it was not done after all.

use super::{Ledger, Seen, unit_of};
use crate::facts::record::{self, ATTEMPTED, Entry};
use crate::plan::change::Cause;
use crate::plan::step::{Action, Step};
use crate::plan::values::KNOWN_AFTER_APPLY;

impl Ledger<'_> {
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
}

/// A service that is being stopped or started may be found in any state if we die on the way.
fn on_the_way(address: &str, entry: &mut Entry) {
    if let Some(active) = entry.pending.as_mut().and_then(|pending| pending.get_mut("active"))
        && address.contains("/service:")
    {
        KNOWN_AFTER_APPLY.clone_into(active);
    }
}
