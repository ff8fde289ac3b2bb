//! `inventory.lock`: what synprov remembers between runs so that nothing is reshuffled.
//!
//! It lies beside the inventory and is committed like a Cargo.lock. Never in it: secrets, or
//! anything about what a host looks like.

use indexmap::IndexMap;

/// The lock as data. `topology::resolve` extends it; positions and ports that stand in it stay.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lock {
    /// Instance name → listener (`client`, `replication`) → TCP port.
    pub ports: IndexMap<String, IndexMap<String, u16>>,
    /// Pool → host of each instance, by number from 1. An empty string is a number that was given
    /// up while a higher one stayed; the next instance of that pool takes it.
    pub instances: IndexMap<String, Vec<String>>,
    /// Lists whose order is Synapse state (`federation_sender_instances`, `pusher_instances`,
    /// `stream_writers.events`, …) → instance names in order.
    pub lists: IndexMap<String, Vec<String>>,
    /// Request key (`VERSION-HASH`, the last part of the venv's path) → Python tag → requirement lines.
    pub packages: IndexMap<String, IndexMap<String, Vec<String>>>,
}
