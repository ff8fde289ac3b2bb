//! Which ports must be reachable from where, as a table and as nftables rules.
//!
//! Never here: deciding what must be reachable (`topology::reachability`).

use std::fmt::Write as _;
use std::net::IpAddr;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::paint::Paint;
use crate::topology::{Reach, Source, Topology};

/// What happens to everything that is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Policy {
    /// Dropped: only SSH, ICMP, what Synapse needs and --allow are let in.
    #[default]
    Drop,
    /// As before: only the ports of PostgreSQL, Redis and Synapse are guarded.
    Accept,
}

/// One host's part: what may come in.
#[derive(Debug, Clone)]
pub struct HostFirewall {
    /// Name.
    pub host: String,
    /// Port of sshd.
    pub ssh: u16,
    /// What must be reachable on it.
    pub reaches: Vec<Reach>,
}

/// Further ports that stay open: `tcp` or `udp`, number.
pub type Allowed = (String, u16);

/// One block a host: port, from where, what for. Servers of others come last.
pub fn text(topology: &Topology, hosts: &[HostFirewall], reaches: &[Reach], color: bool) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    let mut block = |title: &str, lines: Vec<(String, String, String)>| {
        let wide = |part: fn(&(String, String, String)) -> &String| {
            lines.iter().map(|line| part(line).chars().count()).max().unwrap_or(0)
        };
        let (ports, sources) = (wide(|line| &line.0), wide(|line| &line.1));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{title}");
        for (port, from, why) in &lines {
            let _ = writeln!(out, "  {port:>ports$}  from {from:sources$}  {}", paint.dim(why));
        }
    };
    for host in hosts {
        let address = topology.hosts.get(&host.host).map_or("", |host| host.internal_address.as_str());
        let title = match address.parse::<IpAddr>() {
            Ok(ip) if !ip.is_loopback() => format!("{} {}", paint.bold(&host.host), paint.dim(address)),
            _ => paint.bold(&host.host),
        };
        let ssh = (host.ssh.to_string(), "where you run synprov".to_owned(), "SSH".to_owned());
        let rest = grouped(&host.reaches).into_iter().map(|one| (one.port.to_string(), one.from, one.why));
        block(&title, std::iter::once(ssh).chain(rest).collect());
    }
    let others: Vec<Reach> = reaches.iter().filter(|one| one.to.is_none()).cloned().collect();
    if !others.is_empty() {
        let lines = grouped(&others).into_iter();
        let lines = lines.map(|one| (crate::topology::socket(&one.address, one.port), one.from, one.why));
        block(&paint.bold("Servers of others"), lines.collect());
    }
    out
}

/// A port with everybody who needs it.
struct Grouped {
    address: String,
    port: u16,
    from: String,
    why: String,
}

fn grouped(reaches: &[Reach]) -> Vec<Grouped> {
    let mut groups: IndexMap<(&str, u16, &str), Vec<String>> = IndexMap::new();
    for one in reaches {
        groups.entry((&one.address, one.port, &one.why)).or_default().push(source(&one.from));
    }
    let groups = groups.into_iter();
    groups
        .map(|((address, port, why), from)| Grouped {
            address: address.to_owned(),
            port,
            from: from.join(", "),
            why: why.to_owned(),
        })
        .collect()
}

fn source(from: &Source) -> String {
    match from {
        Source::Anywhere => "anywhere".to_owned(),
        Source::Networks(networks) => networks.join(", "),
        Source::OwnProxy => "your proxy".to_owned(),
        Source::Host(name) => name.clone(),
    }
}

/// The same as JSON.
pub fn json(hosts: &[HostFirewall], reaches: &[Reach]) -> String {
    let hosts: Vec<Value> = hosts
        .iter()
        .map(|host| json!({"host": host.host, "ssh": host.ssh, "reachable": host.reaches}))
        .collect();
    let others: Vec<&Reach> = reaches.iter().filter(|one| one.to.is_none()).collect();
    format!("{:#}\n", json!({"format_version": 1, "hosts": hosts, "others": others}))
}

