//! What somebody changed on the hosts since the last apply, kept apart from what the inventory
//! intends and nobody has applied yet.
//!
//! A pure function of the plan's [`Input`], its [`Plan`] and what hosts answered to the questions that
//! only a drift run asks ([`crate::facts::Watched`]). A finding that only follows from another one (a
//! process that may have read an edited file) is told with that one. Never here: words for terminals.

mod certificate;
mod changes;
mod datastores;
mod finding;
mod overrides;
mod packages;
mod processes;
mod since;

use std::collections::BTreeMap;

use serde::Serialize;

pub use finding::{Class, Difference, Finding, What};

use super::{Input, Plan};
use crate::facts::HostFacts;
use crate::resource::{Body, Resource};

/// Clocks further apart than this are a finding, microseconds.
const SKEW: i64 = 5_000_000;

/// What was found, on the hosts that answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Drift {
    /// Hosts that took part, in inventory order.
    pub hosts: Vec<String>,
    /// Findings, by host in that order.
    pub findings: Vec<Finding>,
    /// Microseconds that each host's clock is ahead of this machine's; 0 if that cannot be told from none.
    pub skew: BTreeMap<String, i64>,
    /// End of validity of each host's certificates, microseconds since the epoch.
    pub certificates: BTreeMap<(String, String), i64>,
}

impl Drift {
    /// Findings of one class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.class == class)
    }
}

/// One host's side of the question.
struct Host<'a> {
    name: &'a str,
    facts: &'a HostFacts,
    resources: Vec<&'a Resource>,
}

/// Turns a plan and the answers behind it into findings.
pub fn drift(input: &Input<'_>, plan: &Plan) -> Drift {
    let mut drift = Drift { hosts: input.facts.keys().cloned().collect(), ..Drift::default() };
    for (name, facts) in &input.facts {
        let resources = input.resources.iter().filter(|one| &one.address.host == name).collect();
        let host = Host { name, facts, resources };
        let mut found = changes::findings(input, plan, &host);
        changes::origins(input, &host, &mut found);
        overrides::drop_ins(&host, &mut found);
        overrides::fragments(&host, &mut found);
        overrides::keys(input, &host, &mut found);
        processes::strays(input, &host, &mut found);
        processes::crashes(input, &host, &mut found);
        datastores::redis(&host, &mut found);
        // The restart that a setting of Redis needs is the same.
        processes::stale(&host, &mut found);
        datastores::postgresql(input, &host, &mut found);
        packages::packages(&host, &mut found);
        packages::venvs(&host, &mut found);
        certificate::certificates(&host, &mut found);
        clock(&host, &mut found);
        drift.skew.insert(name.clone(), skew(facts));
        for (path, certificate) in &facts.watched.certificates {
            if let Some((_, until)) = certificate.validity {
                drift.certificates.insert((name.clone(), path.clone()), until);
            }
        }
        drift.findings.extend(found);
    }
    drift
}

impl Host<'_> {
    /// A unit that systemd should run here, with whether it is synprov's own.
    fn service(&self, unit: &str) -> Option<bool> {
        self.resources.iter().find_map(|one| match &one.body {
            Body::Service { unit: of, owned, .. } if of == unit => Some(*owned),
            _ => None,
        })
    }

    /// Whether synprov writes this path here, or wrote it.
    fn writes(&self, path: &str) -> bool {
        self.text(path).is_some()
            || self.facts.record.entries.keys().any(|address| address.ends_with(&format!("/file:{path}")))
    }

    /// What synprov writes to this path here.
    fn text(&self, path: &str) -> Option<String> {
        self.resources.iter().find_map(|one| match &one.body {
            Body::File { path: of, content, .. } if of == path => Some(content.redacted()),
            _ => None,
        })
    }

    /// When the host was booted, microseconds since the epoch.
    fn boot(&self) -> i64 {
        self.facts.now - self.facts.uptime
    }
}

/// How far a host's clock is ahead of this machine's, at the least: it read it between two readings here.
fn skew(facts: &HostFacts) -> i64 {
    match facts.watched.asked {
        Some((before, _)) if facts.now < before => facts.now - before,
        Some((_, after)) if facts.now > after => facts.now - after,
        _ => 0,
    }
}

fn clock(host: &Host<'_>, found: &mut Vec<Finding>) {
    let skew = skew(host.facts);
    if skew.abs() <= SKEW {
        return;
    }
    let word = if skew > 0 { "ahead of" } else { "behind" };
    let summary = format!("its clock is {} s {word} this machine's", skew.abs() / 1_000_000);
    found.push(
        Finding::new(host.name, "clock", "clock", What::Skewed, summary)
            .remedy("timedatectl set-ntp true", "see which of the two clocks is wrong"),
    );
}
