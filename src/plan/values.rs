//! What each kind of resource is, attribute by attribute: as desired and as found.
//!
//! One vocabulary for all kinds makes the three-value table one piece of code (`change.rs`) and
//! the record readable. A value only the apply can tell is [`KNOWN_AFTER_APPLY`].

use std::collections::BTreeMap;

use super::input::Input;
use crate::facts::HostFacts;
use crate::facts::host::{PathFact, Secretful, VenvFact};
use crate::facts::record::{Attributes, Entry};
use crate::inventory::SecretSource;
use crate::resource::{Body, Resource};

/// Stands for what apt, pip, PostgreSQL or the host's own random numbers decide.
pub const KNOWN_AFTER_APPLY: &str = "(known after apply)";
/// How every value that only the apply can tell begins.
pub const UNKNOWN: &str = "(known after apply";

/// The three things compared for one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// As it should be.
    pub desired: Attributes,
    /// As found; `None`: not there.
    pub actual: Option<Attributes>,
}

fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Desired and actual values of everything but services, whose state depends on what they read
/// (`service.rs`).
pub fn values(resource: &Resource, facts: &HostFacts, entry: Option<&Entry>, input: &Input<'_>) -> Values {
    let applied = entry.and_then(|entry| entry.applied.as_ref());
    match &resource.body {
        Body::Packages { packages, .. } => {
            let desired = packages.iter().map(|name| (name.clone(), "installed".to_owned())).collect();
            let found: Attributes = packages
                .iter()
                .map(|name| {
                    let state = if facts.packages.contains_key(name) { "installed" } else { "absent" };
                    (name.clone(), state.to_owned())
                })
                .collect();
            let any = found.values().any(|state| state == "installed");
            Values { desired, actual: any.then_some(found) }
        }
        Body::User { name, .. } => Values {
            desired: attributes([("user", "exists")]),
            actual: facts.users.contains_key(name).then(|| attributes([("user", "exists")])),
        },
        Body::Directory { path, owner, group, mode, .. } => Values {
            desired: attributes([("type", "directory"), ("owner", owner), ("group", group), ("mode", mode)]),
            actual: facts.paths.get(path).map(path_values),
        },
        Body::File { path, owner, group, mode, content, .. } => {
            let mut desired =
                attributes([("type", "file"), ("owner", owner), ("group", group), ("mode", mode)]);
            desired.insert("content".to_owned(), content.digest());
            let secrets = content.secrets();
            if !secrets.is_empty() {
                let revisions: Vec<String> = secrets
                    .iter()
                    .map(|name| format!("{name}={}", input.revision(&resource.address.host, name)))
                    .collect();
                desired.insert("secrets".to_owned(), revisions.join(" "));
            }
            let actual = facts.paths.get(path).map(|fact| {
                let found = file_values(fact, applied, !secrets.is_empty());
                let pending = entry.and_then(|entry| entry.pending.as_ref());
                match pending.filter(|_| fact.secretful == Some(Secretful::Same)) {
                    Some(pending) => unfinished(found, pending, &desired),
                    None => found,
                }
            });
            Values { desired, actual }
        }
        Body::Directive { path, directive, minimum, .. } => {
            let found = facts.directives.get(&(directive.clone(), path.clone())).copied();
            let value = |number: u64| BTreeMap::from([(directive.clone(), number.to_string())]);
            Values { desired: value(found.unwrap_or(0).max(*minimum)), actual: found.map(value) }
        }
        Body::Secret { name, path, owner, group, mode } => {
            let mut desired =
                attributes([("type", "file"), ("owner", owner), ("group", group), ("mode", mode)]);
            let wanted = format!("revision {}", input.revision(&resource.address.host, name));
            desired.insert("value".to_owned(), wanted.clone());
            let actual = facts.paths.get(path).map(|fact| {
                let mut values = path_values(fact);
                let same = match (facts.secrets.get(name), input.origin(name)) {
                    (Some(found), Some(origin)) => found.nonced == origin.nonced,
                    _ => false,
                };
                let value = match facts.secrets.get(name) {
                    _ if same => wanted,
                    Some(found) if !found.revision.is_empty() => format!("revision {}", found.revision),
                    _ => "differs".to_owned(),
                };
                values.insert("value".to_owned(), value);
                values
            });
            Values { desired, actual }
        }
        Body::Venv { path, managed, .. } => {
            let found = facts.venvs.get(path);
            let actual = found.map(|venv| {
                attributes([
                    ("state", if *managed { &venv.state } else { "adopted" }),
                    ("packages", &venv.packages),
                ])
            });
            let recorded = applied.and_then(|applied| applied.get("packages"));
            let packages = match (recorded, found) {
                (Some(recorded), _) if *managed => recorded.clone(),
                (_, Some(venv)) if !*managed || venv.state == "complete" => venv.packages.clone(),
                _ => KNOWN_AFTER_APPLY.to_owned(),
            };
            let state = if *managed { "complete" } else { "adopted" };
            Values { desired: attributes([("state", state), ("packages", &packages)]), actual }
        }
        Body::Routes { venv, digest } => {
            // What synprov built stays as it was; what somebody else installs may change at its path.
            let recorded = applied.and_then(|applied| applied.get("packages"));
            let managed = input.topology.venv.managed;
            let complete = |found: &&VenvFact| !managed || found.state == "complete";
            let found = facts.venvs.get(venv).filter(complete).map(|found| &found.packages);
            let packages = recorded.filter(|_| managed).or(found);
            let packages = packages.map_or(KNOWN_AFTER_APPLY, String::as_str);
            Values {
                desired: attributes([("routes", digest), ("packages", packages)]),
                // Nothing on a host shows it: what is checked is what the record says was.
                actual: applied.cloned(),
            }
        }
        Body::Postgresql { .. } => postgresql(resource, facts, applied, input),
        // Checked by a step before Synapse starts; there is nothing on the host to compare.
        Body::ExternalPostgresql { .. } => {
            let same = attributes([("checked", "before Synapse starts")]);
            Values { desired: same.clone(), actual: Some(same) }
        }
        Body::Service { .. } => Values { desired: Attributes::new(), actual: None },
    }
}

