//! The directories of a deployment: who owns them, and what outlives it.
//!
//! Never in this file: what is written into them.

use serde_json::{Value, json};

use crate::inventory::ProxyKind;
use crate::topology::{App, HostNode, Topology};

/// What every process may write to; all else is read-only for it.
pub(super) fn data(topology: &Topology) -> String {
    format!("{}/data", topology.root)
}

/// The media store, if it lies outside of what every process may write to.
pub(super) fn media_outside(topology: &Topology) -> Option<&str> {
    let media = topology.media.path.as_str();
    (!media.starts_with(&format!("{}/", data(topology)))).then_some(media)
}

fn directory(path: String, owner: &str, group: &str, mode: &str, keep: bool) -> Value {
    json!({"path": path, "owner": owner, "group": group, "mode": mode, "keep": keep})
}

/// The directory all others are in, and that of the venvs.
pub(super) fn base(topology: &Topology, node: &HostNode, secrets: bool) -> Vec<Value> {
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
pub(super) fn all(topology: &Topology, node: &HostNode, secrets: bool) -> Vec<Value> {
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
        let mut writable = vec![data(topology)];
        if topology.media.hosts.contains(&node.name) || media_outside(topology).is_none() {
            writable.push(topology.media.path.clone());
        }
        for instance in topology.instances.iter().filter(|instance| instance.host == node.name) {
            writable.extend(instance.logging.directory.clone().filter(|path| !writable.contains(path)));
        }
        out.extend(writable.into_iter().map(|path| directory(path, user, user, "0750", true)));
    }
    if node.synapse {
        out.extend(modules(topology).into_iter().map(|path| directory(path, "root", group, "0750", false)));
    }
    if prometheus(topology, node) {
        out.push(directory(format!("{root}/prometheus"), "root", "root", "0755", false));
    }
    if node.proxy && topology.proxy.as_ref().is_some_and(|proxy| proxy.kind != ProxyKind::Haproxy) {
        out.push(directory(format!("{root}/nginx"), "root", "root", "0755", false));
        out.push(directory(format!("{root}/nginx/worker"), "root", "root", "0755", false));
    }
    out
}

/// Whether this host holds the document for Prometheus.
pub(super) fn prometheus(topology: &Topology, node: &HostNode) -> bool {
    let main = topology.instances.iter().find(|instance| instance.app == App::Homeserver);
    topology.metrics.is_some() && main.is_some_and(|main| main.host == node.name)
}

/// Directories of the admin's own files, each before what is in it.
fn modules(topology: &Topology) -> Vec<String> {
    let mut directories: Vec<String> = Vec::new();
    for path in topology.files.keys() {
        let below = path.strip_prefix(&topology.root).unwrap_or_default();
        for (at, _) in below.match_indices('/').skip(1) {
            let directory = format!("{}{}", topology.root, &below[..at]);
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
    }
    directories
}
