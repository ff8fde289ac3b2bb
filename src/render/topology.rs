//! A topology as people look at it: which process runs where and what for.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::paint::Paint;
use crate::topology::{Instance, Topology};

/// One line a process, grouped by host.
pub fn text(topology: &Topology, color: bool) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{}",
        paint.bold(&format!(
            "{}: Synapse {} on {} host(s)",
            topology.server_name,
            topology.version,
            topology.hosts.len()
        ))
    );
    let width =
        topology.instances.iter().map(|one| one.name.len()).max().unwrap_or(0).max("PostgreSQL".len());
    for (name, host) in &topology.hosts {
        let _ = writeln!(out, "  {name}");
        let mut line = |what: &str, port: String, role: &str| {
            let _ = writeln!(out, "    {what:width$}  {port:>5}  {}", paint.dim(role));
        };
        if host.postgresql {
            line("PostgreSQL", topology.postgresql.port.to_string(), "database");
        }
        if let (true, Some(redis)) = (host.redis, &topology.redis) {
            line("Redis", redis.port.to_string(), "replication between processes");
        }
        for instance in topology.instances.iter().filter(|one| one.host == *name) {
            let socket = instance.runtime_directory.as_ref().map_or("-", |_| "unix");
            let port = instance.client_port.map_or_else(|| socket.to_owned(), |port| port.to_string());
            line(&instance.name, port, &role(topology, instance));
        }
        if host.proxy {
            line("nginx", String::new(), "the only one that listens publicly");
        }
    }
    out.push_str(&selecting(topology));
    out
}

/// Which pool gets which requests, in the order in which they are asked; empty if none selects.
pub fn selecting(topology: &Topology) -> String {
    let mut out = String::new();
    for (at, (pool, selector)) in topology.selectors.iter().enumerate() {
        let lists = [
            ("appservice", &selector.appservices),
            ("user agent", &selector.user_agents),
            ("source", &selector.sources),
            ("room", &selector.rooms),
            ("user", &selector.users),
        ];
        let lists = lists.iter().filter(|(_, list)| !list.is_empty());
        let words: Vec<String> = lists.map(|(what, list)| format!("{what} {}", list.join(" or "))).collect();
        let _ = writeln!(out, "  {}. {pool} gets requests with {}", at + 1, words.join(", and "));
    }
    if !out.is_empty() {
        out = format!(
            "Pools that select, first match wins:\n{out}  then the pools without select, then main\n"
        );
    }
    out
}

/// Classes of endpoints that a worker serves, without those that follow from the streams it writes.
pub(super) fn classes<'a>(topology: &'a Topology, instance: &Instance) -> BTreeSet<&'a str> {
    let serves = |upstream: &String| {
        topology
            .upstreams
            .get(upstream)
            .is_some_and(|one| one.servers.iter().any(|server| server.instance == instance.name))
    };
    let routes = topology.routes.iter().filter(|route| !route.class.starts_with("stream:"));
    routes.filter(|route| serves(&route.upstream)).map(|route| route.class.as_str()).collect()
}

/// What a process is for, in the inventory's three words.
fn role(topology: &Topology, instance: &Instance) -> String {
    let classes = if instance.name == "main" { BTreeSet::new() } else { classes(topology, instance) };
    let mut parts = Vec::new();
    if instance.name == "main" {
        parts.push("everything that no worker takes".to_owned());
    }
    if !classes.is_empty() {
        parts.push(format!("handles {}", classes.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if !instance.writes.is_empty() {
        parts.push(format!("writes {}", instance.writes.join(", ")));
    }
    if !instance.runs.is_empty() {
        parts.push(format!("runs {}", instance.runs.join(", ")));
    }
    parts.join("; ")
}
