//! Unit files and drop-ins that a host's processes need.
//!
//! Never in this file: what stands in a unit (data of the systemd module).

use serde_json::{Value, json};

use super::directories;
use crate::topology::{App, Instance, Limits, Topology};

/// Unit files this host needs: `file` below /etc/systemd/system, `unit_name` of `units/`, the units
/// that read it, and what the unit's data names.
pub(super) fn files(topology: &Topology, here: &[&Instance]) -> Vec<Value> {
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
                // Synapse's two entries are one program, told apart by `worker_app` in the configuration.
                if instance.app == App::GenericWorker {
                    entry["app"] = json!(instance.app);
                }
            }
            None => out.push(json!({
                "file": file,
                "unit_name": name,
                "inputs_of": [unit],
                "instance": instance.name,
                "app": instance.app,
            })),
        }
    }
    for instance in here.iter().filter(|instance| has_drop_in(topology, instance)) {
        out.push(json!({
            "file": format!("{}.d/{prefix}.conf", instance.unit),
            "unit_name": "process",
            "inputs_of": [instance.unit],
            "process": process(topology, instance),
        }));
    }
    out.push(json!({
        "file": format!("{prefix}.target"),
        "unit_name": "target",
        "inputs_of": [],
    }));
    out
}

/// What the drop-in of one process says: lists of lines, as `units/process.yaml` names them.
fn process(topology: &Topology, instance: &Instance) -> Value {
    let media = uses_media(topology, instance);
    let write_paths = instance.logging.directory.iter().map(String::as_str);
    let write_paths = write_paths.chain(directories::media_outside(topology).filter(|_| media));
    let mount = topology.media.mount_unit.iter().filter(|_| media).collect::<Vec<_>>();
    let limits = &instance.limits;
    let words: Vec<String> =
        instance.environment.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "environment": (!words.is_empty()).then(|| json!({"words": words})).into_iter().collect::<Vec<_>>(),
        "memory_max": limits.memory_max.iter().collect::<Vec<_>>(),
        "memory_high": limits.memory_high.iter().collect::<Vec<_>>(),
        "cpu_quota": limits.cpu_quota.iter().map(|percent| json!({"percent": percent})).collect::<Vec<_>>(),
        "nice": limits.nice.iter().collect::<Vec<_>>(),
        "runtime_directory": instance.runtime_directory.iter().collect::<Vec<_>>(),
        "write_paths": write_paths.map(|path| json!({"words": [path]})).collect::<Vec<_>>(),
        "mount_unit": mount,
        "mounts_for": directories::media_outside(topology).filter(|_| media).into_iter().collect::<Vec<_>>(),
    })
}

/// Whether a process has anything that its unit file does not say.
fn has_drop_in(topology: &Topology, instance: &Instance) -> bool {
    !instance.environment.is_empty()
        || instance.limits != Limits::default()
        || instance.logging.directory.is_some()
        || instance.runtime_directory.is_some()
        || (uses_media(topology, instance)
            && (directories::media_outside(topology).is_some() || topology.media.mount_unit.is_some()))
}

/// Whether a process reads and writes media: media workers, or main if there are none.
fn uses_media(topology: &Topology, instance: &Instance) -> bool {
    match instance.app {
        App::MediaRepository => true,
        App::Homeserver => !topology.instances.iter().any(|one| one.app == App::MediaRepository),
        App::GenericWorker => false,
    }
}

/// Directories of drop-ins.
pub(super) fn folders(topology: &Topology, here: &[&Instance]) -> Vec<Value> {
    let folder = |instance: &&Instance| json!({"path": format!("/etc/systemd/system/{}.d", instance.unit)});
    here.iter().filter(|instance| has_drop_in(topology, instance)).map(folder).collect()
}
