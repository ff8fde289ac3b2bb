//! The end of a run in success: each host's whole record in place of the journal, and the generation that it is in.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::frame::Frame;
use super::kept::{Keeps, Next};
use super::news::News;
use super::run::Run;
use super::{Job, Observer};
use crate::facts::{HostError, generation};
use crate::resource::Body;

impl Run<'_> {
    /// All went well: the last word to every host is its whole record, in place of the journal.
    pub(super) fn write_records(&mut self, news: &Receiver<(String, News)>, observer: &mut dyn Observer) {
        if !self.job.settles || self.plan.is_empty() && self.plan.unsettled.is_empty() {
            return;
        }
        let hosts: Vec<String> =
            self.hosts.keys().filter(|host| !self.gone.contains_key(*host)).cloned().collect();
        for host in hosts {
            let mut frame = Frame::default();
            let number = match self.job.keeps {
                Keeps::Next(next) => {
                    let number = next.number(self.ledger.facts());
                    let [meta, lock, resources] = self.kept(&host, next, number);
                    frame.keep_generation(number, [&meta, next.inventory, &lock, &resources]);
                    number
                }
                Keeps::Same => self.ledger.facts()[&host].generation_number(),
            };
            let Job { topology, modules, addresses, .. } = self.job;
            frame.finish(&self.ledger.record(&host, topology, modules, addresses, number));
            if !self.send(&host, "record".to_owned(), &frame) {
                let error = HostError::unreachable("its session ended before its record was written", None);
                self.gone.insert(host, error);
            }
        }
        while !self.busy.is_empty() && self.job.interrupts.count.load(Ordering::Relaxed) < 2 {
            match news.recv_timeout(Duration::from_millis(50)) {
                Ok((host, News::Done { ok: false, tail, .. })) => {
                    self.busy.remove(&host);
                    let error = HostError::unfit(
                        format!("its record could not be written: {}", tail.join(" ")),
                        "see the space in /var/lib",
                    );
                    self.gone.insert(host, error);
                }
                Ok((host, item)) => self.hear(&host, item, observer),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    /// The files of a host's new generation but the inventory: meta, lock, resources.
    fn kept(&self, host: &str, next: &Next<'_>, number: u64) -> [String; 3] {
        let resolved = &self.ledger.resolved;
        let meta = next.meta(self.plan, self.job.topology, self.job.modules, number);
        // What pip has chosen in this apply is what one goes back to.
        let complete = |body: Body| match body {
            Body::Venv { path, requirements, constraints, locked, managed: true, installer, offline } => {
                let mut sets = resolved.clone();
                sets.extend(locked.into_iter().flatten());
                let locked = (!sets.is_empty()).then_some(sets);
                Body::Venv { path, requirements, constraints, locked, managed: true, installer, offline }
            }
            body => body,
        };
        let here = self.job.resources.iter().filter(|one| one.address.host == host);
        [generation::meta_text(&meta), (next.lock)(resolved), generation::resources_text(here, complete)]
    }
}