/// Type, owner, group and mode of whatever stands at a path.
fn path_values(fact: &PathFact) -> Attributes {
    let mut values = attributes([
        ("type", &fact.kind),
        ("owner", &fact.owner),
        ("group", &fact.group),
        ("mode", &fact.mode),
    ]);
    if let Some(target) = &fact.link {
        values.insert("type".to_owned(), format!("link to {target}"));
    }
    values
}

/// A file with secrets that an apply was about to put in place when it died: the host knows both texts as
/// ours and does not say which one stands there. It is taken for the one that is not wanted.
fn unfinished(mut found: Attributes, pending: &Attributes, desired: &Attributes) -> Attributes {
    if ["content", "secrets"].iter().all(|key| found.get(*key) == desired.get(*key)) {
        for key in ["content", "secrets"] {
            match pending.get(key) {
                Some(value) => found.insert(key.to_owned(), value.clone()),
                None => found.remove(key),
            };
        }
    }
    found
}

fn file_values(fact: &PathFact, applied: Option<&Attributes>, secretful: bool) -> Attributes {
    let mut values = path_values(fact);
    let applied_value = |key: &str| applied.and_then(|applied| applied.get(key)).cloned();
    let content = match (&fact.secretful, secretful) {
        // Only the host can compare; it says whether the file is as applied, which we know in words.
        (Some(Secretful::Same), _) => applied_value("content").unwrap_or_else(|| "not recorded".to_owned()),
        (Some(Secretful::Edited), _) => "edited by somebody else (holds secrets, not shown)".to_owned(),
        (Some(Secretful::Unknown), _) => "not written by synprov (holds secrets, not shown)".to_owned(),
        (None, _) => fact.digest.clone().unwrap_or_else(|| "none".to_owned()),
    };
    values.insert("content".to_owned(), content);
    // A recorded file without secrets held none; one that shows its digest holds none.
    match applied_value("secrets") {
        Some(secrets) if fact.digest.is_none() => drop(values.insert("secrets".to_owned(), secrets)),
        None if secretful && applied.is_none() => {
            values.insert("secrets".to_owned(), "not recorded".to_owned());
        }
        _ => {}
    }
    values
}

/// What a recorded thing that left the inventory looks like now, in the words of its kind.
pub fn leaving(kind: &str, name: &str, facts: &HostFacts, entry: &Entry) -> Option<Attributes> {
    let applied = entry.applied.as_ref();
    match kind {
        "file" => facts.paths.get(name).map(|fact| {
            let of_secrets = |known: &&Attributes| known.contains_key("secrets");
            // It is ours byte for byte, and the apply that wrote it died before it could say so.
            let pending = entry.pending.as_ref().filter(|_| fact.secretful == Some(Secretful::Same));
            let known = applied.filter(of_secrets).or(pending.filter(of_secrets)).or(applied);
            file_values(fact, known, known.as_ref().is_some_and(of_secrets))
        }),
        "directory" => facts.paths.get(name).map(path_values),
        "service" => facts.units.get(name).and_then(|unit| {
            let there = unit.load != "not-found" && !unit.load.is_empty();
            (there || unit.active == "active").then(|| attributes([("active", &unit.active)]))
        }),
        _ => applied.cloned(),
    }
}

