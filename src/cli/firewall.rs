//! `synprov firewall`: which ports must be reachable from where, from the inventory alone.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::load::{Loaded, load_or_tell};
use super::rehearse::stand_in;
use super::{Exit, InventoryArgs, Output, exit};
use crate::render::firewall::{self, Allowed, HostFirewall, Policy};
use crate::topology::{Reach, reachability};

/// `synprov firewall`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, &[], &[]))]
pub struct FirewallArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    /// As what it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,

    /// As JSON on standard output, the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Only this host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// Write HOST.nft for every host into this directory instead of printing (nftables only)
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// nftables: what happens to everything else
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    policy: Policy,

    /// nftables: leave this port open for everybody, e.g. 51820/udp of WireGuard
    #[arg(long, value_name = "PORT[/udp]", value_parser = allowed)]
    allow: Vec<Allowed>,
}

const HELP: &str = "\
Nothing is changed on any host. Traffic between processes of one host passes over loopback and is \
not listed. Ports are those of inventory.lock.

Examples:
  synprov firewall                                    a table
  synprov firewall --format nftables --host hs1       rules of one host
  synprov firewall --format nftables --output rules/  a file for each host
  synprov firewall --format nftables --policy accept --host hs1
      guard PostgreSQL, Redis and Synapse, leave the rest alone

Before loading rules on a distant host, arrange a way back (interrupt it if you are still in):
  nft -f hs1.nft && sleep 60 && nft delete table inet matrix_firewall";

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// A table
    #[default]
    Text,
    /// Rules for `nft -f`
    Nftables,
    /// A document
    Json,
}

fn allowed(text: &str) -> Result<Allowed, String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp") {
        return Err("write PORT, PORT/tcp or PORT/udp".to_owned());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((protocol.to_owned(), port)),
        _ => Err("the port is a number from 1 to 65535".to_owned()),
    }
}

impl FirewallArgs {
    /// A flag that only rules have a use for.
    fn of_rules(&self) -> Option<&'static str> {
        let given = [
            ("--output", self.output.is_some()),
            ("--policy", self.policy != Policy::default()),
            ("--allow", !self.allow.is_empty()),
        ];
        given.iter().find(|(_, given)| *given).map(|(flag, _)| *flag)
    }
}

/// Runs it.
pub fn run(arguments: &FirewallArgs, output: &Output) -> Exit {
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    let loaded = match load_or_tell(&arguments.inventory, stand_in.as_ref(), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    if let Some(flag) = arguments.of_rules().filter(|_| arguments.format != Format::Nftables) {
        output.error(
            &format!("{flag} is for rules, and this is no rule"),
            Some("say `--format nftables` as well"),
        );
        return Exit::Usage;
    }
    let (reaches, mut hosts) = hosts(&loaded);
    if let Some(name) = &arguments.host {
        if !hosts.iter().any(|host| host.host == *name) {
            let known: Vec<&str> = hosts.iter().map(|host| host.host.as_str()).collect();
            output.error(
                &format!("--host names {name:?}, which is no host of the inventory"),
                Some(&format!("hosts are: {}", known.join(", "))),
            );
            return Exit::Usage;
        }
        hosts.retain(|host| host.host == *name);
    }
    match (arguments.format, arguments.json) {
        (Format::Json, _) | (_, true) => output.result(&firewall::json(&hosts, &reaches)),
        (Format::Text, _) => {
            output.result(&firewall::text(&loaded.topology, &hosts, &reaches, output.color));
        }
        (Format::Nftables, _) => return nftables(arguments, &loaded, &hosts, output),
    }
    Exit::Done
}

/// What must be reachable, all together and by host.
pub fn hosts(loaded: &Loaded) -> (Vec<Reach>, Vec<HostFirewall>) {
    let reaches = reachability(&loaded.topology);
    let hosts =
        loaded.topology.hosts.keys().filter_map(|name| Some((name, loaded.inventory.hosts.get(name)?)));
    let hosts = hosts.map(|(name, host)| HostFirewall {
        host: name.clone(),
        ssh: host.port.unwrap_or(22),
        reaches: reaches.iter().filter(|one| one.to.as_ref() == Some(name)).cloned().collect(),
    });
    let hosts = hosts.collect();
    (reaches, hosts)
}

fn nftables(arguments: &FirewallArgs, loaded: &Loaded, hosts: &[HostFirewall], output: &Output) -> Exit {
    let rules = |host| firewall::nftables(&loaded.topology, host, arguments.policy, &arguments.allow);
    let Some(directory) = &arguments.output else {
        // Several files in one would be loaded on a host that only one of them is for.
        let [only] = hosts else {
            output.error(
                "every host has rules of its own",
                Some("name one with --host, or write all of them with --output DIR"),
            );
            return Exit::Usage;
        };
        output.result(&rules(only));
        return Exit::Done;
    };
    for host in hosts {
        let path = directory.join(format!("{}.nft", host.host));
        let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, rules(host)));
        if let Err(error) = written {
            output.error(&format!("cannot write {}: {error}", path.display()), None);
            return Exit::Error;
        }
        output.talk(&format!("{}\n", path.display()));
    }
    Exit::Done
}
