//! A model of one host: what stands on it, and what its facts script would answer.
//!
//! It knows nothing of plans. What `facts` leaves out, a real host would not be asked for.

use std::collections::{BTreeMap, BTreeSet};

use synprov::facts::HostFacts;
use synprov::facts::host::{PathFact, PostgresqlFact, SecretFact, Secretful, UnitFact, VenvFact};
use synprov::facts::record::Record;
use synprov::resource::{Body, Resource};
use synprov::secret::sha256_hex;

/// Nonce of every run in these tests.
pub const NONCE: &str = "nonce";
/// When every model host was booted, microseconds since the epoch.
pub const BOOT: i64 = 1_700_000_000_000_000;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Directory,
    File(String),
    Link(String),
}

/// A path with its rights.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub owner: String,
    pub group: String,
    pub mode: String,
    pub changed: i64,
}

/// One host.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub name: String,
    pub nodes: BTreeMap<String, Node>,
    pub units: BTreeMap<String, UnitFact>,
    pub packages: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub venvs: BTreeMap<String, VenvFact>,
    pub directives: BTreeMap<(String, String), u64>,
    pub postgresql: Option<PostgresqlFact>,
    /// The journal, as it stands in the file.
    pub record: String,
    /// Files with secrets: path to the digests of the last two contents and the last redacted text.
    pub digests: BTreeMap<String, (Vec<String>, String)>,
    /// What lies staged: path to content with secrets, owner, group, mode.
    pub staged: BTreeMap<String, Node>,
}

impl Machine {
    /// A freshly installed Debian 12.
    pub fn bare(name: &str) -> Self {
        let mut machine = Self { name: name.to_owned(), ..Self::default() };
        for path in ["/etc", "/opt", "/etc/systemd", "/etc/systemd/system"] {
            machine.put(path, Kind::Directory, ("root", "root", "0755"), BOOT);
        }
        machine
    }

    /// Puts something at a path, whatever stands there.
    pub fn put(&mut self, path: &str, kind: Kind, rights: (&str, &str, &str), changed: i64) {
        let (owner, group, mode) = rights;
        let node =
            Node { kind, owner: owner.to_owned(), group: group.to_owned(), mode: mode.to_owned(), changed };
        self.nodes.insert(path.to_owned(), node);
    }

    /// The node, which must be there.
    pub fn node(&mut self, path: &str) -> &mut Node {
        let name = self.name.clone();
        self.nodes.get_mut(path).unwrap_or_else(|| panic!("{name} has no {path}"))
    }

    /// Text of a file, if there is one.
    pub fn text(&self, path: &str) -> Option<&str> {
        match &self.nodes.get(path)?.kind {
            Kind::File(text) => Some(text),
            _ => None,
        }
    }

