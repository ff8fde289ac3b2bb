//! What the inventory means: instances, ports, writers, shards, routes. Synapse's rules live here.
//!
//! `resolve(&Inventory, &Lock) -> (Option<Topology>, Lock, Vec<Diagnostic>)` is a pure function.
//! Never in this room: files, network, the clock, what a host looks like today.

pub mod types;

pub use types::*;
