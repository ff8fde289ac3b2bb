//! What Redis and PostgreSQL run with, beyond what their files say.

use super::Host;
use super::finding::{Class, Finding, What, quoted};
use crate::plan::Input;
use crate::plan::service::is_active;
use crate::resource::Body;

/// Settings of the running Redis that are not those of its file.
pub(super) fn redis(host: &Host<'_>, found: &mut Vec<Finding>) {
    let unit = host.facts.units.iter().find(|(unit, fact)| {
        unit.starts_with("redis-server@") && host.service(unit) == Some(true) && is_active(fact)
    });
    let Some((unit, fact)) = unit else { return };
    // An edited file, or a process that has yet to read it, says it all.
    if found.iter().any(|other| other.name == *unit || other.affects.contains(unit)) {
        return;
    }
    for (name, file, live) in &host.facts.watched.redis {
        let one = if name == "-" {
            Finding::new(
                host.name,
                "redis",
                unit,
                What::Setting,
                "it refuses the password of its own file, or does not answer where its file says".to_owned(),
            )
        } else {
            Finding::new(
                host.name,
                "redis",
                name,
                What::Setting,
                "somebody set it while Redis runs".to_owned(),
            )
            .differs(name, Some(file), Some(live))
        };
        found.push(
            one.module("redis")
                .affects(vec![unit.clone()])
                .remedy(format!("systemctl restart {}", quoted(unit)), "")
                .since(None),
        );
    }
    let _ = fact;
}

/// A PostgreSQL that does not answer, or does not take Synapse's password any more.
pub(super) fn postgresql(input: &Input<'_>, host: &Host<'_>, found: &mut Vec<Finding>) {
    let resource = host.resources.iter().find_map(|one| match &one.body {
        Body::Postgresql { role, password, .. } => Some((one, role, password)),
        _ => None,
    });
    let (Some((resource, role, password)), Some(facts)) = (resource, host.facts.postgresql.as_ref()) else {
        return;
    };
    let recorded = input.entry(&resource.address).is_some_and(|entry| entry.applied.is_some());
    let unit = "postgresql.service";
    let runs = host.facts.units.get(unit).is_some_and(is_active);
    if !recorded || !runs {
        return;
    }
    let name = &resource.address.name;
    if facts.unreachable {
        found.push(
            Finding::new(
                host.name,
                "postgresql",
                name,
                What::Stopped,
                "its cluster does not answer".to_owned(),
            )
            .module("postgresql")
            .remedy(format!("systemctl restart {unit}"), "pg_lsclusters tells which clusters there are"),
        );
        return;
    }
    let pending = found.iter().any(|other| other.kind == "secret" && other.class == Class::Pending);
    let path = input.topology.secrets.get(password).map(|node| node.path.as_str());
    if let (Some(false), Some(path), false) = (host.facts.watched.login, path, pending) {
        let words = format!(
            "cd / && {{ printf \"ALTER ROLE %s PASSWORD '\" {}; cat {}; printf \"'\"; }} | runuser -u postgres -- psql -q",
            quoted(role),
            quoted(path)
        );
        found.push(
            Finding::new(
                host.name,
                "postgresql",
                name,
                What::Setting,
                format!("it refuses the password of role {role}"),
            )
            .module("postgresql")
            .remedy(words, ""),
        );
    }
}