    /// Removes a path and everything below it.
    pub fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|other, _| other != path && !other.starts_with(&below));
        self.venvs.retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// Unit files and drop-ins changed: systemd has not read them again yet.
    pub fn unit_file_changed(&mut self, path: &str) {
        for (unit, fact) in &mut self.units {
            if fact.load == "loaded" && concerns(path, unit) {
                fact.needs_reload = true;
            }
        }
    }

    /// What systemd says of a unit; one it has not been asked about yet is loaded from its file.
    pub fn unit(&self, unit: &str) -> Option<UnitFact> {
        let known = self.units.get(unit).cloned();
        known.or_else(|| self.has_unit_file(unit).then(|| idle("disabled")))
    }

    /// Whether the unit's own file, or its template's, is there. Packages bring theirs elsewhere.
    pub fn has_unit_file(&self, unit: &str) -> bool {
        let theirs = ["nginx.service", "postgresql.service"];
        let file = |path: &String| concerns(path, unit) && !path.contains(".d/");
        // Debian's template for any instance.
        let redis = unit.starts_with("redis-server@") && self.packages.contains("redis-server");
        redis || (theirs.contains(&unit) && self.units.contains_key(unit)) || self.nodes.keys().any(file)
    }

    /// The record as the host's journal says.
    pub fn recorded(&self) -> Record {
        Record::fold(&self.record.lines().collect::<Vec<_>>()).unwrap()
    }

    /// The host's own hash of a secret.
    pub fn revision(&self, value: &str) -> String {
        sha256_hex(format!("salt of {}{}", self.name, sha256_hex(value.as_bytes())).as_bytes())[..16]
            .to_owned()
    }

    /// Starts the unit afresh.
    pub fn start(&mut self, unit: &str, now: i64, reloads: bool) {
        let fact = self.units.get_mut(unit).unwrap();
        fact.active = "active".to_owned();
        fact.sub = "running".to_owned();
        fact.result = "success".to_owned();
        fact.invocation = format!("invocation-{now}");
        fact.started = now;
        if reloads {
            fact.workers = vec![(1, ticks(now))];
        }
        if unit == "postgresql.service"
            && let Some(postgresql) = &mut self.postgresql
        {
            postgresql.unreachable = false;
        }
    }

    /// What the facts script answers when it is asked about `resources`.
    pub fn facts(&self, resources: &[&Resource], now: i64) -> HostFacts {
        let record = self.recorded();
        let mut facts = HostFacts {
            os_id: "debian".to_owned(),
            os_version: "12".to_owned(),
            os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            systemd: true,
            machine: "x86_64".to_owned(),
            python: "python3.11".to_owned(),
            now,
            uptime: now - BOOT,
            ..HostFacts::default()
        };
        let mut secretful: BTreeSet<&str> = self.digests.keys().map(String::as_str).collect();
        let mut wanted: BTreeMap<&str, String> = BTreeMap::new();
        for resource in resources {
            match &resource.body {
                Body::Packages { packages, .. } => {
                    for name in packages.iter().filter(|name| self.packages.contains(*name)) {
                        facts.packages.insert(name.clone(), "1".to_owned());
                    }
                }
                Body::User { name, .. } => {
                    if self.users.contains(name) {
                        facts.users.insert(name.clone(), format!("{name}:x:1:1::/:/bin/false"));
                    }
                }
                Body::Directory { path, .. } => drop(wanted.insert(path, "-".to_owned())),
                Body::File { path, content, .. } => {
                    wanted.insert(path, content.digest());
                    if !content.secrets().is_empty() {
                        secretful.insert(path);
                    }
                }
                Body::Directive { path, directive, .. } => {
                    let key = (directive.clone(), path.clone());
                    if let Some(value) = self.directives.get(&key) {
                        facts.directives.insert(key, *value);
                    }
                }
                Body::Secret { name, path, .. } => {
                    wanted.insert(path, "-".to_owned());
                    secretful.insert(path);
                    if let Some(value) = self.text(path) {
                        facts.secrets.insert(name.clone(), self.secret(value));
                    }
                }
                Body::Venv { path, .. } => {
                    if let Some(venv) = self.venvs.get(path) {
                        facts.venvs.insert(path.clone(), venv.clone());
                    }
                }
                Body::Service { unit, reload, .. } => self.answer_unit(unit, *reload, &mut facts),
                Body::Postgresql { settings, .. } => {
                    facts.postgresql.clone_from(&self.postgresql);
                    if let Some(postgresql) = &mut facts.postgresql {
                        postgresql.settings.retain(|name, _| settings.contains_key(name));
                    }
                }
                Body::Routes { .. } | Body::ExternalPostgresql { .. } => {}
            }
        }
        for address in record.entries.keys() {
            let Some((kind, name)) = address.splitn(3, '/').nth(2).and_then(|rest| rest.split_once(':'))
            else {
                continue;
            };
            match kind {
                "file" | "directory" => drop(wanted.entry(name).or_insert_with(|| "-".to_owned())),
                "service" if !facts.units.contains_key(name) => {
                    let reloads = record.entries[address].meta.get("reload").is_some_and(|it| it == "true");
                    self.answer_unit(name, reloads, &mut facts);
                }
                _ => {}
            }
        }
        for (path, digest) in wanted {
            if let Some(node) = self.nodes.get(path) {
                let fact = self.path(path, node, &digest, secretful.contains(path), &record);
                facts.paths.insert(path.to_owned(), fact);
            }
        }
        facts.record = record;
        facts
    }

    fn answer_unit(&self, unit: &str, reloads: bool, facts: &mut HostFacts) {
        let missing = UnitFact {
            load: "not-found".to_owned(),
            active: "inactive".to_owned(),
            sub: "dead".to_owned(),
            ..UnitFact::default()
        };
        let mut fact = self.unit(unit).unwrap_or(missing);
        if !reloads {
            fact.workers.clear();
        }
        facts.units.insert(unit.to_owned(), fact);
    }

    fn secret(&self, value: &str) -> SecretFact {
        let nonced = nonced(value);
        SecretFact { nonced, revision: self.revision(value) }
    }

    fn path(&self, path: &str, node: &Node, wanted: &str, secretful: bool, record: &Record) -> PathFact {
        let mut fact = PathFact {
            mode: node.mode.clone(),
            owner: node.owner.clone(),
            group: node.group.clone(),
            changed: node.changed,
            ..PathFact::default()
        };
        match &node.kind {
            Kind::Directory => fact.kind = "directory".to_owned(),
            Kind::Link(target) => {
                fact.kind = "link".to_owned();
                fact.link = Some(target.clone());
            }
            Kind::File(text) => {
                fact.kind = "file".to_owned();
                fact.size = text.len() as u64;
                let digest = sha256_hex(text.as_bytes());
                let plain = format!("\"content\":\"{digest}\"");
                let recorded = record.entries.iter().any(|(address, entry)| {
                    address.ends_with(&format!("/file:{path}")) && entry.line("").contains(&plain)
                });
                if secretful && !recorded {
                    let known = self.digests.get(path).map(|(known, _)| known.contains(&digest));
                    fact.secretful = Some(match known {
                        Some(true) => Secretful::Same,
                        Some(false) => Secretful::Edited,
                        None => Secretful::Unknown,
                    });
                } else {
                    if wanted != "-" && wanted != digest {
                        fact.content = Some(text.clone().into_bytes());
                    }
                    fact.digest = Some(digest);
                }
            }
        }
        fact
    }
}

/// A unit that does not run.
pub fn idle(file_state: &str) -> UnitFact {
    UnitFact {
        load: "loaded".to_owned(),
        active: "inactive".to_owned(),
        sub: "dead".to_owned(),
        file_state: file_state.to_owned(),
        ..UnitFact::default()
    }
}

/// A secret's value as hosts and controller compare it.
pub fn nonced(value: &str) -> String {
    sha256_hex(format!("{NONCE}{}", sha256_hex(value.as_bytes())).as_bytes())
}

/// Ticks since boot.
pub fn ticks(now: i64) -> u64 {
    u64::try_from((now - BOOT) / 10_000).unwrap()
}

/// Whether a file below /etc/systemd/system is part of what systemd knows of a unit.
pub fn concerns(path: &str, unit: &str) -> bool {
    let Some(file) = path.strip_prefix("/etc/systemd/system/") else { return false };
    let template = unit.split_once('@').map(|(stem, _)| format!("{stem}@.service"));
    file == unit || template.as_deref() == Some(file) || file.starts_with(&format!("{unit}.d/"))
}
