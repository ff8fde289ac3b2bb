//! Which ports must be reachable from where: what a firewall has to let through and a probe may try.
//!
//! A function of the topology alone. Connections that stay on one host are not listed: they pass
//! over the loopback interface, whatever address they name. Never here: SSH, which is how a host is
//! administered and no part of Synapse, and how a firewall writes any of this down.

use std::net::IpAddr;

use indexmap::IndexMap;
use serde::Serialize;

use super::types::{Endpoint, ProxyNode, Topology};
use crate::inventory::{ProxyKind, Tls};

/// One port that must be reachable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Who connects.
    pub from: Source,
    /// Host of the topology that listens; `None`: a server that is not ours.
    pub to: Option<String>,
    /// Address or name it is reached at; `*`: every address of the host.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// What for, e.g. `replication of main, typing`.
    pub why: String,
}

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Clients and other homeservers.
    Anywhere,
    /// These networks (CIDR): the proxies in front of ours.
    Networks(Vec<String>),
    /// The admin's own proxy, of which the inventory says nothing.
    OwnProxy,
    /// A host of the topology, by name.
    Host(String),
}

/// Everything that must be reachable over the network: by listening host in inventory order, then
/// port; servers that are not ours come last. One entry for each source and port.
pub fn reachability(topology: &Topology) -> Vec<Reach> {
    let mut found = Found::default();
    if let Some(proxy) = &topology.proxy {
        public(proxy, &mut found);
    }
    clients(topology, &mut found);
    replication(topology, &mut found);
    metrics(topology, &mut found);
    datastore(topology, &topology.postgresql, "PostgreSQL", &mut found);
    if let Some(redis) = &topology.redis {
        datastore(topology, redis, "Redis", &mut found);
    }
    mas(topology, &mut found);
    found.sorted(topology)
}

/// Where, which address, which port, from where.
type Key = (Option<String>, String, u16, Source);

