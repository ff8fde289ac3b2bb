//! One plan being done: which step runs where, and when (`hear.rs`: what hosts report; `supply.rs`: wheels before a step; `records.rs`: the end).
//!
//! A single thread owns all of it; hosts' threads only carry orders and news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;

use super::frame::{Frame, Lane};
use super::ledger::Ledger;
use super::news::News;
use super::session::Order;
use super::supply::WHEELS;
use super::wheels::{Shipment, Stock};
use super::{Job, Observer, Outcome, Report};
use crate::facts::{HostError, HostFacts};
use crate::plan::step::Action;
use crate::plan::{Plan, Step};

/// Judging routes compiles all patterns of Synapse's, some 6 MB; deployments applied side by side take turns.
static JUDGING: Mutex<()> = Mutex::new(());

fn lane(step: &Step) -> Lane {
    if step.action.is_beside() { Lane::Beside } else { Lane::Main }
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
    pub(super) plan: &'a Plan,
    pub(super) ledger: Ledger<'a>,
    pub(super) hosts: &'a IndexMap<String, Sender<Order>>,
    pub(super) states: Vec<State>,
    /// What each busy host is doing: a step's number, or a name of ours.
    pub(super) busy: BTreeMap<String, String>,
    /// The step that a host does beside those.
    pub(super) beside: BTreeMap<String, usize>,
    /// Secrets being fetched, so that each is fetched once.
    pub(super) fetching: BTreeSet<String>,
    pub(super) gone: BTreeMap<String, HostError>,
    /// What each host's Synapse said it serves, as it came.
    pub(super) registered: BTreeMap<String, Vec<String>>,
    /// What is wrong with the routes, by what a Synapse said: hosts of one version say the same.
    judged: BTreeMap<Vec<String>, Vec<String>>,
    /// The line it is just saying, as far as it came.
    pub(super) registering: BTreeMap<String, String>,
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
            beside: BTreeMap::new(),
            fetching: BTreeSet::new(),
            gone: BTreeMap::new(),
            registered: BTreeMap::new(),
            judged: BTreeMap::new(),
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
            if self.busy.is_empty() && self.beside.is_empty() && (over || signals > 0) {
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
            let offline = matches!(step.action, Action::BuildVenv { offline: true, .. });
            let engaged = match (lane(step), offline) {
                (Lane::Main, _) => self.busy.contains_key(&step.host),
                (Lane::Beside, false) => self.beside.contains_key(&step.host),
                // Wheels are brought between other steps.
                (Lane::Beside, true) => {
                    self.busy.contains_key(&step.host) || self.beside.contains_key(&step.host)
                }
            };
            let ready = self.states[step.id] == State::Waiting
                && !engaged
                && step.after.iter().all(|before| self.states[*before] == State::Over(Outcome::Done));
            if !ready {
                continue;
            }
            let missing = self.missing_secrets(step);
            if missing.is_empty() && offline {
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
            Ok(()) if self.send_step(step, &frame) => {
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
    pub(super) fn audited(&mut self, host: &str, step: &Step) -> Outcome {
        let said = self.registered.remove(host).unwrap_or_default();
        let topology = self.job.topology;
        let complaints = self.judged.entry(said).or_insert_with_key(|said| {
            let _turn = JUDGING.lock().unwrap_or_else(PoisonError::into_inner);
            topology.complaints(said)
        });
        if !complaints.is_empty() {
            return Outcome::Failed(complaints.clone());
        }
        self.approved.entry(host.to_owned()).or_default().push_str(&self.ledger.after(step));
        Outcome::Done
    }

    /// Whether there is still a session to send it to; why not may be heard only later.
    #[must_use]
    pub(super) fn send(&mut self, host: &str, id: String, frame: &Frame) -> bool {
        let sent = self.order(host, &id, frame, Lane::Main);
        if sent {
            self.busy.insert(host.to_owned(), id);
        }
        sent
    }

    fn send_step(&mut self, step: &Step, frame: &Frame) -> bool {
        let (host, id) = (&step.host, step.id.to_string());
        if lane(step) == Lane::Main {
            return self.send(host, id, frame);
        }
        let sent = self.order(host, &id, frame, Lane::Beside);
        if sent {
            self.beside.insert(host.clone(), step.id);
        }
        sent
    }

    fn order(&self, host: &str, id: &str, frame: &Frame, lane: Lane) -> bool {
        let order = Order::Frame { id: id.to_owned(), bytes: frame.bytes_for(id, lane) };
        self.hosts.get(host).is_some_and(|orders| orders.send(order).is_ok())
    }

    /// What the host does in turn.
    pub(super) fn running(&self, host: &str) -> Option<&'a Step> {
        self.step_of(self.busy.get(host)?)
    }

    /// What it does beside that.
    pub(super) fn running_beside(&self, host: &str) -> Option<&'a Step> {
        let plan: &'a Plan = self.plan;
        plan.steps.get(*self.beside.get(host)?)
    }

    /// The step that a frame is of, or is for.
    pub(super) fn step_of(&self, id: &str) -> Option<&'a Step> {
        let plan: &'a Plan = self.plan;
        plan.steps.get(id.strip_prefix(WHEELS).unwrap_or(id).parse::<usize>().ok()?)
    }

    pub(super) fn fail_for_want_of(&mut self, name: &str, tail: &[String], observer: &mut dyn Observer) {
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
