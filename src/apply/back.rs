//! The way back: an apply that failed after something was put in place returns all its hosts to the
//! generation they were in, in the same sessions, under the same locks, with the same machinery.
//!
//! It is an ordinary plan, for a desired state of the past. It counts only once hosts were probed
//! again, nothing differs any more, and every service is ready.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use indexmap::IndexMap;

use super::former::{Former, NoFormer};
use super::frame::Frame;
use super::kept::Keeps;
use super::news::News;
use super::run::Run;
use super::session::Order;
use super::sessions::Sessions;
use super::{Job, Observer, Outcome, Report};
use crate::facts::request::{Also, Mode, request};
use crate::facts::{HostFacts, record};
use crate::plan::change::Operation;
use crate::plan::step::{Action, Startable};
use crate::plan::{Plan, Step};
use crate::resource::{Body, Resource};

/// What became of the way back.
#[derive(Debug, Clone, PartialEq)]
pub enum WayBack {
    /// It was not gone: why.
    NotTried(String),
    /// Everything is as this generation says, which was verified.
    Returned {
        /// Its number.
        generation: u64,
        /// How many steps it took.
        steps: usize,
    },
    /// It failed too.
    Failed {
        /// The number, if that is known.
        generation: Option<u64>,
        /// Why, a line each.
        reasons: Vec<String>,
        /// What was done and what was not.
        outcomes: Vec<(Step, Outcome)>,
    },
}

/// Whether something was put in place that could be taken back.
pub(super) fn is_due(report: &Report, plan: &Plan) -> bool {
    let failed = report.outcomes.iter().any(|(_, outcome)| *outcome != Outcome::Done);
    let begun = report.outcomes.iter().filter(|(_, outcome)| *outcome != Outcome::Skipped);
    let replaces = |step: &Step| {
        matches!(step.action, Action::PutSecret { .. })
            && plan.changes.iter().any(|change| {
                change.operation == Operation::Update && step.completes.contains(&change.address)
            })
    };
    failed
        && report.signal == 0
        && begun.into_iter().any(|(step, _)| !step.action.prepares() || replaces(step))
}

/// Everything the way back is gone with.
pub(super) struct Back<'a> {
    pub job: &'a Job<'a>,
    /// Opens those again that were lost.
    pub sessions: &'a mut Sessions,
}

