//! `synprov import`: an inventory from what is there already: a host that runs Synapse, or an inventory of Ansible.
//!
//! Never here: what the findings mean (`crate::import`).

mod running;

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Output, exit};
use crate::import::{Note, ansible};
use crate::yaml;

/// `synprov import`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, exit::ASKS, &[]))]
pub struct ImportArgs {
    /// The host to read, as for ssh
    #[arg(value_name = "[USER@]HOST", required_unless_present = "ansible")]
    host: Option<String>,

    /// The inventory to write; its lock is written beside it
    #[arg(short, long, default_value = "inventory.yaml", value_name = "FILE")]
    output: PathBuf,

    /// Print the inventory instead of writing it
    #[arg(long)]
    print: bool,

    /// What the host is called in the inventory [default: the first part of its name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Port of SSH
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Read as root by sudo, without a password
    #[arg(long = "become")]
    r#become: bool,

    /// Private key to try first
    #[arg(long, value_name = "FILE")]
    identity_file: Option<String>,

    /// The host's public key, as a line of known_hosts without the name
    #[arg(long, value_name = "KEY")]
    host_key: Option<String>,

    /// Seconds until a host that does not answer is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// Print the hosts of this inventory of Ansible (INI or YAML) as the hosts part of one of synprov's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "output", "print", "name", "port", "become", "identity_file", "host_key"])]
    ansible: Option<PathBuf>,
}

const HELP: &str = "\
Reads a Synapse with workers that was set up by hand or by Debian's package: processes, units, configuration, \
nginx's locations. One exec; nothing is written on the host; values of secrets stay there. What was not understood \
is listed on standard error, and what would mean something else than what runs.

Examples:
  synprov import root@matrix.example.org
  synprov import deploy@192.0.2.10 --become --name hs1 -o production.yaml
  synprov import --ansible hosts.ini > inventory.yaml

Then:
  synprov check
  synprov plan --adopt --keep-running   no process restarts
  synprov apply --adopt --keep-running  files and units become synprov's
  synprov apply                         some day: processes restart in order";

/// Runs it.
pub fn run(arguments: &ImportArgs, output: &Output) -> Exit {
    match (&arguments.ansible, &arguments.host) {
        (Some(file), _) => from_ansible(file, output),
        (None, Some(host)) => running::run(arguments, host, output),
        (None, None) => Exit::Usage,
    }
}

fn from_ansible(path: &Path, output: &Output) -> Exit {
    let shown = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            output.error(&format!("cannot read {shown}: {error}"), None);
            return Exit::Error;
        }
    };
    if bytes.starts_with(b"$ANSIBLE_VAULT") {
        output.error(&format!("{shown} is encrypted"), Some("decrypt it: ansible-vault view FILE > plain"));
        return Exit::Error;
    }
    let text = String::from_utf8_lossy(&bytes);
    let read = yaml::decode(&bytes).and_then(|text| ansible::read(text, &shown));
    match read {
        Err(found) => {
            output.findings(&found, &shown, &text);
            Exit::Error
        }
        Ok(hosts) => {
            tell("Not understood, or not carried over", &hosts.notes, output);
            if hosts.count == 0 {
                output.error(&format!("{shown} names no host"), None);
                return Exit::Error;
            }
            output.result(&hosts.text);
            Exit::Done
        }
    }
}

/// One thing a line, and what to do below it.
fn tell(title: &str, notes: &[Note], output: &Output) {
    if notes.is_empty() {
        return;
    }
    let lines: Vec<String> =
        notes.iter().map(|note| format!("  {}: {}\n      {}\n", note.at, note.what, note.help)).collect();
    output.talk(&format!("{title}:\n{}", lines.concat()));
}
