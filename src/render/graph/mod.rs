//! A topology as a picture: hosts, processes, what each is for, and where requests go.
//!
//! [`Graph`] is what is drawn; `svg` and `mermaid` draw it. Never here: Synapse's rules.

mod layout;
mod mermaid;
mod svg;

use indexmap::IndexMap;
use serde::Serialize;

use super::topology::classes;
use crate::inventory::{ProxyKind, Tls};
use crate::topology::{Endpoint, Topology};

pub use mermaid::mermaid;
pub use svg::svg;

/// What is drawn.
#[derive(Debug, Serialize)]
pub struct Graph {
    format_version: u32,
    server_name: String,
    version: String,
    proxy: Option<Front>,
    hosts: Vec<HostBox>,
    /// Servers that are not ours.
    others: Vec<Store>,
}

/// The proxy.
#[derive(Debug, Serialize)]
struct Front {
    kind: &'static str,
    hosts: Vec<String>,
    ports: Vec<u16>,
}

/// A host.
#[derive(Debug, Serialize)]
struct HostBox {
    name: String,
    address: String,
    cards: Vec<Card>,
    stores: Vec<Store>,
}

/// Equal processes of a pool on one host.
#[derive(Debug, Serialize)]
struct Card {
    pool: String,
    processes: Vec<Process>,
    /// Classes of endpoints; main serves what no worker takes.
    handles: Vec<String>,
    writes: Vec<String>,
    runs: Vec<String>,
}

/// One of them.
#[derive(Debug, Serialize)]
struct Process {
    name: String,
    port: Option<u16>,
    /// It gets requests, over a port or a socket.
    serves: bool,
}

/// A datastore.
#[derive(Debug, Serialize)]
struct Store {
    name: &'static str,
    address: String,
}

/// What stands for main's classes.
const REST: &str = "everything else";

impl Graph {
    /// The picture of a topology.
    pub fn new(topology: &Topology) -> Self {
        let proxy = topology.proxy.as_ref().map(|proxy| Front {
            kind: match proxy.kind {
                ProxyKind::Haproxy => "HAProxy",
                ProxyKind::Nginx => "nginx",
                ProxyKind::Includes => "nginx (your own vhost)",
            },
            hosts: proxy.hosts.clone(),
            ports: match proxy.tls {
                Tls::None if proxy.kind != ProxyKind::Includes => vec![80],
                _ => vec![443, 8448],
            },
        });
        let hosts = topology.hosts.values().filter(|host| !host.retired);
        let hosts = hosts.map(|host| HostBox {
            name: host.name.clone(),
            address: host.internal_address.clone(),
            cards: cards(topology, &host.name),
            stores: stores(topology, Some(&host.name)),
        });
        Self {
            format_version: 1,
            server_name: topology.server_name.clone(),
            version: topology.version.to_string(),
            proxy,
            hosts: hosts.collect(),
            others: stores(topology, None),
        }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        // Plain fields and maps with text keys cannot fail to serialise.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn cards(topology: &Topology, host: &str) -> Vec<Card> {
    type Role = (String, Vec<String>, Vec<String>, Vec<String>);
    let mut cards: IndexMap<Role, Vec<Process>> = IndexMap::new();
    for instance in topology.instances.iter().filter(|one| one.host == host) {
        let handles = match instance.name.as_str() {
            "main" => vec![REST.to_owned()],
            _ => classes(topology, instance).into_iter().map(str::to_owned).collect(),
        };
        let role = (instance.pool.clone(), handles, instance.writes.clone(), instance.runs.clone());
        let process = Process {
            name: instance.name.clone(),
            port: instance.client_port,
            serves: instance.client.is_some(),
        };
        cards.entry(role).or_default().push(process);
    }
    let cards = cards.into_iter();
    cards
        .map(|((pool, handles, writes, runs), processes)| Card { pool, processes, handles, writes, runs })
        .collect()
}

/// Datastores on a host of ours, or those of others.
fn stores(topology: &Topology, host: Option<&String>) -> Vec<Store> {
    let named: [(&'static str, Option<&Endpoint>); 2] =
        [("PostgreSQL", Some(&topology.postgresql)), ("Redis", topology.redis.as_ref())];
    let mut stores: Vec<Store> = named
        .into_iter()
        .filter_map(|(name, store)| Some((name, store.filter(|store| store.host.as_ref() == host)?)))
        .map(|(name, store)| Store { name, address: crate::topology::socket(&store.address, store.port) })
        .collect();
    if let (None, Some(mas)) = (host, &topology.mas) {
        stores.push(Store { name: "Matrix Authentication Service", address: mas.address.clone() });
    }
    stores
}

impl Card {
    /// `sync, sync2`, `sync … sync8`; the first one's name where that is longer than `most` characters.
    fn title(&self, most: usize) -> String {
        let title = match self.processes.as_slice() {
            [] => self.pool.clone(),
            [one] => one.name.clone(),
            [one, two] => format!("{}, {}", one.name, two.name),
            [first, .., last] => format!("{} … {}", first.name, last.name),
        };
        match self.processes.first() {
            Some(first) if title.chars().count() > most => first.name.clone(),
            _ => title,
        }
    }

    /// `8081`, `8081, 8082`, `8081–8084`, `socket`.
    fn ports(&self) -> String {
        let ports: Vec<u16> = self.processes.iter().filter_map(|one| one.port).collect();
        match ports.as_slice() {
            [] if self.serves() => "socket".to_owned(),
            [] => String::new(),
            [first, .., last] if ports.len() > 2 && usize::from(last - first) + 1 == ports.len() => {
                format!("{first}–{last}")
            }
            many => many.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// Whether the proxy sends requests to it.
    fn serves(&self) -> bool {
        self.processes.iter().any(|one| one.serves)
    }

    /// The three lists with what they are called.
    fn lists(&self) -> [(&'static str, &[String]); 3] {
        [("handles", &self.handles), ("writes", &self.writes), ("runs", &self.runs)]
    }
}
