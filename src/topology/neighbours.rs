//! Programs that the inventory names and synprov does not run: ports of our hosts that are theirs.
//!
//! Never here: what listens on a host without being named (`ports::TAKEN` knows the usual ones).

use std::net::IpAddr;

use super::instances::Seat;
use super::placement::Placement;
use super::ports::Ports;
use crate::diagnostic::{Diagnostic, Span};
use crate::inventory::{Datastore, ExtraTarget, Inventory, Lock, Mas};

/// Redis' own port, which an external one has if nothing else is said.
const REDIS: u16 = 6379;

/// One such program.
#[derive(Debug)]
pub(super) struct Neighbour {
    /// `mas.endpoint`
    pub what: String,
    /// Where the inventory names it.
    span: Span,
    /// Port on each of the hosts.
    pub port: u16,
    /// Hosts of the inventory that have it.
    hosts: Vec<String>,
    /// It is asked over loopback.
    loopback: bool,
    /// It may be one of our own processes: a route may lead to main's `/health`.
    perhaps_ours: bool,
}

/// All of them that are on hosts of the inventory.
pub(super) fn neighbours(inventory: &Inventory, placement: &Placement) -> Vec<Neighbour> {
    let mut all = Vec::new();
    let mut add = |what: String, span, (address, port): (&str, u16), callers: &[String], perhaps_ours| {
        let hosts = hosts(inventory, address, callers);
        if !hosts.is_empty() {
            all.push(Neighbour { what, span, port, hosts, loopback: is_loopback(address), perhaps_ours });
        }
    };
    let synapse = placement.synapse_hosts();
    if let Some(mas) = &inventory.mas
        && let Some((_, host, port)) = Mas::parts(&mas.endpoint.value)
    {
        add("mas.endpoint".to_owned(), mas.endpoint.span, (host, port), synapse, false);
    }
    let stores = [(Some(&inventory.postgresql), super::ports::POSTGRESQL), (inventory.redis.as_ref(), REDIS)];
    for ((store, default), name) in stores.into_iter().zip(["postgresql", "redis"]) {
        if let Some(Datastore::External(store)) = store.map(|store| &store.value) {
            let socket = (store.host.value.as_str(), store.port.unwrap_or(default));
            add(format!("{name}.external"), store.host.span, socket, synapse, false);
        }
    }
    for route in inventory.proxy.iter().flat_map(|proxy| &proxy.routes) {
        if let ExtraTarget::Pass(url) = &route.target
            && let Some((_, host, port)) = Mas::parts(url)
        {
            let what = format!("proxy_pass of route {}", route.path.value);
            add(what, route.path.span, (host, port), placement.proxies(), true);
        }
    }
    all
}

/// Hosts that an address means; `callers`: those that a loopback address is on.
fn hosts(inventory: &Inventory, address: &str, callers: &[String]) -> Vec<String> {
    if is_loopback(address) {
        return callers.to_vec();
    }
    let address = bare(address);
    let ip = address.parse::<IpAddr>().ok();
    let is_it = |written: &str| match ip {
        Some(ip) => written.parse() == Ok(ip),
        None => written.eq_ignore_ascii_case(address),
    };
    let hosts = inventory.hosts.iter().filter(|(_, host)| {
        is_it(&host.address.value)
            || host.internal_address.as_ref().is_some_and(|internal| is_it(&internal.value))
    });
    hosts.map(|(name, _)| name.clone()).collect()
}

fn is_loopback(address: &str) -> bool {
    let ip = bare(address).parse::<IpAddr>();
    ip.map_or_else(|_| address.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

/// Without the brackets of a URL.
fn bare(address: &str) -> &str {
    address.trim_start_matches('[').trim_end_matches(']')
}

/// Reports processes whose port is a neighbour's on the same host: main's ports are fixed, and what
/// the lock says stays, since it may have worked for years.
pub(super) fn check(
    neighbours: &[Neighbour],
    inventory: &Inventory,
    placement: &Placement,
    seats: &[Seat],
    ports: &Ports,
    before: &Lock,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for neighbour in neighbours {
        let there = |host: &String| neighbour.hosts.contains(host);
        let ports = seats.iter().filter(|seat| there(&seat.host)).flat_map(|seat| {
            let own = ports.get(&seat.name).into_iter().flatten();
            own.filter(|(_, port)| **port == neighbour.port).map(move |(listener, _)| (seat, listener))
        });
        for (seat, listener) in ports {
            let owner = format!("{:?} on host {:?}", seat.name, seat.host);
            let apart = is_loopback(&bound(placement, seat, listener)) != neighbour.loopback;
            diagnostics.push(clash(neighbour, &owner, apart, line(neighbour.port, seat, listener, before)));
        }
        let main = &inventory.main;
        let own = main.listeners.iter().find(|(_, listener)| listener.port == neighbour.port);
        if let Some((name, _)) = own.filter(|_| there(&main.host.value) && !neighbour.perhaps_ours) {
            diagnostics.push(clash(neighbour, &format!("listener {name:?} of main"), false, None));
        }
    }
}

/// Address that a listener binds.
fn bound(placement: &Placement, seat: &Seat, listener: &str) -> String {
    match listener {
        "replication" => placement.replication(&seat.host),
        "metrics" => placement.metrics(&seat.host),
        _ => placement.client(&seat.host),
    }
}

/// The line of the lock without which the process gets another port.
fn line(port: u16, seat: &Seat, listener: &str, before: &Lock) -> Option<String> {
    let fixed = seat.pool == "main" && super::ports::is_mains(port);
    let locked = before.ports.get(&seat.name).is_some_and(|own| own.contains_key(listener));
    (locked && !fixed)
        .then(|| format!("delete the line `{listener}: {port}` of {:?} from inventory.lock", seat.name))
}

/// Two programs on one port. A route to a port of ours is right if the process is what is meant, and
/// `apart`, of loopback and the host's own address, each can have one.
fn clash(neighbour: &Neighbour, owner: &str, apart: bool, instead: Option<String>) -> Diagnostic {
    let Neighbour { what, span, port, .. } = neighbour;
    let instead = instead.map_or_else(String::new, |instead| format!(", or {instead}"));
    let elsewhere = format!("listen on another port{instead}");
    if neighbour.perhaps_ours {
        Diagnostic::warning(*span, format!("{what} leads to port {port}, where {owner} listens"))
            .help(format!("right if that is meant; else let the other program {elsewhere}"))
    } else if apart {
        Diagnostic::warning(*span, format!("port {port} of {what} is that of {owner} on another address"))
            .help(format!("right if the other program listens on its address alone; else let it {elsewhere}"))
    } else {
        Diagnostic::error(*span, format!("port {port} of {what} is taken by {owner}"))
            .help(format!("let the other program {elsewhere}"))
    }
}
