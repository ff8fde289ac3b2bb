//! Addresses: where each host is reached by the others and which address a listener binds.
//!
//! Everything on one host: 127.0.0.1 throughout. Several hosts: literal internal addresses, and
//! loopback still wherever all peers are on the same host. Literals, never names: `localhost` may
//! be ::1 for one side and 127.0.0.1 for the other.

use std::net::IpAddr;

use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::inventory::{Datastore, Host, Inventory};

/// Loopback, as it is written into configuration.
pub const LOOPBACK: &str = "127.0.0.1";

const UNENCRYPTED: &str = "the hosts of this inventory talk to each other unencrypted";

/// Who is where, and how they reach each other.
#[derive(Debug)]
pub(super) struct Placement {
    internal: IndexMap<String, String>,
    /// `internal_address` where one is written, also if all is on one host.
    declared: IndexMap<String, String>,
    synapse: Vec<String>,
    proxies: Vec<String>,
    one_host: bool,
}

impl Placement {
    /// Reads the addresses of all hosts in use and reports what is missing or doubled.
    pub fn new(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let synapse = synapse_hosts(inventory);
        let proxies: Vec<String> = match &inventory.proxy {
            Some(proxy) => proxy.hosts.iter().map(|host| host.value.clone()).collect(),
            None => Vec::new(),
        };
        let mut used = synapse.clone();
        let datastores = [Some(&inventory.postgresql), inventory.redis.as_ref()];
        let datastores = datastores.into_iter().flatten().filter_map(|store| match &store.value {
            Datastore::Host(host) => Some(host.value.clone()),
            Datastore::External(_) => None,
        });
        for host in datastores.chain(proxies.iter().cloned()) {
            if !used.contains(&host) {
                used.push(host);
            }
        }
        // Unknown names are reported elsewhere; one of them makes no second host.
        used.retain(|host| inventory.hosts.contains_key(host));
        let one_host = used.len() <= 1;
        loopback(inventory, &synapse, diagnostics);
        let mut internal = IndexMap::new();
        let mut seen: IndexMap<IpAddr, &str> = IndexMap::new();
        for (name, host) in &inventory.hosts {
            let needed = !one_host && used.contains(name);
            match address_of(host) {
                Ok(Some(address)) if !one_host => {
                    if let Some(other) = seen.insert(address, name).filter(|_| needed) {
                        let span = host.internal_address.as_ref().map_or(host.address.span, |at| at.span);
                        let first = inventory.hosts.get(other).map_or(span, |host| host.span);
                        diagnostics.push(
                            Diagnostic::error(
                                span,
                                format!("hosts {other:?} and {name:?} have one internal address, {address}"),
                            )
                            .help("give each host the address under which the others reach it")
                            .related(first, format!("{other:?} is here")),
                        );
                    }
                    if needed && is_public(&address) {
                        let span = host.internal_address.as_ref().map_or(host.address.span, |at| at.span);
                        let summary = format!("internal_address of host {name:?} is public: {address}");
                        diagnostics.push(
                            Diagnostic::warning(span, summary)
                                .help(format!("{UNENCRYPTED}: write the IP of a private network or VPN")),
                        );
                    }
                    internal.insert(name.clone(), address.to_string());
                }
                Ok(_) => {
                    if needed {
                        diagnostics.push(missing(name, host, &inventory.main.host.value));
                    }
                    internal.insert(name.clone(), LOOPBACK.to_owned());
                }
                Err(diagnostic) => {
                    if needed {
                        diagnostics.push(*diagnostic);
                    }
                    internal.insert(name.clone(), LOOPBACK.to_owned());
                }
            }
        }
        let written = |host: &Host| host.internal_address.as_ref()?.value.parse::<IpAddr>().ok();
        let declared = inventory.hosts.iter();
        let declared =
            declared.filter_map(|(name, host)| Some((name.clone(), written(host)?.to_string()))).collect();
        Self { internal, declared, synapse, proxies, one_host }
    }

    /// Address under which other hosts of the topology reach this one.
    pub fn internal(&self, host: &str) -> String {
        if self.one_host {
            return LOOPBACK.to_owned();
        }
        self.internal.get(host).cloned().unwrap_or_else(|| LOOPBACK.to_owned())
    }

    /// Hosts with Synapse processes, main's first.
    pub fn synapse_hosts(&self) -> &[String] {
        &self.synapse
    }

    /// Hosts with the proxy.
    pub fn proxies(&self) -> &[String] {
        &self.proxies
    }

