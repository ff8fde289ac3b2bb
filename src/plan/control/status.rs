//! How each process is, seen from the facts and the plan: state, readiness, and whether it runs with what
//! the inventory says today.
//!
//! Never here: words for people beyond one clause, or what a host was not asked.

use serde::Serialize;

use super::select::Service;
use crate::facts::HostFacts;
use crate::facts::host::UnitFact;
use crate::plan::change::{Change, Operation};
use crate::plan::service::is_active;
use crate::plan::{Input, Plan};
use crate::version::Version;

/// One process of the deployment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Host name.
    pub host: String,
    /// `sync2`, `main`, `postgresql`, `redis`, `nginx`.
    pub name: String,
    /// Full unit name.
    pub unit: String,
    /// `running`, `stopped`, `absent` (never applied), or systemd's word.
    pub state: String,
    /// Since when, seconds since the epoch.
    pub since: Option<i64>,
    /// Seconds that it has been so, on the host's clock.
    pub seconds: Option<i64>,
    /// It runs and has all it needs.
    pub ready: bool,
    /// What it lacks to be ready.
    pub missing: Option<String>,
    /// It starts at boot.
    pub enabled: bool,
    /// It runs with what the inventory says; `null`: it does not run.
    pub current: Option<bool>,
    /// Why it is not as it should be, one clause.
    pub reason: Option<String>,
    /// Version of what runs.
    pub version: Option<String>,
    /// Memory, bytes.
    pub memory: Option<u64>,
    /// Restarts by systemd since somebody started it last.
    pub restarts: u64,
    /// Nothing is to be said against it.
    pub well: bool,
}

/// The status of these services; those of hosts that were not asked are left out.
pub fn status(services: &[Service<'_>], input: &Input<'_>, plan: &Plan) -> Vec<Status> {
    services.iter().filter_map(|service| of(service, input, plan)).collect()
}

fn of(service: &Service<'_>, input: &Input<'_>, plan: &Plan) -> Option<Status> {
    let host = &service.resource.address.host;
    let facts = input.facts.get(host)?;
    let address = service.resource.address.to_string();
    let change = plan.changes.iter().find(|change| change.address == address);
    let empty = UnitFact::default();
    let unit = facts.units.get(service.unit).unwrap_or(&empty);
    let process = facts.processes.get(service.unit);
    let active = is_active(unit);
    let absent = change.is_some_and(|change| change.operation == Operation::Create) && !active;
    let state = match (active, absent) {
        (true, _) => "running".to_owned(),
        (_, true) => "absent".to_owned(),
        _ => before(change, "active").unwrap_or("stopped").replace("inactive", "stopped"),
    };
    let since = if active && unit.started > 0 { unit.started } else { unit.since };
    let since = (since > 0 && !absent).then_some(since);
    let missing = process.map(|process| process.missing.clone()).filter(|missing| !missing.is_empty());
    let current = active.then(|| before(change, "configuration").is_none());
    let ready = active && missing.is_none();
    let memory = unit.memory.or_else(|| process.map(|process| process.memory).filter(|bytes| *bytes > 0));
    Some(Status {
        host: host.clone(),
        name: service.name.to_owned(),
        unit: service.unit.to_owned(),
        state,
        since: since.map(|since| since / 1_000_000),
        seconds: since.map(|since| (facts.now - since).max(0) / 1_000_000),
        ready,
        missing,
        enabled: !absent && before(change, "enabled").is_none(),
        current,
        reason: change.map(|change| change.reason.clone()),
        version: active.then(|| version(service, facts)).flatten(),
        memory: memory.filter(|_| active),
        restarts: unit.restarts,
        well: ready && change.is_none(),
    })
}

/// An attribute as it was found, if that is not as it should be.
fn before<'a>(change: Option<&'a Change>, attribute: &str) -> Option<&'a str> {
    let (_, before, _) = change?.attributes.iter().find(|(name, ..)| name == attribute)?;
    before.as_deref()
}

/// What runs: of Synapse by the environment that the process was started from.
fn version(service: &Service<'_>, facts: &HostFacts) -> Option<String> {
    if service.instance.is_some() {
        let venv = facts.processes.get(service.unit)?.program.strip_suffix("/bin/python")?;
        if let Some(found) = facts.venvs.get(venv) {
            return found.synapse.clone();
        }
        // Another one than today's: VERSION-HASH says which.
        let (version, _) = venv.rsplit('/').next()?.rsplit_once('-')?;
        return Version::parse(version).map(|version| version.as_str().to_owned());
    }
    if service.name == "postgresql" {
        let number = facts.postgresql.as_ref().map(|found| found.version).filter(|number| *number > 0)?;
        return Some(format!("{}.{}", number / 10_000, number % 10_000));
    }
    let package = if service.name == "redis" { "redis-server" } else { service.name };
    // `5:7.0.15-1~deb12u1`: epoch, version, Debian's own.
    let text = facts.packages.get(package)?;
    let text = text.split_once(':').map_or(text.as_str(), |(_, rest)| rest);
    Some(text.rsplit_once('-').map_or(text, |(version, _)| version).to_owned())
}
