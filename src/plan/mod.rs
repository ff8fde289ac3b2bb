//! The plan: what differs, why, and the ordered steps that make it right, over all hosts at once.
//!
//! `plan` is a pure function of [`Input`]: same input, same bytes. Never in this room: files,
//! network, the clock, processes, terminals.

#![warn(clippy::disallowed_methods)]

mod action;
pub mod backup;
pub mod change;
pub mod control;
mod deletes;
pub mod diff;
pub mod drift;
mod identity;
pub mod input;
mod leave;
mod limit;
pub mod locked;
mod moved;
pub(crate) mod order;
pub mod reason;
mod refuse;
pub mod remember;
pub mod rolling;
pub mod saved;
pub mod service;
pub mod stale;
pub mod step;
pub mod target;
mod title;
mod upgrade;
pub mod values;
mod wheels;
pub mod why;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::facts::HostFacts;
use crate::facts::record::{Attributes, Entry, RecordedTopology};
use crate::resource::{Body, Resource, Stage};
use change::{Cause, Change, Operation};
pub use deletes::Deletes;
pub use input::{Allow, Input};
pub use rolling::{Batch, Rolling};
use service::{Outdated, Reads, Writes};
pub use step::{Action, Step};

/// What an apply would do. Serialises to the same bytes for the same input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this layout.
    pub format_version: u32,
    /// Hosts that took part, in inventory order.
    pub hosts: Vec<String>,
    /// What differs, in module order within each host.
    pub changes: Vec<Change>,
    /// What is done, in one order over all hosts.
    pub steps: Vec<Step>,
    /// Why this plan may not be applied; empty: it may.
    pub refusals: Vec<Refusal>,
    /// More processes leave than goes without saying: `--allow-deletes` says it, or a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<Deletes>,
    /// Things worth knowing.
    pub notes: Vec<String>,
    /// Resources that are as they should be.
    pub unchanged: usize,
    /// What the record is to say of each resource once it is as desired.
    #[serde(skip)]
    pub entries: BTreeMap<String, Entry>,
    /// Addresses the records forget.
    #[serde(skip)]
    pub forgotten: Vec<(String, String)>,
    /// Hosts whose record does not say yet what is: an apply that was cut short had done everything
    /// but that. An apply with nothing else to do writes it.
    #[serde(skip)]
    pub unsettled: Vec<String>,
    /// By host, its instances as this plan makes them: the record says so before the first of them starts.
    #[serde(skip)]
    pub attempts: BTreeMap<String, RecordedTopology>,
}

/// Why a plan may not be applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// Host, if it is about one.
    pub host: Option<String>,
    /// One sentence.
    pub summary: String,
    /// What to do.
    pub help: String,
}

/// Word of an entry's `meta`: whom the proxy's file routes around for the time being.
pub const AROUND: &str = "around";

/// Version of the JSON layout of [`Plan`].
pub const FORMAT_VERSION: u32 = 1;

impl Plan {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.steps.is_empty()
    }

    /// How many resources are created, changed, deleted.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count =
            |wanted: Operation| self.changes.iter().filter(|change| change.operation == wanted).count();
        (count(Operation::Create), count(Operation::Update), count(Operation::Delete))
    }
}

/// A resource with everything the plan found out about it.
struct Considered<'a> {
    resource: &'a Resource,
    change: Option<Change>,
    reads: Reads,
    /// A running service.
    outdated: Option<Outdated>,
}

/// Compares desired and actual state and orders what has to be done.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut considered: Vec<Considered<'_>> = Vec::new();
    let mut entries = BTreeMap::new();
    for host in input.facts.keys() {
        let resources: Vec<&Resource> =
            input.resources.iter().filter(|resource| &resource.address.host == host).collect();
        consider_host(host, &resources, input, &mut considered, &mut entries);
    }
    let left = leave::left(input);
    let unchanged = considered.iter().filter(|one| one.change.is_none()).count();
    let steps = order::steps(input, &considered, &left);
    let going_on = going_on(&considered, input);
    let restarts = order::notes(input, &considered, &steps);
    let refusals = refuse::refusals(input, &considered, &steps);
    let deletes = deletes::deletes(input, &left);
    let unsettled = remember::unsettled(input, &left.forgotten);
    let mut changes: Vec<Change> = considered.into_iter().filter_map(|one| one.change).collect();
    changes.extend(left.changes);
    let position = |host: &str| input.facts.get_index_of(host);
    changes.sort_by_key(|change| position(&change.host));
    let mut notes = left.notes;
    notes.extend(refuse::overridden(input));
    notes.extend(upgrade::notes(input));
    notes.extend(restarts);
    notes.extend(going_on);
    Plan {
        format_version: FORMAT_VERSION,
        hosts: input.facts.keys().cloned().collect(),
        changes,
        steps,
        refusals,
        deletes,
        notes,
        unchanged,
        entries,
        forgotten: left.forgotten,
        unsettled,
        attempts: remember::attempts(input),
    }
}

