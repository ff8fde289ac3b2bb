//! What left the inventory: routes are gone by now; processes stop, then their files go.

use std::collections::BTreeSet;

use super::super::leave::NGINX;
use super::super::service::is_active;
use super::super::step::{Action, Startable};
use super::Builder;
use super::sets::files_of;
use crate::resource::Ready;

/// Longest wait for requests in flight before a leaving worker stops, seconds.
const DRAIN_SECONDS: u32 = 60;

impl<'a> Builder<'a, '_> {
    pub(super) fn stop_leaving(&mut self, vacated: &BTreeSet<(String, String)>) {
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
    pub(super) fn former_proxies(&mut self) {
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
            let units = files.iter().any(|(path, _)| path.starts_with("/etc/systemd/system/"));
            self.push(&host, Action::Remove { files, directories }, "they left the inventory", Vec::new());
            if units {
                self.push(&host, Action::DaemonReload, "unit files were removed", Vec::new());
            }
        }
    }
}
