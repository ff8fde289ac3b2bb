//! What Prometheus scrapes: its file_sd document, with the labels that Synapse's own dashboards expect.
//!
//! Never here: which address a metrics listener binds (`placement`), its port (`ports`).

use serde_json::{Value, json};

use super::instances::number;
use super::types::Topology;

/// Target groups of `file_sd_configs`, one a process in the topology's order; empty without metrics.
///
/// Labels as in Synapse's documentation, metrics-howto: `instance` is the homeserver, `job` what the process
/// is (`master` is main), `index` tells processes of one job apart. `worker` is the process' own name.
/// The path is a label too, so that a scrape configuration needs no more than the document's path.
pub fn file_sd(topology: &Topology) -> Value {
    let groups = topology.instances.iter().filter_map(|instance| {
        let target = instance.metrics.as_ref()?;
        let job = if instance.pool == "main" { "master" } else { &instance.pool };
        Some(json!({
            "targets": [target],
            "labels": {
                "__metrics_path__": "/_synapse/metrics",
                "instance": topology.server_name,
                "job": job,
                "index": number(&instance.pool, &instance.name).to_string(),
                "worker": instance.name,
            },
        }))
    });
    groups.collect()
}
