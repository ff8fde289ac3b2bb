//! What the inventory means: instances, ports, writers, shards, routes. Synapse's rules live here.
//!
//! [`resolve`] is a pure function of the inventory and its lock. The nouns have a file each; the
//! facts about Synapse that change with its versions are data in `modules/` (see `catalogue`).
//! Never in this room: files, network, the clock, what a host looks like today.

#![warn(clippy::disallowed_methods)]

pub mod audit;
mod caches;
pub mod catalogue;
mod checks;
mod config_keys;
mod config_rules;
mod datastores;
pub mod explain;
mod families;
pub mod gate;
mod idle;
mod instance;
mod instances;
mod lists;
mod mas;
mod media;
mod neighbours;
mod network;
mod placement;
mod ports;
mod process;
mod processes;
mod projection;
mod prometheus;
mod proxy;
mod reach;
pub mod registered;
mod request;
mod roles;
mod router;
mod routes;
mod sample;
mod secrets;
mod selecting;
mod selector;
mod shared_config;
pub mod site;
mod sockets;
pub mod types;
mod venv;
mod worker_config;

use indexmap::IndexMap;

pub use gate::Gate;
pub use instances::instance_name;
pub use placement::socket;
pub use processes::SynapseCheck;
pub use prometheus::file_sd;
pub use reach::{Reach, Source, reachability};
pub use request::Request;
pub use router::{RouteMatch, Router};
pub use routes::{MAIN, MAS, MAS_SERVER};
pub use sample::samples;
pub use secrets::token_of;
pub use types::*;

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::inventory::{Inventory, Lock};
use crate::version::Version;
use catalogue::{Catalogue, Job};
use instances::{Seat, Seating};
use placement::Placement;
use process::Settings;
use roles::Role;
use sockets::Sockets;

/// What [`resolve`] found out.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// `None` if there is an error among the diagnostics.
    pub topology: Option<Topology>,
    /// The lock, extended; as it was given if there is an error.
    pub lock: Lock,
    /// Everything wrong or doubtful, in the order of its place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Everything that follows from an inventory with its lock.
pub fn resolve(inventory: &Inventory, lock: &Lock) -> Resolved {
    let refused = |diagnostic| Resolved { topology: None, lock: lock.clone(), diagnostics: vec![diagnostic] };
    let catalogue = match Catalogue::builtin() {
        Ok(catalogue) => catalogue,
        Err(error) => return refused(Diagnostic::error(Span::default(), error)),
    };
    let written = &inventory.synapse.version;
    let Some(version) = Version::parse(&written.value) else {
        let summary = format!("{:?} is no version of Synapse", written.value);
        return refused(Diagnostic::error(written.span, summary).help("write it as on PyPI, e.g. 1.163.2"));
    };

    let roles = roles::roles(inventory, catalogue, &version);
    let mut diagnostics = checks::check(inventory, catalogue, &version, &roles);
    process::check(inventory, &mut diagnostics);
    caches::check(inventory, &mut diagnostics);
    selecting::check(inventory, catalogue, &roles, &mut diagnostics);
    idle::check(inventory, catalogue, &version, &mut diagnostics);
    let before = instances::renamed(inventory, lock);
    let unasked = roles::unasked(&roles, catalogue, &version);
    let Seating { seats, first_media, remembered } = instances::seat(inventory, &before, &roles, unasked);
    diagnostics.extend(checks::names(inventory, &seats));
    diagnostics.extend(config_keys::check(inventory, catalogue, &version));
    diagnostics.extend(config_rules::check(inventory, catalogue, &version, &roles, &seats));
    let placement = Placement::new(inventory, &mut diagnostics);
    families::check(inventory, &placement, &mut diagnostics);
    let replicated = inventory.redis.is_some();
    let span_of = |pool: &str| checks::span_of(inventory, pool);
    let prefix =
        inventory.synapse.prefix.as_ref().map_or("matrix", |prefix| prefix.value.as_str()).to_owned();
    let sockets = Sockets::new(inventory, &placement, &seats, &roles, &prefix, &mut diagnostics);
    let neighbours = neighbours::neighbours(inventory, &placement);
    let ports =
        ports::allocate(&seats, &roles, inventory, &sockets, &neighbours, &before, span_of, &mut diagnostics);
    neighbours::check(&neighbours, inventory, &placement, &seats, &ports, &before, &mut diagnostics);
    let lists = lists::order(&seats, &roles, catalogue, &before);
    let proxy = proxy::build(inventory, &roles);
    let mas = mas::build(inventory, &version, &placement, &mut diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Resolved { topology: None, lock: lock.clone(), diagnostics };
    }

    let or = |written: &Option<crate::diagnostic::Spanned<String>>, default: &str| {
        written.as_ref().map_or_else(|| default.to_owned(), |written| written.value.clone())
    };
    let pools = seats.iter().map(|seat| Settings::of(inventory, &seat.pool).db_pool());
    let connections = pools.fold(0, |sum: u32, pool| sum.saturating_add(pool.max));
    let lock = Lock { ports, instances: remembered, lists, ..before };
    let draft = Draft {
        postgresql: datastores::postgresql(inventory, &placement, &prefix, connections),
        redis: datastores::redis(inventory, &placement),
        root: or(&inventory.synapse.root, "/opt/matrix"),
        inventory,
        catalogue,
        version,
        prefix,
        replicated,
        roles,
        seats,
        first_media,
        lock: &lock,
        placement,
        sockets,
        mas,
        selectors: selecting::selectors(inventory),
    };
    let topology = draft.topology(or(&inventory.synapse.user, "matrix"), proxy);
    Resolved { topology: Some(topology), lock, diagnostics }
}

