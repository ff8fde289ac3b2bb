//! Why a plan may not be applied: every reason at once, each with what to do.

use std::collections::BTreeSet;

use super::change::Cause;
use super::leave::recorded_instances;
use super::order::datastores::REDIS;
use super::service::is_active;
use super::step::{Action, Step};
use super::{Considered, Input, Refusal, backup, identity, limit, moved, upgrade, wheels};
use crate::inventory;
use crate::resource::{Body, Stage};
use crate::topology::catalogue::Catalogue;

pub(super) fn refusals(input: &Input<'_>, considered: &[Considered<'_>], steps: &[Step]) -> Vec<Refusal> {
    let mut refusals = missing_hosts(input);
    refusals.extend(unmanaged(input, considered));
    refusals.extend(wrong_type(considered));
    refusals.extend(identity::lost_secrets(input, steps));
    refusals.extend(identity::another_name(input));
    refusals.extend(adopted_venv(input, considered));
    refusals.extend(upgrade::refusals(input));
    refusals.extend(backup::refusals(input));
    refusals.extend(postgresql_too_old(input));
    refusals.extend(python_too_old(input, considered));
    refusals.extend(wheels::refusals(input, steps));
    refusals.extend(haproxy_too_old(input, considered));
    refusals.extend(shadowed(input));
    refusals.extend(datastore_restart(input, considered, steps));
    refusals.extend(moved::moved(input, considered));
    refusals.extend(limit::limited(input, considered, steps));
    refusals.sort();
    refusals.dedup();
    refusals
}

pub(super) fn refusal(host: &str, summary: String, help: &str) -> Refusal {
    Refusal { host: Some(host.to_owned()), summary, help: help.to_owned() }
}

/// A recorded host that nobody speaks of any more may still run a second holder of something.
fn missing_hosts(input: &Input<'_>) -> Vec<Refusal> {
    let topology = input.topology;
    let known: BTreeSet<&String> =
        topology.hosts.keys().chain(&topology.retired).chain(&topology.lost).collect();
    input
        .facts
        .values()
        .filter_map(|facts| facts.record.topology.as_ref())
        .flat_map(|recorded| recorded.hosts.keys())
        .filter(|host| !known.contains(host))
        .map(|host| Refusal {
            host: None,
            summary: format!("host {host:?} belongs to this deployment and is missing from the inventory"),
            help: format!(
                "keep it under `hosts:` with `retired: true` (synprov stops and cleans it) or `lost: true` (you swear that it is off for good): {host}"
            ),
        })
        .collect()
}

fn unmanaged(input: &Input<'_>, considered: &[Considered<'_>]) -> Vec<Refusal> {
    if input.allow.adopt {
        return Vec::new();
    }
    let changes = considered.iter().filter_map(|one| one.change.as_ref());
    changes
        .filter(|change| change.cause == Cause::Unmanaged)
        .map(|change| {
            refusal(
                &change.host,
                format!("{} {} exists, differs, and synprov has no record of it", change.kind, change.name),
                "look at the diff; `--adopt` lets synprov overwrite it and own it from then on",
            )
        })
        .collect()
}

/// A directory where a file should be is somebody's, whatever the record says.
fn wrong_type(considered: &[Considered<'_>]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for one in considered {
        let Some(change) = &one.change else { continue };
        let found = change
            .attributes
            .iter()
            .find(|(name, ..)| name == "type")
            .and_then(|(_, before, _)| before.as_deref());
        let wrong = match (&one.resource.body, found) {
            (Body::File { .. } | Body::Secret { .. }, Some("directory")) => "a directory",
            (Body::Directory { .. }, Some(found)) => &format!("a {found}"),
            _ => continue,
        };
        refusals.push(refusal(
            &change.host,
            format!(
                "{} is {wrong}, where a {} should be",
                change.name,
                change.kind.replace("secret", "file")
            ),
            "move it away; synprov does not delete what it did not make",
        ));
    }
    refusals
}

fn adopted_venv(input: &Input<'_>, considered: &[Considered<'_>]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for one in considered {
        let Body::Venv { path, managed: false, .. } = &one.resource.body else { continue };
        let host = &one.resource.address.host;
        let Some(facts) = input.facts.get(host) else { continue };
        let wanted = input.topology.version.as_str();
        let help = "put the version that is there into `synapse.version`, or let synprov build it with `install: managed`";
        match facts.venvs.get(path).and_then(|venv| venv.synapse.as_deref()) {
            None => refusals.push(refusal(
                host,
                format!("there is no Synapse in {path}, which `install:` names"),
                "install it there, or use `install: managed`",
            )),
            Some(found) if found != wanted => {
                refusals.push(refusal(
                    host,
                    format!("{path} has Synapse {found}, the inventory says {wanted}"),
                    help,
                ));
            }
            Some(_) => {}
        }
    }
    refusals
}

fn postgresql_too_old(input: &Input<'_>) -> Vec<Refusal> {
    let Ok(catalogue) = Catalogue::builtin() else { return Vec::new() };
    let synapse = &input.topology.version;
    let lowest = catalogue.releases.lowest_postgresql(synapse);
    input
        .facts
        .iter()
        .filter_map(|(host, facts)| Some((host, facts.postgresql.as_ref()?.version)))
        .filter(|(_, version)| (1..lowest * 10_000).contains(version))
        .map(|(host, version)| {
            refusal(
                host,
                format!(
                    "PostgreSQL {} is too old for Synapse {synapse}, which needs {lowest} or later",
                    version / 10_000
                ),
                "upgrade the cluster (pg_upgradecluster)",
            )
        })
        .collect()
}

