//! Modules: folders of data that say which resources a host has, expanded over a topology.
//!
//! `expand(&Modules, &Topology) -> Result<DesiredState, Vec<ModuleError>>` is pure. Built-in
//! modules are compiled in; a directory of the user's may add modules or shadow one by name
//! (reading that directory is the caller's business).