/// Reasons by what is reached.
#[derive(Default)]
struct Found(IndexMap<Key, IndexMap<&'static str, Vec<String>>>);

impl Found {
    fn add(&mut self, key: Key, what: &'static str, whose: Option<&str>) {
        let reasons = self.0.entry(key).or_default().entry(what).or_default();
        if let Some(whose) = whose.filter(|whose| !reasons.iter().any(|known| known == whose)) {
            reasons.push(whose.to_owned());
        }
    }

    fn sorted(self, topology: &Topology) -> Vec<Reach> {
        let place = |to: &Option<String>| {
            to.as_ref().and_then(|to| topology.hosts.get_index_of(to)).unwrap_or(usize::MAX)
        };
        let source = |from: &Source| match from {
            Source::Host(name) => (1, topology.hosts.get_index_of(name).unwrap_or(usize::MAX)),
            _ => (0, 0),
        };
        let mut all: Vec<Reach> = self
            .0
            .into_iter()
            .map(|((to, address, port, from), reasons)| {
                let words = reasons.into_iter().map(|(what, whose)| match whose.is_empty() {
                    true => what.to_owned(),
                    false => format!("{what} of {}", whose.join(", ")),
                });
                Reach { from, to, address, port, why: words.collect::<Vec<_>>().join("; ") }
            })
            .collect();
        all.sort_by_key(|one| (place(&one.to), one.port, source(&one.from)));
        all
    }
}

/// Ports of the proxy itself.
fn public(proxy: &ProxyNode, found: &mut Found) {
    let ports: &[(u16, &'static str)] = match (proxy.kind, &proxy.tls) {
        (ProxyKind::Includes, _) => &[
            (80, "your own vhost"),
            (443, "your own vhost: clients"),
            (8448, "your own vhost: other homeservers"),
        ],
        (_, Tls::None) => &[(80, "the proxy in front of this one")],
        (_, Tls::Files { .. }) => &[
            (80, "redirection to HTTPS, ACME"),
            (443, "clients, and other homeservers that were delegated here"),
            (8448, "other homeservers"),
        ],
    };
    let behind = matches!(proxy.tls, Tls::None) && proxy.kind != ProxyKind::Includes;
    let from = if behind && !proxy.trusted_proxies.is_empty() {
        Source::Networks(proxy.trusted_proxies.clone())
    } else {
        Source::Anywhere
    };
    for host in &proxy.hosts {
        for (port, why) in ports {
            found.add((Some(host.clone()), "*".to_owned(), *port, from.clone()), why, None);
        }
    }
}

/// What proxies connect to: the listeners for requests.
fn clients(topology: &Topology, found: &mut Found) {
    for instance in &topology.instances {
        let Some(port) = instance.client_port.filter(|_| !is_loopback(&instance.address)) else { continue };
        let to = Some(instance.host.clone());
        match &topology.proxy {
            None => {
                let key = (to, instance.address.clone(), port, Source::OwnProxy);
                found.add(key, "requests", Some(&instance.name));
            }
            Some(proxy) => {
                for host in proxy.hosts.iter().filter(|host| **host != instance.host) {
                    let key = (to.clone(), instance.address.clone(), port, Source::Host(host.clone()));
                    found.add(key, "requests", Some(&instance.name));
                }
            }
        }
    }
}

/// Every Synapse process may ask main and every stream writer (Synapse workers.md, `instance_map`).
fn replication(topology: &Topology, found: &mut Found) {
    for instance in &topology.instances {
        let Some(port) = instance.replication_port else { continue };
        let Some(host) = topology.hosts.get(&instance.host) else { continue };
        for from in synapse_hosts(topology).filter(|from| **from != instance.host) {
            let key = (
                Some(instance.host.clone()),
                host.internal_address.clone(),
                port,
                Source::Host(from.clone()),
            );
            found.add(key, "replication", Some(&instance.name));
        }
    }
}

/// Where Prometheus is, the inventory may say; else nobody is let in.
fn metrics(topology: &Topology, found: &mut Found) {
    let Some(networks) = topology.metrics.as_ref().filter(|networks| !networks.is_empty()) else { return };
    for instance in &topology.instances {
        let Some((address, port)) = instance.metrics.as_deref().and_then(|at| at.rsplit_once(':')) else {
            continue;
        };
        let (address, Ok(port)) = (address.trim_matches(['[', ']']), port.parse()) else { continue };
        if !is_loopback(address) {
            let key =
                (Some(instance.host.clone()), address.to_owned(), port, Source::Networks(networks.clone()));
            found.add(key, "metrics", Some(&instance.name));
        }
    }
}

fn datastore(topology: &Topology, store: &Endpoint, what: &'static str, found: &mut Found) {
    // Names and addresses that stay on the host.
    if is_loopback(&store.address) || store.address == "localhost" || store.address.starts_with('/') {
        return;
    }
    for from in synapse_hosts(topology).filter(|from| store.host.as_ref() != Some(*from)) {
        let key = (store.host.clone(), store.address.clone(), store.port, Source::Host(from.clone()));
        found.add(key, what, None);
    }
}

/// Synapse asks Matrix Authentication Service about tokens; the proxy hands logins to it.
fn mas(topology: &Topology, found: &mut Found) {
    let Some(mas) = &topology.mas else { return };
    let port = mas.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let Some(port) = port.filter(|_| !is_loopback(&mas.host) && mas.host != "localhost") else { return };
    for from in topology.hosts.values().filter(|host| host.synapse || host.proxy) {
        let key = (None, mas.host.clone(), port, Source::Host(from.name.clone()));
        found.add(key, "Matrix Authentication Service", None);
    }
}

fn synapse_hosts(topology: &Topology) -> impl Iterator<Item = &String> {
    topology.hosts.values().filter(|host| host.synapse).map(|host| &host.name)
}

fn is_loopback(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
