//! `host.*`: what is on this host, and each Synapse process of it.
//!
//! Never in this file: directories and units in detail (files of their own).

use serde_json::{Map, Value, json};

use super::super::cluster;
use super::{directories, units};
use crate::inventory::{Install, ProxyKind};
use crate::secret::sha256_hex;
use crate::topology::{HostNode, Instance, Topology};

/// The names below `host`.
pub(super) fn host(topology: &Topology, node: &HostNode) -> Value {
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
    let proxy = |kinds: &[ProxyKind]| {
        node.proxy && topology.proxy.as_ref().is_some_and(|proxy| kinds.contains(&proxy.kind))
    };
    json!({
        "name": node.name,
        "internal_address": node.internal_address,
        "postgresql": node.postgresql,
        "redis": node.redis,
        "synapse": node.synapse,
        "checks_routes": node.synapse && !topology.routes.is_empty(),
        "uses_jemalloc": here.iter().any(|instance| instance.jemalloc),
        "proxy": proxy(&[ProxyKind::Nginx, ProxyKind::Includes]),
        "proxy_site": proxy(&[ProxyKind::Nginx]),
        "haproxy": proxy(&[ProxyKind::Haproxy]),
        "builds_venv": node.synapse && topology.venv.managed && topology.install == Install::Managed,
        "uses_pgpass": node.synapse && uses_pgpass(topology),
        "checks_external_postgresql": node.synapse && topology.postgresql.host.is_none(),
        "base_directories": directories::base(topology, node, !secrets.is_empty()),
        "directories": directories::all(topology, node, !secrets.is_empty()),
        "secrets": secrets,
        "workers": workers,
        "unit_files": units::files(topology, &here),
        "unit_folders": units::folders(topology, &here),
        "synapse_units": here.iter().map(|instance| &instance.unit).collect::<Vec<_>>(),
        "shared_inputs": shared,
        "instances": instances,
        "files": files(topology, node),
        "prometheus": directories::prometheus(topology, node),
        "mounts_media": topology.media.mount_unit.is_some() && topology.media.hosts.contains(&node.name),
    })
}

/// The admin's own files.
fn files(topology: &Topology, node: &HostNode) -> Vec<Value> {
    let files = topology.files.iter().filter(|_| node.synapse);
    files.map(|(path, text)| json!({"path": path, "text": text})).collect()
}

fn instance(topology: &Topology, instance: &Instance) -> Value {
    let mut inputs = json!({"venv": sha256_hex(topology.venv.path.as_bytes())});
    if !instance.environment.is_empty() {
        inputs["environment"] = sha256_hex(json!(instance.environment).to_string().as_bytes()).into();
    }
    for (label, digest) in cluster::inputs(topology, instance) {
        inputs[label] = digest.into();
    }
    json!({
        "name": instance.name,
        "pool": instance.pool,
        "app": instance.app,
        "unit": instance.unit,
        "address": instance.address,
        "client": instance.client,
        "client_port": instance.client_port,
        "replication_port": instance.replication_port,
        "stage": instance.stage,
        "ready": instance.ready,
        "inputs": inputs,
        "own_inputs": {&instance.unit: instance.own_inputs},
        "rereads": instance.rereads,
        "secrets": instance.secrets,
        "logging": instance.logging,
        "config": instance.config,
    })
}

/// Synapse finds its database password in libpq's passfile when the shared configuration says so.
fn uses_pgpass(topology: &Topology) -> bool {
    let passfile = topology.shared_config.get("database").and_then(|value| value.pointer("/args/passfile"));
    passfile.and_then(Value::as_str) == Some(&format!("{}/conf/secrets/pgpass", topology.root))
}
