//! `synprov lab list | ssh | down`: the throwaway hosts that are there.
//!
//! Results go to the writer given; errors go up to the caller, which shows them with their help.
//! Never in this file: how a lab is made.

use std::io::Write;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Exit, exit};
use crate::lab::{Lab, LabError};

/// Look at throwaway hosts, log in on them, remove them.
#[derive(Debug, Args)]
#[command(after_help = exit::below(LAB_HELP, &[], &[]))]
pub struct LabArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// `synprov lab …`
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// List all throwaway hosts with how to reach them.
    List(ListArgs),
    /// Log in on a throwaway host, or run a command there.
    Ssh(SshArgs),
    /// Remove labs with everything that belongs to them.
    Down(DownArgs),
}

/// `synprov lab list`
#[derive(Debug, Args)]
#[command(after_help = exit::below(LIST_HELP, &[], &[]))]
pub struct ListArgs {
    /// A JSON list instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// `synprov lab ssh`
#[derive(Debug, Args)]
#[command(after_help = exit::below(SSH_HELP, &[], SSH_EXITS))]
pub struct SshArgs {
    /// HOST, or LAB/HOST where several labs have a host of that name.
    pub host: String,
    /// What to run there instead of a shell; joined by spaces, as ssh does.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `synprov lab down`
#[derive(Debug, Args)]
#[command(after_help = exit::below(DOWN_HELP, &[], &[]))]
pub struct DownArgs {
    /// Labs to remove; without any, the one that is there.
    pub labs: Vec<String>,
    /// Remove every lab.
    #[arg(long, conflicts_with = "labs")]
    pub all: bool,
}

const LAB_HELP: &str = "\
Examples:
  synprov rehearse --keep
  synprov lab list
  synprov lab ssh hs1
  synprov lab down";

const LIST_HELP: &str = "\
Examples:
  synprov lab list
  synprov lab list --json | jq -r '.[].address'";

const SSH_HELP: &str = "\
Examples:
  synprov lab ssh hs1
  synprov lab ssh three-hosts/hs2 systemctl --failed";

const SSH_EXITS: &[(Exit, &str)] = &[
    (Exit::Done, "what ran there succeeded, else its exit code"),
    (Exit::Error, "no such host, or its own 1"),
];

const DOWN_HELP: &str = "\
Examples:
  synprov lab down
  synprov lab down three-hosts
  synprov lab down --all";

/// A host as `lab list --json` shows it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    lab: &'a str,
    name: &'a str,
    address: &'a str,
    internal_address: &'a str,
    user: &'a str,
    key: &'a std::path::Path,
    known_hosts: &'a std::path::Path,
}

/// Runs `synprov lab …`; gives the exit code.
pub fn run(args: &LabArgs, out: &mut dyn Write) -> Result<u8, LabError> {
    match &args.command {
        LabCommand::List(args) => list(args, out),
        LabCommand::Ssh(args) => ssh(args),
        LabCommand::Down(args) => down(args, out),
    }
}

/// `synprov lab list`: always 0; no labs is an empty list.
pub fn list(args: &ListArgs, out: &mut dyn Write) -> Result<u8, LabError> {
    let labs = Lab::all()?;
    let hosts: Vec<Listed<'_>> = labs
        .iter()
        .flat_map(|lab| {
            lab.hosts().iter().map(|host| Listed {
                lab: &lab.state().name,
                name: &host.name,
                address: &host.address,
                internal_address: &host.internal_address,
                user: &host.user,
                key: &host.key,
                known_hosts: &host.known_hosts,
            })
        })
        .collect();
    let written = if args.json {
        serde_json::to_writer_pretty(&mut *out, &hosts).map_err(Into::into).and_then(|()| writeln!(out))
    } else {
        table(&hosts, out)
    };
    written.map_err(failed_to_write)?;
    Ok(0)
}

/// Columns as wide as their widest word.
fn table(hosts: &[Listed<'_>], out: &mut dyn Write) -> std::io::Result<()> {
    let rows = hosts.iter().map(|host| [host.lab, host.name, host.address, host.internal_address, host.user]);
    let rows: Vec<[&str; 5]> =
        [["LAB", "HOST", "ADDRESS", "INTERNAL", "USER"]].into_iter().chain(rows).collect();
    if hosts.is_empty() {
        return writeln!(out, "no throwaway hosts");
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// `synprov lab ssh`: hands over to OpenSSH on this terminal; the exit code is that of the command there.
pub fn ssh(args: &SshArgs) -> Result<u8, LabError> {
    let (lab, host) = find_host(&args.host)?;
    let argv = lab.ssh_command(&host)?;
    let status = Command::new(&argv[0]).args(&argv[1..]).args(&args.command).status();
    let status = status.map_err(|source| LabError::Io { what: "start ssh".to_owned(), source })?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    Ok(u8::try_from(code).unwrap_or(255))
}

/// The one lab that has the host.
fn find_host(text: &str) -> Result<(Lab, String), LabError> {
    if let Some((lab, host)) = text.split_once('/') {
        return Ok((Lab::find(lab)?, host.to_owned()));
    }
    let labs = Lab::all()?;
    let names: Vec<String> = labs.iter().map(|lab| lab.state().name.clone()).collect();
    let mut having: Vec<Lab> = labs.into_iter().filter(|lab| lab.host(text).is_ok()).collect();
    match (having.len(), having.pop()) {
        (1, Some(lab)) => Ok((lab, text.to_owned())),
        (0, _) => Err(LabError::Unclear { reason: format!("no lab has a host {text:?}"), labs: names }),
        _ => Err(LabError::Unclear {
            reason: format!("several labs have a host {text:?}; say LAB/{text}"),
            labs: names,
        }),
    }
}

/// `synprov lab down`: removes what it can of all that are named, then reports the first error.
pub fn down(args: &DownArgs, out: &mut dyn Write) -> Result<u8, LabError> {
    let mut labs = args.labs.clone();
    if labs.is_empty() {
        labs = Lab::names()?;
        if labs.len() > 1 && !args.all {
            let reason = "several labs are there; say which, or --all".to_owned();
            return Err(LabError::Unclear { reason, labs });
        }
    }
    let mut first = Ok(0);
    for lab in &labs {
        match Lab::remove(lab) {
            Ok(()) => writeln!(out, "removed lab {lab}").map_err(failed_to_write)?,
            Err(error) => first = first.and(Err(error)),
        }
    }
    first
}

fn failed_to_write(source: std::io::Error) -> LabError {
    LabError::Io { what: "write the result".to_owned(), source }
}
