//! What a lab shall be: its name, its hosts, what they may reach.
//!
//! Plain data with its checks. Nothing here starts anything.

use serde::{Deserialize, Serialize};

use super::LabError;

/// A lab to be started.
#[derive(Debug, Clone)]
pub struct LabSpec {
    /// `[a-z0-9-]`, at most 30 characters; see [`lab_name`].
    pub name: String,
    /// At least one, at most 200.
    pub hosts: Vec<HostSpec>,
    /// What is installed beforehand.
    pub flavour: Flavour,
    /// What the hosts may reach outside the lab.
    pub outward: Outward,
}

/// One throwaway host.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// Host name, and the name other hosts resolve it by.
    pub name: String,
    /// User that the lab's key logs in as; created unless it is `root`.
    pub user: String,
    /// What that user may do with sudo.
    pub sudo: Sudo,
    /// Which Debian.
    pub distro: Distro,
    /// The host has the address `10.89.N.(10 + index)`; 1 to 200, unique in the lab.
    pub index: u8,
    /// DNS names for which the lab's own CA certifies this host; empty: no certificate is put there.
    pub tls_names: Vec<String>,
}

/// sudo rights of a host's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sudo {
    /// None.
    No,
    /// `sudo -n` works.
    NoPassword,
    /// sudo asks for a password that nobody has.
    Password,
}

/// A Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distro {
    /// Debian 12, bookworm.
    #[serde(rename = "debian-12")]
    Debian12,
    /// Debian 13, trixie.
    #[serde(rename = "debian-13")]
    Debian13,
}

/// What an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// What a fresh minimal Debian with sshd, sudo and systemd has.
    Bare,
    /// Also PostgreSQL, Redis, nginx and python3-venv as apt leaves them, services stopped and disabled.
    Warm,
}

/// What hosts may reach outside the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outward {
    /// TCP 80 and 443 of the package and pip indexes, nothing else, not even a name server.
    Indexes,
    /// What the machine itself reaches.
    All,
}

/// Turns an inventory's file or server name into a lab name: `Example.org` becomes `example-org`.
pub fn lab_name(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let slug = words.join("-");
    match slug.len() {
        0 => "lab".to_owned(),
        1..=30 => slug,
        // Long names that begin alike must not become one lab.
        _ => format!(
            "{}-{}",
            slug[..21].trim_end_matches('-'),
            &crate::secret::sha256_hex(text.as_bytes())[..8]
        ),
    }
}

impl LabSpec {
    /// Refuses what podman, the network or a shell would choke on.
    pub(super) fn check(&self) -> Result<(), LabError> {
        check_lab_name(&self.name)?;
        let invalid = |reason: String| Err(LabError::Invalid { lab: self.name.clone(), reason });
        if self.hosts.is_empty() {
            return invalid("it has no hosts".to_owned());
        }
        for (at, host) in self.hosts.iter().enumerate() {
            let others = &self.hosts[..at];
            if !is_word(&host.name, 63, "._-") {
                return invalid(format!("host name {:?} cannot be a host name", host.name));
            }
            if !is_word(&host.user, 32, "_-") {
                return invalid(format!("host {:?}: {:?} cannot be a user name", host.name, host.user));
            }
            if let Some(name) = host.tls_names.iter().find(|name| !is_word(name, 253, ".-")) {
                return invalid(format!("host {:?}: {name:?} cannot stand in a certificate", host.name));
            }
            if others.iter().any(|other| other.name == host.name) {
                return invalid(format!("two hosts are called {:?}", host.name));
            }
            if !(1..=200).contains(&host.index) || others.iter().any(|other| other.index == host.index) {
                return invalid(format!(
                    "host {:?}: index {} is taken or not 1 to 200",
                    host.name, host.index
                ));
            }
        }
        Ok(())
    }
}

/// Refuses a lab name that could mean anything else to podman, nft or the file system.
pub(super) fn check_lab_name(name: &str) -> Result<(), LabError> {
    let lower = name.bytes().all(|byte| !byte.is_ascii_uppercase());
    if lower && is_word(name, 30, "-") {
        return Ok(());
    }
    let reason = "a lab name is 1 to 30 of a-z, 0-9 and hyphens, beginning with a letter or digit".to_owned();
    Err(LabError::Invalid { lab: name.to_owned(), reason })
}

/// Letters, digits and `also`; begins with a letter, a digit or `_`.
fn is_word(text: &str, longest: usize, also: &str) -> bool {
    let first =
        text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || (c == '_' && also.contains('_')));
    first && text.len() <= longest && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

impl Distro {
    /// Debian's code name.
    pub(super) fn suite(self) -> &'static str {
        match self {
            Distro::Debian12 => "bookworm",
            Distro::Debian13 => "trixie",
        }
    }

    /// `debian-12`
    pub(super) fn name(self) -> &'static str {
        match self {
            Distro::Debian12 => "debian-12",
            Distro::Debian13 => "debian-13",
        }
    }
}

impl Flavour {
    /// `bare`
    pub(super) fn name(self) -> &'static str {
        match self {
            Flavour::Bare => "bare",
            Flavour::Warm => "warm",
        }
    }
}
