//! Modules: folders of data that say which resources a host has, expanded over a topology.
//!
//! [`expand`] is pure. Built-in modules are compiled in; a directory of the user's adds modules
//! or shadows one by name (reading that directory is the caller's business). A module is data:
//! strings admit `{{ dotted.name }}` only, what needs an `if` is a named boolean of the context.
//! Never in this room: files, network, the clock, what a host looks like today, Synapse's rules
//! (those are the topology's; here they are only written down in the formats that hosts read).

#![warn(clippy::disallowed_methods)]

pub mod away;
mod builtin;
pub mod cluster;
mod content;
mod context;
mod declaration;
mod documents;
mod error;
mod expand;
pub mod haproxy;
mod interpolate;
pub mod nginx;
mod set;
pub mod unit;

pub use context::Context;
pub use error::ModuleError;
pub use expand::expand;
pub use set::Modules;
