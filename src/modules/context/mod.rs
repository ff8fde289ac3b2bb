//! The names that modules use on one host: `synapse.*`, `host.*`, `postgresql.*`, `redis.*`,
//! `venv.*`, `proxy.*`.
//!
//! Everything here follows from the topology; a module that needs an `if` gets a named boolean.
//! Never in this file: which resources there are (the modules say), how a format is written.

use serde_json::{Map, Value, json};

mod directories;
mod host;
mod units;

use super::{haproxy, nginx};
use crate::inventory::{ProxyKind, Tls};
use crate::topology::{App, HostNode, ProxyNode, Topology, file_sd};

/// All names as one mapping, host after host. Paths are absolute, ports are numbers, what does not exist on this
/// host or in this topology is `null`, `false` or an empty list, never missing.
#[derive(Debug)]
pub struct Context<'a> {
    topology: &'a Topology,
    names: Value,
}

impl<'a> Context<'a> {
    /// The names that all hosts share.
    ///
    /// Errors: values that nginx or HAProxy could not hold.
    pub fn new(topology: &'a Topology) -> Result<Self, String> {
        let names = json!({
            "synapse": synapse(topology),
            "host": Value::Null,
            "postgresql": postgresql(topology),
            "redis": redis(topology),
            "venv": topology.venv,
            "proxy": proxy(topology)?,
            "wait": wait(topology),
        });
        Ok(Self { topology, names })
    }

    /// All names on one host of the topology.
    pub fn on(&mut self, host: &HostNode) -> &Value {
        self.names["host"] = host::host(self.topology, host);
        &self.names
    }
}

/// `ADDRESS:PORT`, with brackets around an IPv6 literal.
pub(super) fn host_port(address: &str, port: u16) -> String {
    if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn synapse(topology: &Topology) -> Value {
    json!({
        "server_name": topology.server_name,
        "version": topology.version.as_str(),
        "root": topology.root,
        "user": topology.user,
        "prefix": topology.prefix,
        "main_unit": topology.main().map_or("", |main| main.unit.as_str()),
        "config": topology.shared_config,
        "media": topology.media.path,
        "routes": topology.audited(),
        "write_paths": [directories::data(topology)],
        "mount_unit": topology.media.mount_unit,
        "file_sd": file_sd(topology),
    })
}

fn postgresql(topology: &Topology) -> Value {
    let endpoint = &topology.postgresql;
    let database = endpoint.database.as_ref();
    let mut settings = Map::new();
    if let (Some(database), Some(_)) = (database, &endpoint.host) {
        settings.insert("max_connections".into(), database.max_connections.to_string().into());
        // Without peers the distribution's own value (localhost) is right and not ours to set.
        if !endpoint.peers.is_empty() {
            settings.insert("listen_addresses".into(), endpoint.binds.join(",").into());
        }
    }
    let network = |peer: &String| format!("{peer}/{}", if peer.contains(':') { 128 } else { 32 });
    json!({
        "address": endpoint.address,
        "port": endpoint.port,
        "role": database.map(|database| &database.role),
        "database": database.map(|database| &database.database),
        "password": database.and_then(|database| database.password.as_ref()),
        "sslmode": database.and_then(|database| database.sslmode.as_ref()),
        "settings": settings,
        "peers": endpoint.peers.iter().map(network).collect::<Vec<_>>(),
        "ready": listening(endpoint.binds.iter(), endpoint.port),
    })
}

fn redis(topology: &Topology) -> Value {
    let Some(endpoint) = &topology.redis else { return Value::Null };
    let password = topology.secrets.contains_key("redis").then_some("redis");
    json!({
        "address": endpoint.address,
        "port": endpoint.port,
        "binds": endpoint.binds,
        "password": password,
        "secrets": password.into_iter().collect::<Vec<_>>(),
        "ready": listening(endpoint.binds.iter(), endpoint.port),
    })
}

fn listening<'a>(addresses: impl Iterator<Item = &'a String>, port: u16) -> Value {
    json!({"listens": addresses.map(|address| host_port(address, port)).collect::<Vec<_>>()})
}

fn proxy(topology: &Topology) -> Result<Value, String> {
    let Some(proxy) = &topology.proxy else { return Ok(Value::Null) };
    let nginx = match proxy.kind {
        ProxyKind::Nginx | ProxyKind::Includes => nginx::files(topology, proxy)?,
        ProxyKind::Haproxy => Vec::new(),
    };
    let files: Vec<Value> = nginx
        .into_iter()
        .map(|(path, document)| {
            let secret = document.iter().any(nginx::Directive::holds_secret);
            json!({"path": path, "mode": if secret { "0600" } else { "0644" }, "document": document})
        })
        .collect();
    let run = format!("/run/{}_haproxy", topology.prefix);
    let haproxy = match proxy.kind {
        ProxyKind::Haproxy => json!(haproxy::sections(topology, proxy, &run)?),
        ProxyKind::Nginx | ProxyKind::Includes => Value::Null,
    };
    Ok(json!({
        "files": files,
        "haproxy": haproxy,
        "unit_name": "haproxy",
        "run": run,
        "secrets": haproxy::secrets(topology),
        "links": proxy.links(&topology.prefix).into_iter().flat_map(|(to, at)| [to, at]).collect::<Vec<_>>(),
        "worker_connections": proxy.worker_connections,
        // A file for each connection, and for each body that does not fit into memory.
        "open_files": proxy.worker_connections.saturating_mul(2),
        "ready": {"listens": proxy_listens(proxy)},
    }))
}

/// With `kind: includes` only the admin knows where nginx listens.
fn proxy_listens(proxy: &ProxyNode) -> Vec<&'static str> {
    match (proxy.kind, &proxy.tls) {
        (ProxyKind::Includes, _) => Vec::new(),
        (ProxyKind::Nginx | ProxyKind::Haproxy, Tls::None) => vec!["0.0.0.0:80", "[::]:80"],
        (ProxyKind::Nginx | ProxyKind::Haproxy, _) => {
            vec!["0.0.0.0:80", "[::]:80", "0.0.0.0:443", "[::]:443", "0.0.0.0:8448", "[::]:8448"]
        }
    }
}

/// What a process waits for at boot, as bash's `/dev/tcp/ADDRESS/PORT` or the path of a socket: main for its datastores,
/// a worker also for main, which listens for replication once the schema is migrated.
fn wait(topology: &Topology) -> Value {
    let path = |address: &str, port: u16| format!("/dev/tcp/{}/{port}", address.trim_matches(['[', ']']));
    let mut main: Vec<String> = Vec::new();
    // An address that is a path is a socket's directory.
    for endpoint in std::iter::once(&topology.postgresql).chain(&topology.redis) {
        if !endpoint.address.starts_with('/') {
            main.push(path(&endpoint.address, endpoint.port));
        }
    }
    let mut worker = main.clone();
    let process = topology.instances.iter().find(|instance| instance.app == App::Homeserver);
    match process.and_then(|process| process.replication.as_deref()) {
        None => {}
        Some(at) => match (at.strip_prefix("unix:"), at.rsplit_once(':')) {
            (Some(socket), _) => worker.push(socket.to_owned()),
            (None, Some((address, port))) => worker.extend(port.parse().ok().map(|port| path(address, port))),
            (None, None) => {}
        },
    }
    json!({"main": main, "worker": worker})
}
