//! synprov: one inventory becomes a correct, running Matrix Synapse with workers.
//!
//! Data flows one way: inventory → topology → desired state, hosts → facts →
//! actual state, both → plan → apply. The rooms are listed in the order in which
//! they may import each other: a module uses only modules below it in this list.
//! ARCHITECTURE.md has the map and the invariants.

pub mod apply;
pub mod cli;
pub mod facts;
pub mod import;
pub mod inventory;
pub mod lab;
pub mod modules;
pub mod plan;
pub mod render;
pub mod resource;
pub mod topology;
pub mod transport;

pub mod diagnostic;
pub mod secret;
pub mod version;
pub mod yaml;
