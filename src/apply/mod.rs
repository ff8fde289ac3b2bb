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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

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
use news::News;
use run::Run;
use session::Order;
use sessions::Sessions;
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

/// Logs in to a host once more.
pub type Reconnect<'a> = dyn Fn(&str) -> Result<Connection, HostError> + Sync + 'a;

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
    /// Logs in to a host once more, where a connection was lost: before the first step, and for the way back.
    pub reconnect: &'a Reconnect<'a>,
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
        let sessions = Sessions { scope, job, reconnect: job.reconnect, news: news_in };
        let open = |connection: Connection| (connection.name.clone(), sessions.open(connection));
        let mut hosts: IndexMap<String, Sender<Order>> = connections.into_iter().map(open).collect();
        let result = locked(&sessions, &mut hosts, &news, observer);
        // Dropping the senders ends the sessions; the scope waits for them.
        drop(hosts);
        result
    })
}

fn locked(
    sessions: &Sessions<'_, '_, '_>,
    hosts: &mut IndexMap<String, Sender<Order>>,
    news: &Receiver<(String, News)>,
    observer: &mut dyn Observer,
) -> Result<Report, Refused> {
    let job = sessions.job;
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
    let mut report = Run::new(job, &plan, &facts, hosts).run(news, observer);
    if is_due(&report, &plan) {
        report.way_back = Some(Back { job, sessions, hosts, news }.go(&facts, &report, observer));
    }
    // The way back may have been interrupted.
    report.signal = job.interrupts.signal.load(Ordering::Relaxed);
    let leave = job.interrupts.count.load(Ordering::Relaxed) > 1;
    for orders in hosts.values() {
        // A session that has ended already needs no order to.
        drop(orders.send(if leave { Order::Leave } else { Order::Quit }));
    }
    Ok(report)
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
