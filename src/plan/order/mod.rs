//! Changes to steps, in one order over all hosts.
//!
//! A host does its steps one after the other, but for what takes long and shares nothing with the others
//! ([`super::step::Action::is_beside`]): only the next phase waits for that. Phases are gates between hosts: a phase begins on
//! any host when every step of the phases before it has succeeded on all hosts. So: everything is
//! staged and validated everywhere before anything is put in place anywhere; datastores answer,
//! then main, then stream writers, then other workers, then the proxy; what leaves stops last,
//! unless something else takes over what it holds, then it stops first.

mod backup;
mod control;
pub(super) mod datastores;
mod leaving;
mod media;
mod prepare;
mod proxies;
mod roll;
mod rules;
mod services;
mod sets;

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Cause, Change, Operation};
use super::leave::Left;
use super::step::{Action, Startable, Step};
use super::{Considered, Input};
use crate::resource::{FileSet, Stage};

pub(super) use control::{Bring, bring, reloads};

/// All steps, in order.
pub(super) fn steps(input: &Input<'_>, considered: &[Considered<'_>], left: &Left) -> Vec<Step> {
    let steps = built(input, considered, left, false);
    // Where nothing is to be done, there is nothing to be afraid of.
    if steps.is_empty() || input.backup.is_none() { steps } else { built(input, considered, left, true) }
}

fn built(input: &Input<'_>, considered: &[Considered<'_>], left: &Left, backup: bool) -> Vec<Step> {
    let mut builder = Builder::new(input, considered, left);
    builder.routes = true;
    if backup {
        builder.back_up();
    }
    builder.services(Stage::Mount, &BTreeSet::new());
    builder.gate();
    builder.prepare();
    builder.secrets();
    builder.gate();
    builder.stage_and_validate();
    builder.gate();
    for set in [FileSet::Plain, FileSet::Redis, FileSet::Synapse, FileSet::Systemd] {
        if set == FileSet::Systemd {
            builder.drop_in_directories();
        }
        builder.swap(set);
    }
    builder.remove_drop_ins();
    builder.daemon_reload();
    let replaced = builder.replaced_redis();
    builder.datastores();
    builder.gate();
    builder.probe_media();
    builder.gate();
    let mut vacated = builder.vacate();
    vacated.extend(replaced);
    builder.gate();
    builder.persisters(&vacated);
    builder.gate();
    for stage in [Stage::Main, Stage::Writer, Stage::Worker, Stage::Target] {
        builder.services(stage, &vacated);
        builder.gate();
    }
    builder.directives();
    builder.swap(FileSet::Nginx);
    builder.swap(FileSet::Haproxy);
    builder.replaced_proxies(&mut vacated);
    builder.services(Stage::Proxy, &vacated);
    builder.gate();
    builder.former_proxies();
    builder.gate();
    builder.stop_leaving(&vacated);
    builder.remove();
    builder.steps
}

/// What is to be known of how processes restart.
pub(super) fn notes(input: &Input<'_>, considered: &[Considered<'_>], steps: &[Step]) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reason) = rules::at_once(input, considered) {
        notes.push(format!(
            "every process restarts as soon as its turn comes, and pools are not routed around: {reason}"
        ));
    } else if let Err(proxies::Blind(reason)) = proxies::routings(input, considered)
        && steps
            .iter()
            .any(|step| matches!(&step.action, Action::Restart { service } if serves(input, step, service)))
    {
        notes.push(format!("requests to processes that restart are cut off, since nothing can be routed around them: {reason}"));
    }
    notes
}

/// The service is one of several processes of a pool that take requests.
fn serves(input: &Input<'_>, step: &Step, service: &Startable) -> bool {
    let instances = &input.topology.instances;
    let one = instances.iter().find(|one| (&one.host, &one.unit) == (&step.host, &service.unit));
    one.is_some_and(|one| {
        one.client.is_some() && instances.iter().filter(|other| other.pool == one.pool).count() > 1
    })
}

pub(super) struct Builder<'a, 'i> {
    input: &'a Input<'i>,
    considered: &'a [Considered<'a>],
    left: &'a Left,
    steps: Vec<Step>,
    /// Last step of each host.
    last: BTreeMap<String, usize>,
    /// Steps that run beside those.
    beside: Vec<usize>,
    /// Steps the present phase waits for, besides each host's own last one.
    gate: Vec<usize>,
    /// Host and unit of what has started out of its stage.
    begun: BTreeSet<(String, String)>,
    /// Proxies may be told to route around somebody: their files are part of this plan.
    routes: bool,
}

