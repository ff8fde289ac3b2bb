//! What the record of a proxy's host says while the proxy routes around processes that restart.
//!
//! A step that routes changes a file that is as desired, and changes it back later. So the record
//! follows it: what stands there for the time being is what was applied last, with a word of who is
//! routed around. An apply that dies on the way leaves a difference of our own, and nobody's drift.

use crate::facts::record::{Entry, Started};
use crate::plan::step::Action;
use crate::plan::{AROUND, Plan, Step};

/// The steps of a plan that route.
pub(super) struct Routed<'a> {
    plan: &'a Plan,
}

/// A step that routes, with the addresses of its file and its proxy.
pub(super) struct Routing<'a> {
    pub file: &'a str,
    pub service: &'a str,
    path: &'a str,
    digest: &'a str,
    away: &'a [String],
}

impl<'a> Routed<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self { plan }
    }

    /// What this step routes, if it does.
    pub(super) fn of(&self, step: &'a Step) -> Option<Routing<'a>> {
        let Action::Route { file, service, away, .. } = &step.action else { return None };
        let host = format!("{}/", step.host);
        let address = |end: String| {
            let found = |address: &&String| address.starts_with(&host) && address.ends_with(&end);
            self.plan.entries.keys().find(found).map(String::as_str)
        };
        Some(Routing {
            file: address(format!("/file:{}", file.path))?,
            service: address(format!("/service:{}", service.unit))?,
            path: &file.path,
            digest: &file.digest,
            away,
        })
    }

    /// The last step before this one that routes on its host and touched the record's `address`.
    pub(super) fn before(&self, step: &Step, address: &str) -> Option<(&'a Step, Routing<'a>)> {
        let plan: &'a Plan = self.plan;
        let earlier = plan.steps.iter().rev().filter(|one| one.host == step.host && one.id < step.id);
        earlier
            .filter_map(|one| Some((one, self.of(one)?)))
            .find(|(_, routing)| routing.file == address || routing.service == address)
    }
}

impl Routing<'_> {
    /// The entry of the file once it is in place. `entry`: as it was before any step routed.
    pub(super) fn file_entry(&self, mut entry: Entry) -> Entry {
        if let Some(applied) = &mut entry.applied {
            applied.insert("content".to_owned(), self.digest.to_owned());
        }
        entry.pending = None;
        if self.away.is_empty() {
            entry.meta.remove(AROUND);
        } else {
            entry.meta.insert(AROUND.to_owned(), self.away.join(", "));
        }
        entry
    }

    /// The entry of the proxy once it routes by the file. `started`: its new start.
    pub(super) fn service_entry(&self, mut entry: Entry, invocation: String, workers: String) -> Entry {
        let before = entry.started.take().unwrap_or_default();
        let mut inputs = before.inputs;
        inputs.insert(self.path.to_owned(), self.digest.to_owned());
        entry.started =
            Some(Started { invocation, workers, inputs, owed: None, rereads: None, took: before.took });
        entry
    }
}
