//! What a host answered to the questions that only a drift run asks (`watch.sh`). Typed, bounded.

use std::collections::BTreeMap;

use base64::Engine as _;

use super::conversation::clean;
use crate::resource::{Body, Resource, Stage};
use crate::topology::Topology;

/// More of one sort than this no host has that means well.
const MOST: usize = 2000;

/// Answers beyond those of a plan. Times are microseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// This machine's clock before the question and after the answer.
    pub asked: Option<(i64, i64)>,
    /// When an apply last wrote to the host's record.
    pub applied: Option<i64>,
    /// Drop-ins that systemd has loaded for units that were asked about.
    pub drop_ins: BTreeMap<String, DropIn>,
    /// Units whose main process runs, or has mapped, a file that was replaced: that file.
    pub stale: BTreeMap<String, String>,
    /// Synapse processes with this deployment's configuration.
    pub processes: Vec<Process>,
    /// Units with names of ours that systemd has loaded, and their ActiveState.
    pub units: BTreeMap<String, String>,
    /// Units that our target starts at boot.
    pub wanted: Vec<String>,
    /// Packages.
    pub packages: BTreeMap<String, Package>,
    /// When each of the admin's own YAML files last changed.
    pub stamps: BTreeMap<String, i64>,
    /// Files of a sealed venv that are not as pip put them there.
    pub venvs: BTreeMap<String, Vec<VenvFile>>,
    /// Redis: setting, value in its file, value it runs with. `-`: it refuses the password of its file.
    pub redis: Vec<(String, String, String)>,
    /// Whether PostgreSQL takes the password that Synapse has; `None`: that could not be tried.
    pub login: Option<bool>,
    /// Certificates of the proxy.
    pub certificates: BTreeMap<String, Certificate>,
}

/// A drop-in of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropIn {
    /// Last change of its content.
    pub changed: i64,
    /// Names of what it sets, without values.
    pub keys: Vec<String>,
}

/// A process of Synapse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// systemd unit (or session) it belongs to.
    pub unit: String,
    /// Start, clock ticks since boot.
    pub ticks: u64,
    /// What it is: module and last argument.
    pub what: String,
}

/// A package of the distribution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// When its files were put in place.
    pub installed: i64,
    /// `apt-mark hold` was said.
    pub held: bool,
}

/// A file of a venv that is not as pip put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenvFile {
    /// `edited`, `added`, `gone`.
    pub how: String,
    /// Last change; 0 if it is gone.
    pub changed: i64,
    /// Relative to `site-packages`.
    pub path: String,
}

/// A certificate file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Last change of the file (of what a link leads to); 0: it is gone.
    pub changed: i64,
    /// `notBefore` and `notAfter` of the leaf; `None`: it cannot be read as one.
    pub validity: Option<(i64, i64)>,
}

/// The lines of a request that ask all this of one host.
pub fn request(topology: &Topology, host: &str, resources: &[&Resource]) -> String {
    let mut lines = vec![format!("owned\t{}\t{}", topology.root, topology.prefix), "packages".to_owned()];
    let secret = |name: &str| topology.secrets.get(name).map(|node| node.path.as_str());
    for resource in resources {
        match &resource.body {
            Body::Directory { path, .. } if super::request::is_others(path) => {
                lines.push(format!("keys\t{path}"));
            }
            Body::Venv { path, managed: true, .. } => lines.push(format!("venv\t{path}")),
            Body::Postgresql { role, password, database, .. } => {
                let endpoint = &topology.postgresql;
                if let Some(path) = secret(password) {
                    let (address, port) = (&endpoint.address, endpoint.port);
                    lines.push(format!("login\t{address}\t{port}\t{role}\t{database}\t{path}"));
                }
            }
            Body::Service { unit, stage: Stage::Datastore, secrets, .. } if unit.starts_with("redis-") => {
                let Some(redis) = &topology.redis else { continue };
                let address = redis.binds.first().unwrap_or(&redis.address);
                let file = format!("/etc/redis/redis-{}.conf", topology.prefix);
                let password = secrets.first().and_then(|name| secret(name)).unwrap_or("-");
                lines.push(format!("redis\t{address}\t{}\t{file}\t{password}", redis.port));
            }
            _ => {}
        }
    }
    let proxy = topology.proxy.as_ref().filter(|proxy| proxy.hosts.iter().any(|one| one == host));
    if let Some(crate::inventory::Tls::Files { certificate, .. }) = proxy.map(|proxy| &proxy.tls) {
        lines.push(format!("certificate\t{}", certificate.value));
    }
    lines.iter().map(|line| format!("watch\t{line}\n")).collect()
}