fn consider_host<'a>(
    host: &str,
    resources: &[&'a Resource],
    input: &Input<'_>,
    considered: &mut Vec<Considered<'a>>,
    entries: &mut BTreeMap<String, Entry>,
) {
    let facts = &input.facts[host];
    let mut writes = Writes::default();
    // Everything but services first: what a service has to do depends on the files.
    let (services, others): (Vec<&&Resource>, Vec<&&Resource>) =
        resources.iter().partition(|resource| matches!(resource.body, Body::Service { .. }));
    let mut found: BTreeMap<String, Considered<'a>> = BTreeMap::new();
    for resource in others {
        let entry = input.entry(&resource.address);
        let values = values::values(resource, facts, entry, input);
        let change = compare(resource, &values, entry, input);
        if let Some(change) = &change
            && change.attributes.iter().any(|(name, ..)| !matches!(name.as_str(), "owner" | "group" | "mode"))
            && let Body::File { path, .. } | Body::Secret { path, .. } | Body::Directive { path, .. } =
                &resource.body
        {
            writes.changing.insert(path.clone());
            if entry.is_some_and(|entry| entry.pending.is_some()) {
                writes.unfinished.insert(path.clone());
            }
            if matches!(change.cause, Cause::Drift | Cause::DriftAndChange) {
                writes.edited.insert(path.clone());
            }
        }
        // What runs may have imported what somebody put there, and the files it has mapped are replaced.
        if matches!((&change, &resource.body), (Some(change), Body::Venv { .. }) if change.cause == Cause::Drift)
        {
            writes.edited.insert("venv".to_owned());
        }
        entries.insert(resource.address.to_string(), entry_for(resource, values.desired, None));
        let diff_change = change.map(|change| with_diff(change, resource, facts));
        let one = Considered { resource, change: diff_change, reads: Reads::default(), outdated: None };
        found.insert(resource.address.to_string(), one);
    }
    for resource in services {
        let entry = input.entry(&resource.address);
        let reads = service::reads(resource, resources, input);
        if goes_on(resource, facts, entry, input) {
            // The record says nothing of it either: the next plan looks at its start and its files again.
            let one = Considered { resource, change: None, reads, outdated: None };
            found.insert(resource.address.to_string(), one);
            continue;
        }
        let (values, outdated) = service::values(resource, facts, entry, &reads, &writes);
        let mut change = compare(resource, &values, entry, input);
        if let Some(change) = &mut change {
            explain_service(change, &values, entry);
        }
        entries.insert(resource.address.to_string(), entry_for(resource, values.desired, Some(&reads)));
        found.insert(resource.address.to_string(), Considered { resource, change, reads, outdated });
    }
    // Back into module order.
    considered.extend(resources.iter().filter_map(|resource| found.remove(&resource.address.to_string())));
}

/// `--keep-running`: a process of Synapse that runs and is in no record, whatever it was started with.
fn goes_on(resource: &Resource, facts: &HostFacts, entry: Option<&Entry>, input: &Input<'_>) -> bool {
    let Body::Service { unit, stage, .. } = &resource.body else { return false };
    let synapse = matches!(stage, Stage::Main | Stage::Writer | Stage::Worker);
    let runs = facts.units.get(unit).is_some_and(service::is_active);
    input.allow.keep_running && synapse && entry.is_none() && runs
}

