//! Does the steps of a plan on model hosts, with the record kept by the executor's own ledger.
//!
//! An act that a real host would refuse panics here: the plan must not ask for it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use synprov::apply::ledger::{Ledger, Seen};
use synprov::facts::HostFacts;
use synprov::facts::host::{PostgresqlFact, UnitFact, VenvFact};
use synprov::plan::step::{Action, SecretFile, StagedFile};
use synprov::plan::{Plan, Step};
use synprov::resource::{Body, Content, Piece};
use synprov::secret::sha256_hex;
use synprov::topology::Topology;
use synprov::topology::catalogue::Catalogue;

use crate::machine::{Kind, Machine, idle, ticks};
use crate::world::{MODULES, World};

/// Where an apply dies. If it is synprov that dies, the step finishes, with its last word in the record
/// (`done` is `usize::MAX`); if it is the host, it has not begun (0), or `done` parts of it are done and
/// nothing says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Killed {
    pub at: usize,
    pub done: usize,
}

impl World {
    /// Does everything and replaces the records, as an apply that succeeds.
    pub fn apply(&mut self, plan: &Plan) {
        self.perform(plan, None);
    }

    /// Does everything and leaves the records as the steps' lines make them.
    pub fn apply_lines(&mut self, plan: &Plan) {
        let last = plan.steps.len();
        self.perform(plan, Some(Killed { at: last, done: 0 }));
    }

    /// Does a part and dies.
    pub fn apply_killed(&mut self, plan: &Plan, killed: Killed) {
        self.perform(plan, Some(killed));
    }

    fn perform(&mut self, plan: &Plan, killed: Option<Killed>) {
        let facts = self.facts();
        let targeted = self.targeted(&facts);
        let mut ledger = Ledger::new(plan, &facts, &BTreeMap::new(), targeted.as_ref());
        for step in &plan.steps {
            let parts = match killed {
                Some(killed) if step.id > killed.at => return,
                Some(killed) if step.id == killed.at => killed.done,
                _ => usize::MAX,
            };
            self.machine(&step.host).record.push_str(&ledger.before(step));
            let promised = ledger.promise(step);
            self.act(step, parts, &mut ledger);
            if parts == usize::MAX {
                let lines = ledger.after(step);
                assert_eq!(self.told(step, promised), lines, "what the host writes by itself");
                self.machine(&step.host).record.push_str(&lines);
            }
        }
        if killed.is_some() || (plan.is_empty() && plan.unsettled.is_empty()) {
            return;
        }
        let topology = targeted.as_ref().map_or(&self.topology, |targeted| &targeted.topology).clone();
        self.write_records(&ledger, &facts, &topology);
    }

    /// The set of a step cannot be put in place: nothing of it is, and the apply ends.
    pub fn apply_put_back(&mut self, plan: &Plan, at: usize) {
        let facts = self.facts();
        self.apply_killed(plan, Killed { at, done: 0 });
        let step = &plan.steps[at];
        let undone = Ledger::new(plan, &facts, &BTreeMap::new(), None).undone(step);
        self.machine(&step.host).record.push_str(&undone);
    }

    /// The lines a step was given, with what only its host can tell put in by the host (`record_done`).
    fn told(&mut self, step: &Step, mut lines: String) -> String {
        let machine = self.machine(&step.host);
        for unit in step.action.awaited() {
            let fact = &machine.units[unit];
            lines = lines.replace(&format!("(invocation of {unit})"), &fact.invocation);
            lines = lines.replace(&format!("(workers of {unit})"), &fact.newest_worker());
            lines = lines.replace(&format!("(seconds of {unit})"), TOOK);
        }
        if let Action::GenerateSecret { file, .. } | Action::PutSecret { file, .. } = &step.action {
            let revision = machine.revision(machine.text(&file.path).unwrap());
            lines = lines.replace(&format!("(known after apply: {})", file.name), &revision);
        }
        if let Action::BuildVenv { path, .. } = &step.action {
            lines = lines.replace(&format!("(packages of {path})"), &machine.venvs[path].packages);
        }
        lines
    }

    fn write_records(
        &mut self,
        ledger: &Ledger<'_>,
        facts: &IndexMap<String, HostFacts>,
        topology: &Topology,
    ) {
        let addresses: BTreeMap<String, String> = self
            .topology
            .hosts
            .values()
            .filter(|host| !host.retired)
            .map(|host| (host.name.clone(), host.internal_address.clone()))
            .collect();
        for host in facts.keys() {
            let generation = facts[host].generation_number() + 1;
            let record = ledger.record(host, topology, MODULES, &addresses, generation);
            self.machine(host).record = record;
        }
    }

