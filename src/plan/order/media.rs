//! A media store that several hosts share: each must see what the others write, before anything starts.
//!
//! Never here: mounting it (a service of the first stage).

use super::super::step::{Action, MediaProbe};
use super::Builder;
use crate::resource::{Body, Stage};
use crate::topology::App;

impl Builder<'_, '_> {
    /// Whether a process that uses the store is about to start or restart anywhere.
    fn media_starts(&self) -> bool {
        let topology = self.input.topology;
        let uses = |host: &str, unit: &str| {
            topology.instances.iter().any(|instance| {
                instance.app == App::MediaRepository && instance.host == host && instance.unit == unit
            })
        };
        self.considered.iter().filter(|one| one.change.is_some()).any(|one| match &one.resource.body {
            Body::Service { unit, stage, .. } => {
                *stage == Stage::Mount || uses(&one.resource.address.host, unit)
            }
            _ => false,
        })
    }

    /// Old marks go, every host makes its own, every host looks for those of the others, the marks go.
    /// The gates between make a mark that is found one of this run.
    pub(super) fn probe_media(&mut self) {
        let media = &self.input.topology.media;
        let hosts: Vec<String> = self.hosts().into_iter().filter(|host| media.hosts.contains(host)).collect();
        if hosts.len() < 2 || !self.media_starts() {
            return;
        }
        for probe in [MediaProbe::Clear, MediaProbe::Mark, MediaProbe::Look, MediaProbe::Clear] {
            for host in &hosts {
                let others = hosts.iter().filter(|other| *other != host).cloned().collect();
                let action = Action::ProbeMedia {
                    probe,
                    path: media.path.clone(),
                    user: self.input.topology.user.clone(),
                    host: host.clone(),
                    others,
                };
                self.push(host, action, "its hosts must see the same files", Vec::new());
            }
            self.gate();
        }
    }
}
