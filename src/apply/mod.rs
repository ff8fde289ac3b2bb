//! The executor: takes the locks, probes again, does the steps of a plan, keeps the records.
//!
//! It knows how, never why: what is to be done and in which order is the plan's. Steps wait for
//! their predecessors, hosts work side by side, a host does one step at a time in its one exec.

mod back;
mod code;
pub mod fetch;
pub mod former;
mod frame;
mod hear;
pub mod kept;
pub mod ledger;
mod news;
pub mod quote;
mod records;
mod routed;
mod run;
pub mod script;
mod session;
mod sessions;
mod supply;
mod wheels;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indexmap::IndexMap;

use crate::facts::gather::Connection;
use crate::facts::{HostError, HostFacts};
use crate::plan::target::Targeted;
use crate::plan::{Allow, Plan, Step};
use crate::resource::Resource;
use crate::secret::Secret;
use crate::topology::Topology;
pub use back::WayBack;
use back::{Back, is_due};
use former::Understand;
use kept::Keeps;
use run::Run;
pub use sessions::{Calling, Connect, Locked, Sessions};
pub use wheels::Wheelhouse;

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
    /// 0, or the number of the signal that interrupted it.
    pub signal: usize,
    /// Hosts whose session failed, with why.
    pub host_errors: Vec<(String, HostError)>,
    /// It failed after something was put in place: what became of the way back.
    pub way_back: Option<WayBack>,
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
    /// pip resolved packages: Python tag to requirement lines, for the lock.
    fn resolved(&mut self, sets: &IndexMap<String, Vec<String>>);
    /// The first signal arrived: running steps finish, nothing new begins.
    fn interrupted(&mut self);
    /// It failed, and the way back needs a host whose session was lost.
    fn reconnects(&mut self, host: &str);
    /// It failed, and this plan leads back to the generation that hosts were in.
    fn goes_back(&mut self, generation: u64, plan: &Plan);
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
    /// `--target`: what is applied alone; `topology` is then the half of it that will be.
    pub targeted: Option<&'a Targeted>,
    /// Which generation hosts are in afterwards.
    pub keeps: Keeps<'a>,
    /// Hosts that were left out on purpose.
    pub excluded: &'a [String],
    /// What the operator allowed, on the way back too.
    pub allow: Allow,
    /// Finds out what a former inventory means, for the way back; `None`: it is not to be gone.
    pub understand: Option<&'a Understand<'a>>,
    /// Plans again, from the facts under the lock.
    pub replan: &'a dyn Fn(&IndexMap<String, HostFacts>) -> Plan,
    /// Logs in to a host where a connection was lost: before the first step, and for the way back.
    pub connect: &'a Connect,
    /// Where hosts have Python packages from, if not from an index.
    pub wheelhouse: Option<Wheelhouse<'a>>,
    /// Seconds a service other than main may take to be ready.
    pub ready_seconds: u32,
    /// An end in success replaces the journals by whole records: an apply. What only speaks to services
    /// adds the lines of its steps.
    pub settles: bool,
    /// Number of the signal received, and how many there were: see [`Interrupts`].
    pub interrupts: &'a Interrupts,
}

impl Job<'_> {
    fn calling(&self) -> Calling<'_> {
        let (server_name, connect) = (&self.topology.server_name, Arc::clone(self.connect));
        Calling { server_name, nonce: self.nonce, who: self.who, connect }
    }
}

/// Signals that arrived.
#[derive(Debug, Default)]
pub struct Interrupts {
    /// How many.
    pub count: AtomicUsize,
    /// Number of the first one.
    pub signal: AtomicUsize,
}

/// Hosts of a run, as far as they are had.
pub enum Reached {
    /// Logged in; somebody else may change them before they are locked.
    Connected(Vec<Connection>),
    /// Locked since before they were asked what the plan was made of, so that nobody can have.
    Held(Sessions),
}

/// Locks what is not held yet, asks again there and compares; then does what was shown.
/// `facts` are what the plan was made of.
pub fn apply(
    job: &Job<'_>,
    reached: Reached,
    facts: &IndexMap<String, HostFacts>,
    observer: &mut dyn Observer,
) -> Result<Report, Refused> {
    let connections = match reached {
        Reached::Held(sessions) => return Ok(perform(job, sessions, job.shown, facts, observer)),
        Reached::Connected(connections) => connections,
    };
    let hosts: Vec<_> = connections.into_iter().map(|one| (one.name.clone(), Some(one))).collect();
    let count = hosts.len();
    let mut sessions = Sessions::new(job.resources, &job.calling());
    let (facts, errors) = sessions.lock(hosts, count);
    if !errors.is_empty() {
        return Err(Refused::Hosts(errors));
    }
    let plan = (job.replan)(&facts);
    let stale = differing(job.shown, &plan);
    if !stale.is_empty() {
        return Err(Refused::Stale(stale));
    }
    Ok(perform(job, sessions, &plan, &facts, observer))
}

/// Does a plan that was made of what these sessions said under their locks.
fn perform(
    job: &Job<'_>,
    mut sessions: Sessions,
    plan: &Plan,
    facts: &IndexMap<String, HostFacts>,
    observer: &mut dyn Observer,
) -> Report {
    let mut report = Run::new(job, plan, facts, &sessions.hosts).run(&sessions.news, observer);
    if is_due(&report, plan) {
        report.way_back = Some(Back { job, sessions: &mut sessions }.go(facts, &report, observer));
    }
    // The way back may have been interrupted.
    report.signal = job.interrupts.signal.load(Ordering::Relaxed);
    sessions.dismiss(job.interrupts.count.load(Ordering::Relaxed) > 1);
    report
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