/// pip would only say that it finds no version.
fn python_too_old(input: &Input<'_>, considered: &[Considered<'_>]) -> Vec<Refusal> {
    let Ok(catalogue) = Catalogue::builtin() else { return Vec::new() };
    let lowest = catalogue.releases.lowest_python(&input.topology.version);
    considered
        .iter()
        .filter(|one| one.change.is_some() && matches!(one.resource.body, Body::Venv { managed: true, .. }))
        .filter_map(|one| {
            let host = &one.resource.address.host;
            let found = input.facts.get(host)?.python_version().filter(|found| *found < lowest)?;
            Some(refusal(
                host,
                format!(
                    "Python {}.{} is too old for Synapse {}, which needs {}.{}",
                    found.0, found.1, input.topology.version, lowest.0, lowest.1
                ),
                "use a newer Debian or Ubuntu on this host, or an older Synapse",
            ))
        })
        .collect()
}

/// First HAProxy with all that our configuration says (`balance hash`).
const LOWEST_HAPROXY: (u32, u32) = (2, 6);

/// What these distributions would install.
const OLD_HAPROXY: &[(&str, &str, (u32, u32))] =
    &[("ubuntu", "22.04", (2, 4)), ("ubuntu", "20.04", (2, 0)), ("debian", "11", (2, 2))];

/// `haproxy -c` would only say that it does not know a word.
fn haproxy_too_old(input: &Input<'_>, considered: &[Considered<'_>]) -> Vec<Refusal> {
    let of_haproxy = |one: &&Considered<'_>| matches!(&one.resource.body, Body::Packages { packages, .. } if packages.iter().any(|one| one == "haproxy"));
    let hosts = considered.iter().filter(of_haproxy).map(|one| &one.resource.address.host);
    hosts
        .filter_map(|host| {
            let facts = input.facts.get(host)?;
            let (found, whose) = match facts.packages.get("haproxy") {
                Some(version) => (major_minor(version)?, "HAProxy"),
                None => {
                    let ours = |(id, version, _): &&(&str, &str, _)| {
                        (*id, *version) == (facts.os_id.as_str(), facts.os_version.as_str())
                    };
                    (OLD_HAPROXY.iter().find(ours)?.2, "this distribution's HAProxy")
                }
            };
            let (lowest, (major, minor)) = (LOWEST_HAPROXY, found);
            (found < lowest).then(|| {
                refusal(
                    host,
                    format!("{whose} {major}.{minor} is too old, its configuration needs {}.{} or later", lowest.0, lowest.1),
                    "install a later one from haproxy.debian.net there, use a host with Debian 12 or Ubuntu 24.04, or write `kind: nginx`",
                )
            })
        })
        .collect()
}

/// `2.6.12-1+deb12u4` is `(2, 6)`.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    // What stands before a colon is Debian's epoch.
    let mut parts = version.rsplit(':').next()?.split(['.', '-', '+', '~']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A file of the admin's own that has a key which follows from the inventory: Synapse takes the last
/// file's value whole, so that a second `instance_map` drops every process of ours.
fn shadowed(input: &Input<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (host, facts) in &input.facts {
        for (path, keys) in &facts.keys {
            for key in keys {
                let Some(instead) = inventory::derived(key) else { continue };
                refusals.push(Refusal {
                    host: Some(host.clone()),
                    summary: format!("{path} has {key}, and would replace what follows from the inventory"),
                    help: format!("delete {key} from that file; in the inventory, {instead}"),
                });
            }
        }
    }
    refusals
}

/// Keys that both the inventory's `config:` and a file of the admin's own have: the file wins.
pub(super) fn overridden(input: &Input<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for (host, facts) in &input.facts {
        for (path, keys) in &facts.keys {
            let both = |key: &&String| {
                input.topology.shared_config.contains_key(*key) && inventory::derived(key).is_none()
            };
            for key in keys.iter().filter(both) {
                notes.push(format!("{path} on {host} has {key}, which wins over the inventory's"));
            }
        }
    }
    notes
}

/// The whole homeserver stands still while its datastore restarts: never by surprise.
fn datastore_restart(input: &Input<'_>, considered: &[Considered<'_>], steps: &[Step]) -> Vec<Refusal> {
    let running = input.topology.instances.first().is_some_and(|main| {
        // Under the name it has, or had.
        let recorded = recorded_instances(input).filter(|(name, _)| **name == main.name);
        let units = recorded.map(|(_, was)| (&was.host, &was.unit)).chain([(&main.host, &main.unit)]);
        let mut found = units.filter_map(|(host, unit)| input.facts.get(host)?.units.get(unit));
        found.any(is_active)
    });
    if input.allow.datastore_restart || !running {
        return Vec::new();
    }
    let datastore = |unit: &str| {
        considered.iter().any(|one| {
            matches!(&one.resource.body, Body::Service { unit: of, stage: Stage::Datastore, .. } if of == unit)
        })
    };
    steps
        .iter()
        .filter(|step| match &step.action {
            Action::PreparePostgresql { restart, .. } => restart.is_some(),
            Action::Restart { service } => datastore(&service.unit),
            // Another one takes its place, and everybody is without it meanwhile.
            Action::Stop { unit, drain_seconds: 0, .. } => unit.starts_with(REDIS),
            _ => false,
        })
        .map(|step| {
            refusal(
                &step.host,
                format!("a running deployment's datastore would restart: {}", step.action.title()),
                "every process is without it for seconds; allow it with `--allow-datastore-restart` when that suits",
            )
        })
        .collect()
}