/// A whole file for `nft -f` on one host. It replaces a table of its own and touches no other.
pub fn nftables(topology: &Topology, host: &HostFirewall, policy: Policy, allowed: &[Allowed]) -> String {
    let table = format!("{}_firewall", topology.prefix.replace('-', "_"));
    let mut out = format!(
        "#!/usr/sbin/nft -f\n# What may come in on {} of {}, by synprov firewall.\n# Replaces the table {table} and touches no other.\n",
        host.host, topology.server_name,
    );
    if policy == Policy::Drop {
        out.push_str(
            "# Everything else is dropped: also a VPN's own port, if it is not listed (--allow 51820/udp).\n",
        );
    }
    let word = match policy {
        Policy::Drop => "drop",
        Policy::Accept => "accept",
    };
    let _ = write!(
        out,
        "\ntable inet {table}\ndelete table inet {table}\n\ntable inet {table} {{\n\tchain input {{\n\
         \t\ttype filter hook input priority filter; policy {word};\n\n\
         \t\tct state established,related accept\n\
         \t\tiif \"lo\" accept # processes of this host among themselves\n"
    );
    let mut line = |rule: &str, why: &str| {
        let _ = writeln!(out, "\t\t{rule} # {why}");
    };
    let open: Vec<&Reach> = host.reaches.iter().filter(|one| one.from == Source::Anywhere).collect();
    let guarded: Vec<&Reach> = host.reaches.iter().filter(|one| one.from != Source::Anywhere).collect();
    if policy == Policy::Drop {
        line("ct state invalid drop", "belongs to no connection");
        line("meta l4proto { icmp, ipv6-icmp } accept", "path MTU, neighbours, ping");
        line("ip6 saddr fe80::/10 udp dport 546 accept", "answers of DHCPv6");
        line(&format!("tcp dport {} accept", host.ssh), "SSH");
        for (protocol, port) in allowed {
            line(&format!("{protocol} dport {port} accept"), "--allow");
        }
        for one in &open {
            line(&format!("tcp dport {} accept", one.port), &one.why);
        }
    }
    for one in &guarded {
        match saddr(&one.from, topology) {
            Some(rules) => {
                for rule in rules {
                    line(
                        &format!("{rule} tcp dport {} accept", one.port),
                        &format!("{}: {}", source(&one.from), one.why),
                    );
                }
            }
            None => line(
                "",
                &format!("for your proxy: ip saddr ADDRESS tcp dport {} accept ({})", one.port, one.why),
            ),
        }
    }
    if policy == Policy::Accept && !guarded.is_empty() {
        let mut ports: Vec<String> = guarded.iter().map(|one| one.port.to_string()).collect();
        ports.dedup();
        line(&format!("tcp dport {{ {} }} drop", ports.join(", ")), "nobody else");
    }
    out.push_str("\t}\n}\n");
    out
}

/// Matches of a source address, one for each family; `None`: nobody knows the address.
fn saddr(from: &Source, topology: &Topology) -> Option<Vec<String>> {
    let addresses: Vec<String> = match from {
        Source::Host(name) => vec![topology.hosts.get(name)?.internal_address.clone()],
        Source::Networks(networks) => networks.clone(),
        Source::Anywhere => return Some(vec![String::new()]),
        Source::OwnProxy => return None,
    };
    let (six, four): (Vec<String>, Vec<String>) =
        addresses.into_iter().partition(|address| address.contains(':'));
    let rule = |family: &str, addresses: Vec<String>| match addresses.as_slice() {
        [] => None,
        [one] => Some(format!("{family} saddr {one}")),
        many => Some(format!("{family} saddr {{ {} }}", many.join(", "))),
    };
    Some(rule("ip", four).into_iter().chain(rule("ip6", six)).collect())
}
