//! What an inventory means, asked through `topology::resolve` as every command does.

// Clippy takes only `#[test]` functions for tests, not the helpers beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod changes;
mod errors;
mod mas;
mod media;
mod outbound;
mod reach;
mod registered;
mod routing;
mod selecting;
mod site;
mod snapshots;
mod streams;
mod synapse;
mod traps;
mod written;
mod wrong;

use synprov::inventory::Lock;
use synprov::topology::{Instance, Topology, resolve};

use site::Site;

/// Resolves with a lock, insisting on success; the topology and the new lock.
fn resolved(site: &Site, lock: &Lock) -> (Topology, Lock) {
    let resolved = resolve(&site.inventory, lock);
    let topology = resolved.topology.unwrap_or_else(|| panic!("{:#?}", resolved.diagnostics));
    (topology, resolved.lock)
}

/// Resolves for the first time.
fn fresh(site: &Site) -> Topology {
    resolved(site, &Lock::default()).0
}

fn instance<'a>(topology: &'a Topology, name: &str) -> &'a Instance {
    topology.instances.iter().find(|instance| instance.name == name).unwrap_or_else(|| panic!("no {name}"))
}
