//! Changes to steps, in one order over all hosts.
//!
//! A host does its steps one after the other; phases are gates between hosts: a phase begins on
//! any host when every step of the phases before it has succeeded on all hosts. So: everything is
//! staged and validated everywhere before anything is put in place anywhere; datastores answer,
//! then main, then stream writers, then other workers, then the proxy; what leaves stops last,
//! unless something else takes over what it holds, then it stops first.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Cause, Change, Operation};
use super::leave::{Left, NGINX, recorded_instances};
use super::service::is_active;
use super::step::{Action, MadeDirectory, SecretFile, StagedFile, Startable, Step, SynapseCheck};
use super::{Considered, Input};
use crate::resource::{Body, FileSet, Ready, Stage};
use crate::topology::SecretShape;

/// Longest wait for requests in flight before a leaving worker stops, seconds.
const DRAIN_SECONDS: u32 = 60;
/// Settings PostgreSQL reads only at its start (its manual, "Connections and Authentication").
const AT_START_ONLY: [&str; 3] = ["listen_addresses", "max_connections", "port"];

/// The unit of Debian's clusters.
const POSTGRESQL: &str = "postgresql.service";

/// All steps, in order.
pub(super) fn steps(input: &Input<'_>, considered: &[Considered<'_>], left: &Left) -> Vec<Step> {
    let mut builder =
        Builder { input, considered, left, steps: Vec::new(), last: BTreeMap::new(), gate: Vec::new() };
    builder.prepare();
    builder.secrets();
    builder.venvs();
    builder.gate();
    builder.stage_and_validate();
    builder.gate();
    for set in [FileSet::Plain, FileSet::Redis, FileSet::Synapse, FileSet::Systemd] {
        builder.swap(set);
    }
    builder.remove_drop_ins();
    builder.daemon_reload();
    builder.datastores();
    builder.gate();
    let vacated = builder.vacate();
    builder.gate();
    for stage in [Stage::Main, Stage::Writer, Stage::Worker, Stage::Target] {
        builder.services(stage, &vacated);
        builder.gate();
    }
    builder.directives();
    builder.swap(FileSet::Nginx);
    builder.services(Stage::Proxy, &vacated);
    builder.gate();
    builder.former_proxies();
    builder.gate();
    builder.stop_leaving(&vacated);
    builder.remove();
    builder.steps
}

struct Builder<'a, 'i> {
    input: &'a Input<'i>,
    considered: &'a [Considered<'a>],
    left: &'a Left,
    steps: Vec<Step>,
    /// Last step of each host.
    last: BTreeMap<String, usize>,
    /// Steps the present phase waits for, besides each host's own last one.
    gate: Vec<usize>,
}

