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
use crate::secret::sha256_hex;

/// What every service reads at start: label to digest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reads {
    /// Label to digest; a file's label is its path.
    pub inputs: BTreeMap<String, String>,
    /// Paths among them, and the secrets' paths.
    pub paths: BTreeSet<String>,
    /// Labels among them of what it reads again while it runs, when it is told to.
    pub again: BTreeSet<String>,
}

/// A running process is not what it should be any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Outdated {
    /// One clause for people.
    pub reason: String,
    /// All that is needed is that it reads again what it reads again while it runs.
    pub rereads: bool,
}

/// Collects what `resource` (a service) reads from all resources of its host.
pub fn reads(resource: &Resource, host: &[&Resource], input: &Input<'_>) -> Reads {
    let mut reads = Reads::default();
    let Body::Service { unit, inputs, rereads, secrets, .. } = &resource.body else { return reads };
    for (label, digest) in inputs.iter().chain(rereads) {
        reads.inputs.insert(label.clone(), digest.clone());
    }
    reads.again.extend(rereads.keys().cloned());
    for other in host {
        match &other.body {
            Body::File { path, inputs_of, reread_by, content, .. } => {
                if let Some(digest) = inputs_of.get(unit).or_else(|| reread_by.get(unit)) {
                    // Values of secrets in the file count as well as its text.
                    let revisions = content
                        .secrets()
                        .into_iter()
                        .map(|name| input.revision(&resource.address.host, name));
                    let digest =
                        revisions.fold(digest.clone(), |digest, revision| format!("{digest} {revision}"));
                    reads.inputs.insert(path.clone(), digest);
                    reads.paths.insert(path.clone());
                    if !inputs_of.contains_key(unit) {
                        reads.again.insert(path.clone());
                    }
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

/// Desired and actual values of a service, and why it is outdated if it is.
pub fn values(
    resource: &Resource,
    facts: &HostFacts,
    entry: Option<&Entry>,
    reads: &Reads,
    writes: &Writes,
) -> (Values, Option<Outdated>) {
    let Body::Service { unit, reload, .. } = &resource.body else {
        return (Values { desired: Attributes::new(), actual: None }, None);
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
    // What does not run has read nothing.
    let outdated = fact
        .filter(|fact| is_active(fact))
        .and_then(|fact| outdated(fact, facts, entry, reads, writes, *reload));
    let actual = fact.map(|fact| {
        let enabled = match fact.file_state.as_str() {
            "enabled" | "static" | "alias" | "indirect" | "generated" => "enabled",
            "" => "disabled",
            other => other,
        };
        let configuration = match &outdated {
            Some(Outdated { reason, .. }) => format!("outdated: {reason}"),
            None => "current".to_owned(),
        };
        let loaded = if fact.needs_reload { "changed since systemd read it" } else { "loaded" };
        pairs(&active(fact), enabled, &configuration, loaded)
    });
    (Values { desired, actual }, outdated)
}

/// What stands for all that a process reads at start.
pub fn digest(inputs: &BTreeMap<String, String>) -> String {
    let text: String = inputs.iter().map(|(label, digest)| format!("{label}\n{digest}\n")).collect();
    sha256_hex(text.as_bytes())
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
        // ⚑ Between two attempts it is now starting, now waiting: one word for both, or a plan is stale at once.
        ("activating", sub) if sub == "auto-restart" || fact.restarts > 0 => {
            "crashing, restarted by systemd again and again".to_owned()
        }
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
) -> Option<Outdated> {
    let restarts = |reason: String| Some(Outdated { reason, rereads: false });
    if let Some(path) =
        reads.paths.iter().chain(reads.inputs.keys()).find(|path| writes.edited.contains(*path))
    {
        return restarts(format!("somebody changed {path}; it may have read that"));
    }
    let started = entry.and_then(|entry| entry.started.as_ref());
    if let Some(owed) = entry.and_then(|entry| owed(Some(fact), entry)) {
        // As long as it is told of nothing but what that apply was about to tell it.
        let rereads = started.and_then(|started| started.rereads.as_ref()) == Some(&digest(&reads.inputs));
        return Some(Outdated { reason: owed.to_owned(), rereads });
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
        return (!differing.is_empty()).then(|| Outdated {
            reason: format!("{} changed", list(&differing)),
            rereads: differing.iter().all(|label| reads.again.contains(*label)),
        });
    }
    // An apply that died may have started it with what this plan takes back, and nobody wrote that down.
    let unfinished = entry.is_some_and(|entry| entry.pending.is_some())
        || started.is_some_and(|started| started.owed.is_some());
    let taken_back =
        |path: &&String| writes.changing.contains(*path) && (unfinished || writes.unfinished.contains(*path));
    if let Some(path) = reads.paths.iter().find(taken_back) {
        return restarts(format!("{path} changed, which an unfinished apply may have started it with"));
    }
    let start = if reload { facts.workers_started(fact).unwrap_or(fact.started) } else { fact.started };
    // A part of a file has a label of its own: it changes if it differs and any file does.
    let any = reads.paths.iter().any(|path| writes.changing.contains(path));
    let part = |label: &str| any && reads.again.contains(label) && !label.starts_with('/');
    let differing: Vec<&str> =
        differing.filter(|label| writes.changing.contains(*label) || part(label)).collect();
    if !differing.is_empty() {
        // Nobody touched a file since that start: it runs with what the record knows after all.
        let older = |path: &String| facts.paths.get(path).is_some_and(|found| found.changed <= start);
        let known = !unfinished && reads.paths.iter().all(older);
        return Some(Outdated {
            reason: format!("{} changed", list(&differing)),
            rereads: known && differing.iter().all(|label| reads.again.contains(*label)),
        });
    }
    // Somebody else started it, and what it reads is in place already: is all of it older?
    for path in &reads.paths {
        match facts.paths.get(path) {
            None => return restarts(format!("{path} is new")),
            Some(found) if found.changed > start => {
                return restarts(format!("it was started before {path} changed"));
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
