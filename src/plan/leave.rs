//! Things the record lists and the inventory no longer asks for. Kinds say what leaving means.

use super::change::{Cause, Change, Operation, differences};
use super::reason;
use super::{Input, desired_addresses};
use crate::facts::record::{Entry, RecordedInstance};
use crate::plan::{service, values};
use crate::resource::{Body, Resource, Stage};

/// nginx's unit, which is not ours and stays where it leaves.
pub(super) const NGINX: &str = "nginx.service";

/// What leaves.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Deletions, for the plan.
    pub changes: Vec<Change>,
    /// Units to stop: host, unit, listeners.
    pub units: Vec<(String, String, Vec<u16>)>,
    /// Those among them that are proxies: host, unit.
    pub proxies: Vec<(String, String)>,
    /// Files to remove: host, path, keep a copy.
    pub files: Vec<(String, String, bool)>,
    /// Drop-ins of units that stay, removed before those start again: host, path, keep a copy.
    pub drop_ins: Vec<(String, String, bool)>,
    /// Files of an nginx that serves us no longer: host, path, keep a copy.
    pub proxy_files: Vec<(String, String, bool)>,
    /// Files of an nginx that goes on serving us: they go with the others of its set.
    pub nginx_files: Vec<(String, String, bool)>,
    /// An nginx that serves us no longer and is owed a reload by an apply that died: host, reason.
    pub owed: Vec<(String, String)>,
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
        if let (NGINX, Some(reason)) = (name, service::owed(facts.units.get(NGINX), entry)) {
            self.owed.push((host.to_owned(), reason.to_owned()));
        }
        let change = |operation, cause, attributes| Change {
            address: address.to_owned(),
            host: host.to_owned(),
            module: module.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            operation,
            cause,
            reason: reason::leaving(operation, cause).to_owned(),
            attributes,
            diff: None,
        };
        if kind == "service" && name == NGINX && !removable && has_proxy(input, host) {
            self.notes.push(format!(
                "{host}: nginx goes on running for whatever else it serves; a site that is not synprov's and listens on \
                 port 80, 443 or 8448, such as Debian's /etc/nginx/sites-enabled/default, must go first, or else the \
                 new proxy cannot start"
            ));
        }
        let Some(actual) = actual.filter(|_| removable) else {
            if let Some(command) = manual(kind, name, entry).filter(|_| !removable) {
                self.notes.push(format!(
                    "{host}: {kind} {name} left the inventory and stays; to remove it: {command}"
                ));
                self.changes.push(change(Operation::Forget, Cause::Intended, Vec::new()));
            }
            return;
        };
        let known = [&entry.applied, &entry.pending];
        let edited = kind == "file" && !known.into_iter().flatten().any(|known| *known == actual);
        match kind {
            "file" => {
                let file = (host.to_owned(), name.to_owned(), edited);
                let of_nginx = entry.meta.get("set").map(String::as_str) == Some("nginx");
                if of_nginx && runs_on(input, host, NGINX) {
                    self.nginx_files.push(file);
                } else if of_nginx {
                    self.proxy_files.push(file);
                } else if drop_in_of(input, host, name) {
                    self.drop_ins.push(file);
                } else {
                    self.files.push(file);
                }
            }
            "directory" => self.directories.push((host.to_owned(), name.to_owned())),
            _ => {
                if entry.meta.get("stage").map(String::as_str) == Some("proxy") {
                    self.proxies.push((host.to_owned(), name.to_owned()));
                }
                self.units.push((host.to_owned(), name.to_owned(), ports(input, name)));
            }
        }
        let cause = if edited { Cause::Drift } else { Cause::Intended };
        self.changes.push(change(Operation::Delete, cause, differences(Some(&actual), None)));
    }
}

/// Whether the path is a drop-in of a unit that is still desired on the host.
fn drop_in_of(input: &Input<'_>, host: &str, path: &str) -> bool {
    let Some((unit, _)) = path.strip_prefix("/etc/systemd/system/").and_then(|below| below.split_once(".d/"))
    else {
        return false;
    };
    runs_on(input, host, unit)
}

/// Whether the unit is desired on the host.
fn runs_on(input: &Input<'_>, host: &str, unit: &str) -> bool {
    input.resources.iter().any(|one| {
        let address = &one.address;
        address.kind == "service" && address.host == host && address.name == unit
    })
}

/// Whether a proxy is to run on the host.
fn has_proxy(input: &Input<'_>, host: &str) -> bool {
    let proxy = |one: &&Resource| matches!(one.body, Body::Service { stage: Stage::Proxy, .. });
    input.resources.iter().filter(proxy).any(|one| one.address.host == host)
}

/// Ports the recorded instance behind a unit listens on: what has to drain before it stops.
fn ports(input: &Input<'_>, unit: &str) -> Vec<u16> {
    recorded_instances(input)
        .chain(attempted_instances(input))
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

/// Instances that an apply which has not come to its end was about to make: some of them may run.
pub(super) fn attempted_instances<'a>(
    input: &'a Input<'_>,
) -> impl Iterator<Item = (&'a String, &'a RecordedInstance)> {
    input
        .facts
        .values()
        .filter_map(|facts| facts.record.attempted.as_ref())
        .flat_map(|attempted| &attempted.instances)
}

/// What a person would type to remove what synprov never removes. What is gone already needs no word.
fn manual(kind: &str, name: &str, entry: &Entry) -> Option<String> {
    match kind {
        "postgresql" => Some(format!("sudo -u postgres dropdb {name}  (this destroys all data)")),
        "user" => Some(format!("userdel {name}")),
        "secret" => {
            let path = entry.meta.get("path")?;
            Some(format!("rm {path}  (nothing can make the same value again)"))
        }
        "venv" => Some(format!("rm -r {name}")),
        "directory" => Some(format!("rm -r {name}  (holds data)")),
        "packages" => {
            let names: Vec<&str> = entry.applied.as_ref()?.keys().map(String::as_str).collect();
            Some(format!("apt-get purge {}  (others may use them)", names.join(" ")))
        }
        _ => None,
    }
}
