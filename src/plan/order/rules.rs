//! Synapse's own rules about who stops, who starts and who restarts together when a list changes.
//!
//! Sources: Synapse `docs/workers.md` and `docs/usage/configuration/config_documentation.md`
//! (`federation_sender_instances`, `pusher_instances`, `stream_writers`, `worker_replication_secret`),
//! element-hq/synapse#12374. What a process was started with is in its host's record, by label
//! ([`modules::cluster`](crate::modules::cluster)), so an apply that was cut short does not forget a rule.

use super::super::service::is_active;
use super::super::{Considered, Input, upgrade};
use super::{Builder, outdated};
use crate::modules::cluster::{INSTANCES, LISTENERS, PERSISTERS, PUSHERS, REDIS, SENDERS, WRITERS};
use crate::resource::{Body, Stage};
use crate::topology::Instance;

/// What a running process must not go on with while others have the new one, and why.
const AT_ONCE: [(&str, &str); 6] = [
    (
        "secret replication",
        "the replication secret is new, and who still has the old one is cut off from the others",
    ),
    ("secret redis", "the password of Redis is new, and who still has the old one hears nothing any more"),
    (REDIS, "Redis is another, and who still has the former one hears nothing any more"),
    (
        PERSISTERS,
        "the list of event persisters changes, and who still has the old one sends events to the wrong one",
    ),
    (WRITERS, "streams get other writers, and who still has the old list asks the wrong one"),
    (INSTANCES, "the map of instances changes, and who still has the old one does not find all of them"),
];

/// What a restart has to do with others, by what it was started with.
const TOGETHER: [(&str, &str); 6] = [
    ("secret replication", "a new replication secret restarts every process"),
    (SENDERS, "all senders have stopped before main and they start with the new list"),
    (PUSHERS, "main and all pushers start with the new list"),
    (PERSISTERS, "every process restarts after the persisters have"),
    (WRITERS, "every process reads at its start who writes which stream"),
    (INSTANCES, "every process reads at its start where the others are"),
];

/// Label of the list that decides who does how much of this; `None`: one process does all of it.
fn list_of(held: &str) -> Option<&'static str> {
    match held {
        "writes:events" => Some(PERSISTERS),
        "runs:federation_sender" => Some(SENDERS),
        "runs:pusher" => Some(PUSHERS),
        _ => None,
    }
}

/// Why whoever holds this stops before anybody takes it over.
pub(super) fn of_stop(held: &str) -> String {
    match list_of(held) {
        Some(SENDERS) => {
            "the list of federation senders changes: all stop before any starts with the new one, or events are lost"
                .to_owned()
        }
        Some(PERSISTERS) => {
            "the list of event persisters changes: all stop, then they start, then every other process restarts"
                .to_owned()
        }
        Some(PUSHERS) => {
            "the list of pushers changes: all stop before any starts with the new one, or pushes come twice".to_owned()
        }
        _ => format!("{held} is held by other processes from now on; never by two at a time"),
    }
}

/// Whether the process behind a service was started with something else under `label`.
fn differs(input: &Input<'_>, one: &Considered<'_>, label: &str) -> bool {
    let started = input.entry(&one.resource.address).and_then(|entry| entry.started.as_ref());
    started.is_some_and(|started| started.inputs.get(label) != one.reads.inputs.get(label))
}

/// The process holds this by a list that has another shape than when it started.
pub(super) fn reshaped(input: &Input<'_>, one: &Considered<'_>, held: &str) -> bool {
    list_of(held).is_some_and(|label| differs(input, one, label))
}

/// Why this restart is part of something larger.
pub(super) fn of_restart(input: &Input<'_>, one: &Considered<'_>) -> Option<&'static str> {
    TOGETHER.iter().find(|(label, _)| differs(input, one, label)).map(|(_, rule)| *rule)
}

/// Why all processes restart as fast as they can, and pools are not routed around.
pub(super) fn at_once(input: &Input<'_>, considered: &[Considered<'_>]) -> Option<String> {
    let mut restarting = considered.iter().filter(|one| {
        let synapse = matches!(
            &one.resource.body,
            Body::Service { stage: Stage::Main | Stage::Writer | Stage::Worker, .. }
        );
        synapse && outdated(one).is_some()
    });
    restarting.find_map(|one| {
        // With another release the same Redis and the same secrets may be written in another way.
        let mixture = differs(input, one, "venv").then(|| upgrade::mixture(input)).flatten();
        let labels = || AT_ONCE.iter().find(|(label, _)| differs(input, one, label));
        mixture.or_else(|| labels().map(|(_, why)| (*why).to_owned()))
    })
}

impl<'a> Builder<'a, '_> {
    /// Persisters that start before main restarts: they change among themselves, and main, which runs
    /// with the old list, is all they need. If main itself becomes or was the writer, or is not what
    /// they could start with, it goes first like always.
    pub(super) fn persisters_first(&self) -> Vec<&'a Instance> {
        let topology = self.input.topology;
        let writes = |one: &&Instance| one.writes.iter().any(|stream| stream == "events");
        let after: Vec<&Instance> = topology.instances.iter().filter(writes).collect();
        let main = topology.instances.first().and_then(|main| {
            let of_main = |one: &&Considered<'_>| {
                (&one.resource.address.host, &one.resource.address.name) == (&main.host, &main.unit)
            };
            self.considered.iter().find(of_main)
        });
        let Some(main) = main else { return Vec::new() };
        let address = &main.resource.address;
        let runs = self.input.facts[&address.host].units.get(&address.name).is_some_and(is_active);
        let same = |label: &str| !differs(self.input, main, label);
        // Without a list it was main that wrote them, and does until it restarts.
        let started = self.input.entry(address).and_then(|entry| entry.started.as_ref());
        let first = started.is_some_and(|started| started.inputs.contains_key(PERSISTERS))
            && !after.is_empty()
            && runs
            && differs(self.input, main, PERSISTERS)
            && same("venv")
            && same(LISTENERS)
            && same("secret replication");
        if first { after } else { Vec::new() }
    }
}
