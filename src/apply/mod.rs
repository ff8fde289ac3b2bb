//! The executor: takes the locks, probes again, does the steps of a plan, keeps the records.
//!
//! It knows how, never why: what is to be done and in which order is the plan's. Steps wait for
//! their predecessors, hosts work side by side, a host does one step at a time in its one exec.

mod code;
pub mod ledger;
pub mod quote;
mod session;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use indexmap::IndexMap;

use crate::facts::gather::Connection;
use crate::facts::request::{Mode, request};
use crate::facts::{HostError, HostFacts};
use crate::plan::step::Action;
use crate::plan::{Plan, Step};
use crate::resource::Resource;
use crate::secret::Secret;
use crate::topology::Topology;
use code::Frame;
use ledger::Ledger;
use session::{News, Order};

/// What happened to one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// It failed; the last lines of its output.
    Failed(Vec<String>),
    /// Its host's session ended while it ran.
    Lost(String),
    /// Something it waits for did not succeed, or the run was interrupted.
    Skipped,
}

/// What an apply did.
#[derive(Debug, Default)]
pub struct Report {
    /// Outcome of each step of the plan.
    pub outcomes: Vec<(Step, Outcome)>,
    /// Python packages that were resolved, for the lock: tag to requirement lines.
    pub resolved: IndexMap<String, Vec<String>>,
    /// 0, or the number of the signal that interrupted it.
    pub signal: usize,
    /// Hosts whose session failed, with why.
    pub host_errors: Vec<(String, HostError)>,
}

impl Report {
    /// Everything was done.
    pub fn succeeded(&self) -> bool {
        self.signal == 0
            && self.host_errors.is_empty()
            && self.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Done)
    }
}

/// Why an apply did nothing at all.
#[derive(Debug)]
pub enum Refused {
    /// These hosts could not be locked or probed.
    Hosts(Vec<(String, HostError)>),
    /// What was shown is no longer what would be done: these differ.
    Stale(Vec<String>),
}

/// What people see while it runs.
pub trait Observer {
    /// A step begins.
    fn begins(&mut self, step: &Step);
    /// A line of its output.
    fn says(&mut self, step: &Step, line: &str);
    /// It waits for something: a service that is not ready yet.
    fn waits(&mut self, step: &Step, unit: &str, what: &str);
    /// It is over.
    fn ends(&mut self, step: &Step, outcome: &Outcome);
    /// The first signal arrived: running steps finish, nothing new begins.
    fn interrupted(&mut self);
}

/// Everything an apply needs besides its observer.
pub struct Job<'a> {
    /// What the inventory means.
    pub topology: &'a Topology,
    /// Desired state of all hosts.
    pub resources: &'a [Resource],
    /// The plan that was shown.
    pub shown: &'a Plan,
    /// Nonce of this run.
    pub nonce: &'a str,
    /// Names this run to others that find a lock taken.
    pub who: &'a str,
    /// Values of secrets that come from the controller.
    pub secrets: &'a BTreeMap<String, Secret>,
    /// Digest of the modules, for the record.
    pub modules: &'a str,
    /// Host name to address, for the record.
    pub addresses: &'a BTreeMap<String, String>,
    /// Plans again, from the facts under the lock.
    pub replan: &'a dyn Fn(&IndexMap<String, HostFacts>) -> Plan,
    /// Seconds a service other than main may take to be ready.
    pub ready_seconds: u32,
    /// Number of the signal received, and how many there were: see [`Interrupts`].
    pub interrupts: &'a Interrupts,
}

/// Signals that arrived.
#[derive(Debug, Default)]
pub struct Interrupts {
    /// How many.
    pub count: AtomicUsize,
    /// Number of the first one.
    pub signal: AtomicUsize,
}

