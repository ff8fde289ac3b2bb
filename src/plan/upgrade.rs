//! From one release of Synapse to another: what the way crosses, and whether the database goes along.
//!
//! The facts about releases are data (modules/homeserver/versions.yaml). What the database says wins over them:
//! main raises `schema_compat_version` when it upgrades the schema, and only releases that know at least that
//! schema start on it (Synapse, storage/prepare_database.py).

use super::refuse::refusal;
use super::{Input, Refusal};
use crate::facts::HostFacts;
use crate::facts::host::Holds;
use crate::topology::catalogue::Catalogue;
use crate::topology::catalogue::Note;
use crate::version::Version;

/// The release that was applied last, if it is another than the one that is wanted.
pub(super) fn former(input: &Input<'_>) -> Option<Version> {
    let main = input.topology.instances.first().map(|main| &main.host);
    let hosts = main.into_iter().filter_map(|main| input.facts.get(main)).chain(input.facts.values());
    hosts
        .copied()
        .find_map(|facts| of_host(input, facts))
        .filter(|version| *version != input.topology.version)
}

/// The release of the venv that a host was applied with last, where that is not the one that is wanted.
pub(super) fn of_host(input: &Input<'_>, facts: &HostFacts) -> Option<Version> {
    let applied = facts.record.entries.iter().filter(|(_, entry)| entry.applied.is_some());
    let venvs = applied.filter_map(|(address, _)| Some(address.split_once("/venv:")?.1));
    let others = venvs.filter(|path| *path != input.topology.venv.path);
    others.filter_map(version_of).next()
}

/// Managed venvs are called VERSION-HASH.
fn version_of(path: &str) -> Option<Version> {
    let (version, _) = path.rsplit_once('/')?.1.rsplit_once('-')?;
    Version::parse(version)
}

/// What Synapse left in the database, and the host that it is on.
fn database<'a>(input: &'a Input<'_>) -> Option<(&'a str, &'a Holds)> {
    input
        .facts
        .iter()
        .find_map(|(host, facts)| Some((host.as_str(), facts.postgresql.as_ref()?.holds.as_ref()?)))
}

/// A release that does not start on the database as it is.
pub(super) fn refusals(input: &Input<'_>) -> Vec<Refusal> {
    let Ok(catalogue) = Catalogue::builtin() else { return Vec::new() };
    let releases = &catalogue.releases;
    let wanted = &input.topology.version;
    let Some(schema) = releases.schema(wanted) else { return Vec::new() };
    let another = former(input).is_some_and(|from| from != *wanted);
    if let Some((host, _)) = database(input).filter(|(_, holds)| holds.locked && another) {
        return vec![refusal(
            host,
            format!(
                "the database is locked, as while a schema is migrated: nobody can say whether Synapse {wanted} starts on it"
            ),
            "wait until that has ended; `synprov logs main` shows how far it is",
        )];
    }
    if let Some((host, holds)) = database(input).filter(|(_, holds)| holds.compat > 0) {
        if schema.version >= holds.compat {
            return Vec::new();
        }
        let lowest = releases.first_with_schema(holds.compat);
        let lowest = lowest.map_or_else(|| "a later release".to_owned(), |since| format!("{since} or later"));
        return vec![refusal(
            host,
            format!(
                "the database forbids Synapse {wanted}: its schema ({}) asks for a release that knows {}, this one knows {}",
                holds.schema, holds.compat, schema.version
            ),
            &format!(
                "install {lowest}; only a backup from before the upgrade leads back further: docs/runbooks/restore-from-backup.md"
            ),
        )];
    }
    let Some(from) = former(input).filter(|from| !releases.can_go_back(from, wanted)) else {
        return Vec::new();
    };
    vec![Refusal {
        host: None,
        summary: format!("Synapse {wanted} does not start on a database that Synapse {from} has upgraded"),
        help: "only a backup from before the upgrade leads back: docs/runbooks/restore-from-backup.md"
            .to_owned(),
    }]
}

