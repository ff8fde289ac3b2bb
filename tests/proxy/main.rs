//! The configuration of each kind of proxy on the real proxy, with echo backends in place of Synapse.
//!
//! Each test starts proxies of its own below a temporary directory, on free ports of loopback.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr)]

mod client;
mod echo;
#[path = "../fixture/mod.rs"]
mod fixture;
mod haproxy;
mod nginx;
#[path = "../ports/mod.rs"]
mod ports;
mod proxy;
mod table;