/// Locks, probes again, compares, and does it.
pub fn apply(
    job: &Job<'_>,
    connections: Vec<Connection>,
    observer: &mut dyn Observer,
) -> Result<Report, Refused> {
    std::thread::scope(|scope| {
        let (news_in, news) = channel();
        let mut hosts: IndexMap<String, Sender<Order>> = IndexMap::new();
        for mut connection in connections {
            let (orders_in, orders) = channel();
            hosts.insert(connection.name.clone(), orders_in);
            let resources: Vec<&Resource> =
                job.resources.iter().filter(|resource| resource.address.host == connection.name).collect();
            let request = request(Mode::Apply, &job.topology.server_name, job.nonce, job.who, &resources);
            let news_in = news_in.clone();
            scope.spawn(move || session::serve(&mut connection, &request, &orders, &news_in));
        }
        drop(news_in);
        let result = locked(job, &hosts, &news, observer);
        // Dropping the senders ends the sessions; the scope waits for them.
        drop(hosts);
        result
    })
}

fn locked(
    job: &Job<'_>,
    hosts: &IndexMap<String, Sender<Order>>,
    news: &Receiver<(String, News)>,
    observer: &mut dyn Observer,
) -> Result<Report, Refused> {
    let mut found: BTreeMap<String, HostFacts> = BTreeMap::new();
    let mut errors = Vec::new();
    while found.len() + errors.len() < hosts.len() {
        match news.recv() {
            Ok((host, News::Locked(facts))) => {
                found.insert(host, *facts);
            }
            Ok((host, News::Failed(error))) => errors.push((host, error)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    if !errors.is_empty() {
        errors.sort_by_key(|(host, _)| hosts.get_index_of(host));
        return Err(Refused::Hosts(errors));
    }
    let facts: IndexMap<String, HostFacts> =
        hosts.keys().filter_map(|host| Some((host.clone(), found.remove(host)?))).collect();
    let plan = (job.replan)(&facts);
    let stale = differing(job.shown, &plan);
    if !stale.is_empty() {
        return Err(Refused::Stale(stale));
    }
    Ok(Run::new(job, &plan, &facts, hosts).run(news, observer))
}

/// Addresses (or steps) in which two plans differ.
pub fn differing(shown: &Plan, now: &Plan) -> Vec<String> {
    let mut names = BTreeSet::new();
    for (one, other) in [(shown, now), (now, shown)] {
        for change in &one.changes {
            if !other.changes.contains(change) {
                names.insert(change.address.clone());
            }
        }
        for step in &one.steps {
            if !other.steps.iter().any(|known| known.host == step.host && known.action == step.action) {
                names.insert(format!("{}: {}", step.host, step.action.title()));
            }
        }
    }
    names.into_iter().collect()
}

/// A step's state while the plan runs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Over(Outcome),
}

struct Run<'a> {
    job: &'a Job<'a>,
    plan: &'a Plan,
    ledger: Ledger<'a>,
    hosts: &'a IndexMap<String, Sender<Order>>,
    states: Vec<State>,
    /// Record lines each host has yet to write.
    unwritten: BTreeMap<String, String>,
    /// What each busy host is doing: a step's number, or a name of ours.
    busy: BTreeMap<String, String>,
    /// Secrets being fetched, so that each is fetched once.
    fetching: BTreeSet<String>,
    gone: BTreeMap<String, HostError>,
}

impl<'a> Run<'a> {
    fn new(
        job: &'a Job<'a>,
        plan: &'a Plan,
        facts: &'a IndexMap<String, HostFacts>,
        hosts: &'a IndexMap<String, Sender<Order>>,
    ) -> Self {
        Self {
            job,
            plan,
            ledger: Ledger::new(plan, facts, job.secrets),
            hosts,
            states: vec![State::Waiting; plan.steps.len()],
            unwritten: BTreeMap::new(),
            busy: BTreeMap::new(),
            fetching: BTreeSet::new(),
            gone: BTreeMap::new(),
        }
    }

    fn run(mut self, news: &Receiver<(String, News)>, observer: &mut dyn Observer) -> Report {
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
        if self.job.interrupts.count.load(Ordering::Relaxed) < 2 {
            self.write_records(finished, news, observer);
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
            if missing.is_empty() {
                self.begin(step, observer);
            } else {
                self.fetch(&missing);
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

    fn fetch(&mut self, missing: &[(String, String)]) {
        for (name, host) in missing {
            if self.fetching.contains(name) || self.busy.contains_key(host) {
                continue;
            }
            let Some(path) = self.job.topology.secrets.get(name).map(|node| node.path.clone()) else {
                continue;
            };
            let mut frame = Frame::default();
            frame.fetch(name, &path);
            self.fetching.insert(name.clone());
            self.send(host, format!("fetch:{name}"), &frame);
        }
    }

    fn begin(&mut self, step: &Step, observer: &mut dyn Observer) {
        let mut frame = Frame::default();
        let mut lines = self.unwritten.remove(&step.host).unwrap_or_default();
        lines.push_str(&self.ledger.before(step));
        frame.record(&lines);
        let outcome =
            frame.act(&step.action, self.job.ready_seconds, |name| self.ledger.secret(name).cloned());
        observer.begins(step);
        match outcome {
            Ok(()) => {
                self.states[step.id] = State::Running;
                self.send(&step.host.clone(), step.id.to_string(), &frame);
            }
            Err(error) => {
                let outcome = Outcome::Failed(vec![error.to_string()]);
                observer.ends(step, &outcome);
                self.states[step.id] = State::Over(outcome);
            }
        }
    }

    fn send(&mut self, host: &str, id: String, frame: &Frame) {
        let Some(orders) = self.hosts.get(host) else { return };
        let order = Order::Frame { id: id.clone(), bytes: frame.bytes(&id) };
        if orders.send(order).is_ok() {
            self.busy.insert(host.to_owned(), id);
        }
    }

    fn running(&self, host: &str) -> Option<&'a Step> {
        let plan: &'a Plan = self.plan;
        plan.steps.get(self.busy.get(host)?.parse::<usize>().ok()?)
    }

    fn hear(&mut self, host: &str, item: News, observer: &mut dyn Observer) {
        match item {
            News::Log { line, .. } => {
                if let Some(step) = self.running(host) {
                    observer.says(step, &line);
                }
            }
            News::Waiting { unit, what } => {
                if let Some(step) = self.running(host) {
                    observer.waits(step, &unit, &what);
                }
            }
            News::Started { unit, invocation, workers } => {
                self.ledger.started(host, unit, invocation, workers)
            }
            News::Revision { name, revision } => self.ledger.revision(host, name, revision),
            News::Value { name, value } => self.ledger.value(name, value),
            News::Venv { path, packages } => self.ledger.venv(host, path, packages),
            News::Resolved(requirement) => {
                let tag = match self.running(host).map(|step| &step.action) {
                    Some(Action::BuildVenv { resolves, .. }) => resolves.clone(),
                    _ => return,
                };
                self.ledger.resolved.entry(tag).or_default().push(requirement);
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
                } else if let Some(step) = step {
                    let outcome = if ok { Outcome::Done } else { Outcome::Failed(tail) };
                    if ok {
                        self.unwritten.entry(host.to_owned()).or_default().push_str(&self.ledger.after(step));
                    }
                    observer.ends(step, &outcome);
                    self.states[step.id] = State::Over(outcome);
                }
            }
            News::Failed(error) => {
                let step = self.running(host);
                self.busy.remove(host);
                if let Some(step) = step {
                    let outcome = Outcome::Lost(error.to_string());
                    observer.ends(step, &outcome);
                    self.states[step.id] = State::Over(outcome);
                }
                self.gone.insert(host.to_owned(), error);
            }
            News::Ended | News::Locked(_) => {
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

    /// The last word to every host: what it still has to write, and, if all went well, the whole record.
    fn write_records(
        &mut self,
        finished: bool,
        news: &Receiver<(String, News)>,
        observer: &mut dyn Observer,
    ) {
        let hosts: VecDeque<String> =
            self.hosts.keys().filter(|host| !self.gone.contains_key(*host)).cloned().collect();
        for host in hosts {
            let mut frame = Frame::default();
            frame.record(&self.unwritten.remove(&host).unwrap_or_default());
            if finished && !self.plan.is_empty() {
                frame.finish(&self.ledger.record(
                    &host,
                    self.job.topology,
                    self.job.modules,
                    self.job.addresses,
                ));
            }
            self.send(&host, "record".to_owned(), &frame);
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
        for orders in self.hosts.values() {
            // A session that has ended already needs no order to.
            drop(orders.send(Order::Quit));
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
            resolved: self.ledger.resolved,
            signal: self.job.interrupts.signal.load(Ordering::Relaxed),
            host_errors: self.gone.into_iter().collect(),
        }
    }
}
