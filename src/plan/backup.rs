//! `--backup`: a copy of what cannot be made again, before anything is changed.

use serde::{Deserialize, Serialize};

use super::refuse::refusal;
use super::{Input, Refusal};
use crate::resource::Body;

/// Where `--backup` alone puts it.
pub const DIRECTORY: &str = "/var/backups/synprov";

/// Where a backup goes, on the host that it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Destination {
    /// Files in this directory, which is root's own.
    Directory(String),
    /// The standard input of this command, which bash runs as root.
    Command(String),
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("control characters are in it".to_owned());
        }
        match text.strip_prefix("command:") {
            Some(command) if !command.trim().is_empty() => Ok(Self::Command(command.to_owned())),
            None if text.starts_with('/') && text.len() > 1 => {
                Ok(Self::Directory(text.trim_end_matches('/').to_owned()))
            }
            _ => Err("an absolute path on the host, or command:COMMAND".to_owned()),
        }
    }
}

impl TryFrom<String> for Destination {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => f.write_str(path),
            Self::Command(command) => write!(f, "command:{command}"),
        }
    }
}

/// What one step backs up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// A database, as `pg_restore` reads it.
    Database(String),
    /// Configuration, secrets and record of the host, as an archive of these paths.
    Files(Vec<String>),
}

/// Host and database that can be dumped: one that synprov runs.
pub(super) fn database<'a>(input: &'a Input<'_>) -> Option<(&'a str, &'a str)> {
    input.resources.iter().find_map(|one| match &one.body {
        Body::Postgresql { database, .. } => Some((one.address.host.as_str(), database.as_str())),
        _ => None,
    })
}

/// A backup that would not be one.
pub(super) fn refusals(input: &Input<'_>) -> Vec<Refusal> {
    if input.backup.is_none() {
        return Vec::new();
    }
    match database(input) {
        None => vec![Refusal {
            host: None,
            summary: "`--backup` cannot dump a PostgreSQL that somebody else runs".to_owned(),
            help: "back it up where it runs, then apply without `--backup`".to_owned(),
        }],
        Some((host, _)) if !input.facts.contains_key(host) => {
            vec![refusal(
                host,
                "`--backup` is to dump the database here, and `--limit` leaves this host out".to_owned(),
                "add the host to `--limit`",
            )]
        }
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Destination;

    #[test]
    fn a_directory_or_a_command() {
        for good in ["/srv/backups", "command:restic backup --stdin"] {
            assert_eq!(good.parse::<Destination>().unwrap().to_string(), good);
        }
        for wrong in ["", "/", "backups", "command:", "command: ", "/a\nb"] {
            assert!(wrong.parse::<Destination>().is_err(), "{wrong:?}");
        }
    }
}
