//! What is not moved by an edit alone: main, PostgreSQL, Redis. Each move has a page under docs/runbooks/,
//! whose first step is to stop everything; that done, a plan that moves them is one like any other.

use super::leave::recorded_instances;
use super::order::datastores::REDIS;
use super::refuse::refusal;
use super::{Considered, Input, Refusal};
use crate::facts::HostFacts;
use crate::resource::Body;

/// Page about moving main.
const MAIN: &str = "docs/runbooks/move-main.md";
/// Page about moving the database.
const POSTGRESQL: &str = "docs/runbooks/move-postgresql.md";
/// Page about moving Redis.
const MOVE_REDIS: &str = "docs/runbooks/move-redis.md";

pub(super) fn moved(input: &Input<'_>, considered: &[Considered<'_>]) -> Vec<Refusal> {
    let mut refusals = lost_database(input, considered);
    let Some(main) = input.topology.instances.first() else { return refusals };
    let was = recorded_instances(input).find(|(name, _)| **name == main.name).map(|(_, was)| was);
    // Where it runs now: until it is stopped, nothing that it needs moves away from under it.
    let runs = was.is_some_and(|was| {
        let unit = input.facts.get(&was.host).and_then(|facts| facts.units.get(&was.unit));
        unit.is_some_and(|unit| !matches!(unit.active.as_str(), "" | "inactive" | "failed"))
    });
    if !runs {
        return refusals;
    }
    if let Some(was) = was.filter(|was| was.host != main.host) {
        refusals.push(refusal(
            &main.host,
            format!(
                "main would move here from {}, where it runs, without what it keeps on disk there",
                was.host
            ),
            &format!("`synprov stop`, bring its media here, then apply: {MAIN}"),
        ));
    }
    let wants = |kind: fn(&Body) -> bool| {
        input.resources.iter().find(|one| kind(&one.body)).map(|one| one.address.host.as_str())
    };
    let database = wants(|body| matches!(body, Body::Postgresql { .. }));
    if let Some(old) = moves(input, database, "/postgresql:")
        && !refusals.iter().any(|refusal| refusal.summary.starts_with("database"))
    {
        let to = database.unwrap_or("a PostgreSQL that somebody else runs");
        refusals.push(refusal(
            old,
            format!("the database would move from here to {to} while processes write to it"),
            &format!("`synprov stop`, dump it here, restore it there, then apply: {POSTGRESQL}"),
        ));
    }
    let redis = wants(|body| matches!(body, Body::Service { unit, .. } if unit.starts_with(REDIS)));
    if let Some(old) = moves(input, redis, &format!("/service:{REDIS}")) {
        let to = match redis {
            Some(host) => host,
            None if input.topology.redis.is_some() => "one that somebody else runs",
            None => "nowhere",
        };
        refusals.push(refusal(
            old,
            format!("Redis would move from here to {to} while every process is connected to it"),
            &format!("`synprov stop`, then apply: {MOVE_REDIS}"),
        ));
    }
    refusals
}

/// The host whose record has it, if another one is to have it now.
fn moves<'a>(input: &'a Input<'_>, to: Option<&str>, address: &str) -> Option<&'a str> {
    if to.is_some_and(|to| input.facts.get(to).is_some_and(|facts| has_applied(facts, address))) {
        return None;
    }
    let old = input.facts.iter().find(|(host, facts)| to != Some(host) && has_applied(facts, address));
    old.map(|(host, _)| host.as_str())
}

fn has_applied(facts: &HostFacts, address: &str) -> bool {
    let mut entries = facts.record.entries.iter();
    entries.any(|(of, entry)| of.contains(address) && entry.applied.is_some())
}

/// An empty database in the place of one that held a deployment's data is no repair.
fn lost_database(input: &Input<'_>, considered: &[Considered<'_>]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for one in considered {
        let Body::Postgresql { database, .. } = &one.resource.body else { continue };
        let here = one.resource.address.host.as_str();
        let found = input.facts.get(here).and_then(|facts| facts.postgresql.as_ref());
        let recorded =
            |host: &str| input.facts.get(host).is_some_and(|facts| has_applied(facts, "/postgresql:"));
        let stopped = found.is_some_and(|found| found.unreachable);
        let elsewhere = input.facts.keys().find(|host| *host != here && recorded(host));
        let there = found.is_some_and(|found| found.database.is_some());
        // Somebody made an empty one where the data of the other host should be.
        let empty = found.is_some_and(|found| found.database.is_some() && found.holds.is_none());
        if (there && !(empty && elsewhere.is_some() && !recorded(here))) || (stopped && recorded(here)) {
            continue;
        }
        if recorded(here) {
            refusals.push(refusal(
                here,
                format!("database {database} existed and is gone"),
                "put it back from a backup (docs/runbooks/restore-from-backup.md); synprov never makes an empty one in its place",
            ));
        } else if let Some(old) = elsewhere {
            refusals.push(refusal(
                here,
                format!("database {database} is on {old}, and the inventory puts it on {here}, where it would be empty"),
                &format!("synprov moves no data: `synprov stop`, dump it there, restore it here (its owner the same role), then apply with `--adopt`: {POSTGRESQL}"),
            ));
        }
    }
    refusals
}
