//! Which processes there are, what they are called and on which host each one is.
//!
//! Names are Synapse state: instance 1 of a pool is NAME, instance n is NAMEn, and a number stays
//! with its host for as long as the pool has room there. The lock remembers it.
//! Never here: ports, configuration.

use indexmap::IndexMap;

use super::roles::Role;
use super::types::App;
use crate::inventory::{Inventory, Lock, Pool, Units};

/// A process with its name and host; nothing else is decided yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seat {
    /// Synapse name.
    pub name: String,
    /// Pool, `main` for main.
    pub pool: String,
    /// Host name.
    pub host: String,
    /// Streams written, in the catalogue's order.
    pub writes: Vec<String>,
    /// Runs a job that other processes ask for over HTTP replication.
    pub asked: bool,
}

impl Seat {
    /// Whether other workers send it requests over HTTP replication. Main has such a listener too.
    pub fn replicates(&self) -> bool {
        self.asked || !self.writes.is_empty()
    }
}

/// All processes of a topology.
#[derive(Debug)]
pub(super) struct Seating {
    /// Main and then all workers in inventory order.
    pub seats: Vec<Seat>,
    /// The process whose unit is PREFIX_media.service and who does what one media process must do:
    /// the first of the media pool that the lock has known longest, so that another pool written
    /// above it changes nothing.
    pub first_media: Option<String>,
    /// The lock's table of hosts, extended.
    pub remembered: IndexMap<String, Vec<String>>,
}

/// Most processes a pool may have; also keeps a mistyped number from filling the memory.
pub(super) const MOST: u32 = 500;

/// Synapse name of instance `number` (from 1) of a pool.
pub fn instance_name(pool: &str, number: usize) -> String {
    if number == 1 { pool.to_owned() } else { format!("{pool}{number}") }
}

/// Number (from 1) of the instance of `pool` that is called `name`.
pub(super) fn number(pool: &str, name: &str) -> usize {
    name.strip_prefix(pool).and_then(|rest| rest.parse().ok()).unwrap_or(1)
}

/// Which processes there are. `unasked`: streams that the first media process writes besides.
pub(super) fn seat(
    inventory: &Inventory,
    lock: &Lock,
    roles: &IndexMap<String, Role>,
    unasked: Vec<String>,
) -> Seating {
    let mut remembered: IndexMap<String, Vec<String>> = lock
        .instances
        .iter()
        .filter(|(pool, _)| inventory.workers.contains_key(*pool))
        .map(|(pool, hosts)| (pool.clone(), hosts.clone()))
        .collect();
    let mut seats = vec![Seat {
        name: "main".to_owned(),
        pool: "main".to_owned(),
        host: inventory.main.host.value.clone(),
        writes: Vec::new(),
        asked: false,
    }];
    for (name, pool) in &inventory.workers {
        let slots = place(pool, remembered.get(name).map_or(&[], Vec::as_slice));
        seats.extend(slots.iter().enumerate().filter(|(_, host)| !host.is_empty()).map(|(at, host)| Seat {
            name: instance_name(name, at + 1),
            pool: name.clone(),
            host: host.clone(),
            writes: roles.get(name).map_or_else(Vec::new, |role| role.writes.clone()),
            asked: roles.get(name).is_some_and(|role| role.asked),
        }));
        remembered.insert(name.clone(), slots);
    }
    let media = |pool: &&String| roles.get(*pool).is_some_and(|role| role.media);
    let mut pools = remembered.keys().filter(media);
    let first = pools.find_map(|pool| seats.iter().position(|seat| seat.pool == *pool));
    let first_media = first.and_then(|at| seats.get_mut(at)).map(|seat| {
        seat.writes.extend(unasked);
        seat.name.clone()
    });
    Seating { seats, first_media, remembered }
}

/// Hosts of a pool's numbers: those of `before` that the pool still has room for stay (the highest
/// numbers of a host leave first), new ones take the lowest free number.
fn place(pool: &Pool, before: &[String]) -> Vec<String> {
    let mut room: IndexMap<&str, u32> = IndexMap::new();
    for (host, count) in &pool.hosts {
        *room.entry(host.value.as_str()).or_default() += count.min(&MOST);
    }
    let mut slots: Vec<String> = before
        .iter()
        .map(|host| match room.get_mut(host.as_str()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                host.clone()
            }
            _ => String::new(),
        })
        .collect();
    for (host, count) in room {
        for _ in 0..count {
            match slots.iter_mut().find(|slot| slot.is_empty()) {
                Some(free) => *free = host.to_owned(),
                None => slots.push(host.to_owned()),
            }
        }
    }
    while slots.last().is_some_and(String::is_empty) {
        slots.pop();
    }
    slots
}

/// The lock as if pools with `was:` had always had their new name. Does nothing once the lock
/// knows the new name, so that `was:` may stay in the inventory.
pub(super) fn renamed(inventory: &Inventory, lock: &Lock) -> Lock {
    let mut lock = lock.clone();
    for (new, pool) in &inventory.workers {
        let Some(old) = &pool.was else { continue };
        if lock.instances.contains_key(new) || inventory.workers.contains_key(&old.value) {
            continue;
        }
        let Some(count) = lock.instances.get(&old.value).map(Vec::len) else { continue };
        let names: IndexMap<String, String> = (1..=count)
            .map(|number| (instance_name(&old.value, number), instance_name(new, number)))
            .collect();
        let rename = |name: String| names.get(&name).cloned().unwrap_or(name);
        lock.ports = lock.ports.into_iter().map(|(name, ports)| (rename(name), ports)).collect();
        for list in lock.lists.values_mut() {
            *list = std::mem::take(list).into_iter().map(rename).collect();
        }
        let pools = std::mem::take(&mut lock.instances).into_iter();
        lock.instances =
            pools.map(|(pool, hosts)| (if pool == old.value { new.clone() } else { pool }, hosts)).collect();
    }
    lock
}

/// systemd unit of a process. The first media process has a unit of its own without a number;
/// `first_media` is that process' name. `units` are names that were there before.
pub(super) fn unit(prefix: &str, units: &Units, name: &str, app: App, first_media: Option<&str>) -> String {
    let worker = |default: &str| match &units.worker {
        Some(template) => format!("{}{name}.service", template.value),
        None => format!("{prefix}_{default}@{name}.service"),
    };
    match (app, &units.main, &units.media) {
        (App::Homeserver, Some(main), _) => format!("{}.service", main.value),
        (App::Homeserver, None, _) => format!("{prefix}_main.service"),
        (App::MediaRepository, _, Some(media)) if first_media == Some(name) => {
            format!("{}.service", media.value)
        }
        (App::MediaRepository, ..) if first_media == Some(name) && units.worker.is_none() => {
            format!("{prefix}_media.service")
        }
        (App::MediaRepository, ..) => worker("media"),
        (App::GenericWorker, ..) => worker("generic_worker"),
    }
}