/// All decisions, before files and routes are built from them.
struct Draft<'a> {
    inventory: &'a Inventory,
    catalogue: &'a Catalogue,
    version: Version,
    root: String,
    prefix: String,
    /// Main has a replication listener: there is Redis, hence there may be workers.
    replicated: bool,
    roles: IndexMap<String, Role>,
    seats: Vec<Seat>,
    /// See [`Seating`].
    first_media: Option<String>,
    /// Already extended.
    lock: &'a Lock,
    placement: Placement,
    sockets: Sockets,
    postgresql: Endpoint,
    redis: Option<Endpoint>,
    mas: Option<MasNode>,
    /// Selectors of dedicated pools, in inventory order.
    selectors: IndexMap<String, Selector>,
}

impl Draft<'_> {
    fn settings(&self, pool: &str) -> Settings<'_> {
        Settings::of(self.inventory, pool)
    }

    fn port(&self, instance: &str, listener: &str) -> Option<u16> {
        self.lock.ports.get(instance)?.get(listener).copied()
    }

    /// The one process that runs a job; `None`: main.
    fn holder(&self, job: &Job) -> Option<&str> {
        let said = self
            .seats
            .iter()
            .find(|seat| self.roles.get(&seat.pool).is_some_and(|role| role.runs.contains(&job.name)));
        let said = said.map(|seat| seat.name.as_str());
        if job.with_media { said.or(self.first_media.as_deref()) } else { said }
    }

    fn topology(&self, user: String, proxy: Option<ProxyNode>) -> Topology {
        let inventory = self.inventory;
        let shared_config = shared_config::build(self);
        let (routes, upstreams) = routes::build(self);
        let named = |wanted: &dyn Fn(&crate::inventory::Host) -> bool| -> Vec<String> {
            inventory.hosts.iter().filter(|(_, host)| wanted(host)).map(|(name, _)| name.clone()).collect()
        };
        Topology {
            server_name: inventory.synapse.server_name.value.clone(),
            version: self.version.clone(),
            user,
            install: inventory.synapse.install.clone(),
            venv: venv::build(&inventory.synapse, &self.version, &self.root, self.catalogue, self.lock),
            hosts: self.hosts(),
            instances: self.instances(&shared_config),
            postgresql: self.postgresql.clone(),
            redis: self.redis.clone(),
            proxy,
            mas: self.mas.clone(),
            routes,
            selectors: self.selectors.clone(),
            upstreams,
            secrets: secrets::table(inventory, &self.placement, &self.root),
            shared_config,
            files: self.files(),
            metrics: inventory
                .synapse
                .metrics
                .as_ref()
                .map(|metrics| metrics.networks.iter().map(|network| network.value.clone()).collect()),
            media: media::node(self),
            retired: named(&|host| host.retired),
            lost: named(&|host| host.lost),
            root: self.root.clone(),
            prefix: self.prefix.clone(),
        }
    }

    /// Files of the admin's own.
    fn files(&self) -> IndexMap<String, String> {
        let files = self.inventory.synapse.files.iter();
        files
            .map(|(name, file)| {
                let text = file.value.text.clone().unwrap_or_default();
                (format!("{}/{name}", process::modules(&self.root)), text)
            })
            .collect()
    }

    fn hosts(&self) -> IndexMap<String, HostNode> {
        let holds = |endpoint: Option<&Endpoint>, name: &str| {
            endpoint.and_then(|endpoint| endpoint.host.as_deref()).is_some_and(|host| host == name)
        };
        let hosts = self.inventory.hosts.iter().filter(|(_, host)| !host.lost);
        hosts
            .map(|(name, host)| {
                let node = HostNode {
                    name: name.clone(),
                    internal_address: self.placement.internal(name),
                    postgresql: holds(Some(&self.postgresql), name),
                    redis: holds(self.redis.as_ref(), name),
                    synapse: self.placement.synapse_hosts().contains(name),
                    proxy: self.placement.proxies().contains(name),
                    retired: host.retired,
                };
                (name.clone(), node)
            })
            .collect()
    }
}
