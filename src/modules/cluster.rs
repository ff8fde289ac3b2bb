//! What the processes of one deployment must agree on, as inputs of their services: label to digest.
//!
//! All of it stands in the shared configuration too; here each thing has a name of its own, because
//! Synapse has rules for when it changes (`plan::order::rules`), and the host's record then says with
//! which of them a process was started.

use indexmap::IndexMap;
use serde_json::Value;

use crate::secret::sha256_hex;
use crate::topology::{Instance, Topology};

/// Who persists events, in order.
pub const PERSISTERS: &str = "event persisters";
/// Who writes the other streams.
pub const WRITERS: &str = "stream writers";
/// Where each process takes replication.
pub const INSTANCES: &str = "instance map";
/// Where Redis is.
pub const REDIS: &str = "Redis";
/// Who sends to other homeservers, in order.
pub const SENDERS: &str = "federation senders";
/// Who pushes, in order.
pub const PUSHERS: &str = "pushers";
/// Where main listens.
pub const LISTENERS: &str = "listeners";

/// What `instance` reads of these.
pub(super) fn inputs(topology: &Topology, instance: &Instance) -> IndexMap<String, String> {
    let shared = &topology.shared_config;
    let mut inputs = IndexMap::new();
    let mut add = |label: &str, value: &Value| {
        inputs.insert(label.to_owned(), sha256_hex(value.to_string().as_bytes()));
    };
    let read = |key: &str| shared.get(key).filter(|_| instance.shared_inputs.contains_key(key));
    for (key, label) in [
        ("instance_map", INSTANCES),
        ("redis", REDIS),
        ("federation_sender_instances", SENDERS),
        ("pusher_instances", PUSHERS),
        ("listeners", LISTENERS),
    ] {
        if let Some(value) = read(key) {
            add(label, value);
        }
    }
    if let Some(Value::Object(writers)) = read("stream_writers") {
        let mut others = writers.clone();
        if let Some(persisters) = others.shift_remove("events") {
            add(PERSISTERS, &persisters);
        }
        if !others.is_empty() {
            add(WRITERS, &Value::Object(others));
        }
    }
    inputs
}
