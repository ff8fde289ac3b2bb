//! The actual state of one host, as its facts script answered. Plain data, typed, of bounded size.
//!
//! What a host says lands only here: it can never change how the host is reached, what is desired
//! for it, or a path on the controller (CVE-2020-10684, CVE-2020-1735 in other tools).

use std::collections::BTreeMap;

use super::generation::{Meta, Stored};
use super::record::Record;
use super::request::Port;
use super::watched::Watched;

/// Everything one exec found out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostFacts {
    /// `ID` of os-release: `debian`, `ubuntu`.
    pub os_id: String,
    /// `VERSION_ID` of os-release: `12`, `24.04`.
    pub os_version: String,
    /// `PRETTY_NAME` of os-release.
    pub os_name: String,
    /// systemd is process 1.
    pub systemd: bool,
    /// Effective user id of the script; anything but 0 is an error.
    pub euid: u32,
    /// `x86_64`, `aarch64`.
    pub machine: String,
    /// Name behind /usr/bin/python3, `python3.11`; empty if there is none.
    pub python: String,
    /// Wall clock, microseconds since the epoch.
    pub now: i64,
    /// Microseconds since boot.
    pub uptime: i64,
    /// Paths that exist.
    pub paths: BTreeMap<String, PathFact>,
    /// Units asked about, also those that do not exist.
    pub units: BTreeMap<String, UnitFact>,
    /// Installed packages with their version.
    pub packages: BTreeMap<String, String>,
    /// Lines in which Synapse said what its processes serve; only if it was asked.
    pub served: Vec<String>,
    /// Why it could not say; empty: it could, or was not asked.
    pub unserved: String,
    /// What connecting to the ports brought that it was asked to try.
    pub reached: BTreeMap<Port, Reached>,
    /// What services' processes are like; only if that was asked.
    pub processes: BTreeMap<String, ProcessFact>,
    /// Users that exist, with their passwd line.
    pub users: BTreeMap<String, String>,
    /// venvs that exist.
    pub venvs: BTreeMap<String, VenvFact>,
    /// Secrets whose file exists.
    pub secrets: BTreeMap<String, SecretFact>,
    /// `(directive, path)` to the number found.
    pub directives: BTreeMap<(String, String), u64>,
    /// Top-level keys of the admin's own YAML files, by path.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Our configuration's path, where the record of another deployment lists it: to that one's server name.
    pub claims: BTreeMap<String, String>,
    /// PostgreSQL, where it was asked about and there is one.
    pub postgresql: Option<PostgresqlFact>,
    /// What only a drift run asks.
    pub watched: Watched,
    /// Who made its generations, when, and what of, by number; only if that was asked.
    pub generations: BTreeMap<u64, Meta>,
    /// The generation that was asked for.
    pub generation: Option<Stored>,
    /// The record.
    pub record: Record,
}

/// What connecting to a port brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// Something listens and answers.
    Open,
    /// The host says no: nothing listens there, or a firewall rejects.
    Refused,
    /// No answer in time: the packets are dropped on the way, or the host is off.
    Silent,
    /// It cannot even be tried, in the host's own words.
    Failed(String),
}

/// What stands at a path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PathFact {
    /// `file`, `directory`, `link`, or what stat calls it.
    pub kind: String,
    /// Octal with four digits.
    pub mode: String,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Bytes.
    pub size: u64,
    /// Last change of the content, microseconds since the epoch.
    pub changed: i64,
    /// Last change of content, rights or name, microseconds since the epoch.
    pub touched: i64,
    /// Target of a link.
    pub link: Option<String>,
    /// SHA-256 of a file without secrets.
    pub digest: Option<String>,
    /// A file with secrets: compared on the host with what was applied.
    pub secretful: Option<Secretful>,
    /// Content of a differing file; for one with secrets the redacted content as last applied.
    pub content: Option<Vec<u8>>,
}

/// How a file with secrets compares with the digest the host remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secretful {
    /// Byte for byte as applied.
    Same,
    /// Somebody changed it.
    Edited,
    /// synprov never wrote it.
    Unknown,
}

