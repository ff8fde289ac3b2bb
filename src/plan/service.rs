//! Does a running process run with what it should? Answered from state, never from a notification.
//!
//! The record keeps what each process was started with and systemd's InvocationID of that start.
//! Same InvocationID: trust the record. Another one: somebody else (or a crash) started it since;
//! it is current if everything it reads is older than its start. So an apply that dies between
//! putting a file in place and the restart still owes the restart, and a restart by hand is not repeated.

use std::collections::{BTreeMap, BTreeSet};

use super::input::Input;
use super::values::Values;
use crate::facts::HostFacts;
use crate::facts::host::UnitFact;
use crate::facts::record::{Attributes, Entry};
use crate::resource::{Body, Resource};

/// What every service reads at start: label to digest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reads {
    /// Label to digest; a file's label is its path.
    pub inputs: BTreeMap<String, String>,
    /// Paths among them, and the secrets' paths.
    pub paths: BTreeSet<String>,
}

/// Collects what `resource` (a service) reads from all resources of its host.
pub fn reads(resource: &Resource, host: &[&Resource], input: &Input<'_>) -> Reads {
    let mut reads = Reads::default();
    let Body::Service { unit, inputs, secrets, .. } = &resource.body else { return reads };
    for (label, digest) in inputs {
        reads.inputs.insert(label.clone(), digest.clone());
    }
    for other in host {
        match &other.body {
            Body::File { path, inputs_of, content, .. } => {
                if let Some(digest) = inputs_of.get(unit) {
                    // Values of secrets in the file count as well as its text.
                    let revisions = content
                        .secrets()
                        .into_iter()
                        .map(|name| input.revision(&resource.address.host, name));
                    let digest =
                        revisions.fold(digest.clone(), |digest, revision| format!("{digest} {revision}"));
                    reads.inputs.insert(path.clone(), digest);
                    reads.paths.insert(path.clone());
                }
            }
            // A line in a file that is not ours: its path is a label, but the file's age says nothing.
            Body::Directive { path, inputs_of, .. } => {
                if let Some(needed) = inputs_of.get(unit) {
                    reads.inputs.insert(path.clone(), needed.clone());
                }
            }
            Body::Secret { name, path, .. } if secrets.contains(name) => {
                let revision = input.revision(&resource.address.host, name);
                reads.inputs.insert(format!("secret {name}"), revision);
                reads.paths.insert(path.clone());
            }
            _ => {}
        }
    }
    reads
}

/// What this plan does to files that services read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Writes {
    /// Paths whose content changes.
    pub changing: BTreeSet<String>,
    /// Those among them that somebody edited on the host.
    pub edited: BTreeSet<String>,
    /// Those among them that an apply was putting in place when it died.
    pub unfinished: BTreeSet<String>,
}