    /// Address of the listener that the proxy reaches: loopback if the only proxy is on this host.
    /// Without a proxy of ours, nobody knows where the admin's is: loopback on one host, else internal.
    pub fn client(&self, host: &str) -> String {
        if self.proxies.iter().all(|proxy| proxy == host) && !self.proxies.is_empty() {
            return LOOPBACK.to_owned();
        }
        self.internal(host)
    }

    /// Address of a replication listener: only Synapse processes reach it.
    pub fn replication(&self, host: &str) -> String {
        self.among_synapse(host)
    }

    /// Address of a datastore of ours on `host`.
    pub fn datastore(&self, host: &str) -> String {
        self.among_synapse(host)
    }

    /// Address of a metrics listener: Prometheus may be anywhere, so it is the internal address wherever
    /// there is one, loopback else.
    pub fn metrics(&self, host: &str) -> String {
        self.declared.get(host).cloned().unwrap_or_else(|| self.internal(host))
    }

    fn among_synapse(&self, host: &str) -> String {
        if self.synapse.iter().all(|synapse| synapse == host) {
            LOOPBACK.to_owned()
        } else {
            self.internal(host)
        }
    }
}

/// `ADDRESS:PORT`, an IPv6 literal in brackets.
pub fn socket(address: &str, port: u16) -> String {
    if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn synapse_hosts(inventory: &Inventory) -> Vec<String> {
    let workers = inventory.workers.values().flat_map(|pool| &pool.hosts);
    let workers = workers.filter(|(_, count)| *count > 0).map(|(host, _)| &host.value);
    let mut hosts: Vec<String> = Vec::new();
    for host in std::iter::once(&inventory.main.host.value).chain(workers) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}

/// `internal_address`, or `address` if that is a literal of a private range.
fn address_of(host: &Host) -> Result<Option<IpAddr>, Box<Diagnostic>> {
    let Some(written) = &host.internal_address else {
        let direct = host.jump.is_empty();
        return Ok(host.address.value.parse().ok().filter(|address| direct && is_private(address)));
    };
    let refuse = |why: &str| {
        let summary = format!("internal_address {:?} {why}", written.value);
        Box::new(
            Diagnostic::error(written.span, summary)
                .help("write the IP address under which the other hosts reach this one"),
        )
    };
    let address: IpAddr = written.value.parse().map_err(|_| refuse("is not an IP address"))?;
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return Err(refuse("cannot be reached from other hosts"));
    }
    Ok(Some(address))
}

/// RFC 1918, RFC 6598 (carrier-grade NAT, which VPNs use) and unique local IPv6.
fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Neither of a private network nor of one link alone.
fn is_public(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !is_private(address) && !link_local
}

/// Reports an external datastore on loopback that processes on several hosts need: each would ask its own host.
fn loopback(inventory: &Inventory, synapse: &[String], diagnostics: &mut Vec<Diagnostic>) {
    let hosts = synapse.iter().filter(|host| inventory.hosts.contains_key(*host)).count();
    if hosts < 2 {
        return;
    }
    for (name, store) in [("postgresql", Some(&inventory.postgresql)), ("redis", inventory.redis.as_ref())] {
        let Some(Datastore::External(external)) = store.map(|store| &store.value) else { continue };
        let host = &external.host.value;
        let is_loopback = host.parse::<IpAddr>().map(|address| address.to_canonical().is_loopback());
        if is_loopback.unwrap_or_else(|_| host.eq_ignore_ascii_case("localhost")) {
            let summary = format!(
                "{name}.external is on {host}, which is another machine on each of the {hosts} hosts with Synapse"
            );
            // Some have a proxy to it on each host (pgbouncer, HAProxy before Patroni or Sentinel): no error.
            diagnostics.push(Diagnostic::warning(external.host.span, summary).help(
                "write an address that all of them reach; it is right if a proxy to the same one listens on each of them",
            ));
        }
    }
}

fn missing(name: &str, host: &Host, main: &str) -> Diagnostic {
    let why = match host.address.value.parse::<IpAddr>() {
        Ok(address) if is_private(&address) => {
            format!("{address} is behind a jump host, so others may not reach it so")
        }
        Ok(address) => format!("{address} is public"),
        Err(_) => format!("{:?} is no IP address", host.address.value),
    };
    Diagnostic::error(host.span, format!("host {name:?} needs an internal_address: {why}"))
        .help(format!("{UNENCRYPTED}: add `internal_address: IP` of a private network or VPN"))
        .related(
            host.address.span,
            if name == main { "main runs here" } else { "other hosts must reach this one" },
        )
}
