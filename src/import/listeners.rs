//! Listeners of a process, as synprov names them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Where a process listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listeners {
    /// For clients and servers, media, or its health.
    pub client: Option<u16>,
    /// For replication alone.
    pub replication: Option<u16>,
    /// For Prometheus.
    pub metrics: Option<u16>,
    /// Requests and replication share one port.
    pub shared: bool,
    /// Sockets, and what else cannot be said in an inventory.
    pub strange: Vec<String>,
}

impl Listeners {
    /// Reads `listeners` or `worker_listeners`.
    pub fn read(value: Option<&Value>) -> Self {
        let mut found = Self::default();
        for listener in value.and_then(Value::as_array).into_iter().flatten() {
            let kind = listener["type"].as_str().unwrap_or("http");
            let port = listener["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            let Some(port) = port else {
                found.strange.push(format!("a listener of type {kind} on a socket, or without a port"));
                continue;
            };
            let names = names(listener);
            let place = match kind {
                "metrics" => &mut found.metrics,
                "http" if names.contains("replication") && names.len() == 1 => &mut found.replication,
                "http" => {
                    found.shared |= names.contains("replication");
                    &mut found.client
                }
                other => {
                    found.strange.push(format!("a listener of type {other} on port {port}"));
                    continue;
                }
            };
            if place.is_some() {
                found.strange.push(format!("a further listener of type {kind} on port {port}"));
            } else {
                *place = Some(port);
            }
            if listener["tls"] == Value::Bool(true) {
                found.strange.push(format!("TLS on port {port}"));
            }
        }
        found
    }

    /// Listener to port, as the lock has them.
    pub fn ports(&self) -> impl Iterator<Item = (&'static str, u16)> {
        let ports = [("client", self.client), ("replication", self.replication), ("metrics", self.metrics)];
        ports.into_iter().filter_map(|(name, port)| Some((name, port?)))
    }
}

fn names(listener: &Value) -> BTreeSet<&str> {
    let resources = listener["resources"].as_array().into_iter().flatten();
    let names = resources.flat_map(|resource| resource["names"].as_array().into_iter().flatten());
    names.filter_map(Value::as_str).collect()
}

/// A key of a worker's file, or of the shared one for main.
pub fn of(config: &Map<String, Value>, main: bool) -> Listeners {
    Listeners::read(config.get(if main { "listeners" } else { "worker_listeners" }))
}