/// Desired and actual values of a service.
pub fn values(
    resource: &Resource,
    facts: &HostFacts,
    entry: Option<&Entry>,
    reads: &Reads,
    writes: &Writes,
) -> Values {
    let Body::Service { unit, reload, .. } = &resource.body else {
        return Values { desired: Attributes::new(), actual: None };
    };
    let pairs = |active: &str, enabled: &str, configuration: &str, loaded: &str| {
        [("active", active), ("enabled", enabled), ("configuration", configuration), ("unit file", loaded)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<Attributes>()
    };
    let desired = pairs("active", "enabled", "current", "loaded");
    // A unit that nobody asked to run yet (its package's, or a template's next instance) is not there.
    let idle = |fact: &UnitFact| entry.is_none() && fact.load == "loaded" && fact.active == "inactive";
    let fact = facts.units.get(unit).filter(|fact| exists(fact) && !idle(fact));
    let actual = fact.map(|fact| {
        let enabled = match fact.file_state.as_str() {
            "enabled" | "static" | "alias" | "indirect" | "generated" => "enabled",
            "" => "disabled",
            other => other,
        };
        let configuration = if is_active(fact) {
            match outdated(fact, facts, entry, reads, writes, *reload) {
                Some(reason) => format!("outdated: {reason}"),
                None => "current".to_owned(),
            }
        } else {
            // What does not run has read nothing.
            "current".to_owned()
        };
        let loaded = if fact.needs_reload { "changed since systemd read it" } else { "loaded" };
        pairs(&active(fact), enabled, &configuration, loaded)
    });
    Values { desired, actual }
}

/// systemd knows the unit.
pub fn exists(fact: &UnitFact) -> bool {
    !fact.load.is_empty() && fact.load != "not-found"
}

/// It runs.
pub fn is_active(fact: &UnitFact) -> bool {
    matches!(fact.active.as_str(), "active" | "reloading")
}

fn active(fact: &UnitFact) -> String {
    match (fact.active.as_str(), fact.sub.as_str()) {
        ("active" | "reloading", _) => "active".to_owned(),
        ("activating", "auto-restart") => "crashing, restarted by systemd again and again".to_owned(),
        ("failed", _) => format!("failed ({})", fact.result),
        (other, _) => other.to_owned(),
    }
}

/// What an apply that died owes to a unit that still runs as it did then.
pub(super) fn owed<'e>(fact: Option<&UnitFact>, entry: &'e Entry) -> Option<&'e str> {
    let (fact, started) = (fact.filter(|fact| is_active(fact))?, entry.started.as_ref()?);
    let reload = entry.meta.get("reload").is_some_and(|reload| reload == "true");
    let same = started.invocation == fact.invocation && (!reload || started.workers == fact.newest_worker());
    started.owed.as_deref().filter(|_| same)
}

/// Why a running process has to take its configuration over again; `None`: it need not.
fn outdated(
    fact: &UnitFact,
    facts: &HostFacts,
    entry: Option<&Entry>,
    reads: &Reads,
    writes: &Writes,
    reload: bool,
) -> Option<String> {
    if let Some(path) =
        reads.paths.iter().chain(reads.inputs.keys()).find(|path| writes.edited.contains(*path))
    {
        return Some(format!("somebody changed {path}; it may have read that"));
    }
    let started = entry.and_then(|entry| entry.started.as_ref());
    if let Some(owed) = entry.and_then(|entry| owed(Some(fact), entry)) {
        return Some(owed.to_owned());
    }
    let known = started.map(|started| &started.inputs);
    let labels =
        reads.inputs.keys().chain(known.into_iter().flat_map(BTreeMap::keys)).collect::<BTreeSet<_>>();
    let differing = labels
        .into_iter()
        .filter(|label| known.is_none_or(|known| reads.inputs.get(*label) != known.get(*label)))
        .map(String::as_str);
    let trusted = started.is_some_and(|started| {
        started.invocation == fact.invocation && (!reload || started.workers == fact.newest_worker())
    });
    if trusted {
        let differing: Vec<&str> = differing.collect();
        return (!differing.is_empty()).then(|| format!("{} changed", list(&differing)));
    }
    // An apply that died may have started it with what this plan takes back, and nobody wrote that down.
    let unfinished = entry.is_some_and(|entry| entry.pending.is_some())
        || started.is_some_and(|started| started.owed.is_some());
    let taken_back =
        |path: &&String| writes.changing.contains(*path) && (unfinished || writes.unfinished.contains(*path));
    if let Some(path) = reads.paths.iter().find(taken_back) {
        return Some(format!("{path} changed, which an unfinished apply may have started it with"));
    }
    let differing: Vec<&str> = differing.filter(|label| writes.changing.contains(*label)).collect();
    if !differing.is_empty() {
        return Some(format!("{} changed", list(&differing)));
    }
    // Somebody else started it, and what it reads is in place already: is all of it older?
    let start = if reload { facts.workers_started(fact).unwrap_or(fact.started) } else { fact.started };
    for path in &reads.paths {
        match facts.paths.get(path) {
            None => return Some(format!("{path} is new")),
            Some(found) if found.changed > start => {
                return Some(format!("it was started before {path} changed"));
            }
            Some(_) => {}
        }
    }
    None
}

fn list(labels: &[&str]) -> String {
    match labels {
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        [] => String::new(),
    }
}