/// What goes on as it is, told once a host.
fn going_on(considered: &[Considered<'_>], input: &Input<'_>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in considered {
        let host = one.resource.address.host.as_str();
        let Some(facts) = input.facts.get(host) else { continue };
        if goes_on(one.resource, facts, input.entry(&one.resource.address), input) {
            *counts.entry(host).or_default() += 1;
        }
    }
    let told = |(host, count): (&str, usize)| {
        format!(
            "{count} running process(es) on {host} go on with what they were started with; each takes this over when it next starts, all do with an apply without --keep-running"
        )
    };
    counts.into_iter().map(told).collect()
}

fn compare(
    resource: &Resource,
    values: &values::Values,
    entry: Option<&Entry>,
    input: &Input<'_>,
) -> Option<Change> {
    let (operation, cause) = change::compare(&values.desired, values.actual.as_ref(), entry)?;
    let cause = tolerated(resource, cause);
    let attributes = change::differences(values.actual.as_ref(), Some(&values.desired));
    Some(Change {
        address: resource.address.to_string(),
        host: resource.address.host.clone(),
        module: resource.address.module.clone(),
        kind: resource.address.kind.to_owned(),
        name: resource.address.name.clone(),
        operation,
        cause,
        reason: reason::reason(resource, operation, cause, &attributes, entry, input),
        attributes,
        diff: None,
    })
}

/// Only what holds somebody's content needs `--adopt`; an idle unit or a missing package does not.
fn tolerated(resource: &Resource, cause: Cause) -> Cause {
    let content = matches!(resource.body, Body::File { .. } | Body::Secret { .. } | Body::Postgresql { .. });
    if cause == Cause::Unmanaged && !content { Cause::Intended } else { cause }
}

/// A service's configuration attribute carries its own reason; the files say whose doing it was.
fn explain_service(change: &mut Change, values: &values::Values, entry: Option<&Entry>) {
    let Some(actual) = &values.actual else { return };
    let cut_short = entry.is_some_and(|entry| entry.pending.is_some());
    let asked_for = control::act::asked_for(actual, entry);
    if let Some(reason) = asked_for.or_else(|| reason::service(actual, cut_short)) {
        change.reason = reason;
    }
    let outdated = actual.get("configuration").is_some_and(|text| text.starts_with("outdated: "));
    let of_files = |name: &str| matches!(name, "configuration" | "unit file");
    let only = change.attributes.iter().all(|(name, ..)| of_files(name));
    if outdated && only && change.cause != Cause::Unmanaged {
        let reason = &change.reason;
        // What synprov has no record of was started by whoever set it up: nobody went behind our back.
        let recorded = entry.is_some();
        let drift =
            recorded && (reason.contains("somebody changed") || reason.contains("was started before"));
        change.cause = if drift { Cause::Drift } else { Cause::Intended };
    }
}

fn with_diff(mut change: Change, resource: &Resource, facts: &HostFacts) -> Change {
    if let Body::File { path, content, .. } = &resource.body
        && change.attributes.iter().any(|(name, ..)| name == "content")
    {
        let before = facts.paths.get(path).and_then(|fact| fact.content.as_deref());
        change.diff = diff::unified(path, before, Some(&content.redacted()));
    }
    change
}

fn entry_for(resource: &Resource, desired: Attributes, reads: Option<&Reads>) -> Entry {
    let mut entry = Entry { applied: Some(desired), ..Entry::default() };
    match &resource.body {
        Body::Service { owned, reload, stage, .. } => {
            entry.meta.insert("owned".to_owned(), owned.to_string());
            entry.meta.insert("reload".to_owned(), reload.to_string());
            if *stage == Stage::Proxy {
                entry.meta.insert("stage".to_owned(), "proxy".to_owned());
            }
        }
        Body::Directory { keep, .. } => {
            entry.meta.insert("keep".to_owned(), keep.to_string());
        }
        Body::Secret { path, .. } => {
            entry.meta.insert("path".to_owned(), path.clone());
        }
        Body::File { set, .. } => {
            entry.meta.insert("set".to_owned(), set.name().to_owned());
        }
        _ => {}
    }
    if let Some(reads) = reads {
        let inputs = reads.inputs.clone();
        entry.started = Some(crate::facts::record::Started { inputs, ..Default::default() });
    }
    entry
}

/// Addresses of everything desired, as the record writes them.
fn desired_addresses(input: &Input<'_>) -> BTreeSet<String> {
    input.resources.iter().map(|resource| resource.address.to_string()).collect()
}