impl<'a, 'i> Builder<'a, 'i> {
    fn new(input: &'a Input<'i>, considered: &'a [Considered<'a>], left: &'a Left) -> Self {
        Self {
            input,
            considered,
            left,
            steps: Vec::new(),
            last: BTreeMap::new(),
            beside: Vec::new(),
            gate: Vec::new(),
            begun: BTreeSet::new(),
            routes: false,
        }
    }

    pub(super) fn push(
        &mut self,
        host: &str,
        action: Action,
        why: impl Into<String>,
        completes: Vec<String>,
    ) -> usize {
        self.push_after(host, action, why, completes, &[])
    }

    pub(super) fn push_after(
        &mut self,
        host: &str,
        action: Action,
        why: impl Into<String>,
        completes: Vec<String>,
        extra: &[usize],
    ) -> usize {
        let id = self.steps.len();
        let mut after: Vec<usize> = self.gate.iter().chain(extra).copied().collect();
        after.extend(self.last.get(host));
        after.sort_unstable();
        after.dedup();
        if action.is_beside() {
            self.beside.push(id);
        } else {
            self.last.insert(host.to_owned(), id);
        }
        self.steps.push(Step { id, host: host.to_owned(), action, why: why.into(), completes, after });
        id
    }

    /// From here on everything waits for everything before.
    pub(super) fn gate(&mut self) {
        self.gate = self.last.values().copied().chain(self.beside.iter().copied()).collect();
    }

    pub(super) fn hosts(&self) -> Vec<String> {
        self.input.facts.keys().cloned().collect()
    }

    /// Changed resources of a host.
    pub(super) fn changed(&self, host: &str) -> Vec<&'a Considered<'a>> {
        let considered: &'a [Considered<'a>] = self.considered;
        considered.iter().filter(|one| one.resource.address.host == host && one.change.is_some()).collect()
    }
}

/// `/etc/systemd/system`, with the slash that its own files have behind it.
const UNIT_FILES: &str = "/etc/systemd/system/";

/// What an instance holds alone or as a shard: `writes:typing`, `runs:federation_sender`.
pub(crate) fn holds(instance: &crate::topology::Instance) -> Vec<String> {
    let writes = instance.writes.iter().map(|stream| format!("writes:{stream}"));
    writes.chain(instance.runs.iter().map(|job| format!("runs:{job}"))).collect()
}

/// The reason why a running service has to take its configuration over again.
fn outdated(one: &Considered<'_>) -> Option<String> {
    one.change.as_ref()?;
    Some(one.outdated.as_ref()?.reason.clone())
}

/// The change is about this attribute, too.
fn has(one: &Considered<'_>, attribute: &str) -> bool {
    one.change.as_ref().is_some_and(|change| change.attributes.iter().any(|(name, ..)| name == attribute))
}

fn addresses(ones: &[&Considered<'_>]) -> Vec<String> {
    ones.iter().map(|one| one.resource.address.to_string()).collect()
}

/// The reason of one change, or of several together.
fn why(ones: &[&Considered<'_>]) -> String {
    let changes: Vec<&Change> = ones.iter().filter_map(|one| one.change.as_ref()).collect();
    let reasons: BTreeSet<&str> = changes.iter().map(|change| change.reason.as_str()).collect();
    let Some(first) = reasons.first() else {
        return "it was stopped so that others could take over".to_owned();
    };
    if reasons.len() == 1 {
        return if changes.len() > 1 && *first == "new" { "all new".to_owned() } else { (*first).to_owned() };
    }
    let kind = |change: &&Change| match (change.operation, change.cause) {
        (Operation::Create, Cause::Drift) => "removed by somebody",
        (Operation::Create, _) => "new",
        (_, Cause::Intended) => "changed by the inventory",
        (_, Cause::Unmanaged) => "not ours so far",
        _ => "changed by somebody",
    };
    let words =
        ["new", "changed by the inventory", "changed by somebody", "removed by somebody", "not ours so far"];
    let counted = words.iter().filter_map(|word| {
        let count = changes.iter().filter(|change| kind(change) == *word).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    counted.collect::<Vec<_>>().join(", ")
}