/// What to know on the way.
pub(super) fn notes(input: &Input<'_>) -> Vec<String> {
    let (Ok(catalogue), Some(from)) = (Catalogue::builtin(), former(input)) else { return Vec::new() };
    let releases = &catalogue.releases;
    let to = &input.topology.version;
    let mut notes = Vec::new();
    if let (Some(old), Some(new)) = (releases.schema(&from), releases.schema(to))
        && new.version > old.version
    {
        let mut note = format!(
            "main upgrades the database's schema from {} to {}, for as long as that takes",
            old.version, new.version
        );
        if releases.can_go_back(to, &from) {
            note.push_str(&format!("; Synapse {from} still starts on it afterwards"));
        } else {
            note.push_str(&format!(
                "; Synapse {from} does not start on it afterwards: only a backup leads back then (`--backup`)"
            ));
        }
        notes.push(note);
    } else if *to < from && !database(input).is_some_and(|(_, holds)| holds.locked) {
        notes.push(format!("Synapse goes back from {from} to {to}, which the database allows"));
    }
    if let Some((host, holds)) = database(input).filter(|(_, holds)| !holds.updates.is_empty()) {
        let many = if holds.updates.len() > 20 {
            "more than 20".to_owned()
        } else {
            holds.updates.len().to_string()
        };
        notes.push(format!(
            "{many} background updates of the database on {host} have not ended ({}); Synapse asks to let them end before an upgrade",
            holds.updates.iter().take(3).cloned().collect::<Vec<_>>().join(", ")
                + if holds.updates.len() > 3 { ", …" } else { "" }
        ));
    }
    let concerned = releases.notes(&from, to).filter(|note| concerns(input, note));
    notes.extend(concerned.map(|note| format!("Synapse {}: {}", note.since(), note.text)));
    notes.extend(others_keys(input, catalogue));
    notes
}

/// Why processes of the two releases should not be mixed for longer than it takes to restart them.
pub(super) fn mixture(input: &Input<'_>) -> Option<String> {
    let releases = &Catalogue::builtin().ok()?.releases;
    let (to, from) = (&input.topology.version, former(input)?);
    let breaks = releases.replication_breaks((&from).min(to), (&from).max(to));
    (!breaks.is_empty()).then(|| {
        format!(
            "processes of Synapse {from} and {to} do not understand all that they send each other ({})",
            breaks.join("; ")
        )
    })
}

/// Whether a note is for this deployment.
fn concerns(input: &Input<'_>, note: &Note) -> bool {
    if note.workers && input.topology.instances.len() < 2 {
        return false;
    }
    let Some(key) = &note.key else { return true };
    written(input, key) != note.unset
}

/// Whether the inventory, or a file of the admin's own, has a key (dotted; of such files the first part is known).
fn written(input: &Input<'_>, key: &str) -> bool {
    let mut parts = key.split('.');
    let Some(first) = parts.next() else { return false };
    let value = input.topology.shared_config.get(first);
    let here = value.is_some_and(|value| parts.try_fold(value, |value, part| value.get(part)).is_some());
    here || input.facts.values().flat_map(|facts| facts.keys.values().flatten()).any(|other| other == first)
}

/// Keys in files of the admin's own that the wanted release no longer reads: the inventory's own are errors.
fn others_keys(input: &Input<'_>, catalogue: &Catalogue) -> Vec<String> {
    let to = &input.topology.version;
    let mut notes = Vec::new();
    for (host, facts) in &input.facts {
        for (path, keys) in &facts.keys {
            for key in keys {
                let known = catalogue.keys.top.get(key);
                if let Some(known) = known.filter(|known| !known.known(to)) {
                    notes.push(format!(
                        "{path} on {host} has {key}, which Synapse {to} does not read: {}",
                        known.advice()
                    ));
                } else if let Some(instead) = catalogue.keys.gone.get(key) {
                    notes.push(format!(
                        "{path} on {host} has {key}, which Synapse {to} does not read: {instead}"
                    ));
                }
            }
        }
    }
    notes
}
