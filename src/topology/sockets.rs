//! Unix sockets instead of TCP ports: which listeners have one, and where it lies.
//!
//! A listener can be a socket when all who connect to it are on its host: the proxy for requests, every
//! Synapse process for replication. `defaults: {listen: unix}` makes it one wherever that is so; a pool or
//! main that says `listen: unix` where it is not so is wrong.
//!
//! Each process has a directory of its own (`RuntimeDirectory=`), so that a process that stops takes nobody
//! else's socket along. Never here: TCP (`ports`, `placement`).

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::checks::span_of;
use super::instances::Seat;
use super::placement::Placement;
use super::roles::Role;
use crate::diagnostic::Diagnostic;
use crate::inventory::{Inventory, Listen};

/// Longest path of a socket, bytes: `sun_path` of unix(7) without its last zero.
const LONGEST: usize = 107;
/// Whoever is on the host may connect for requests, as to a port on loopback: nginx and HAProxy run as users of
/// their own.
pub(super) const CLIENT_MODE: u32 = 0o666;
/// Replication is for the user who runs Synapse. (In YAML it stands in decimal: PyYAML and YAML 1.2 take
/// `0660` for different numbers.)
pub(super) const REPLICATION_MODE: u32 = 0o660;

/// Instance and listener of every socket.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    chosen: BTreeSet<(String, &'static str)>,
    prefix: String,
}

impl Sockets {
    /// Chooses, and reports where a socket was asked for that cannot be.
    pub fn new(
        inventory: &Inventory,
        placement: &Placement,
        seats: &[Seat],
        roles: &IndexMap<String, Role>,
        prefix: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut sockets = Self { chosen: BTreeSet::new(), prefix: prefix.to_owned() };
        for seat in seats {
            let own = match seat.pool.as_str() {
                "main" => inventory.main.overrides.listen.as_ref(),
                pool => inventory.workers.get(pool).and_then(|pool| pool.overrides.listen.as_ref()),
            };
            let asked = own.or(inventory.defaults.listen.as_ref());
            if asked.is_none_or(|asked| asked.value == Listen::Tcp) {
                continue;
            }
            let serves = roles.get(&seat.pool).is_none_or(|role| role.serves);
            let mut refuse = |summary: String, help: &str| {
                let span = own.map_or_else(|| span_of(inventory, &seat.pool), |own| own.span);
                diagnostics.push(Diagnostic::error(span, summary).help(help));
            };
            let main = seat.pool == "main";
            let replicates = if main { inventory.redis.is_some() } else { seat.replicates() };
            // A writer that serves no requests is probed through its replication listener.
            for (listener, has, peers) in [
                ("client", serves || !replicates, if serves { placement.proxies() } else { &[] }),
                ("replication", replicates, placement.synapse_hosts()),
            ] {
                if !has {
                    continue;
                }
                let path = sockets.path_of(&seat.name, listener);
                if path.len() > LONGEST {
                    refuse(
                        format!("the socket {path} of {:?} has too long a path", seat.name),
                        "shorten prefix or the worker's name, or write listen: tcp",
                    );
                    continue;
                }
                // Without a proxy of ours nobody knows where the admin's is, unless there is one host only.
                let unknown =
                    listener == "client" && serves && peers.is_empty() && placement.synapse_hosts().len() > 1;
                match peers.iter().find(|peer| **peer != seat.host) {
                    None if !unknown => {
                        sockets.chosen.insert((seat.name.clone(), listener));
                    }
                    far if own.is_some() => {
                        let who = if listener == "client" { "a proxy" } else { "other processes" };
                        let place =
                            far.map_or_else(|| "an unknown host".to_owned(), |far| format!("host {far:?}"));
                        refuse(
                            format!(
                                "{:?} on host {:?} cannot listen on a socket: {who} on {place} must reach it",
                                seat.name, seat.host
                            ),
                            "write listen: tcp here; listen: unix under defaults takes sockets where they can be",
                        );
                    }
                    _ => {}
                }
            }
        }
        sockets
    }

    /// Absolute path, if this listener is a socket.
    pub fn path(&self, instance: &str, listener: &'static str) -> Option<String> {
        self.chosen.contains(&(instance.to_owned(), listener)).then(|| self.path_of(instance, listener))
    }

    /// Directory of an instance's sockets below /run, if it has any.
    pub fn directory(&self, instance: &str) -> Option<String> {
        let any = self.chosen.iter().any(|(name, _)| name == instance);
        any.then(|| format!("{}/{instance}", self.prefix))
    }

    fn path_of(&self, instance: &str, listener: &str) -> String {
        format!("/run/{}/{instance}/{listener}.sock", self.prefix)
    }
}