impl<'a> Builder<'a, '_> {
    fn push(&mut self, host: &str, action: Action, why: impl Into<String>, completes: Vec<String>) -> usize {
        self.push_after(host, action, why, completes, &[])
    }

    fn push_after(
        &mut self,
        host: &str,
        action: Action,
        why: impl Into<String>,
        completes: Vec<String>,
        extra: &[usize],
    ) -> usize {
        let id = self.steps.len();
        let mut after: Vec<usize> = self.gate.iter().chain(extra).copied().collect();
        after.extend(self.last.get(host));
        after.sort_unstable();
        after.dedup();
        self.steps.push(Step { id, host: host.to_owned(), action, why: why.into(), completes, after });
        self.last.insert(host.to_owned(), id);
        id
    }

    /// From here on everything waits for everything before.
    fn gate(&mut self) {
        self.gate = self.last.values().copied().collect();
    }

    fn hosts(&self) -> Vec<String> {
        self.input.facts.keys().cloned().collect()
    }

    /// Changed resources of a host.
    fn changed(&self, host: &str) -> Vec<&'a Considered<'a>> {
        let considered: &'a [Considered<'a>] = self.considered;
        considered.iter().filter(|one| one.resource.address.host == host && one.change.is_some()).collect()
    }

    fn prepare(&mut self) {
        for host in self.hosts() {
            let changed = self.changed(&host);
            let mut packages: Vec<String> = Vec::new();
            let mut completes = Vec::new();
            for one in &changed {
                if let Body::Packages { packages: wanted, .. } = &one.resource.body {
                    let missing =
                        wanted.iter().filter(|name| !self.input.facts[&host].packages.contains_key(*name));
                    packages.extend(missing.cloned());
                    completes.push(one.resource.address.to_string());
                }
            }
            if !packages.is_empty() {
                packages.dedup();
                self.push(&host, Action::InstallPackages { packages }, "they are not installed", completes);
            }
            for one in &changed {
                if let Body::User { name, home } = &one.resource.body {
                    let action = Action::CreateUser { name: name.clone(), home: home.clone() };
                    self.push(&host, action, why(&[one]), vec![one.resource.address.to_string()]);
                }
            }
            let directories: Vec<_> = changed
                .iter()
                .filter(|one| matches!(one.resource.body, Body::Directory { .. }))
                .copied()
                .collect();
            if !directories.is_empty() {
                let made = directories
                    .iter()
                    .filter_map(|one| match &one.resource.body {
                        Body::Directory { path, owner, group, mode, .. } => Some(MadeDirectory {
                            path: path.clone(),
                            owner: owner.clone(),
                            group: group.clone(),
                            mode: mode.clone(),
                        }),
                        _ => None,
                    })
                    .collect();
                self.push(
                    &host,
                    Action::MakeDirectories { directories: made },
                    why(&directories),
                    addresses(&directories),
                );
            }
        }
    }

    /// New secrets are made on main's host, then brought to the hosts that lack them.
    fn secrets(&mut self) {
        let main = self.input.topology.instances.first().map(|main| main.host.clone()).unwrap_or_default();
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        let mut bring = Vec::new();
        let mut hosts = self.hosts();
        // Main's host first: the others wait for what it makes.
        hosts.sort_by_key(|host| *host != main);
        for host in &hosts {
            for one in self.changed(host) {
                let Body::Secret { name, path, owner, group, mode } = &one.resource.body else { continue };
                let file = SecretFile {
                    name: name.clone(),
                    path: path.clone(),
                    owner: owner.clone(),
                    group: group.clone(),
                    mode: mode.clone(),
                };
                let generated = self.input.topology.secrets.get(name).map(|node| node.shape);
                let completes = vec![one.resource.address.to_string()];
                if self.input.origin(name).is_none() && !made.contains_key(name) {
                    let shape = match generated {
                        Some(SecretShape::SigningKey) => "signing_key",
                        _ => "token",
                    };
                    let action = Action::GenerateSecret { file, shape };
                    let id = self.push(host, action, "no host has it yet", completes);
                    made.insert(name.clone(), id);
                } else {
                    bring.push((host.clone(), file, completes, why(&[one])));
                }
            }
        }
        let first = hosts.first().cloned();
        for (host, file, completes, reason) in bring {
            let origin = match self.input.origin(&file.name) {
                Some(origin) => origin.host.clone(),
                None => made.get(&file.name).map(|id| self.steps[*id].host.clone()).or(first.clone()),
            };
            let after: Vec<usize> = made.get(&file.name).copied().into_iter().collect();
            self.push_after(&host, Action::PutSecret { file, origin }, reason, completes, &after);
        }
    }

    /// The first host resolves the packages if the lock does not have them; the others build the same set.
    fn venvs(&mut self) {
        let mut resolved: Option<usize> = None;
        for host in self.hosts() {
            for one in self.changed(&host) {
                let Body::Venv { path, requirements, constraints, locked, managed: true } =
                    &one.resource.body
                else {
                    continue;
                };
                let locked = locked.clone().unwrap_or_default();
                let tag = self.input.facts[&host].python_tag();
                let resolves = !tag.is_some_and(|tag| locked.contains_key(&tag));
                let action = Action::BuildVenv {
                    path: path.clone(),
                    requirements: requirements.clone(),
                    constraints: constraints.clone(),
                    locked,
                    resolves,
                };
                let after: Vec<usize> = resolved.filter(|_| resolves).into_iter().collect();
                let id = self.push_after(
                    &host,
                    action,
                    why(&[one]),
                    vec![one.resource.address.to_string()],
                    &after,
                );
                resolved = resolved.or(resolves.then_some(id));
            }
        }
    }

    fn files(&self, host: &str, set: FileSet) -> Vec<(&'a Considered<'a>, StagedFile)> {
        self.changed(host)
            .into_iter()
            .filter_map(|one| match &one.resource.body {
                Body::File { path, owner, group, mode, content, set: of, .. } if *of == set => {
                    let file = StagedFile {
                        path: path.clone(),
                        owner: owner.clone(),
                        group: group.clone(),
                        mode: mode.clone(),
                        digest: content.digest(),
                        content: content.clone(),
                    };
                    Some((one, file))
                }
                _ => None,
            })
            .collect()
    }

    fn stage_and_validate(&mut self) {
        for host in self.hosts() {
            for set in [FileSet::Plain, FileSet::Redis, FileSet::Synapse, FileSet::Systemd, FileSet::Nginx] {
                let files = self.files(&host, set);
                if files.is_empty() {
                    continue;
                }
                let ones: Vec<_> = files.iter().map(|(one, _)| *one).collect();
                let reason = why(&ones);
                let files: Vec<StagedFile> = files.into_iter().map(|(_, file)| file).collect();
                self.push(&host, Action::Stage { set, files: files.clone() }, reason, Vec::new());
                if let Some(action) = self.validation(&host, set, &files) {
                    self.push(
                        &host,
                        action,
                        "nothing that its own program refuses is put in place",
                        Vec::new(),
                    );
                }
            }
        }
    }

    fn validation(&self, host: &str, set: FileSet, files: &[StagedFile]) -> Option<Action> {
        let over = overlaid(files);
        match set {
            FileSet::Nginx => Some(Action::Validate { set, over, synapse: None, units: Vec::new() }),
            FileSet::Systemd => {
                let units = files
                    .iter()
                    .map(|file| file.path.clone())
                    .filter(|path| path.starts_with("/etc/systemd/system/"))
                    .filter(|path| path.ends_with(".service") || path.ends_with(".target"))
                    .collect();
                Some(Action::Validate { set, over, synapse: None, units })
            }
            FileSet::Synapse => {
                let topology = self.input.topology;
                let conf = format!("{}/conf", topology.root);
                let processes = topology
                    .instances
                    .iter()
                    .filter(|instance| instance.host == host)
                    .map(|instance| {
                        let mut paths = vec![format!("{conf}/config.yaml"), format!("{conf}/conf.d/")];
                        if instance.config.is_some() {
                            paths.push(format!("{conf}/workers/{}.yaml", instance.name));
                        }
                        (instance.name.clone(), paths)
                    })
                    .collect();
                let python = format!("{}/bin/python", topology.venv.path);
                let synapse = Some(SynapseCheck { python, user: topology.user.clone(), processes });
                Some(Action::Validate { set, over, synapse, units: Vec::new() })
            }
            FileSet::Redis | FileSet::Plain => None,
        }
    }

    fn swap(&mut self, set: FileSet) {
        for host in self.hosts() {
            let files = self.files(&host, set);
            if files.is_empty() {
                continue;
            }
            let ones: Vec<_> = files.iter().map(|(one, _)| *one).collect();
            let (reason, completes) = (why(&ones), addresses(&ones));
            let paths: BTreeSet<&str> = files.iter().map(|(_, file)| file.path.as_str()).collect();
            let owes = self.owed(&host, &paths);
            let files = files.into_iter().map(|(_, file)| file).collect();
            self.push(&host, Action::Swap { set, files, owes }, reason, completes);
        }
    }

    /// What a unit that stays is no longer told has to be gone before it starts again.
    fn remove_drop_ins(&mut self) {
        for host in self.hosts() {
            let files: Vec<(String, bool)> = files_of(&self.left.drop_ins, &host);
            if !files.is_empty() {
                let action = Action::Remove { files, directories: Vec::new() };
                self.push(&host, action, "they left the inventory", Vec::new());
            }
        }
    }

    /// Restarts that follow from new contents of `paths`. Written down with the act itself, so that
    /// a restart owed is never forgotten.
    fn owed(&self, host: &str, paths: &BTreeSet<&str>) -> Vec<(String, String)> {
        let reads = |one: &Considered<'_>| {
            let labels = one.reads.paths.iter().chain(one.reads.inputs.keys());
            labels.into_iter().any(|path| paths.contains(path.as_str()))
        };
        let changed = self.changed(host).into_iter().filter(|one| reads(one));
        changed.filter_map(|one| Some((one.resource.address.to_string(), outdated(one)?))).collect()
    }

    fn daemon_reload(&mut self) {
        for host in self.hosts() {
            let facts = &self.input.facts[&host];
            let swapped = !self.files(&host, FileSet::Systemd).is_empty()
                || self.left.drop_ins.iter().any(|(of, ..)| *of == host);
            let stale: Vec<&Considered<'_>> = self
                .considered
                .iter()
                .filter(|one| one.resource.address.host == host)
                .filter(|one| {
                    facts.units.get(&one.resource.address.name).is_some_and(|unit| unit.needs_reload)
                })
                .filter(|one| matches!(one.resource.body, Body::Service { .. }))
                .collect();
            if swapped || !stale.is_empty() {
                let only_loading: Vec<String> = stale
                    .iter()
                    .filter(|one| {
                        one.change.as_ref().is_some_and(|change| {
                            change.attributes.iter().all(|(name, ..)| name == "unit file")
                        })
                    })
                    .map(|one| one.resource.address.to_string())
                    .collect();
                let reason =
                    if swapped { "unit files changed" } else { "unit files changed since systemd read them" };
                self.push(&host, Action::DaemonReload, reason, only_loading);
            }
        }
    }

    fn datastores(&mut self) {
        self.services(Stage::Datastore, &BTreeSet::new());
        for host in self.hosts() {
            for one in self.changed(&host) {
                let Body::Postgresql { role, password, database, peers, .. } = &one.resource.body else {
                    continue;
                };
                let Some(change) = &one.change else { continue };
                let settings: Vec<(String, String)> = change
                    .attributes
                    .iter()
                    .filter_map(|(name, _, after)| {
                        Some((name.strip_prefix("setting ")?.to_owned(), after.clone()?))
                    })
                    .collect();
                let restart = needs_restart(change);
                let password_file = self
                    .input
                    .topology
                    .secrets
                    .get(password)
                    .map(|node| node.path.clone())
                    .unwrap_or_default();
                let action = Action::PreparePostgresql {
                    role: role.clone(),
                    password_file,
                    database: database.clone(),
                    settings,
                    peers: peers.clone(),
                    restart: restart.then(|| self.cluster(&host)).flatten(),
                };
                self.push(&host, action, why(&[one]), vec![one.resource.address.to_string()]);
            }
        }
        self.check_external();
    }

    /// The service of PostgreSQL on a host, with everything it has to listen on.
    fn cluster(&self, host: &str) -> Option<Startable> {
        self.considered.iter().filter(|one| one.resource.address.host == host).find_map(|one| {
            match &one.resource.body {
                Body::Service { unit, ready, .. } if unit == POSTGRESQL => {
                    Some(Startable { unit: unit.clone(), ready: ready.clone() })
                }
                _ => None,
            }
        })
    }

    /// An external PostgreSQL is asked before the first process of this apply that would use it.
    fn check_external(&mut self) {
        let starts = self.considered.iter().any(|one| {
            one.change.is_some() && matches!(&one.resource.body, Body::Service { stage: Stage::Main, .. })
        });
        if !starts {
            return;
        }
        let topology = self.input.topology;
        for one in self.considered {
            if let Body::ExternalPostgresql { host, port, database, user, sslmode, .. } = &one.resource.body {
                let sslmode = sslmode.as_deref().unwrap_or("prefer");
                let conninfo = format!(
                    "host={host} port={port} dbname={database} user={user} sslmode={sslmode} connect_timeout=10 passfile={}/conf/secrets/pgpass",
                    topology.root
                );
                let action = Action::CheckPostgresql {
                    python: format!("{}/bin/python", topology.venv.path),
                    user: topology.user.clone(),
                    conninfo,
                };
                self.push(&one.resource.address.host, action, "main is about to use it", Vec::new());
            }
        }
    }

    /// Stops whatever holds something (a stream, a job, a name) that another process takes over.
    fn vacate(&mut self) -> BTreeSet<(String, String)> {
        let topology = self.input.topology;
        let recorded: BTreeMap<&String, _> = recorded_instances(self.input).collect();
        let mut before: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, instance) in &recorded {
            for held in &instance.holds {
                before.entry(held).or_default().insert(name);
            }
        }
        let mut after: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for instance in &topology.instances {
            for held in holds(instance) {
                after.entry(held).or_default().insert(&instance.name);
            }
        }
        let mut vacated = BTreeSet::new();
        for (name, instance) in recorded {
            let moved = topology.instances.iter().any(|now| &now.name == name && now.host != instance.host);
            let taken = instance.holds.iter().find(|held| {
                let (was, now) = (before.get(held.as_str()), after.get(*held));
                // Held by others now (by main, if nobody is named), or a list that has another shape.
                was != now
            });
            let reason = match (moved, taken) {
                (true, _) => "it runs on another host from now on".to_owned(),
                (_, Some(held)) => format!("{held} is held by other processes from now on"),
                _ => continue,
            };
            let Some(facts) = self.input.facts.get(&instance.host) else { continue };
            if !facts.units.get(&instance.unit).is_some_and(is_active) {
                continue;
            }
            // What runs with all that is asked of it now has let go already: an apply was cut short.
            let current = self.considered.iter().any(|one| {
                let address = &one.resource.address;
                address.kind == "service"
                    && (&address.host, &address.name) == (&instance.host, &instance.unit)
                    && outdated(one).is_none()
            });
            if current {
                continue;
            }
            let leaves = self
                .left
                .units
                .iter()
                .any(|(host, unit, _)| (host, unit) == (&instance.host, &instance.unit));
            let action = Action::Stop {
                unit: instance.unit.clone(),
                ports: Vec::new(),
                drain_seconds: 0,
                disable: leaves,
            };
            self.push(&instance.host, action, reason, Vec::new());
            vacated.insert((instance.host.clone(), instance.unit.clone()));
        }
        vacated
    }

    fn services(&mut self, stage: Stage, vacated: &BTreeSet<(String, String)>) {
        for host in self.hosts() {
            let of_stage: Vec<&Considered<'_>> = self
                .considered
                .iter()
                .filter(|one| one.resource.address.host == host)
                .filter(|one| matches!(&one.resource.body, Body::Service { stage: of, .. } if *of == stage))
                .collect();
            let (mut start, mut restart, mut enable) = (Vec::new(), Vec::new(), Vec::new());
            for one in of_stage {
                let Body::Service { unit, ready, reload, .. } = &one.resource.body else { continue };
                let mut service = Startable { unit: unit.clone(), ready: ready.clone() };
                if unit == POSTGRESQL && self.changed(&host).iter().any(|one| settles_after_start(one)) {
                    // Where it listens is set while it runs: the step after this one waits for that.
                    service.ready.listens.clear();
                }
                let active = self.input.facts[&host].units.get(unit).is_some_and(is_active);
                if !active || vacated.contains(&(host.clone(), unit.clone())) {
                    if one.change.is_some() || vacated.contains(&(host.clone(), unit.clone())) {
                        start.push((one, service));
                    }
                } else if outdated(one).is_some() {
                    restart.push((one, service, *reload));
                } else if has(one, "enabled") {
                    enable.push((one, unit.clone()));
                }
            }
            for (one, service, reload) in restart {
                if has(one, "enabled") {
                    // It is as desired only once it has restarted too.
                    let units = vec![service.unit.clone()];
                    self.push(&host, Action::Enable { units }, "it would not start at boot", Vec::new());
                }
                let action = if reload { Action::Reload { service } } else { Action::Restart { service } };
                self.push(&host, action, why(&[one]), vec![one.resource.address.to_string()]);
            }
            if !start.is_empty() {
                let ones: Vec<_> = start.iter().map(|(one, _)| *one).collect();
                let services = start.into_iter().map(|(_, service)| service).collect();
                self.push(&host, Action::Start { services }, why_start(&ones), addresses(&ones));
            }
            if !enable.is_empty() {
                let ones: Vec<_> = enable.iter().map(|(one, _)| *one).collect();
                let units = enable.into_iter().map(|(_, unit)| unit).collect();
                self.push(&host, Action::Enable { units }, why(&ones), addresses(&ones));
            }
        }
    }

    fn directives(&mut self) {
        for host in self.hosts() {
            for one in self.changed(&host) {
                let Body::Directive { path, directive, minimum, .. } = &one.resource.body else { continue };
                let action = Action::RaiseDirective {
                    path: path.clone(),
                    directive: directive.clone(),
                    value: *minimum,
                    owes: self.owed(&host, &BTreeSet::from([path.as_str()])),
                };
                self.push(&host, action, why(&[one]), vec![one.resource.address.to_string()]);
            }
        }
    }

    fn stop_leaving(&mut self, vacated: &BTreeSet<(String, String)>) {
        for (host, unit, ports) in &self.left.units {
            if vacated.contains(&(host.clone(), unit.clone())) {
                continue;
            }
            let action = Action::Stop {
                unit: unit.clone(),
                ports: ports.clone(),
                drain_seconds: DRAIN_SECONDS,
                disable: true,
            };
            self.push(host, action, "it left the inventory; nothing is routed to it any more", Vec::new());
        }
    }

    /// An nginx that is not ours to stop goes on serving what is removed until it reads again.
    fn former_proxies(&mut self) {
        for host in self.hosts() {
            let files = files_of(&self.left.proxy_files, &host);
            if files.is_empty() {
                continue;
            }
            let action = Action::Remove { files, directories: Vec::new() };
            self.push(&host, action, "the proxy left this host", Vec::new());
            if self.input.facts[&host].units.get(NGINX).is_some_and(is_active) {
                let service = Startable { unit: NGINX.to_owned(), ready: Ready::default() };
                let why = "it serves what was removed until it reads its files again";
                self.push(&host, Action::Reload { service }, why, Vec::new());
            }
        }
    }

    fn remove(&mut self) {
        for host in self.hosts() {
            let files = files_of(&self.left.files, &host);
            let mut directories: Vec<String> = self
                .left
                .directories
                .iter()
                .filter(|(of, _)| *of == host)
                .map(|(_, path)| path.clone())
                .collect();
            directories.sort_by(|a, b| b.cmp(a));
            if files.is_empty() && directories.is_empty() {
                continue;
            }
            let units = files.iter().any(|(path, _)| path.starts_with("/etc/systemd/system/"));
            self.push(&host, Action::Remove { files, directories }, "they left the inventory", Vec::new());
            if units {
                self.push(&host, Action::DaemonReload, "unit files were removed", Vec::new());
            }
        }
    }
}

