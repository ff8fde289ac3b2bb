//! `synprov import`: an inventory from what is there already: a host that runs Synapse, or an inventory of Ansible.
//!
//! Never here: what the findings mean (`crate::import`).

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Output};
use crate::import::{Note, ansible};
use crate::yaml;

/// `synprov import`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ImportArgs {
    /// Print the hosts of this inventory of Ansible (INI or YAML) as the hosts part of one of synprov's
    #[arg(long, value_name = "FILE")]
    ansible: PathBuf,
}

const HELP: &str = "\
Examples:
  synprov import --ansible hosts.ini > inventory.yaml
  synprov import --ansible production.yml
What was not understood is listed on standard error.";

/// Runs it.
pub fn run(arguments: &ImportArgs, output: &Output) -> Exit {
    from_ansible(&arguments.ansible, output)
}

fn from_ansible(path: &std::path::Path, output: &Output) -> Exit {
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
            tell(&hosts.notes, output);
            if hosts.count == 0 {
                output.error(&format!("{shown} names no host"), None);
                return Exit::Error;
            }
            output.result(&hosts.text);
            Exit::Done
        }
    }
}

/// What was not understood, one thing a line.
fn tell(notes: &[Note], output: &Output) {
    if notes.is_empty() {
        return;
    }
    let lines: Vec<String> =
        notes.iter().map(|note| format!("  {}: {}\n      {}\n", note.at, note.what, note.help)).collect();
    output.talk(&format!("Not understood, or not carried over:\n{}", lines.concat()));
}
