//! The generation that an apply makes, and what is written into it.

use indexmap::IndexMap;

use crate::facts::HostFacts;
use crate::facts::generation::{FORMAT, Meta};
use crate::plan::Plan;
use crate::plan::change::Operation;
use crate::topology::Topology;

/// Lines of changes that a generation keeps.
const LINES: usize = 200;

/// Which generation hosts are in once an apply has come to its end.
#[derive(Clone, Copy)]
pub enum Keeps<'a> {
    /// A new one, which each of them keeps.
    Next(&'a Next<'a>),
    /// Those that they are in.
    Same,
}

/// A lock's text with these sets of packages: Python tag to requirement lines.
pub type LockText<'a> = dyn Fn(&IndexMap<String, Vec<String>>) -> String + 'a;

/// What goes into a new generation besides desired state.
pub struct Next<'a> {
    /// `anna@laptop`.
    pub who: &'a str,
    /// Seconds since the epoch.
    pub at: u64,
    /// The inventory's text.
    pub inventory: &'a str,
    /// The lock's text, with these sets of packages that pip resolved.
    pub lock: &'a LockText<'a>,
    /// Set if this is a return to an earlier generation.
    pub back_to: Option<u64>,
}

impl Next<'_> {
    /// One more than any host has. Hosts that `--limit` leaves out keep an older one.
    pub fn number(&self, facts: &IndexMap<String, HostFacts>) -> u64 {
        facts.values().map(HostFacts::generation_number).max().unwrap_or(0).saturating_add(1)
    }

    /// Who, when and what.
    pub fn meta(&self, plan: &Plan, topology: &Topology, modules: &str, number: u64) -> Meta {
        let changes = plan.changes.iter().map(|change| {
            let sign = match change.operation {
                Operation::Create => '+',
                Operation::Update => '~',
                Operation::Delete | Operation::Forget => '-',
            };
            format!("{sign} {}: {} {}", change.host, change.kind, change.name)
        });
        Meta {
            format: FORMAT,
            number,
            at: self.at,
            who: self.who.to_owned(),
            synprov: env!("CARGO_PKG_VERSION").to_owned(),
            modules: modules.to_owned(),
            synapse: topology.version.as_str().to_owned(),
            back_to: self.back_to,
            hosts: plan.hosts.clone(),
            changes: changes.take(LINES).collect(),
            more: plan.changes.len().saturating_sub(LINES),
        }
    }
}
