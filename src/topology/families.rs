//! Hosts of one deployment have internal addresses of one family.
//!
//! A host that asks another by IPv6 comes from its own IPv6 address, which nobody wrote down: PostgreSQL
//! (`pg_hba.conf`) and the firewall let in the address that stands in the inventory.

use std::net::IpAddr;

use super::placement::Placement;
use crate::diagnostic::Diagnostic;
use crate::inventory::{Datastore, Inventory};

/// One error, at the first host that differs from main's.
pub(super) fn check(inventory: &Inventory, placement: &Placement, diagnostics: &mut Vec<Diagnostic>) {
    let stores = [Some(&inventory.postgresql), inventory.redis.as_ref()];
    let stores = stores.into_iter().flatten().filter_map(|store| match &store.value {
        Datastore::Host(host) => Some(&host.value),
        Datastore::External(_) => None,
    });
    let used = placement.synapse_hosts().iter().chain(placement.proxies()).chain(stores);
    // Where an address is missing, that is reported, and loopback stands for it.
    let addresses = used.filter_map(|name| {
        let address = placement.internal(name).parse::<IpAddr>().ok().filter(|ip| !ip.is_loopback())?;
        Some((name, inventory.hosts.get(name)?, address))
    });
    let addresses: Vec<_> = addresses.collect();
    let Some((main, first, one)) = addresses.first() else { return };
    let Some((name, host, other)) =
        addresses.iter().find(|(_, _, address)| address.is_ipv4() != one.is_ipv4())
    else {
        return;
    };
    let at = |host: &crate::inventory::Host| {
        host.internal_address.as_ref().map_or(host.address.span, |address| address.span)
    };
    let family = if one.is_ipv4() { "an IPv4" } else { "an IPv6" };
    let summary =
        format!("hosts {main:?} and {name:?} have internal addresses of two families, {one} and {other}");
    diagnostics.push(
        Diagnostic::error(at(host), summary)
            .help(format!(
                "write {family} address for {name:?} too: each lets the others in by the address that stands here"
            ))
            .related(at(first), format!("{main:?} is here")),
    );
}