    /// One step, or its first `parts` parts.
    fn act(&mut self, step: &Step, parts: usize, ledger: &mut Ledger<'_>) {
        let (now, host) = (self.tick(), step.host.as_str());
        if parts == 0 {
            return;
        }
        match &step.action {
            Action::InstallPackages { packages } => {
                packages.iter().take(parts).for_each(|package| install(self.machine(host), package));
            }
            Action::CreateUser { name, .. } => drop(self.machine(host).users.insert(name.clone())),
            Action::MakeDirectories { directories } => {
                for made in directories.iter().take(parts) {
                    let machine = self.machine(host);
                    if let Some(node) = machine.nodes.get(&made.path) {
                        assert_eq!(node.kind, Kind::Directory, "{} is no directory", made.path);
                    }
                    machine.put(&made.path, Kind::Directory, (&made.owner, &made.group, &made.mode), now);
                }
            }
            Action::GenerateSecret { file, .. } => {
                self.made += 1;
                let value = format!("{} number {}", file.name, self.made);
                assert!(self.machine(host).text(&file.path).is_none(), "{} would be overwritten", file.name);
                self.put_secret(host, file, &value, ledger);
            }
            Action::PutSecret { file, origin } => {
                let value = match origin {
                    Some(origin) => self.machine(origin).text(&file.path).unwrap().to_owned(),
                    None => self.values[&file.name].clone(),
                };
                self.put_secret(host, file, &value, ledger);
            }
            Action::BuildVenv { path, .. } => {
                let packages = sha256_hex(path.as_bytes());
                let version = self.topology.version.as_str().to_owned();
                let state = if parts > 1 { "complete" } else { "partial" };
                let venv =
                    VenvFact { packages: packages.clone(), state: state.to_owned(), synapse: Some(version) };
                self.machine(host).venvs.insert(path.clone(), venv);
                ledger.venv(host, path.clone(), packages);
            }
            Action::Stage { files, .. } => {
                for file in files {
                    let text = self.rendered(host, &file.content);
                    let StagedFile { path, owner, group, mode, .. } = file;
                    let mut scratch = Machine::default();
                    scratch.put(path, Kind::File(text), (owner, group, mode), now);
                    self.machine(host).staged.append(&mut scratch.nodes);
                }
            }
            Action::Validate { .. }
            | Action::CheckRoutes { .. }
            | Action::CheckPostgresql { .. }
            | Action::BackUp { .. }
            | Action::ProbeMedia { .. } => {}
            Action::Swap { files, gone, .. } => {
                self.swap(host, files, parts);
                let left = parts.saturating_sub(files.len());
                gone.iter().take(left).for_each(|(path, _)| drop(self.machine(host).nodes.remove(path)));
            }
            Action::RaiseDirective { path, directive, value, .. } => {
                let machine = self.machine(host);
                let found = machine.directives.get_mut(&(directive.clone(), path.clone())).unwrap();
                assert!(*found < *value, "{directive} would be lowered");
                *found = *value;
            }
            Action::DaemonReload => daemon_reload(self.machine(host)),
            Action::PreparePostgresql { role, password_file, database, settings, peers, restart } => {
                let machine = self.machine(host);
                assert_eq!(machine.units["postgresql.service"].active, "active");
                assert!(machine.text(password_file).is_some(), "no password");
                let postgresql = machine.postgresql.as_mut().unwrap();
                for (name, value) in settings {
                    postgresql.settings.insert(name.clone(), (value.clone(), restart.is_none()));
                }
                postgresql.role = Some(true);
                let ours = ("UTF8".to_owned(), "C".to_owned(), "C".to_owned(), role.clone());
                assert!(!database.is_empty());
                postgresql.database = Some(ours);
                let bare = |peer: &String| peer.split('/').next().unwrap().to_owned();
                postgresql.peers = peers.iter().map(bare).collect();
                postgresql.peers.sort();
                if restart.is_some() {
                    machine.start("postgresql.service", now, false);
                    let fact = &machine.units["postgresql.service"];
                    ledger.started(host, "postgresql.service".to_owned(), seen(fact));
                }
            }
            Action::Start { services } => {
                for service in services.iter().take(parts) {
                    let machine = self.machine(host);
                    if machine.units.get(&service.unit).is_none_or(|unit| unit.active != "active") {
                        self.started(host, &service.unit, now, ledger);
                    } else {
                        let unit = machine.units[&service.unit].clone();
                        ledger.started(host, service.unit.clone(), seen(&unit));
                    }
                    enable(self.machine(host), &service.unit);
                }
            }
            Action::Restart { service } => self.started(host, &service.unit, now, ledger),
            Action::Reload { service } => {
                let unit = self.machine(host).units.get_mut(&service.unit).unwrap();
                assert_eq!(unit.active, "active", "reload of what does not run");
                unit.workers = vec![(2, ticks(now))];
                ledger.started(host, service.unit.clone(), seen(unit));
            }
            Action::Route { file, service, .. } => {
                let Piece::Text(text) = &file.content.0[0] else { panic!("secrets in {}", file.path) };
                let rights = (file.owner.as_str(), file.group.as_str(), file.mode.as_str());
                let machine = self.machine(host);
                let there = machine.nodes.get(&file.path).map(|node| &node.kind);
                assert!(matches!(there, Some(Kind::File(_))), "{} is no file", file.path);
                machine.put(&file.path, Kind::File(text.clone()), rights, now);
                if parts == 1 {
                    return;
                }
                let unit = machine.units.get_mut(&service.unit).unwrap();
                assert_eq!(unit.active, "active", "reload of what does not run");
                unit.workers = vec![(2, ticks(now))];
                ledger.started(host, service.unit.clone(), seen(unit));
            }
            Action::Drain { unit, .. } => {
                assert_eq!(self.machine(host).units[unit].active, "active", "{unit} is drained");
            }
            Action::Reread { service } => {
                let unit = &self.machine(host).units[&service.unit];
                assert_eq!(unit.active, "active", "reload of what does not run");
                ledger.started(host, service.unit.clone(), Seen { workers: String::new(), ..seen(unit) });
            }
            Action::Enable { units } => {
                units.iter().take(parts).for_each(|unit| enable(self.machine(host), unit));
            }
            Action::Disable { units } => {
                for unit in units {
                    "disabled".clone_into(&mut self.machine(host).units.get_mut(unit).unwrap().file_state);
                }
            }
            Action::Stop { unit, disable, .. } => {
                self.running.remove(&(host.to_owned(), unit.clone()));
                let machine = self.machine(host);
                // One that a start did not come to is known by its file alone.
                let Some(mut fact) = machine.unit(unit) else { panic!("{host} has no {unit} to stop") };
                (fact.active, fact.sub) = ("inactive".to_owned(), "dead".to_owned());
                if *disable {
                    fact.file_state = "disabled".to_owned();
                }
                machine.units.insert(unit.clone(), fact);
            }
            Action::Remove { files, directories, .. } => {
                for (path, _) in files.iter().take(parts) {
                    self.machine(host).nodes.remove(path);
                    self.machine(host).unit_file_changed(path);
                }
                for path in directories {
                    let below = format!("{path}/");
                    let machine = self.machine(host);
                    if !machine.nodes.keys().any(|other| other.starts_with(&below)) {
                        machine.nodes.remove(path);
                    }
                }
            }
        }
    }

