//! PostgreSQL and Redis: started, prepared, or, if somebody else runs them, asked.

use std::collections::BTreeSet;

use super::super::Considered;
use super::super::change::Change;
use super::super::step::{Action, Startable};
use super::{Builder, why};
use crate::resource::{Body, Stage};

/// Settings PostgreSQL reads only at its start (its manual, "Connections and Authentication").
const AT_START_ONLY: [&str; 3] = ["listen_addresses", "max_connections", "port"];

/// How Debian's instances of Redis begin.
pub(in crate::plan) const REDIS: &str = "redis-server@";

/// The unit of Debian's clusters.
pub(super) const POSTGRESQL: &str = "postgresql.service";

impl<'a> Builder<'a, '_> {
    /// A Redis under another name (its prefix changed) listens where the old one does: that one stops first.
    pub(super) fn replaced_redis(&mut self) -> BTreeSet<(String, String)> {
        let mut stopped = BTreeSet::new();
        for (host, unit, _) in self.left.units.iter().filter(|(_, unit, _)| unit.starts_with(REDIS)) {
            let replaced = self.changed(host).iter().any(
                |one| matches!(&one.resource.body, Body::Service { unit, .. } if unit.starts_with(REDIS)),
            );
            if replaced {
                let (unit, ports) = (unit.clone(), Vec::new());
                let action = Action::Stop { unit: unit.clone(), ports, drain_seconds: 0, disable: true };
                self.push(host, action, "another Redis takes its place", Vec::new());
                stopped.insert((host.clone(), unit));
            }
        }
        stopped
    }

    pub(super) fn datastores(&mut self) {
        self.services(Stage::Datastore, &BTreeSet::new());
        for host in self.hosts() {
            for one in self.changed(&host) {
                let Body::Postgresql { role, password, database, peers, .. } = &one.resource.body else {
                    continue;
                };
                let Some(change) = &one.change else { continue };
                let settings: Vec<(String, String)> = change
                    .attributes
                    .iter()
                    .filter_map(|(name, _, after)| {
                        Some((name.strip_prefix("setting ")?.to_owned(), after.clone()?))
                    })
                    .collect();
                let restart = needs_restart(change);
                let password_file = self
                    .input
                    .topology
                    .secrets
                    .get(password)
                    .map(|node| node.path.clone())
                    .unwrap_or_default();
                let action = Action::PreparePostgresql {
                    role: role.clone(),
                    password_file,
                    database: database.clone(),
                    settings,
                    peers: peers.clone(),
                    restart: restart.then(|| self.cluster(&host)).flatten(),
                };
                self.push(&host, action, why(&[one]), vec![one.resource.address.to_string()]);
            }
        }
        self.check_external();
    }

    /// The service of PostgreSQL on a host, with everything it has to listen on.
    pub(super) fn cluster(&self, host: &str) -> Option<Startable> {
        self.considered.iter().filter(|one| one.resource.address.host == host).find_map(|one| {
            match &one.resource.body {
                Body::Service { unit, ready, .. } if unit == POSTGRESQL => {
                    Some(Startable { unit: unit.clone(), ready: ready.clone() })
                }
                _ => None,
            }
        })
    }

    /// An external PostgreSQL is asked before the first process of this apply that would use it.
    pub(super) fn check_external(&mut self) {
        let starts = self.considered.iter().any(|one| {
            one.change.is_some() && matches!(&one.resource.body, Body::Service { stage: Stage::Main, .. })
        });
        if !starts {
            return;
        }
        let topology = self.input.topology;
        for one in self.considered {
            if let Body::ExternalPostgresql { host, port, database, user, sslmode, .. } = &one.resource.body {
                let sslmode = sslmode.as_deref().unwrap_or("prefer");
                let conninfo = format!(
                    "host={host} port={port} dbname={database} user={user} sslmode={sslmode} connect_timeout=10 passfile={}/conf/secrets/pgpass",
                    topology.root
                );
                let action = Action::CheckPostgresql {
                    python: format!("{}/bin/python", topology.venv.path),
                    user: topology.user.clone(),
                    conninfo,
                };
                self.push(&one.resource.address.host, action, "main is about to use it", Vec::new());
            }
        }
    }
}

/// A change of PostgreSQL's settings that works only after a restart.
fn needs_restart(change: &Change) -> bool {
    change.attributes.iter().any(|(name, ..)| {
        name.strip_prefix("setting ").is_some_and(|setting| AT_START_ONLY.contains(&setting))
    })
}

pub(super) fn settles_after_start(one: &Considered<'_>) -> bool {
    matches!(one.resource.body, Body::Postgresql { .. }) && one.change.as_ref().is_some_and(needs_restart)
}
