//! Backends: the topology's upstreams with main as a backup where main can serve.
//!
//! A server is asked for its `/health` only where something else can take its requests: a process
//! without a stand-in is always tried, and one that restarts is not shunned longer than it needs.

use super::Section;
use crate::topology::{Balance, Upstream};

/// `backend NAME`. `main`: address of the process that stands in while none of the others answers.
pub(super) fn backend(name: &str, upstream: &Upstream, main: Option<&str>) -> Section {
    let mut section = Section::new(&["backend", name]);
    let hash = |section: &mut Section, key: &str| {
        // Who has one process keeps it when another comes or goes.
        section.line(&["balance", "hash", key]).plain("hash-type consistent crc32 avalanche");
    };
    match upstream.balance {
        Balance::RoundRobin => drop(section.plain("balance roundrobin")),
        Balance::User => hash(&mut section, "var(txn.user)"),
        Balance::Room => hash(&mut section, "var(txn.room)"),
        // After set-src: the client, not the proxy before this one.
        Balance::Source => hash(&mut section, "src"),
        Balance::LeastConn => drop(section.plain("balance leastconn")),
    }
    let checked = upstream.servers.len() > 1 || main.is_some();
    if checked {
        section.plain("option httpchk GET /health").plain("http-check expect status 200");
    }
    section.line(&["timeout", "server", &format!("{}s", upstream.read_timeout)]);
    for server in &upstream.servers {
        let (address, weight) = (address(&server.address), server.weight.to_string());
        let mut words = vec!["server", &server.instance, &address];
        if server.weight != 1 {
            words.extend(["weight", &weight]);
        }
        if checked {
            words.push("check");
        }
        section.line(&words);
    }
    if let Some(main) = main {
        section.line(&["server", "main", &address(main), "backup"]);
    }
    section
}

/// `ADDRESS:PORT`, or `unix:/PATH` in HAProxy's spelling.
fn address(address: &str) -> String {
    match address.strip_prefix("unix:") {
        Some(path) => format!("unix@{path}"),
        None => address.to_owned(),
    }
}
