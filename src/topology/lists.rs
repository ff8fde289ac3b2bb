//! Lists whose order is Synapse state: senders, pushers, writers of each stream, and who sends all federation.
//!
//! Synapse shards by `sha256(key) mod length` into them ("ShardedWorkerHandlingConfig"), so a list
//! keeps the lock's order, grows at its end and loses only what is gone.

use indexmap::IndexMap;

use super::catalogue::Catalogue;
use super::instances::Seat;
use super::roles::Role;
use crate::inventory::Lock;

/// List name (`federation_sender_instances`, `stream_writers.events`) → instance names in order.
pub(super) type Lists = IndexMap<String, Vec<String>>;

/// Key of a stream's writers in the lock.
pub(super) fn writers_of(stream: &str) -> String {
    format!("stream_writers.{stream}")
}

/// All lists with members, in the lock's order and then the catalogue's.
pub(super) fn order(
    seats: &[Seat],
    roles: &IndexMap<String, Role>,
    catalogue: &Catalogue,
    lock: &Lock,
) -> Lists {
    let members = |belongs: &dyn Fn(&Seat) -> bool| -> Vec<String> {
        seats.iter().filter(|seat| belongs(seat)).map(|seat| seat.name.clone()).collect()
    };
    let runs = |seat: &Seat, job: &String| roles.get(&seat.pool).is_some_and(|role| role.runs.contains(job));
    let mut current = Lists::new();
    for job in catalogue.jobs.iter().filter(|job| job.shared()) {
        current.insert(job.key.clone(), members(&|seat| runs(seat, &job.name)));
    }
    for stream in &catalogue.streams {
        current.insert(writers_of(&stream.name), members(&|seat| seat.writes.contains(&stream.name)));
    }
    let names: Vec<String> = lock.lists.keys().chain(current.keys()).cloned().collect();
    let mut lists = Lists::new();
    for name in names {
        let Some(now) = current.shift_remove(&name).filter(|now| !now.is_empty()) else { continue };
        let before = lock.lists.get(&name).map_or(&[] as &[String], Vec::as_slice);
        let mut list: Vec<String> = Vec::new();
        for member in before.iter().filter(|member| now.contains(member)).chain(&now) {
            if !list.contains(member) {
                list.push(member.clone());
            }
        }
        lists.insert(name, list);
    }
    lists
}