impl Back<'_> {
    /// Goes it. `facts` are those under the lock, before anything was done.
    pub(super) fn go(
        mut self,
        facts: &IndexMap<String, HostFacts>,
        report: &Report,
        observer: &mut dyn Observer,
    ) -> WayBack {
        let job = self.job;
        let Some(understand) = job.understand else {
            return WayBack::NotTried("--no-rollback leaves it as it is".to_owned());
        };
        if job.targeted.is_some() {
            return WayBack::NotTried("what --target applies makes no generation".to_owned());
        }
        let main = job.topology.instances.first().map(|main| main.host.as_str()).unwrap_or_default();
        let mut former = match Former::of(facts, main, true, understand) {
            Ok(former) => former,
            Err(why @ NoFormer::First) => {
                return WayBack::NotTried(format!("{why}: there is nothing to go back to"));
            }
            Err(why) => return WayBack::NotTried(format!("there is no way back: {why}")),
        };
        if same(job.resources, &former.resources) {
            return WayBack::NotTried(format!(
                "generation {} is what was to be applied: there is nothing to go back to",
                former.meta.number
            ));
        }
        let present = |host: &str| facts.contains_key(host) || job.excluded.iter().any(|name| name == host);
        former.among(present, facts.keys().cloned());
        match self.towards(&former, facts, report, observer) {
            Ok(steps) => WayBack::Returned { generation: former.meta.number, steps },
            Err((reasons, outcomes)) => {
                WayBack::Failed { generation: Some(former.meta.number), reasons, outcomes }
            }
        }
    }

    fn towards(
        &mut self,
        former: &Former,
        before: &IndexMap<String, HostFacts>,
        report: &Report,
        observer: &mut dyn Observer,
    ) -> Result<usize, Failure> {
        let job = self.job;
        let failed = |reasons: Vec<String>| (reasons, Vec::new());
        let mut lost: Vec<String> = report.host_errors.iter().map(|(host, _)| host.clone()).collect();
        lost.extend(self.restore_secrets(before, report, &lost));
        let facts = self.found_again(former, before, lost, observer).map_err(failed)?;
        let plan = former.plan(&facts, job.excluded, job.allow);
        let refused = refused(&plan);
        if !refused.is_empty() {
            return Err(failed(refused));
        }
        observer.goes_back(former.meta.number, &plan);
        let none = BTreeMap::new();
        let back = Job {
            topology: &former.topology,
            resources: &former.resources,
            shown: &plan,
            secrets: &none,
            modules: &former.meta.modules,
            addresses: &former.addresses,
            keeps: Keeps::Same,
            targeted: None,
            ..*job
        };
        let done = Run::new(&back, &plan, &facts, &self.sessions.hosts).run(&self.sessions.news, observer);
        if !done.succeeded() {
            let reasons = done.host_errors.iter().map(|(host, error)| format!("{host}: {}", error.summary));
            return Err((reasons.collect(), done.outcomes));
        }
        self.verify(former).map_err(|reasons| (reasons, done.outcomes))?;
        Ok(plan.steps.len())
    }

    /// Has hosts put back the values of secrets that this run replaced: nothing of the former generation then
    /// reads a new one. A host that is lost, or cannot, keeps the new value, and the plan makes all hosts agree.
    /// Returns those whose sessions ended meanwhile.
    fn restore_secrets(
        &self,
        before: &IndexMap<String, HostFacts>,
        report: &Report,
        lost: &[String],
    ) -> Vec<String> {
        let mut asked = 0;
        // Who was said to be lost answers nothing, though an order may still be taken.
        for (host, orders) in self.sessions.hosts.iter().filter(|(host, _)| !lost.contains(host)) {
            let mut frame = Frame::default();
            let mut any = false;
            for (step, _) in report
                .outcomes
                .iter()
                .filter(|(step, outcome)| &step.host == host && *outcome != Outcome::Skipped)
            {
                let Action::PutSecret { file, .. } = &step.action else { continue };
                let known = before.get(host).map(|facts| &facts.record.entries);
                let lines = step.completes.iter().map(|address| {
                    let entry = known.and_then(|entries| entries.get(address));
                    entry.map_or_else(|| record::forget(address), |entry| entry.line(address))
                });
                frame.restore_secret(file, &lines.collect::<String>());
                any = true;
            }
            let order = Order::Frame { id: "secrets".to_owned(), bytes: frame.bytes("secrets") };
            if any && orders.send(order).is_ok() {
                asked += 1;
            }
        }
        // A host that could not do it is found out by what comes next.
        let ended = self.until(asked, |_, item| match item {
            News::Done { .. } => Ok(true),
            News::Failed(error) => Err(error.summary),
            _ => Ok(false),
        });
        let ended = ended.err().into_iter().flatten().map(|(host, _)| host);
        ended.filter(|host| self.sessions.hosts.contains_key(host)).collect()
    }

    /// Nothing differs any more, and every service is ready.
    fn verify(&self, former: &Former) -> Result<(), Vec<String>> {
        let facts = self.probe(former).map_err(lines)?;
        let plan = former.plan(&facts, self.job.excluded, self.job.allow);
        let left: Vec<String> = plan
            .changes
            .iter()
            .map(|change| format!("still not as it was: {}: {}", change.address, change.reason))
            .chain(
                plan.steps.iter().map(|step| format!("still to do: {}: {}", step.host, step.action.title())),
            )
            .collect();
        if !left.is_empty() {
            return Err(left);
        }
        self.ready(former, &facts)
    }

    /// Asks every host again; one that is not there any more gets another session. `lost`: known to be gone.
    fn found_again(
        &mut self,
        former: &Former,
        before: &IndexMap<String, HostFacts>,
        mut lost: Vec<String>,
        observer: &mut dyn Observer,
    ) -> Result<IndexMap<String, HostFacts>, Vec<String>> {
        let mut opened = BTreeSet::new();
        loop {
            self.sessions.reopen(&lost, before, self.job.interrupts, observer)?;
            opened.extend(lost);
            let errors = match self.probe(former) {
                Ok(facts) => return Ok(facts),
                Err(errors) => errors,
            };
            // A session's end may come too late for the report; one that was opened anew gets no third chance.
            lost = errors.iter().map(|(host, _)| host.clone()).collect();
            if self.interrupted() || lost.iter().any(|host| opened.contains(host)) {
                return Err(lines(errors));
            }
        }
    }

    /// Asks every host, for what `former` wants there.
    fn probe(&self, former: &Former) -> Result<IndexMap<String, HostFacts>, Errors> {
        let mut gone = Errors::new();
        for (host, orders) in &self.sessions.hosts {
            let here: Vec<&Resource> =
                former.resources.iter().filter(|one| &one.address.host == host).collect();
            let (server_name, nonce) = (&self.job.topology.server_name, self.job.nonce);
            let request = request(Mode::Apply, server_name, nonce, self.job.who, &here, Also::default());
            if orders.send(Order::Probe(request)).is_err() {
                gone.push((host.clone(), "is not there any more".to_owned()));
            }
        }
        let mut found = BTreeMap::new();
        let heard = self.until(self.sessions.hosts.len() - gone.len(), |host, item| match item {
            // Why it is gone may be said only now.
            _ if gone.iter().any(|(name, _)| name == host) => Ok(false),
            News::Probed(facts) => {
                found.insert(host.to_owned(), *facts);
                Ok(true)
            }
            News::Failed(error) => Err(error.summary),
            _ => Ok(false),
        });
        gone.extend(heard.err().into_iter().flatten());
        if !gone.is_empty() {
            return Err(gone);
        }
        Ok(self.sessions.hosts.keys().filter_map(|host| Some((host.clone(), found.remove(host)?))).collect())
    }

    fn ready(&self, former: &Former, facts: &IndexMap<String, HostFacts>) -> Result<(), Vec<String>> {
        let mut asked = 0;
        for (host, orders) in self.sessions.hosts.iter().filter(|(host, _)| facts.contains_key(*host)) {
            let services: Vec<Startable> = former
                .resources
                .iter()
                .filter(|one| &one.address.host == host)
                .filter_map(|one| match &one.body {
                    Body::Service { unit, ready, .. } => {
                        Some(Startable { unit: unit.clone(), ready: ready.clone() })
                    }
                    _ => None,
                })
                .collect();
            let mut frame = Frame::default();
            frame.ready(&services, self.job.ready_seconds);
            let order = Order::Frame { id: "ready".to_owned(), bytes: frame.bytes("ready") };
            if orders.send(order).is_ok() {
                asked += 1;
            }
        }
        self.until(asked, |_, item| match item {
            News::Done { ok: true, .. } => Ok(true),
            News::Done { ok: false, tail, .. } => Err(tail.join(" / ")),
            News::Failed(error) => Err(error.summary),
            _ => Ok(false),
        })
        .map_err(lines)
    }

    /// The operator has no patience any more.
    fn interrupted(&self) -> bool {
        self.job.interrupts.count.load(Ordering::Relaxed) > 1
    }

    /// Listens until `take` was right about that many items of news; its errors end it.
    fn until(
        &self,
        count: usize,
        mut take: impl FnMut(&str, News) -> Result<bool, String>,
    ) -> Result<(), Errors> {
        let (mut seen, mut errors) = (0, Errors::new());
        while seen + errors.len() < count {
            if self.interrupted() {
                return Err(vec![("synprov".to_owned(), "interrupted".to_owned())]);
            }
            match self.sessions.news.recv_timeout(Duration::from_millis(50)) {
                Ok((host, item)) => match take(&host, item) {
                    Ok(counts) => seen += usize::from(counts),
                    Err(error) => errors.push((host, error)),
                },
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    errors.push(("synprov".to_owned(), "all sessions have ended".to_owned()));
                    break;
                }
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Hosts, and what is wrong with each.
type Errors = Vec<(String, String)>;

/// A line each.
fn lines(errors: Errors) -> Vec<String> {
    errors.into_iter().map(|(host, what)| format!("{host}: {what}")).collect()
}

/// Reasons, and what was done all the same.
type Failure = (Vec<String>, Vec<(Step, Outcome)>);

/// Why the plan towards a former generation may not be applied.
fn refused(plan: &Plan) -> Vec<String> {
    let refusals = plan.refusals.iter().map(|refusal| {
        let host = refusal.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
        format!("{host}{}", refusal.summary)
    });
    let made = plan.steps.iter().filter_map(|step| match &step.action {
        Action::GenerateSecret { file, .. } => {
            Some(format!("secret {} is on no host any more ({})", file.name, file.path))
        }
        _ => None,
    });
    refusals.chain(made).collect()
}

/// The same things, in whatever order.
fn same(one: &[Resource], other: &[Resource]) -> bool {
    one.len() == other.len() && one.iter().all(|resource| other.contains(resource))
}
