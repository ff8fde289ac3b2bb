//! What a homeserver is for good: its name and its secrets. Others know them, so neither is ever made anew
//! where a record or a database says that there was one.

use std::collections::BTreeSet;

use super::refuse::refusal;
use super::step::{Action, Step};
use super::{Input, Refusal};

/// Page about another name.
const PAGE: &str = "docs/runbooks/another-server-name.md";

/// Secrets that others know and a database lives on with: keys of other servers, tokens of clients, links in
/// mails, tools. What only our own processes say to one another may be new at any time.
const KNOWN_OUTSIDE: [&str; 4] = ["signing_key", "macaroon", "form", "registration"];

/// Another deployment has this one's place on a host, or another name's users are in its database.
pub(super) fn another_name(input: &Input<'_>) -> Vec<Refusal> {
    let name = &input.topology.server_name;
    let mut refusals = Vec::new();
    for (host, facts) in &input.facts {
        for (config, other) in &facts.claims {
            refusals.push(refusal(
                host,
                format!("{config} belongs to {other:?}, and the inventory says server_name {name:?}"),
                &format!("a server_name never changes, it is part of every user and room: write {other:?} again, or begin anew as {PAGE} says"),
            ));
        }
        let users = facts.postgresql.as_ref().and_then(|found| found.holds.as_ref()?.server_name.as_ref());
        if let Some(users) = users.filter(|users| *users != name) {
            refusals.push(refusal(
                host,
                format!("the database has users of {users:?}, and the inventory says server_name {name:?}"),
                &format!("main would not start on it: write {users:?}, or name another database; see {PAGE}"),
            ));
        }
    }
    refusals
}

/// Secrets that would be made anew although they existed.
pub(super) fn lost_secrets(input: &Input<'_>, steps: &[Step]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let database = input
        .facts
        .iter()
        .find(|(_, facts)| facts.postgresql.as_ref().is_some_and(|found| found.holds.is_some()));
    let mut seen = BTreeSet::new();
    for step in steps {
        let Action::GenerateSecret { file, from, .. } = &step.action else { continue };
        if !seen.insert(&file.name) {
            continue;
        }
        let address = format!("secret:{}", file.name);
        let recorded = input.facts.iter().find(|(_, facts)| {
            let mut entries = facts.record.entries.iter();
            entries.any(|(known, entry)| known.ends_with(&address) && entry.applied.is_some())
        });
        if let Some((host, _)) = recorded {
            refusals.push(refusal(
                host,
                format!("secret {} existed ({}) and is gone from every host", file.name, file.path),
                "put it back (`synprov secrets import`, or from a backup); a new one would lock out what knows the old one, so synprov never makes one",
            ));
        } else if let Some((host, _)) =
            database.filter(|_| from.is_none() && KNOWN_OUTSIDE.contains(&file.name.as_str()))
        {
            refusals.push(refusal(
                host,
                format!("the database was in use, and its secret {} is on no host", file.name),
                "bring it (`synprov secrets import`), or write it to a file and name that under `secrets:` (a new one, if there never was any); synprov makes none for an old database",
            ));
        }
    }
    refusals
}
