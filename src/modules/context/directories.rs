//! The directories of a deployment: who owns them, and what outlives it.
//!
//! Never in this file: what is written into them.

use serde_json::{Value, json};

use crate::inventory::ProxyKind;
use crate::topology::{HostNode, Topology};

/// Directory of the media store.
pub(super) fn media(topology: &Topology) -> String {
    let path = topology.shared_config.get("media_store_path").and_then(Value::as_str);
    path.map_or_else(|| format!("{}/data/media_store", topology.root), ToOwned::to_owned)
}

/// What Synapse may write to; all else is read-only for it.
pub(super) fn write_paths(topology: &Topology) -> Vec<String> {
    let data = format!("{}/data", topology.root);
    let media = media(topology);
    if media.starts_with(&format!("{data}/")) { vec![data] } else { vec![data, media] }
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
        let mut writable = write_paths(topology);
        let media = media(topology);
        if !writable.contains(&media) {
            writable.push(media);
        }
        for instance in topology.instances.iter().filter(|instance| instance.host == node.name) {
            writable.extend(instance.logging.directory.clone().filter(|path| !writable.contains(path)));
        }
        out.extend(writable.into_iter().map(|path| directory(path, user, user, "0750", true)));
    }
    if node.proxy && topology.proxy.as_ref().is_some_and(|proxy| proxy.kind != ProxyKind::Haproxy) {
        out.push(directory(format!("{root}/nginx"), "root", "root", "0755", false));
        out.push(directory(format!("{root}/nginx/worker"), "root", "root", "0755", false));
    }
    out
}
