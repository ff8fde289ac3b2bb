//! What comes before any file: packages, the Python environment beside them, users, directories, secrets.

use std::collections::BTreeMap;

use super::super::Considered;
use super::super::change::Operation;
use super::super::step::{Action, MadeDirectory, SecretFile, TakenFrom};
use super::{Builder, UNIT_FILES, addresses, why};
use crate::inventory::SecretSource;
use crate::resource::Body;
use crate::topology::SecretShape;

impl<'a> Builder<'a, '_> {
    pub(super) fn prepare(&mut self) {
        let mut resolved: Option<usize> = None;
        for host in self.hosts() {
            let changed = self.changed(&host);
            // An environment takes as long as all other packages, and needs none of them.
            let venv = |one: &Considered<'_>| matches!(one.resource.body, Body::Venv { managed: true, .. });
            let module = changed.iter().find(|one| venv(one)).map(|one| one.resource.address.module.clone());
            let (first, then): (Vec<_>, Vec<_>) =
                changed.iter().partition(|one| Some(&one.resource.address.module) == module.as_ref());
            self.packages(&host, &first);
            self.venv(&host, &first, &mut resolved);
            self.packages(&host, &then);
            for one in &changed {
                if let Body::User { name, home } = &one.resource.body {
                    let action = Action::CreateUser { name: name.clone(), home: home.clone() };
                    self.push(&host, action, why(&[one]), vec![one.resource.address.to_string()]);
                }
            }
            self.directories(&host, false);
        }
    }

    /// What of these packages is missing, in one go.
    fn packages(&mut self, host: &str, changed: &[&Considered<'a>]) {
        let mut packages: Vec<String> = Vec::new();
        let mut completes = Vec::new();
        for one in changed {
            if let Body::Packages { packages: wanted, .. } = &one.resource.body {
                let missing =
                    wanted.iter().filter(|name| !self.input.facts[host].packages.contains_key(*name));
                packages.extend(missing.cloned());
                completes.push(one.resource.address.to_string());
            }
        }
        if !packages.is_empty() {
            packages.dedup();
            self.push(host, Action::InstallPackages { packages }, "they are not installed", completes);
        }
    }

    /// Directories of drop-ins come with these, not before: what is refused until then leaves nothing behind.
    pub(super) fn drop_in_directories(&mut self) {
        for host in self.hosts() {
            self.directories(&host, true);
        }
    }

    fn directories(&mut self, host: &str, of_drop_ins: bool) {
        let (mut ones, mut made) = (Vec::new(), Vec::new());
        let mut changed = self.changed(host);
        // What is there and is to be somebody's: what is in it first, while root still owns the way there.
        let given_away = |one: &&Considered<'_>| {
            let there = one.change.as_ref().is_some_and(|change| change.operation == Operation::Update);
            there && matches!(&one.resource.body, Body::Directory { owner, .. } if owner != "root")
        };
        let depth = |one: &&Considered<'_>| one.resource.address.name.matches('/').count();
        let new = |one: &&Considered<'_>| {
            one.change.as_ref().is_some_and(|change| change.operation == Operation::Create)
        };
        // New ones last, as declared: they may lie in these.
        changed.sort_by_key(|one| match (new(one), given_away(one)) {
            (true, _) => (2, 0),
            (false, true) => (1, usize::MAX - depth(one)),
            (false, false) => (0, 0),
        });
        for one in changed {
            if let Body::Directory { path, owner, group, mode, .. } = &one.resource.body
                && path.starts_with(UNIT_FILES) == of_drop_ins
            {
                ones.push(one);
                made.push(MadeDirectory {
                    path: path.clone(),
                    owner: owner.clone(),
                    group: group.clone(),
                    mode: mode.clone(),
                });
            }
        }
        if !ones.is_empty() {
            self.push(host, Action::MakeDirectories { directories: made }, why(&ones), addresses(&ones));
        }
    }

    /// New secrets are made on main's host, then brought to the hosts that lack them.
    pub(super) fn secrets(&mut self) {
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
                    let from = match self.input.topology.secrets.get(name).map(|node| &node.source) {
                        Some(SecretSource::Found(from)) => Some(TakenFrom {
                            path: from.path.clone(),
                            key: from.key.clone(),
                            python: format!("{}/bin/python", self.input.topology.venv.path),
                            user: self.input.topology.user.clone(),
                        }),
                        _ => None,
                    };
                    let action = Action::GenerateSecret { file, shape: shape.to_owned(), from };
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
    fn venv(&mut self, host: &str, changed: &[&Considered<'a>], resolved: &mut Option<usize>) {
        for one in changed {
            let Body::Venv { path, requirements, constraints, locked, managed: true, installer, offline } =
                &one.resource.body
            else {
                continue;
            };
            let locked = locked.clone().unwrap_or_default();
            let tag = self.input.facts[host].python_tag();
            let resolves = !tag.is_some_and(|tag| locked.contains_key(&tag));
            let action = Action::BuildVenv {
                path: path.clone(),
                requirements: requirements.clone(),
                constraints: constraints.clone(),
                locked,
                resolves,
                installer: *installer,
                offline: *offline,
            };
            let after: Vec<usize> = resolved.filter(|_| resolves).into_iter().collect();
            let id =
                self.push_after(host, action, why(&[one]), vec![one.resource.address.to_string()], &after);
            *resolved = resolved.or(resolves.then_some(id));
        }
    }
}