impl Watched {
    /// Takes the fields of one line behind `watched`; `None`: it has no form that is known.
    pub fn take(&mut self, fields: &[&str]) -> Option<()> {
        let time = super::reply::microseconds;
        match fields {
            ["applied", at] => self.applied = Some(time(at)?),
            ["drop_in", path, at, keys] => {
                let keys = keys.split(' ').filter(|key| !key.is_empty()).map(clean).collect();
                let one = DropIn { changed: time(at)?, keys };
                bounded(&mut self.drop_ins, clean(path), one);
            }
            ["stale", unit, file] => bounded(&mut self.stale, (*unit).to_owned(), clean(file)),
            ["process", pid, unit, ticks, what] if self.processes.len() < MOST => {
                self.processes.push(Process {
                    pid: pid.parse().ok()?,
                    unit: clean(unit),
                    ticks: ticks.parse().ok()?,
                    what: clean(what),
                });
            }
            ["unit", unit, active] => bounded(&mut self.units, clean(unit), (*active).to_owned()),
            ["wanted", unit] if self.wanted.len() < MOST => self.wanted.push(clean(unit)),
            ["package", name, at, want] => {
                let one = Package { installed: time(at)?, held: *want == "hold" };
                bounded(&mut self.packages, (*name).to_owned(), one);
            }
            ["stamp", path, at] => bounded(&mut self.stamps, clean(path), time(at)?),
            ["venv", venv, how, at, path] => {
                let files = self.venvs.entry((*venv).to_owned()).or_default();
                if files.len() < MOST {
                    files.push(VenvFile { how: (*how).to_owned(), changed: time(at)?, path: clean(path) });
                }
            }
            ["redis", name, file, live] if self.redis.len() < MOST => {
                self.redis.push((clean(name), clean(file), clean(live)));
            }
            ["login", how] => {
                self.login = match *how {
                    "taken" => Some(true),
                    "refused" => Some(false),
                    _ => None,
                }
            }
            ["certificate", path, at, leaf] => {
                let one = Certificate { changed: time(at)?, validity: validity(leaf) };
                bounded(&mut self.certificates, (*path).to_owned(), one);
            }
            ["process" | "wanted" | "redis", ..] => {}
            _ => return None,
        }
        Some(())
    }
}

fn bounded<T>(map: &mut BTreeMap<String, T>, key: String, value: T) {
    if map.len() < MOST {
        map.insert(key, value);
    }
}

/// When a certificate (PEM, in base64 once more) begins and ends to be valid, microseconds since the epoch.
fn validity(leaf: &str) -> Option<(i64, i64)> {
    let pem = base64::engine::general_purpose::STANDARD.decode(leaf).ok()?;
    let leaf = openssl::x509::X509::from_pem(&pem).ok()?;
    let epoch = openssl::asn1::Asn1Time::from_unix(0).ok()?;
    let micros = |time: &openssl::asn1::Asn1TimeRef| {
        let since = epoch.diff(time).ok()?;
        Some((i64::from(since.days) * 86_400 + i64::from(since.secs)) * 1_000_000)
    };
    Some((micros(leaf.not_before())?, micros(leaf.not_after())?))
}