/// A systemd unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnitFact {
    /// `loaded`, `not-found`, `masked`, `bad-setting`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// `running`, `auto-restart`, …
    pub sub: String,
    /// `enabled`, `disabled`, `static`, …
    pub file_state: String,
    /// Path of the unit file.
    pub fragment: String,
    /// Paths of drop-ins.
    pub drop_ins: Vec<String>,
    /// The unit file changed since systemd read it.
    pub needs_reload: bool,
    /// InvocationID of the current or last start.
    pub invocation: String,
    /// Start of the main process, microseconds since the epoch; 0 if it never ran.
    pub started: i64,
    /// Result of the last run, `success`, `exit-code`, …
    pub result: String,
    /// Restarts by systemd since the last start by somebody.
    pub restarts: u64,
    /// Since when it is in its state, microseconds since the epoch; 0 if it never was in another.
    pub since: i64,
    /// Memory of all its processes, bytes; `None` where systemd does not count it.
    pub memory: Option<u64>,
    /// Worker processes `PID@TICKS`, for services that reload by replacing them.
    pub workers: Vec<(u32, u64)>,
}

/// The process of a service at the moment it was asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessFact {
    /// Memory of the main process, bytes.
    pub memory: u64,
    /// What it was started as: the interpreter of its venv.
    pub program: String,
    /// What it lacks to be ready, in words; empty: nothing.
    pub missing: String,
}

/// A Python environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VenvFact {
    /// Digest of the names of its `.dist-info` directories.
    pub packages: String,
    /// `complete`, `partial` (synprov did not finish it or never made it), `broken` (no interpreter).
    pub state: String,
    /// Version of Synapse in it.
    pub synapse: Option<String>,
}

/// A secret's own file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SecretFact {
    /// Hash with the nonce of this run: equal values on two hosts give equal strings.
    pub nonced: String,
    /// Hash with the host's own salt: what the record remembers. Empty if the host has no salt yet.
    pub revision: String,
}

/// A PostgreSQL cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PostgresqlFact {
    /// Installed, but it did not answer.
    pub unreachable: bool,
    /// `server_version_num`, e.g. 150018.
    pub version: u32,
    /// Setting to (value, waits for a restart).
    pub settings: BTreeMap<String, (String, bool)>,
    /// The role exists (and may log in).
    pub role: Option<bool>,
    /// Encoding, collation, ctype, owner of the database.
    pub database: Option<(String, String, String, String)>,
    /// Addresses let in for our role and database.
    pub peers: Vec<String>,
    /// What Synapse left in our database; `None`: no Synapse has started on it yet.
    pub holds: Option<Holds>,
}

/// What Synapse left in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    /// Somebody holds its tables, as a migration of the schema does: what follows could not be read.
    pub locked: bool,
    /// SCHEMA_VERSION of the release that upgraded it last; 0 if it does not say.
    pub schema: u32,
    /// Lowest SCHEMA_VERSION of a release that still starts on it; 0 if it does not say.
    pub compat: u32,
    /// Name after the colon of the users in it, if there is one.
    pub server_name: Option<String>,
    /// Background updates that have not come to their end, in their order; at most twenty.
    pub updates: Vec<String>,
}

impl HostFacts {
    /// When the newest worker process of a reloading unit started, microseconds since the epoch.
    ///
    /// Older ones are still there for a while after a reload: they end their long polls.
    /// `/proc` counts in ticks of 10 ms (USER_HZ, fixed at 100 on Linux) since boot.
    pub fn workers_started(&self, unit: &UnitFact) -> Option<i64> {
        let ticks = unit.workers.iter().map(|(_, ticks)| *ticks).max()?;
        // Ticks are whatever the host says.
        let since_boot = i64::try_from(ticks).ok()?.saturating_mul(10_000);
        Some((self.now - self.uptime).saturating_add(since_boot))
    }

    /// `cp311-x86_64`: which wheels fit.
    pub fn python_tag(&self) -> Option<String> {
        let (major, minor) = self.python.strip_prefix("python")?.split_once('.')?;
        Some(format!("cp{major}{minor}-{}", self.machine))
    }

    /// `(3, 11)`.
    pub fn python_version(&self) -> Option<(u32, u32)> {
        let (major, minor) = self.python.strip_prefix("python")?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

impl UnitFact {
    /// Start of the newest worker process in ticks: what the record keeps of a reload.
    pub fn newest_worker(&self) -> String {
        self.workers.iter().map(|(_, ticks)| *ticks).max().map_or_else(String::new, |ticks| ticks.to_string())
    }
}
