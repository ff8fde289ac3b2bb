//! What hosts report, taken into the run: judged where it says more than that something is done.

use super::ledger::Seen;
use super::news::News;
use super::run::{Run, State};
use super::supply::WHEELS;
use super::{Observer, Outcome};
use crate::plan::step::Action;

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

impl Run<'_> {
    pub(super) fn hear(&mut self, host: &str, item: News, observer: &mut dyn Observer) {
        match item {
            News::Log { id, line } => {
                if let Some(step) = self.step_of(&id).filter(|step| step.host == host) {
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
                let building = self.running_beside(host);
                if building.is_some() && is_pinned(&requirement) {
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
                let beside = self.running_beside(host).filter(|step| step.id.to_string() == id);
                let step = beside.or_else(|| self.running(host).filter(|_| self.busy.get(host) == Some(&id)));
                match beside {
                    Some(_) => drop(self.beside.remove(host)),
                    None => drop(self.busy.remove(host)),
                }
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
                let steps = [self.running(host), self.running_beside(host)];
                self.shipments.remove(host);
                let fetched = self.busy.remove(host);
                self.beside.remove(host);
                if let Some(name) = fetched.as_deref().and_then(|id| id.strip_prefix("fetch:")) {
                    self.fail_for_want_of(name, &[format!("{host}: {error}")], observer);
                }
                for step in steps.into_iter().flatten() {
                    let outcome = Outcome::Lost(error.to_string());
                    observer.ends(step, &outcome);
                    self.states[step.id] = State::Over(outcome);
                }
                self.gone.insert(host.to_owned(), error);
            }
            News::Ended | News::Locked(_) | News::Probed(_) => {
                self.busy.remove(host);
                self.beside.remove(host);
            }
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
