//! What each process is: from its seat and its pool's role to everything that files, units and plans need.
//!
//! Never here: who sits where (`instances`), what stands in a worker's own file (`worker_config`).

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::instances::{self, Seat};
use super::placement::{self, socket};
use super::roles::Role;
use super::types::{App, Instance};
use super::{Draft, projection, secrets, worker_config};
use crate::resource::{Ready, Stage};

/// What is worked out once for all processes.
struct Common<'a> {
    shared: &'a Map<String, Value>,
    /// Of the shared configuration, by key.
    digests: IndexMap<String, String>,
    /// Who takes what others replicate, and where.
    replicating: Vec<(&'a Seat, String)>,
}

impl Draft<'_> {
    /// All processes, in the order of their seats.
    pub(super) fn instances(&self, shared: &Map<String, Value>) -> Vec<Instance> {
        let common = Common {
            shared,
            digests: projection::digests(self.catalogue, shared),
            replicating: self.seats.iter().filter_map(|seat| Some((seat, self.replication(seat)?))).collect(),
        };
        self.seats.iter().map(|seat| self.instance(seat, &common)).collect()
    }

    fn instance(&self, seat: &Seat, common: &Common<'_>) -> Instance {
        let shared = common.shared;
        let role = self.roles.get(&seat.pool);
        let settings = self.settings(&seat.pool);
        let media = role.is_some_and(|role| role.media);
        let app = match role {
            None => App::Homeserver,
            Some(role) if role.media => App::MediaRepository,
            Some(_) => App::GenericWorker,
        };
        let config = role.map(|role| worker_config::build(self, seat, role, shared));
        let mut names = secrets::shared(self.inventory);
        config
            .iter()
            .flat_map(|config| config.values())
            .for_each(|value| secrets::named_in(value, &mut names));
        let serves = role.is_none_or(|role| role.serves);
        let jobs = self.catalogue.jobs.iter().filter(|job| {
            let runs = role.is_some_and(|role| role.runs.contains(&job.name));
            if job.shared() { runs } else { self.holder(job) == Some(&seat.name) }
        });
        Instance {
            name: seat.name.clone(),
            pool: seat.pool.clone(),
            host: seat.host.clone(),
            app,
            unit: instances::unit(
                &self.prefix,
                &self.inventory.synapse.units,
                &seat.name,
                app,
                self.first_media.as_deref(),
            ),
            client: self.client(seat, serves).filter(|_| serves),
            replication: self.replication(seat),
            runtime_directory: self.sockets.directory(&seat.name),
            client_port: self.port(&seat.name, "client").filter(|_| serves),
            replication_port: self.port(&seat.name, "replication"),
            metrics: self
                .port(&seat.name, "metrics")
                .map(|port| socket(&self.placement.metrics(&seat.host), port)),
            address: self.placement.client(&seat.host),
            runs: jobs.map(|job| job.name.clone()).collect(),
            stage: match app {
                App::Homeserver => Stage::Main,
                _ if seat.replicates() => Stage::Writer,
                _ => Stage::Worker,
            },
            ready: self.ready(seat, role, common),
            shared_inputs: projection::shared_inputs(
                self.catalogue,
                shared,
                &common.digests,
                &seat.name,
                media,
                serves,
                config.as_ref(),
            ),
            own_inputs: config
                .as_ref()
                .map(|own| projection::digests(self.catalogue, own))
                .unwrap_or_default(),
            rereads: projection::rereads(self.catalogue, shared, config.as_ref(), &settings.logging()),
            config,
            environment: settings.environment(&self.root, &self.inventory.synapse.files),
            limits: settings.limits(),
            jemalloc: settings.jemalloc(),
            logging: settings.logging(),
            secrets: names,
            writes: seat.writes.clone(),
        }
    }

    /// Where a process is asked: for requests if it serves any, else for its health.
    pub(super) fn client(&self, seat: &Seat, serves: bool) -> Option<String> {
        if let Some(path) = self.sockets.path(&seat.name, "client") {
            return Some(format!("unix:{path}"));
        }
        let address = if serves { self.placement.client(&seat.host) } else { placement::LOOPBACK.to_owned() };
        Some(socket(&address, self.port(&seat.name, "client")?))
    }

    /// Where a process takes what others replicate to it.
    fn replication(&self, seat: &Seat) -> Option<String> {
        if let Some(path) = self.sockets.path(&seat.name, "replication") {
            return Some(format!("unix:{path}"));
        }
        Some(socket(&self.placement.replication(&seat.host), self.port(&seat.name, "replication")?))
    }

    fn ready(&self, seat: &Seat, role: Option<&Role>, common: &Common<'_>) -> Ready {
        let client = self.client(seat, role.is_none_or(|role| role.serves));
        let metrics =
            self.port(&seat.name, "metrics").map(|port| socket(&self.placement.metrics(&seat.host), port));
        let listens: Vec<String> =
            client.iter().cloned().chain(self.replication(seat)).chain(metrics).collect();
        // Writers wait for main only: they may start side by side.
        let needed = common.replicating.iter().filter(|(other, _)| {
            role.is_some() && other.name != seat.name && (other.pool == "main" || !seat.replicates())
        });
        Ready {
            // `/health` is on every HTTP listener.
            health: listens.first().cloned(),
            reaches: needed.map(|(_, address)| address.clone()).collect(),
            redis: self
                .redis
                .as_ref()
                // Sockets show addresses: a name cannot be found among them.
                .filter(|redis| redis.address.parse::<std::net::IpAddr>().is_ok())
                .map(|redis| socket(&redis.address, redis.port)),
            unlimited: role.is_none(),
            listens,
        }
    }
}
