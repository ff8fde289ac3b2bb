//! Files, a set at a time: staged, validated as if in place, put in place; what reads them owes a restart.

use std::collections::BTreeSet;

use super::super::step::{Action, StagedFile};
use super::super::{Considered, upgrade};
use super::{Builder, UNIT_FILES, addresses, outdated, why};
use crate::resource::{Body, FileSet};

const ACCEPTED: &str = "nothing that its own program refuses is put in place";
const ACCEPTS: &str = "has to accept the configuration of every process";
const SERVES: &str = "serve every request where it goes";

impl<'a> Builder<'a, '_> {
    pub(super) fn files(&self, host: &str, set: FileSet) -> Vec<(&'a Considered<'a>, StagedFile)> {
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

    pub(super) fn stage_and_validate(&mut self) {
        for host in self.hosts() {
            let routes = self.routes_check(&host);
            for set in FileSet::ALL {
                let files = self.files(&host, set);
                let gone: Vec<String> = self.gone(&host, set).into_iter().map(|(path, _)| path).collect();
                let validates = set != FileSet::Synapse || routes.is_none();
                if files.is_empty() && gone.is_empty() {
                    if set == FileSet::Synapse && validates {
                        self.accepts(&host);
                    }
                    continue;
                }
                let ones: Vec<_> = files.iter().map(|(one, _)| *one).collect();
                let reason = why_swapped(&ones);
                let files: Vec<StagedFile> = files.into_iter().map(|(_, file)| file).collect();
                let action = Action::Stage { set, files: files.clone(), gone: gone.clone() };
                self.push(&host, action, reason, Vec::new());
                if validates && let Some(action) = self.validation(&host, set, &files, &gone) {
                    self.push(&host, action, ACCEPTED, Vec::new());
                }
            }
            if let Some((action, why, completes)) = routes {
                self.push(&host, action, why, completes);
            }
        }
    }

    /// Another release may refuse what its predecessor took, though no file changes.
    fn accepts(&mut self, host: &str) {
        let topology = self.input.topology;
        let runs = topology.instances.iter().any(|instance| instance.host == host);
        if !runs || !self.upgrades(host) {
            return;
        }
        if let Some(action) = self.validation(host, FileSet::Synapse, &[], &[]) {
            self.push(host, action, format!("Synapse {} {ACCEPTS}", topology.version), Vec::new());
        }
    }

    fn upgrades(&self, host: &str) -> bool {
        upgrade::of_host(self.input, self.input.facts[host]).is_some()
    }

    /// After the venv, the routes or the configuration changed: what Synapse registers follows from these. With it
    /// why, and what is checked then.
    fn routes_check(&self, host: &str) -> Option<(Action, String, Vec<String>)> {
        let here = |one: &&Considered<'_>| {
            one.resource.address.host == host && matches!(one.resource.body, Body::Routes { .. })
        };
        let one = self.considered.iter().find(here)?;
        let files: Vec<StagedFile> =
            self.files(host, FileSet::Synapse).into_iter().map(|(_, file)| file).collect();
        if one.change.is_none() && files.is_empty() {
            return None;
        }
        let topology = self.input.topology;
        let some = self.concerned(host, &files).filter(|_| one.change.is_none());
        let check = match some {
            Some(names) => topology.routes_check_of(host, &names),
            None => topology.routes_check(host),
        };
        let over = overlaid(files.iter().map(|file| file.path.as_str()));
        let action = Action::CheckRoutes { over, check, version: topology.version.to_string() };
        let why = match (files.is_empty(), self.upgrades(host)) {
            (_, true) => format!("Synapse {} {ACCEPTS}, and to {SERVES}", topology.version),
            (false, false) => format!("Synapse has to accept them, and to {SERVES}"),
            (true, false) => format!("Synapse has to {SERVES}"),
        };
        Some((action, why, one.change.iter().map(|change| change.address.clone()).collect()))
    }

    /// Processes whose own files these are, and who starts again. `None`: a file is of all of them. What is in place
    /// and stays was checked when it was put there.
    fn concerned(&self, host: &str, files: &[StagedFile]) -> Option<BTreeSet<&'a str>> {
        let topology = self.input.topology;
        let readers = files.iter().map(|file| topology.only_reader(host, &file.path));
        let mut names: BTreeSet<&str> =
            readers.map(|reader| Some(reader?.name.as_str())).collect::<Option<_>>()?;
        let starts = |unit: &str| {
            self.changed(host)
                .iter()
                .any(|one| matches!(&one.resource.body, Body::Service { unit: of, .. } if of == unit))
        };
        let here = topology.instances.iter().filter(|instance| instance.host == host);
        names.extend(here.filter(|one| starts(&one.unit)).map(|one| one.name.as_str()));
        Some(names)
    }

    /// Files that leave with a set: nginx reads whole directories, and must not see old and new together.
    fn gone(&self, host: &str, set: FileSet) -> Vec<(String, bool)> {
        if set == FileSet::Nginx { files_of(&self.left.nginx_files, host) } else { Vec::new() }
    }

    fn validation(&self, host: &str, set: FileSet, files: &[StagedFile], gone: &[String]) -> Option<Action> {
        let over =
            overlaid(files.iter().map(|file| file.path.as_str()).chain(gone.iter().map(String::as_str)));
        let validate = |synapse, files, links| Action::Validate { set, over, synapse, files, links };
        match set {
            FileSet::Nginx => Some(validate(None, Vec::new(), Vec::new())),
            FileSet::Haproxy => {
                let topology = self.input.topology;
                let configuration = files.iter().map(|file| file.path.clone()).collect();
                let links =
                    topology.proxy.as_ref().map_or_else(Vec::new, |proxy| proxy.links(&topology.prefix));
                Some(validate(None, configuration, links))
            }
            FileSet::Systemd => {
                let units = files
                    .iter()
                    .map(|file| file.path.clone())
                    .filter(|path| path.starts_with(UNIT_FILES))
                    .filter(|path| path.ends_with(".service") || path.ends_with(".target"))
                    .collect();
                Some(validate(None, units, Vec::new()))
            }
            FileSet::Synapse => {
                let synapse = Some(self.input.topology.synapse_check(host));
                Some(validate(synapse, Vec::new(), Vec::new()))
            }
            FileSet::Redis | FileSet::Plain => None,
        }
    }

    pub(super) fn swap(&mut self, set: FileSet) {
        for host in self.hosts() {
            let (files, gone) = (self.files(&host, set), self.gone(&host, set));
            if files.is_empty() && gone.is_empty() {
                continue;
            }
            let ones: Vec<_> = files.iter().map(|(one, _)| *one).collect();
            let (reason, completes) = (why_swapped(&ones), addresses(&ones));
            let mut paths: BTreeSet<&str> = files.iter().map(|(_, file)| file.path.as_str()).collect();
            paths.extend(gone.iter().map(|(path, _)| path.as_str()));
            let owes = self.owed(&host, &paths);
            let files = files.into_iter().map(|(_, file)| file).collect();
            self.push(&host, Action::Swap { set, files, gone, owes }, reason, completes);
        }
    }

    /// What a unit that stays is no longer told has to be gone before it starts again.
    pub(super) fn remove_drop_ins(&mut self) {
        for host in self.hosts() {
            let files: Vec<(String, bool)> = files_of(&self.left.drop_ins, &host);
            if !files.is_empty() {
                let paths = files.iter().map(|(path, _)| path.as_str()).collect();
                let owes = self.owed(&host, &paths);
                let action = Action::Remove { files, directories: Vec::new(), owes };
                self.push(&host, action, "they left the inventory", Vec::new());
            }
        }
    }

    /// Restarts that follow from new contents of `paths`. Written down with the act itself, so that
    /// a restart owed is never forgotten.
    pub(super) fn owed(&self, host: &str, paths: &BTreeSet<&str>) -> Vec<(String, String)> {
        let reads = |one: &Considered<'_>| {
            // What it no longer reads and was started with counts as well.
            let started = self.input.entry(&one.resource.address).and_then(|entry| entry.started.as_ref());
            let before = started.into_iter().flat_map(|started| started.inputs.keys());
            let mut labels = one.reads.paths.iter().chain(one.reads.inputs.keys()).chain(before);
            labels.any(|path| paths.contains(path.as_str()))
        };
        let changed = self.changed(host).into_iter().filter(|one| reads(one));
        changed.filter_map(|one| Some((one.resource.address.to_string(), outdated(one)?))).collect()
    }

    pub(super) fn daemon_reload(&mut self) {
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

    pub(super) fn directives(&mut self) {
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
}

/// Files that leave a host, with whether a copy is kept.
pub(super) fn files_of(files: &[(String, String, bool)], host: &str) -> Vec<(String, bool)> {
    let here = files.iter().filter(|(of, ..)| of == host);
    here.map(|(_, path, copy)| (path.clone(), *copy)).collect()
}

/// Why a set is put in place; one from which files only go has no other reason.
fn why_swapped(ones: &[&Considered<'_>]) -> String {
    if ones.is_empty() { "they left the inventory".to_owned() } else { why(ones) }
}

/// Smallest set of directories that contains every staged file: what the staged tree is laid over. The
/// directory of a drop-in is made later, that of all units is there.
fn overlaid<'p>(paths: impl Iterator<Item = &'p str>) -> Vec<String> {
    let parent = |path: &'p str| match path.strip_prefix(UNIT_FILES) {
        Some(_) => Some(UNIT_FILES.trim_end_matches('/')),
        None => Some(path.rsplit_once('/')?.0),
    };
    let parents: BTreeSet<&str> = paths.filter_map(parent).collect();
    let nested = |inner: &str| {
        parents.iter().any(|outer| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')))
    };
    parents.iter().filter(|parent| !nested(parent)).map(|parent| (*parent).to_owned()).collect()
}
