//! One plan being done: which step runs where, what hosts report, what their records have yet to say.
//!
//! A single thread owns all of it; hosts' threads only carry orders and news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use indexmap::IndexMap;

use super::code::Frame;
use super::kept::{Keeps, Next};
use super::ledger::{Ledger, Seen};
use super::session::{News, Order};
use super::supply::WHEELS;
use super::wheels::{Shipment, Stock};
use super::{Job, Observer, Outcome, Report};
use crate::facts::{HostError, HostFacts, generation};
use crate::plan::step::Action;
use crate::plan::{Plan, Step};
use crate::resource::Body;

/// No process' routes take more bytes than this, and no host has more kinds of process.
const REGISTERED_LINE: usize = 1 << 20;
const REGISTERED_LINES: usize = 500;

/// Whether a line that a host's pip is said to have chosen is a package with its hash, and no option for the
/// pip of other hosts.
fn is_pinned(requirement: &str) -> bool {
    let word = |text: &str, also: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    let parts = requirement
        .split_once("==")
        .and_then(|(name, rest)| Some((name, rest.split_once(" --hash=sha256:")?)));
    parts.is_some_and(|(name, (version, hash))| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word(name, "._-")
            && word(version, "._+!-")
            && hash.len() == 64
            && word(hash, "")
    })
}

/// A step's state while the plan runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running,
    Over(Outcome),
}

