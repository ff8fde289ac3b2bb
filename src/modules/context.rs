//! The names that modules use on one host: `synapse.*`, `host.*`, `postgresql.*`, `redis.*`,
//! `venv.*`, `proxy.*`.
//!
//! Everything here follows from the topology; a module that needs an `if` gets a named boolean.
//! Never in this file: which resources there are (the modules say), how a format is written.

use serde_json::{Map, Value, json};

use super::nginx;
use crate::inventory::{Install, ProxyKind};
use crate::secret::sha256_hex;
use crate::topology::{App, HostNode, Instance, ProxyNode, Topology};

/// All names as one mapping. Paths are absolute, ports are numbers, what does not exist on this
/// host or in this topology is `null`, `false` or an empty list, never missing.
///
/// Errors: a host that is not in the topology; values that nginx could not hold.
pub fn context(topology: &Topology, host: &str) -> Result<Value, String> {
    let node = topology.hosts.get(host).ok_or_else(|| format!("there is no host {host:?}"))?;
    Ok(json!({
        "synapse": synapse(topology),
        "host": self::host(topology, node),
        "postgresql": postgresql(topology),
        "redis": redis(topology),
        "venv": topology.venv,
        "proxy": proxy(topology)?,
        "wait": wait(topology),
    }))
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
        "config": topology.shared_config,
        "media": media(topology),
        "write_paths": write_paths(topology),
    })
}

/// Directory of the media store.
fn media(topology: &Topology) -> String {
    let path = topology.shared_config.get("media_store_path").and_then(Value::as_str);
    path.map_or_else(|| format!("{}/data/media_store", topology.root), ToOwned::to_owned)
}

/// What Synapse may write to; all else is read-only for it.
fn write_paths(topology: &Topology) -> Vec<String> {
    let data = format!("{}/data", topology.root);
    let media = media(topology);
    if media.starts_with(&format!("{data}/")) { vec![data] } else { vec![data, media] }
}

fn host(topology: &Topology, node: &HostNode) -> Value {
    let here: Vec<&Instance> = topology.instances.iter().filter(|one| one.host == node.name).collect();
    let shared: Map<String, Value> =
        here.iter().map(|instance| (instance.unit.clone(), json!(instance.shared_inputs))).collect();
    let instances: Vec<Value> = here.iter().map(|instance| self::instance(topology, instance)).collect();
    let workers: Vec<&Value> = instances.iter().filter(|instance| !instance["config"].is_null()).collect();
    let secrets: Vec<Value> = topology
        .secrets
        .iter()
        .filter(|(_, secret)| secret.hosts.contains(&node.name))
        .map(|(name, secret)| {
            let group = if node.synapse { topology.user.as_str() } else { "root" };
            json!({"name": name, "path": secret.path, "group": group})
        })
        .collect();
    json!({
        "name": node.name,
        "internal_address": node.internal_address,
        "postgresql": node.postgresql,
        "redis": node.redis,
        "synapse": node.synapse,
        "proxy": node.proxy && topology.proxy.is_some(),
        "proxy_site": node.proxy && topology.proxy.as_ref().is_some_and(|proxy| proxy.kind == ProxyKind::Nginx),
        "builds_venv": node.synapse && topology.venv.managed && topology.install == Install::Managed,
        "uses_pgpass": node.synapse && uses_pgpass(topology),
        "checks_external_postgresql": node.synapse && topology.postgresql.host.is_none(),
        "base_directories": base_directories(topology, node, !secrets.is_empty()),
        "directories": directories(topology, node, !secrets.is_empty()),
        "secrets": secrets,
        "workers": workers,
        "unit_files": unit_files(topology, &here),
        "unit_folders": unit_folders(&here),
        "synapse_units": here.iter().map(|instance| &instance.unit).collect::<Vec<_>>(),
        "shared_inputs": shared,
        "instances": instances,
    })
}

fn instance(topology: &Topology, instance: &Instance) -> Value {
    let mut inputs = json!({"venv": sha256_hex(topology.venv.path.as_bytes())});
    if !instance.environment.is_empty() {
        inputs["environment"] = sha256_hex(json!(instance.environment).to_string().as_bytes()).into();
    }
    json!({
        "name": instance.name,
        "pool": instance.pool,
        "app": instance.app,
        "unit": instance.unit,
        "address": instance.address,
        "client_port": instance.client_port,
        "replication_port": instance.replication_port,
        "stage": instance.stage,
        "ready": instance.ready,
        "inputs": inputs,
        "secrets": instance.secrets,
        "config": instance.config,
    })
}

/// Synapse finds its database password in libpq's passfile when the shared configuration says so.
fn uses_pgpass(topology: &Topology) -> bool {
    let passfile = topology.shared_config.get("database").and_then(|value| value.pointer("/args/passfile"));
    passfile.and_then(Value::as_str) == Some(&format!("{}/conf/secrets/pgpass", topology.root))
}

fn directory(path: String, owner: &str, group: &str, mode: &str, keep: bool) -> Value {
    json!({"path": path, "owner": owner, "group": group, "mode": mode, "keep": keep})
}

