//! TCP ports of Synapse's listeners: unique over the whole topology, remembered in the lock.
//!
//! Unique over the topology, not only over a host, so that moving a process changes no port and a
//! mistaken route meets a closed port instead of another process.

use indexmap::IndexMap;

use super::instances::Seat;
use super::neighbours::Neighbour;
use super::roles::Role;
use super::sockets::Sockets;
use crate::diagnostic::{Diagnostic, Span};
use crate::inventory::{Inventory, Lock};

/// Port of the PostgreSQL cluster of the distribution.
pub const POSTGRESQL: u16 = 5432;
/// Port of our Redis instance. Not Redis' own 6379: the distribution's default instance takes that
/// the moment the package is installed.
pub const REDIS: u16 = 6380;

const MAIN: [(&str, u16); 3] = [("client", 8008), ("replication", 9093), ("metrics", 9300)];
const FIRST_CLIENT: u16 = 8081;
const FIRST_REPLICATION: u16 = 9101;
/// Beyond the ports that the exporters of databases and machines take.
const FIRST_METRICS: u16 = 9301;
/// What else listens on our hosts: sshd, the proxy, PostgreSQL, both Redis instances.
const TAKEN: [(u16, &str); 9] = [
    (22, "sshd"),
    (80, "the proxy"),
    (443, "the proxy"),
    (8448, "the proxy"),
    (6379, "the distribution's Redis"),
    (POSTGRESQL, "PostgreSQL"),
    (REDIS, "Redis"),
    // HAProxy passes ACME's challenges there.
    (8888, "certbot"),
    (9090, "Prometheus"),
];

/// Instance → listener → port.
pub(super) type Ports = IndexMap<String, IndexMap<String, u16>>;

/// Ports of all processes. `client` is the one HTTP listener that every process without a
/// replication listener has, be it for clients or only for `/health`. A port of a neighbour is given to
/// nobody, on no host; whoever has it already keeps it (`neighbours::check` looks at those).
#[allow(clippy::too_many_arguments, reason = "all that a port depends on")]
pub(super) fn allocate(
    seats: &[Seat],
    roles: &IndexMap<String, Role>,
    inventory: &Inventory,
    sockets: &Sockets,
    neighbours: &[Neighbour],
    lock: &Lock,
    span_of: impl Fn(&str) -> Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Ports {
    let wanted: Vec<(&Seat, Vec<&str>)> =
        seats.iter().map(|seat| (seat, listeners(seat, roles.get(&seat.pool), inventory, sockets))).collect();
    let mut owners: IndexMap<u16, String> =
        TAKEN.iter().map(|(port, owner)| (*port, (*owner).to_owned())).collect();
    extra(inventory, &mut owners, diagnostics);
    let mut ports = Ports::new();

    // What the lock says comes first, whatever the order of the inventory.
    for (seat, listeners) in &wanted {
        for listener in listeners {
            let Some(port) = lock.ports.get(&seat.name).and_then(|ports| ports.get(*listener)) else {
                continue;
            };
            if let Some(owner) = owners.get(port) {
                let summary = format!("port {port} of {:?} in inventory.lock is taken by {owner}", seat.name);
                let help =
                    format!("delete the line `{listener}: {port}` of {:?} from inventory.lock", seat.name);
                diagnostics.push(Diagnostic::error(span_of(&seat.pool), summary).help(help));
                continue;
            }
            owners.insert(*port, format!("{:?}", seat.name));
            ports.entry(seat.name.clone()).or_default().insert((*listener).to_owned(), *port);
        }
    }
    // A port of a process that leaves is not given away in the same run: the new process starts
    // before the old one stops.
    for port in lock.ports.values().flat_map(IndexMap::values) {
        owners.entry(*port).or_insert_with(|| "a process that leaves".to_owned());
    }
    for (at, port) in MAIN {
        let free = !ports.get("main").is_some_and(|main| main.contains_key(at));
        if free && wanted.iter().any(|(seat, listeners)| seat.pool == "main" && listeners.contains(&at)) {
            if let Some(owner) = owners.get(&port) {
                let summary = format!("port {port} of \"main\" is taken by {owner} in inventory.lock");
                let help = format!("delete the line with {port} from inventory.lock");
                diagnostics.push(Diagnostic::error(span_of("main"), summary).help(help));
            }
            owners.insert(port, "\"main\"".to_owned());
            ports.entry("main".to_owned()).or_default().insert(at.to_owned(), port);
        }
        owners.entry(port).or_insert_with(|| "\"main\"".to_owned());
    }
    for neighbour in neighbours {
        owners.entry(neighbour.port).or_insert_with(|| neighbour.what.clone());
    }
    for (seat, listeners) in &wanted {
        for listener in listeners {
            let own = ports.entry(seat.name.clone()).or_default();
            if own.contains_key(*listener) {
                continue;
            }
            let first = match *listener {
                "replication" => FIRST_REPLICATION,
                "metrics" => FIRST_METRICS,
                _ => FIRST_CLIENT,
            };
            match (first..=u16::MAX).find(|port| !owners.contains_key(port)) {
                Some(port) => {
                    owners.insert(port, format!("{:?}", seat.name));
                    own.insert((*listener).to_owned(), port);
                }
                None => diagnostics.push(Diagnostic::error(
                    span_of(&seat.pool),
                    format!("no port is left for {:?}", seat.name),
                )),
            }
        }
    }
    in_lock_order(ports, lock)
}

/// Whether a port is one that main has whatever else is there.
pub(super) fn is_mains(port: u16) -> bool {
    MAIN.iter().any(|(_, fixed)| *fixed == port)
}

/// Listeners of a process by role; `None` is main.
fn listeners(
    seat: &Seat,
    role: Option<&Role>,
    inventory: &Inventory,
    sockets: &Sockets,
) -> Vec<&'static str> {
    let writer = seat.replicates();
    let mut listeners = match role {
        None if inventory.redis.is_some() => vec!["client", "replication"],
        Some(role) if role.serves && writer => vec!["client", "replication"],
        Some(_) if writer => vec!["replication"],
        _ => vec!["client"],
    };
    listeners.retain(|listener| sockets.path(&seat.name, listener).is_none());
    if inventory.synapse.metrics.is_some() {
        listeners.push("metrics");
    }
    listeners
}

/// Ports of `main.listeners` are the admin's choice: nothing else may get them.
fn extra(inventory: &Inventory, owners: &mut IndexMap<u16, String>, diagnostics: &mut Vec<Diagnostic>) {
    for (name, listener) in &inventory.main.listeners {
        let own = MAIN
            .iter()
            .find(|(_, port)| *port == listener.port)
            .map(|(at, _)| format!("main's {at} listener"));
        if let Some(owner) = own.or_else(|| owners.get(&listener.port).cloned()) {
            let summary = format!("port {} of listener {name:?} is taken by {owner}", listener.port);
            diagnostics
                .push(Diagnostic::error(listener.span, summary).help("choose another port, e.g. 9900"));
            continue;
        }
        owners.insert(listener.port, format!("listener {name:?} of main"));
    }
}

fn in_lock_order(mut ports: Ports, lock: &Lock) -> Ports {
    let mut ordered = Ports::new();
    for name in lock.ports.keys() {
        if let Some(own) = ports.shift_remove(name) {
            ordered.insert(name.clone(), own);
        }
    }
    ordered.extend(ports);
    ordered
}