pub(super) struct Run<'a> {
    pub(super) job: &'a Job<'a>,
    plan: &'a Plan,
    pub(super) ledger: Ledger<'a>,
    hosts: &'a IndexMap<String, Sender<Order>>,
    pub(super) states: Vec<State>,
    /// What each busy host is doing: a step's number, or a name of ours.
    busy: BTreeMap<String, String>,
    /// Secrets being fetched, so that each is fetched once.
    fetching: BTreeSet<String>,
    gone: BTreeMap<String, HostError>,
    /// What each host's Synapse said it serves, as it came.
    registered: BTreeMap<String, Vec<String>>,
    /// The line it is just saying, as far as it came.
    registering: BTreeMap<String, String>,
    /// The wheelhouse, read when a first host needs something of it.
    pub(super) stock: Option<Result<Stock<'a>, String>>,
    /// Hosts that are getting wheels before the step that needs them.
    pub(super) shipments: BTreeMap<String, Shipment>,
    /// Record lines of routes found right, written down with each host's next frame.
    approved: BTreeMap<String, String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        plan: &'a Plan,
        facts: &'a IndexMap<String, HostFacts>,
        hosts: &'a IndexMap<String, Sender<Order>>,
    ) -> Self {
        Self {
            job,
            plan,
            ledger: Ledger::new(plan, facts, job.secrets, job.targeted),
            hosts,
            states: vec![State::Waiting; plan.steps.len()],
            busy: BTreeMap::new(),
            fetching: BTreeSet::new(),
            gone: BTreeMap::new(),
            registered: BTreeMap::new(),
            registering: BTreeMap::new(),
            stock: None,
            shipments: BTreeMap::new(),
            approved: BTreeMap::new(),
        }
    }

    pub(super) fn run(mut self, news: &Receiver<(String, News)>, observer: &mut dyn Observer) -> Report {
        let mut told = false;
        loop {
            let signals = self.job.interrupts.count.load(Ordering::Relaxed);
            if signals > 0 && !told {
                told = true;
                observer.interrupted();
            }
            if signals > 1 {
                break;
            }
            self.skip(observer);
            if signals == 0 {
                self.dispatch(observer);
            }
            let over = self.states.iter().all(|state| matches!(state, State::Over(_)));
            if self.busy.is_empty() && (over || signals > 0) {
                break;
            }
            match news.recv_timeout(Duration::from_millis(50)) {
                Ok((host, item)) => self.hear(&host, item, observer),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let finished = self.states.iter().all(|state| *state == State::Over(Outcome::Done));
        if finished && self.job.interrupts.count.load(Ordering::Relaxed) < 2 {
            self.write_records(news, observer);
        }
        self.report()
    }

    /// Steps whose predecessor did not succeed, or whose host is gone, never run.
    fn skip(&mut self, observer: &mut dyn Observer) {
        for step in &self.plan.steps {
            if self.states[step.id] != State::Waiting {
                continue;
            }
            let broken = step.after.iter().any(
                |before| matches!(&self.states[*before], State::Over(outcome) if *outcome != Outcome::Done),
            );
            if broken || self.gone.contains_key(&step.host) {
                self.states[step.id] = State::Over(Outcome::Skipped);
                observer.ends(step, &Outcome::Skipped);
            }
        }
    }

    fn dispatch(&mut self, observer: &mut dyn Observer) {
        for step in &self.plan.steps {
            let ready = self.states[step.id] == State::Waiting
                && !self.busy.contains_key(&step.host)
                && step.after.iter().all(|before| self.states[*before] == State::Over(Outcome::Done));
            if !ready {
                continue;
            }
            let missing = self.missing_secrets(step);
            if missing.is_empty() && matches!(step.action, Action::BuildVenv { offline: true, .. }) {
                self.ship(step, observer);
            } else if missing.is_empty() {
                observer.begins(step);
                self.begin(step, observer);
            } else {
                self.fetch(&missing, observer);
            }
        }
    }

    /// Secrets the step writes and nobody has brought into memory yet, with a host that has each.
    fn missing_secrets(&self, step: &Step) -> Vec<(String, String)> {
        let (names, origin): (Vec<&str>, Option<&String>) = match &step.action {
            Action::PutSecret { file, origin } => (vec![&file.name], origin.as_ref()),
            Action::Stage { files, .. } => {
                (files.iter().flat_map(|file| file.content.secrets()).collect(), None)
            }
            _ => return Vec::new(),
        };
        names
            .into_iter()
            .filter(|name| self.ledger.secret(name).is_none())
            .filter_map(|name| {
                let holders =
                    self.job.topology.secrets.get(name).map(|node| node.hosts.clone()).unwrap_or_default();
                // Staging comes after the host's own copy is in place.
                let own = holders.iter().find(|host| **host == step.host);
                let from = origin.or(own).or(holders.first())?;
                Some((name.to_owned(), from.clone()))
            })
            .collect()
    }

    fn fetch(&mut self, missing: &[(String, String)], observer: &mut dyn Observer) {
        for (name, host) in missing {
            if self.gone.contains_key(host) {
                self.fail_for_want_of(name, &[format!("{host}, which has secret {name}, is gone")], observer);
                continue;
            }
            if self.fetching.contains(name) || self.busy.contains_key(host) {
                continue;
            }
            let Some(path) = self.job.topology.secrets.get(name).map(|node| node.path.clone()) else {
                continue;
            };
            let mut frame = Frame::default();
            frame.fetch(name, &path);
            // Where it cannot be sent, the end of that session is among the news to come.
            if self.send(host, format!("fetch:{name}"), &frame) {
                self.fetching.insert(name.clone());
            }
        }
    }

    pub(super) fn begin(&mut self, step: &Step, observer: &mut dyn Observer) {
        let mut frame = Frame::default();
        let mut lines = self.approved.remove(&step.host).unwrap_or_default();
        lines.push_str(&self.ledger.before(step));
        frame.record(&lines);
        let outcome = frame.act(
            &step.action,
            self.job.ready_seconds,
            |name| self.ledger.secret(name).cloned(),
            &self.ledger.resolved,
            &self.ledger.undone(step),
        );
        // What the host says is judged here: it cannot write down that all is well.
        if !matches!(step.action, Action::CheckRoutes { .. }) {
            frame.done(&self.ledger.promise(step));
        }
        let outcome = match outcome {
            Ok(()) if self.send(&step.host, step.id.to_string(), &frame) => {
                self.states[step.id] = State::Running;
                return;
            }
            Ok(()) => Outcome::Lost("the session with the host has ended".to_owned()),
            Err(error) => Outcome::Failed(vec![error.to_string()]),
        };
        observer.ends(step, &outcome);
        self.states[step.id] = State::Over(outcome);
    }

    /// The routes held against what the host's Synapse said.
    fn audited(&mut self, host: &str, step: &Step) -> Outcome {
        let said = self.registered.remove(host).unwrap_or_default();
        let complaints = self.job.topology.complaints(&said);
        if !complaints.is_empty() {
            return Outcome::Failed(complaints);
        }
        self.approved.entry(host.to_owned()).or_default().push_str(&self.ledger.after(step));
        Outcome::Done
    }

    /// Whether there is still a session to send it to; why not may be heard only later.
    #[must_use]
    pub(super) fn send(&mut self, host: &str, id: String, frame: &Frame) -> bool {
        let order = Order::Frame { id: id.clone(), bytes: frame.bytes(&id) };
        let sent = self.hosts.get(host).is_some_and(|orders| orders.send(order).is_ok());
        if sent {
            self.busy.insert(host.to_owned(), id);
        }
        sent
    }

    fn running(&self, host: &str) -> Option<&'a Step> {
        let plan: &'a Plan = self.plan;
        let id = self.busy.get(host)?;
        plan.steps.get(id.strip_prefix(WHEELS).unwrap_or(id).parse::<usize>().ok()?)
    }

    fn hear(&mut self, host: &str, item: News, observer: &mut dyn Observer) {
        match item {
            News::Log { line } => {
                if let Some(step) = self.running(host) {
                    observer.says(step, &self.ledger.redact(&line));
                }
            }
            News::Waiting { unit, what } => {
                if let Some(step) = self.running(host) {
                    observer.waits(step, &unit, &what);
                }
            }
            News::Started { unit, invocation, workers, took } => {
                self.ledger.started(host, unit, Seen { invocation, workers, took })
            }
            News::Revision { name, revision } => self.ledger.revision(host, name, revision),
            // Only what was asked for, from the host that was asked: no host hands a secret to the others unasked.
            News::Value { name, value } if self.busy.get(host) == Some(&format!("fetch:{name}")) => {
                self.ledger.value(name, value);
            }
            News::Value { .. } => {}
            News::Lacks { name } => {
                if let Some(shipment) = self.shipments.get_mut(host) {
                    shipment.lacks(name);
                }
            }
            News::Venv { path, packages } => self.ledger.venv(host, path, packages),
            News::Resolved { tag, requirement } => {
                let building =
                    self.running(host).is_some_and(|step| matches!(step.action, Action::BuildVenv { .. }));
                if building && is_pinned(&requirement) {
                    self.ledger.resolved.entry(tag).or_default().push(requirement);
                }
            }
            News::Registered { part, last } => {
                let line = self.registering.entry(host.to_owned()).or_default();
                if line.len() < REGISTERED_LINE {
                    line.push_str(&part);
                }
                if last && self.registered.get(host).is_none_or(|lines| lines.len() < REGISTERED_LINES) {
                    let line = self.registering.remove(host).unwrap_or_default();
                    self.registered.entry(host.to_owned()).or_default().push(line);
                }
            }
            News::Done { id, ok, tail } => {
                let step = self.running(host);
                self.busy.remove(host);
                if let Some(name) = id.strip_prefix("fetch:") {
                    // A secret that cannot be fetched fails the steps that need it, on their own hosts.
                    if ok {
                        self.fetching.remove(name);
                    } else {
                        self.fail_for_want_of(name, &tail, observer);
                    }
                } else if let Some(step) = step.filter(|_| ok && id.starts_with(WHEELS)) {
                    self.shipped(step, observer);
                } else if let Some(step) = step {
                    self.shipments.remove(host);
                    let tail = tail.iter().map(|line| self.ledger.redact(line)).collect();
                    let mut outcome = if ok { Outcome::Done } else { Outcome::Failed(tail) };
                    if ok && matches!(step.action, Action::CheckRoutes { .. }) {
                        outcome = self.audited(host, step);
                    }
                    let built = ok && matches!(step.action, Action::BuildVenv { .. });
                    if built && !self.ledger.resolved.is_empty() {
                        observer.resolved(&self.ledger.resolved);
                    }
                    observer.ends(step, &outcome);
                    self.states[step.id] = State::Over(outcome);
                }
            }
            News::Failed(error) => {
                let step = self.running(host);
                self.shipments.remove(host);
                let fetched = self.busy.remove(host);
                if let Some(name) = fetched.as_deref().and_then(|id| id.strip_prefix("fetch:")) {
                    self.fail_for_want_of(name, &[format!("{host}: {error}")], observer);
                }
                if let Some(step) = step {
                    let outcome = Outcome::Lost(error.to_string());
                    observer.ends(step, &outcome);
                    self.states[step.id] = State::Over(outcome);
                }
                self.gone.insert(host.to_owned(), error);
            }
            News::Ended | News::Locked(_) | News::Probed(_) => {
                self.busy.remove(host);
            }
        }
    }

    fn fail_for_want_of(&mut self, name: &str, tail: &[String], observer: &mut dyn Observer) {
        for step in &self.plan.steps {
            if self.states[step.id] == State::Waiting
                && self.missing_secrets(step).iter().any(|(missing, _)| missing == name)
            {
                let outcome = Outcome::Failed(tail.to_vec());
                observer.ends(step, &outcome);
                self.states[step.id] = State::Over(outcome);
            }
        }
    }

    /// All went well: the last word to every host is its whole record, in place of the journal.
    fn write_records(&mut self, news: &Receiver<(String, News)>, observer: &mut dyn Observer) {
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

    fn report(self) -> Report {
        let outcomes = self.plan.steps.iter().cloned().zip(self.states).map(|(step, state)| match state {
            State::Over(outcome) => (step, outcome),
            State::Running => (step, Outcome::Lost("interrupted".to_owned())),
            State::Waiting => (step, Outcome::Skipped),
        });
        Report {
            outcomes: outcomes.collect(),
            signal: self.job.interrupts.signal.load(Ordering::Relaxed),
            host_errors: self.gone.into_iter().collect(),
            way_back: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_pinned;

    #[test]
    fn a_host_hands_other_hosts_packages_with_hashes_and_nothing_else() {
        let hash = "a".repeat(64);
        assert!(is_pinned(&format!("matrix-synapse==1.163.2 --hash=sha256:{hash}")));
        assert!(is_pinned(&format!("jaraco.text==4.0.0+b1 --hash=sha256:{hash}")));
        for line in [
            "--index-url=http://evil/==1 --hash=sha256:HASH",
            "-e==1 --hash=sha256:HASH",
            "a==1",
            "a==1 --hash=sha256:HASH --pre",
            "a==1 ; x --hash=sha256:HASH",
            "a @ http://evil==1 --hash=sha256:HASH",
            "a==1 --hash=sha256:short",
        ] {
            assert!(!is_pinned(&line.replace("HASH", &hash)), "{line}");
        }
    }
}