    fn put_secret(&mut self, host: &str, file: &SecretFile, value: &str, ledger: &mut Ledger<'_>) {
        let now = self.now;
        let machine = self.machine(host);
        let SecretFile { name, path, owner, group, mode } = file;
        machine.put(path, Kind::File(value.to_owned()), (owner, group, mode), now);
        let revision = machine.revision(value);
        ledger.revision(host, name.clone(), revision);
    }

    /// A file as it is written, with the values this host has.
    fn rendered(&self, host: &str, content: &Content) -> String {
        content
            .0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Secret { name, .. } => {
                    let path = &self.topology.secrets[name].path;
                    let value = self.machines[host].text(path);
                    value.unwrap_or_else(|| panic!("{host} lacks secret {name}")).to_owned()
                }
            })
            .collect()
    }

    fn swap(&mut self, host: &str, files: &[StagedFile], parts: usize) {
        let now = self.now;
        let machine = self.machine(host);
        for file in files.iter().filter(|file| !file.content.secrets().is_empty()) {
            let Kind::File(text) = &machine.staged[&file.path].kind else { panic!("{}", file.path) };
            let digest = sha256_hex(text.as_bytes());
            let (known, redacted) = machine.digests.entry(file.path.clone()).or_default();
            known.push(digest);
            let old = known.len().saturating_sub(2);
            known.drain(..old);
            redacted.clone_from(&file.digest);
        }
        for file in files.iter().take(parts) {
            let mut node =
                machine.staged.remove(&file.path).unwrap_or_else(|| panic!("{} unstaged", file.path));
            let there = machine.nodes.get(&file.path).map(|node| &node.kind);
            assert_ne!(there, Some(&Kind::Directory), "{} is a directory", file.path);
            node.changed = now;
            machine.nodes.insert(file.path.clone(), node);
            machine.unit_file_changed(&file.path);
        }
    }

    fn started(&mut self, host: &str, unit: &str, now: i64, ledger: &mut Ledger<'_>) {
        let machine = self.machine(host);
        let Some(fact) = machine.unit(unit) else { panic!("{unit} is started, and {host} has no such unit") };
        // A start undoes a mask like any other change of somebody's.
        let fact = UnitFact { load: fact.load.replace("masked", "loaded"), ..fact };
        assert_eq!(fact.load, "loaded", "{unit} is started");
        machine.units.insert(unit.to_owned(), fact);
        machine.start(unit, now, unit == "nginx.service" || unit.ends_with("_haproxy.service"));
        self.takes_hold(host, unit);
        if self.topology.instances.first().is_some_and(|main| (&*main.host, &*main.unit) == (host, unit)) {
            self.migrate();
        }
        let machine = self.machine(host);
        let fact = &machine.units[unit];
        ledger.started(host, unit.to_owned(), seen(fact));
    }
}

