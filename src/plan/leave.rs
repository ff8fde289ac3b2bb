//! Things the record lists and the inventory no longer asks for. Kinds say what leaving means.

use super::change::{Cause, Change, Operation, differences, reason};
use super::{Input, desired_addresses};
use crate::facts::record::{Entry, RecordedInstance};
use crate::plan::values;

/// What leaves.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Deletions, for the plan.
    pub changes: Vec<Change>,
    /// Units to stop: host, unit, listeners.
    pub units: Vec<(String, String, Vec<u16>)>,
    /// Files to remove: host, path, keep a copy.
    pub files: Vec<(String, String, bool)>,
    /// Directories to remove if empty: host, path.
    pub directories: Vec<(String, String)>,
    /// Record entries that go: host, address.
    pub forgotten: Vec<(String, String)>,
    /// What synprov leaves to a person.
    pub notes: Vec<String>,
}

/// `HOST/MODULE/KIND:NAME` to kind and name.
fn split(address: &str) -> Option<(&str, &str, &str)> {
    let mut parts = address.splitn(3, '/');
    let (_, module, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (kind, name) = rest.split_once(':')?;
    Some((module, kind, name))
}

pub(super) fn left(input: &Input<'_>) -> Left {
    let desired = desired_addresses(input);
    let mut left = Left::default();
    for (host, facts) in &input.facts {
        for (address, entry) in &facts.record.entries {
            if desired.contains(address) {
                continue;
            }
            let Some((module, kind, name)) = split(address) else { continue };
            // The same thing under another module's name is not leaving.
            if desired.iter().any(|other| {
                split(other).is_some_and(|(_, k, n)| k == kind && n == name)
                    && other.starts_with(&format!("{host}/"))
            }) {
                left.forgotten.push((host.clone(), address.clone()));
                continue;
            }
            left.one(input, host, module, kind, name, address, entry);
        }
    }
    left
}

impl Left {
    #[allow(clippy::too_many_arguments, reason = "all of it is the one address, split")]
    fn one(
        &mut self,
        input: &Input<'_>,
        host: &str,
        module: &str,
        kind: &str,
        name: &str,
        address: &str,
        entry: &Entry,
    ) {
        let facts = &input.facts[host];
        let actual = values::leaving(kind, name, facts, entry);
        let flag = |key: &str| entry.meta.get(key).map(String::as_str) == Some("true");
        let removable = match kind {
            "file" => true,
            "directory" => !flag("keep"),
            "service" => flag("owned"),
            _ => false,
        };
        self.forgotten.push((host.to_owned(), address.to_owned()));
        let Some(actual) = actual.filter(|_| removable) else {
            if let Some(command) = manual(kind, name).filter(|_| !removable) {
                self.notes.push(format!(
                    "{host}: {kind} {name} left the inventory and stays; to remove it: {command}"
                ));
            }
            return;
        };
        let known = [&entry.applied, &entry.pending];
        let edited = kind == "file" && !known.into_iter().flatten().any(|known| *known == actual);
        match kind {
            "file" => self.files.push((host.to_owned(), name.to_owned(), edited)),
            "directory" => self.directories.push((host.to_owned(), name.to_owned())),
            _ => self.units.push((host.to_owned(), name.to_owned(), ports(input, name))),
        }
        let cause = if edited { Cause::Drift } else { Cause::Intended };
        self.changes.push(Change {
            address: address.to_owned(),
            host: host.to_owned(),
            module: module.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            operation: Operation::Delete,
            cause,
            reason: reason(Operation::Delete, cause).to_owned(),
            attributes: differences(Some(&actual), None),
            diff: None,
        });
    }
}

/// Ports the recorded instance behind a unit listens on: what has to drain before it stops.
fn ports(input: &Input<'_>, unit: &str) -> Vec<u16> {
    recorded_instances(input)
        .filter(|(_, instance)| instance.unit == unit)
        .filter_map(|(_, instance)| instance.ports.get("client").copied())
        .collect()
}

/// Instances as main's host (or any host that has them) remembers them.
pub(super) fn recorded_instances<'a>(
    input: &'a Input<'_>,
) -> impl Iterator<Item = (&'a String, &'a RecordedInstance)> {
    input
        .facts
        .values()
        .filter_map(|facts| facts.record.topology.as_ref())
        .flat_map(|topology| &topology.instances)
}

/// What a person would type to remove what synprov never removes.
fn manual(kind: &str, name: &str) -> Option<String> {
    match kind {
        "postgresql" => Some(format!("sudo -u postgres dropdb {name}  (this destroys all data)")),
        "user" => Some(format!("userdel {name}")),
        "secret" => None,
        "venv" => Some(format!("rm -r {name}")),
        "directory" => Some(format!("rm -r {name}  (holds data)")),
        _ => None,
    }
}
