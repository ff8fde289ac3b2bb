//! Somebody's files that are laid over ours: drop-ins, whole units, the admin's `conf.d`.

use std::collections::BTreeSet;

use super::changes::concerns;
use super::finding::{Finding, What, quoted};
use super::{Class, Host};
use crate::inventory;
use crate::plan::Input;
use crate::plan::service::is_active;

/// Drop-ins of our own units that are not ours, and those of others' units that undo what ours say.
pub(super) fn drop_ins(host: &Host<'_>, found: &mut Vec<Finding>) {
    for (path, drop_in) in &host.facts.watched.drop_ins {
        if host.writes(path) || path.contains("/generator") {
            continue;
        }
        let units: Vec<&String> = host
            .facts
            .units
            .iter()
            .filter(|(unit, fact)| fact.drop_ins.contains(path) && overrides(host, path, unit, &drop_in.keys))
            .map(|(unit, _)| unit)
            .collect();
        if units.is_empty() {
            continue;
        }
        let sets = if drop_in.keys.is_empty() { "nothing".to_owned() } else { drop_in.keys.join(", ") };
        let started = |unit: &&&String| host.facts.units[**unit].started > drop_in.changed;
        let restart: Vec<String> = units.iter().filter(started).map(|unit| quoted(unit)).collect();
        let restart = match restart.as_slice() {
            [] => String::new(),
            units => format!(" && systemctl restart {}", units.join(" ")),
        };
        let path_word = quoted(path);
        found.push(
            Finding::new(
                host.name,
                "drop_in",
                path,
                What::Overridden,
                format!("somebody's drop-in sets {sets}"),
            )
            .since(drop_in.changed)
            .affects(units.into_iter().cloned().collect())
            .remedy(
                format!("rm -f {path_word} && systemctl daemon-reload{restart}"),
                "what it is for belongs into the inventory, e.g. `limits:` or `environment:`",
            ),
        );
    }
}

/// Whether a drop-in takes anything of ours out of our hands.
fn overrides(host: &Host<'_>, path: &str, unit: &str, keys: &[String]) -> bool {
    let Some(owned) = host.service(unit) else { return false };
    // `service.d` and the like are for every unit of a kind; container managers put theirs below /run.
    let for_all = path
        .rsplit('/')
        .nth(1)
        .is_some_and(|folder| !folder.contains(".service.") && !folder.contains(".target."));
    if owned && !for_all {
        return true;
    }
    if path.starts_with("/run/") && for_all {
        return false;
    }
    let ours: BTreeSet<String> = host
        .resources
        .iter()
        .filter(|one| one.address.kind == "file" && concerns(&one.address.name, unit))
        .filter_map(|one| host.text(&one.address.name))
        .flat_map(|text| {
            let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
            text.lines().filter_map(key).collect::<Vec<_>>()
        })
        .collect();
    keys.iter().any(|key| ours.contains(key))
}

/// Units of ours that systemd takes from a file that is not ours.
pub(super) fn fragments(host: &Host<'_>, found: &mut Vec<Finding>) {
    for (unit, fact) in &host.facts.units {
        let path = &fact.fragment;
        let ours = |one: &&&crate::resource::Resource| {
            one.address.kind == "file"
                && concerns(&one.address.name, unit)
                && !one.address.name.contains(".d/")
        };
        let expected = host.resources.iter().find(ours).map(|one| one.address.name.as_str());
        let Some(expected) = expected.filter(|_| host.service(unit) == Some(true)) else { continue };
        if fact.load != "loaded" || path.is_empty() || path == expected || path == "/dev/null" {
            continue;
        }
        let running =
            if is_active(fact) { format!(" && systemctl restart {}", quoted(unit)) } else { String::new() };
        found.push(
            Finding::new(
                host.name,
                "service",
                unit,
                What::Overridden,
                format!("systemd takes it from {path}, which is somebody's"),
            )
            .module("systemd")
            .differs("unit file", Some(expected), Some(path))
            .remedy(format!("rm -f {} && systemctl daemon-reload{running}", quoted(path)), ""),
        );
    }
}

/// Files of the admin's own in `conf.d` that win over what the inventory says, or that processes have not read.
pub(super) fn keys(input: &Input<'_>, host: &Host<'_>, found: &mut Vec<Finding>) {
    let watched = &host.facts.watched;
    for (path, changed) in &watched.stamps {
        let keys = host.facts.keys.get(path).map_or(&[][..], Vec::as_slice);
        let derived: Vec<&str> =
            keys.iter().map(String::as_str).filter(|key| inventory::derived(key).is_some()).collect();
        let both: Vec<&str> = keys
            .iter()
            .map(String::as_str)
            .filter(|key| {
                inventory::derived(key).is_none() && input.topology.shared_config.contains_key(*key)
            })
            .collect();
        let one = |what, summary| {
            Finding::new(host.name, "configuration", path, what, summary).since(*changed).class(Class::Drift)
        };
        if !derived.is_empty() {
            let summary = format!("it replaces {}, which follows from the inventory", derived.join(", "));
            found.push(one(What::Overridden, summary).advice(format!(
                "delete {} from that file, then restart what has read it",
                derived.join(", ")
            )));
            continue;
        }
        if !both.is_empty() {
            let summary = format!("its {} wins over the inventory's", both.join(", "));
            found.push(one(What::Overridden, summary).advice(format!(
                "have {} in one place: that file or the inventory's `config:`",
                both.join(", ")
            )));
            continue;
        }
        let older: Vec<String> = input
            .topology
            .instances
            .iter()
            .filter(|instance| instance.host == host.name)
            .filter(|instance| {
                host.facts
                    .units
                    .get(&instance.unit)
                    .is_some_and(|fact| is_active(fact) && fact.started > 0 && fact.started < *changed)
            })
            .map(|instance| instance.unit.clone())
            .collect();
        if !older.is_empty() {
            let command = format!(
                "systemctl restart {}",
                older.iter().map(|unit| quoted(unit)).collect::<Vec<_>>().join(" ")
            );
            found.push(
                one(
                    What::Outdated,
                    "it changed, and processes that were started before still run without it".to_owned(),
                )
                .affects(older)
                .remedy(command, ""),
            );
        }
    }
}