fn postgresql(
    resource: &Resource,
    facts: &HostFacts,
    applied: Option<&Attributes>,
    input: &Input<'_>,
) -> Values {
    let Body::Postgresql { role, password, database: _, settings, peers } = &resource.body else {
        return Values { desired: Attributes::new(), actual: None };
    };
    let found = facts.postgresql.as_ref();
    let mut desired = attributes([("role", "may log in")]);
    desired.insert(
        "password".to_owned(),
        format!("revision {}", input.revision(&resource.address.host, password)),
    );
    desired.insert("database".to_owned(), format!("UTF8, C locale, owned by {role}"));
    for (name, wanted) in settings {
        let current = found.and_then(|found| found.settings.get(name)).map(|(value, _)| value.as_str());
        desired.insert(format!("setting {name}"), setting(wanted, current));
    }
    let mut sorted = peers.clone();
    sorted.sort();
    desired.insert("peers".to_owned(), sorted.join(" "));

    let Some(found) = found else { return Values { desired, actual: None } };
    if found.unreachable {
        // It is about to be started; what it held when last seen is the best word there is.
        return Values { desired, actual: applied.cloned() };
    }
    if found.role.is_none() && found.database.is_none() {
        // The cluster is there, nothing of ours is.
        return Values { desired, actual: None };
    }
    let mut actual = Attributes::new();
    if let Some(login) = found.role {
        actual.insert("role".to_owned(), if login { "may log in" } else { "may not log in" }.to_owned());
        let recorded = applied.and_then(|applied| applied.get("password")).cloned();
        actual.insert("password".to_owned(), recorded.unwrap_or_else(|| "not recorded".to_owned()));
    }
    if let Some((encoding, collate, ctype, owner)) = &found.database {
        let locale = if collate == ctype { collate.clone() } else { format!("{collate}/{ctype}") };
        actual.insert("database".to_owned(), format!("{encoding}, {locale} locale, owned by {owner}"));
    }
    for name in settings.keys() {
        if let Some((value, pending)) = found.settings.get(name) {
            let pending = if *pending { " (another waits for a restart)" } else { "" };
            actual.insert(format!("setting {name}"), format!("{value}{pending}"));
        }
    }
    actual.insert(
        "peers".to_owned(),
        found.peers.iter().map(|peer| with_mask(peer)).collect::<Vec<_>>().join(" "),
    );
    Values { desired, actual: Some(actual) }
}

/// `pg_hba_file_rules` puts the mask in a column of its own; ours are always single addresses.
fn with_mask(address: &str) -> String {
    if address.contains('/') {
        return address.to_owned();
    }
    format!("{address}/{}", if address.contains(':') { 128 } else { 32 })
}

/// Numbers are lower bounds, lists of addresses are added to: the cluster may serve others too.
fn setting(wanted: &str, current: Option<&str>) -> String {
    let Some(current) = current else { return wanted.to_owned() };
    if let (Ok(wanted), Ok(current)) = (wanted.parse::<u64>(), current.parse::<u64>()) {
        return wanted.max(current).to_string();
    }
    let list = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
    let mut merged = list(current);
    if merged.iter().any(|item| item == "*") {
        return current.to_owned();
    }
    let mut added = false;
    for item in list(wanted) {
        if !merged.contains(&item) {
            merged.push(item);
            added = true;
        }
    }
    if added { merged.join(", ") } else { current.to_owned() }
}

/// Where a secret's value is to be had in this run.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Host that has it; `None`: the controller.
    pub host: Option<String>,
    /// Its value hashed with the nonce of this run.
    pub nonced: String,
}

/// Finds the origin of every secret: the controller for those that come from outside, else the first
/// host (main's first) that has the file. `None`: nobody has it yet.
pub fn origins(input: &Input<'_>) -> BTreeMap<String, Option<Origin>> {
    let main = input.topology.instances.first().map(|main| main.host.as_str());
    input
        .topology
        .secrets
        .iter()
        .map(|(name, node)| {
            // A value that was brought here wins: a rotation, or a rebuild.
            let here = input.controller_secrets.get(name);
            let origin = match node.source {
                SecretSource::Generate | SecretSource::Found(_) if here.is_none() => {
                    let hosts = main.into_iter().chain(input.facts.keys().map(String::as_str));
                    hosts
                        .filter_map(|host| Some((host, input.facts.get(host)?.secrets.get(name)?)))
                        .map(|(host, fact)| Origin {
                            host: Some(host.to_owned()),
                            nonced: fact.nonced.clone(),
                        })
                        .next()
                }
                _ => here.map(|nonced| Origin { host: None, nonced: nonced.clone() }),
            };
            (name.clone(), origin)
        })
        .collect()
}
