//! What left the inventory: routes are gone by now; processes stop, then their files go.

use std::collections::BTreeSet;

use super::super::leave::NGINX;
use super::super::service::is_active;
use super::super::step::{Action, Startable};
use super::sets::files_of;
use super::{Builder, UNIT_FILES};
use crate::resource::{Body, Ready, Stage};

impl<'a> Builder<'a, '_> {
    pub(super) fn stop_leaving(&mut self, vacated: &BTreeSet<(String, String)>) {
        for (host, unit, ports) in &self.left.units {
            if vacated.contains(&(host.clone(), unit.clone())) {
                continue;
            }
            let action = Action::Stop {
                unit: unit.clone(),
                ports: ports.clone(),
                drain_seconds: self.input.rolling.drain_seconds,
                disable: true,
            };
            self.push(host, action, "it left the inventory; nothing is routed to it any more", Vec::new());
        }
    }

    /// An nginx that is not ours to stop goes on serving what is removed until it reads again.
    pub(super) fn former_proxies(&mut self) {
        for host in self.hosts() {
            if !self.has_proxy(&host) {
                self.former_proxy(&host, "the proxy left this host");
            }
        }
    }

    /// A proxy of another kind on the same host wants the same ports: the former one lets go first.
    pub(super) fn replaced_proxies(&mut self, vacated: &mut BTreeSet<(String, String)>) {
        const WHY: &str = "another proxy takes its ports";
        for host in self.hosts() {
            if !self.has_proxy(&host) {
                continue;
            }
            self.former_proxy(&host, WHY);
            for (_, unit) in self.left.proxies.iter().filter(|(of, _)| *of == host) {
                let action =
                    Action::Stop { unit: unit.clone(), ports: Vec::new(), drain_seconds: 0, disable: true };
                self.push(&host, action, WHY, Vec::new());
                vacated.insert((host.clone(), unit.clone()));
            }
        }
    }

    /// Whether a proxy is desired on the host.
    fn has_proxy(&self, host: &str) -> bool {
        self.considered.iter().any(|one| {
            one.resource.address.host == host
                && matches!(one.resource.body, Body::Service { stage: Stage::Proxy, .. })
        })
    }

    fn former_proxy(&mut self, host: &str, reason: &str) {
        let files = files_of(&self.left.proxy_files, host);
        let why = "it serves what was removed until it reads its files again";
        let active = self.input.facts[host].units.get(NGINX).is_some_and(is_active);
        let owed = self.left.owed.iter().any(|(of, _)| of == host);
        let removed = !files.is_empty();
        if removed {
            let service = format!("/service:{NGINX}");
            let recorded =
                self.left.forgotten.iter().filter(|(of, address)| of == host && address.ends_with(&service));
            let owes = recorded.map(|(_, address)| (address.clone(), why.to_owned())).collect();
            let action = Action::Remove { files, directories: Vec::new(), owes };
            self.push(host, action, reason, Vec::new());
        }
        if active && (owed || removed) {
            let service = Startable { unit: NGINX.to_owned(), ready: Ready::default() };
            self.push(host, Action::Reload { service }, why, Vec::new());
        }
    }

    pub(super) fn remove(&mut self) {
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
            let units = files.iter().any(|(path, _)| path.starts_with(UNIT_FILES));
            let action = Action::Remove { files, directories, owes: Vec::new() };
            self.push(&host, action, "they left the inventory", Vec::new());
            if units {
                self.push(&host, Action::DaemonReload, "unit files were removed", Vec::new());
            }
        }
    }
}