/// Files that leave a host, with whether a copy is kept.
fn files_of(files: &[(String, String, bool)], host: &str) -> Vec<(String, bool)> {
    let here = files.iter().filter(|(of, ..)| of == host);
    here.map(|(_, path, copy)| (path.clone(), *copy)).collect()
}

/// What an instance holds alone or as a shard: `writes:typing`, `runs:federation_sender`.
pub(crate) fn holds(instance: &crate::topology::Instance) -> Vec<String> {
    let writes = instance.writes.iter().map(|stream| format!("writes:{stream}"));
    writes.chain(instance.runs.iter().map(|job| format!("runs:{job}"))).collect()
}

/// A change of PostgreSQL's settings that works only after a restart.
fn needs_restart(change: &Change) -> bool {
    change.attributes.iter().any(|(name, ..)| {
        name.strip_prefix("setting ").is_some_and(|setting| AT_START_ONLY.contains(&setting))
    })
}

fn settles_after_start(one: &Considered<'_>) -> bool {
    matches!(one.resource.body, Body::Postgresql { .. }) && one.change.as_ref().is_some_and(needs_restart)
}

/// Smallest set of directories that contains every staged file: what the staged tree is laid over.
fn overlaid(files: &[StagedFile]) -> Vec<String> {
    let parents: BTreeSet<&str> =
        files.iter().filter_map(|file| Some(file.path.rsplit_once('/')?.0)).collect();
    let nested = |inner: &str| {
        parents.iter().any(|outer| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')))
    };
    parents.iter().filter(|parent| !nested(parent)).map(|parent| (*parent).to_owned()).collect()
}

/// The reason why a running service has to take its configuration over again.
fn outdated(one: &Considered<'_>) -> Option<String> {
    let change = one.change.as_ref()?;
    let (_, before, _) = change.attributes.iter().find(|(name, ..)| name == "configuration")?;
    Some(before.as_ref()?.strip_prefix("outdated: ")?.to_owned())
}

/// The change is about this attribute, too.
fn has(one: &Considered<'_>, attribute: &str) -> bool {
    one.change.as_ref().is_some_and(|change| change.attributes.iter().any(|(name, ..)| name == attribute))
}

fn addresses(ones: &[&Considered<'_>]) -> Vec<String> {
    ones.iter().map(|one| one.resource.address.to_string()).collect()
}

/// The reason of one change, or of several together.
fn why(ones: &[&Considered<'_>]) -> String {
    let changes: Vec<&Change> = ones.iter().filter_map(|one| one.change.as_ref()).collect();
    let reasons: BTreeSet<&str> = changes.iter().map(|change| change.reason.as_str()).collect();
    let Some(first) = reasons.first() else {
        return "it was stopped so that others could take over".to_owned();
    };
    if reasons.len() == 1 {
        return if changes.len() > 1 && *first == "new" { "all new".to_owned() } else { (*first).to_owned() };
    }
    let kind = |change: &&Change| match (change.operation, change.cause) {
        (Operation::Create, Cause::Drift) => "removed by somebody",
        (Operation::Create, _) => "new",
        (_, Cause::Intended) => "changed by the inventory",
        (_, Cause::Unmanaged) => "not ours so far",
        _ => "changed by somebody",
    };
    let words =
        ["new", "changed by the inventory", "changed by somebody", "removed by somebody", "not ours so far"];
    let counted = words.iter().filter_map(|word| {
        let count = changes.iter().filter(|change| kind(change) == *word).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    counted.collect::<Vec<_>>().join(", ")
}

/// Why several services start: what each was before.
fn why_start(ones: &[&Considered<'_>]) -> String {
    let mut reasons: Vec<&str> =
        ones.iter().filter_map(|one| one.change.as_ref()).map(|change| change.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    if reasons.len() < 2 { why(ones) } else { reasons.join("; ") }
}