/// The directory all others are in, and that of the venvs.
fn base_directories(topology: &Topology, node: &HostNode, secrets: bool) -> Vec<Value> {
    let mut out = Vec::new();
    if node.synapse || node.proxy || secrets {
        out.push(directory(topology.root.clone(), "root", "root", "0755", false));
    }
    if node.synapse && topology.venv.managed {
        out.push(directory(format!("{}/venvs", topology.root), "root", "root", "0755", false));
    }
    out
}

/// Directories in the order of their making. What Synapse reads belongs to root, so that a broken
/// process cannot rewrite its own configuration; what it writes is its own and is never removed.
fn directories(topology: &Topology, node: &HostNode, secrets: bool) -> Vec<Value> {
    let (root, user) = (&topology.root, topology.user.as_str());
    let group = if node.synapse { user } else { "root" };
    let mut out = Vec::new();
    if node.synapse || secrets {
        out.push(directory(format!("{root}/conf"), "root", group, "0750", false));
        // A signing key that is gone is gone.
        out.push(directory(format!("{root}/conf/secrets"), "root", group, "0750", true));
    }
    if node.synapse {
        // conf.d is the admin's: made, because Synapse stops when it is missing, and left alone.
        out.push(directory(format!("{root}/conf/conf.d"), "root", group, "0750", true));
        out.push(directory(format!("{root}/conf/log"), "root", group, "0750", false));
        out.push(directory(format!("{root}/conf/workers"), "root", group, "0750", false));
        let mut writable = write_paths(topology);
        let media = media(topology);
        if !writable.contains(&media) {
            writable.push(media);
        }
        out.extend(writable.into_iter().map(|path| directory(path, user, user, "0750", true)));
    }
    if node.proxy {
        out.push(directory(format!("{root}/nginx"), "root", "root", "0755", false));
        out.push(directory(format!("{root}/nginx/worker"), "root", "root", "0755", false));
    }
    out
}

/// Unit files this host needs: `file` below /etc/systemd/system, `unit_name` of `units/`, the units
/// that read it, and what the unit's data names.
fn unit_files(topology: &Topology, here: &[&Instance]) -> Vec<Value> {
    if here.is_empty() {
        return Vec::new();
    }
    let prefix = &topology.prefix;
    let mut out: Vec<Value> = Vec::new();
    for instance in here {
        let unit = &instance.unit;
        // sync of matrix_generic_worker@sync.service has its file at matrix_generic_worker@.service.
        let file = match unit.split_once('@') {
            Some((stem, _)) => format!("{stem}@.service"),
            None => unit.clone(),
        };
        let template = file.ends_with("@.service");
        let name = match (template, instance.app) {
            (true, _) => "worker",
            (false, App::MediaRepository) => "media",
            (false, _) => "main",
        };
        match out.iter_mut().find(|entry| entry["file"] == file.as_str()) {
            Some(entry) => {
                if let Some(readers) = entry["inputs_of"].as_array_mut() {
                    readers.push(json!(unit));
                }
            }
            None => out.push(json!({
                "file": file,
                "unit_name": name,
                "inputs_of": [unit],
                "instance": instance.name,
                "app": instance.app,
                "environment": [],
            })),
        }
    }
    for instance in here.iter().filter(|instance| !instance.environment.is_empty()) {
        let words: Vec<String> =
            instance.environment.iter().map(|(key, value)| format!("{key}={value}")).collect();
        out.push(json!({
            "file": format!("{}.d/{prefix}.conf", instance.unit),
            "unit_name": "environment",
            "inputs_of": [instance.unit],
            "environment": words,
        }));
    }
    out.push(json!({
        "file": format!("{prefix}.target"),
        "unit_name": "target",
        "inputs_of": [],
    }));
    out
}

/// Directories of drop-ins.
fn unit_folders(here: &[&Instance]) -> Vec<Value> {
    let folder = |instance: &&&Instance| json!({"path": format!("/etc/systemd/system/{}.d", instance.unit)});
    here.iter().filter(|instance| !instance.environment.is_empty()).map(|one| folder(&one)).collect()
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
    let files: Vec<Value> = nginx::files(topology, proxy)?
        .into_iter()
        .map(|(path, document)| json!({"path": path, "document": document}))
        .collect();
    Ok(json!({
        "files": files,
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
        (ProxyKind::Nginx, crate::inventory::Tls::None) => vec!["0.0.0.0:80", "[::]:80"],
        (ProxyKind::Nginx, _) => {
            vec!["0.0.0.0:80", "[::]:80", "0.0.0.0:443", "[::]:443", "0.0.0.0:8448", "[::]:8448"]
        }
    }
}

/// What a process waits for at boot, as bash's `/dev/tcp/ADDRESS/PORT`: main for its datastores,
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
    if let Some(process) = process
        && let (Some(port), Some(host)) = (process.replication_port, topology.hosts.get(&process.host))
    {
        worker.push(path(&host.internal_address, port));
    }
    json!({"main": main, "worker": worker})
}