impl World {
    /// Main starts: it upgrades the schema of its database.
    fn migrate(&mut self) {
        let at = self.resources.iter().find(|one| matches!(one.body, Body::Postgresql { .. }));
        let Some(host) = at.map(|one| one.address.host.clone()) else { return };
        let schema = Catalogue::builtin().unwrap().releases.schema(&self.topology.version).unwrap();
        let name = self.topology.server_name.clone();
        let holds = self.machine(&host).postgresql.as_mut().unwrap().holds.get_or_insert_default();
        assert!(holds.compat <= schema.version, "Synapse {} does not start", self.topology.version);
        holds.server_name.get_or_insert(name);
        (holds.schema, holds.compat) = (holds.schema.max(schema.version), holds.compat.max(schema.compat));
    }
}

/// Seconds that everything takes to start.
const TOOK: &str = "3";

fn seen(fact: &UnitFact) -> Seen {
    Seen { invocation: fact.invocation.clone(), workers: fact.newest_worker(), took: TOOK.to_owned() }
}

impl World {
    /// A process started: nobody who holds the same by another understanding runs beside it.
    fn takes_hold(&mut self, host: &str, unit: &str) {
        let me = (host.to_owned(), unit.to_owned());
        self.running.remove(&me);
        let holds = self.holds(host, unit);
        for (word, holders) in &holds {
            let others = self.running.iter().filter(|(other, words)| {
                !holders.contains(other) && words.contains(word) && self.topology.hosts.contains_key(&other.0)
            });
            let others: Vec<_> = others.map(|(other, _)| other).collect();
            assert!(others.is_empty(), "{me:?} starts and holds {word}, as {others:?} still does");
        }
        self.running.insert(me, holds.into_keys().collect());
    }
}

fn enable(machine: &mut Machine, name: &str) {
    let fact = machine.units.get_mut(name).unwrap();
    fact.load = "loaded".to_owned();
    fact.file_state = "enabled".to_owned();
}

/// A package with what comes with it; its services are not started.
fn install(machine: &mut Machine, package: &str) {
    if !machine.packages.insert(package.to_owned()) {
        return;
    }
    match package {
        "nginx" => {
            let key = ("worker_connections".to_owned(), "/etc/nginx/nginx.conf".to_owned());
            machine.directives.entry(key).or_insert(768);
            machine.units.entry("nginx.service".to_owned()).or_insert_with(|| idle("enabled"));
        }
        "postgresql" => {
            machine.units.entry("postgresql.service".to_owned()).or_insert_with(|| idle("enabled"));
            let settings = [("max_connections", "100"), ("listen_addresses", "localhost")];
            let settings = settings.map(|(name, value)| (name.to_owned(), (value.to_owned(), false))).into();
            machine.postgresql.get_or_insert(PostgresqlFact {
                unreachable: true,
                version: 150_018,
                settings,
                ..PostgresqlFact::default()
            });
        }
        "redis-server" => {
            let ours = "redis-server@matrix.service".to_owned();
            machine.units.entry(ours).or_insert_with(|| idle("disabled"));
        }
        _ => {}
    }
}

/// systemd reads all unit files again.
fn daemon_reload(machine: &mut Machine) {
    let names: Vec<String> = machine.units.keys().cloned().collect();
    for name in names {
        let there = machine.has_unit_file(&name);
        let fact = machine.units.get_mut(&name).unwrap();
        fact.needs_reload = false;
        match (there, fact.load.as_str()) {
            (false, _) => fact.load = "not-found".to_owned(),
            (true, "not-found") => fact.load = "loaded".to_owned(),
            _ => {}
        }
    }
    machine.units.retain(|_, fact| fact.load != "not-found" || fact.active == "active");
}
