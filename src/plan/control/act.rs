//! What `start`, `stop`, `restart`, `reload`, `enable` and `disable` do, as steps: the order and the gates of
//! an apply, and nothing of what an inventory changes.
//!
//! The record stays right by the same means as in an apply: each step says what is so once it is done. What
//! was stopped here is recorded as stopped, so that a later plan calls it intended and not drift; the
//! inventory still wants it running, and an apply starts it.

use std::collections::BTreeMap;

use crate::facts::record::{Attributes, Entry};
use crate::plan::change::{Cause, Change, Operation};
use crate::plan::control::select::Service;
use crate::plan::order::{self, Bring};
use crate::plan::service::{Outdated, Reads, is_active, reads};
use crate::plan::{Considered, FORMAT_VERSION, Input, Plan, Refusal};
use crate::resource::{Body, Resource, Stage};

/// What is asked of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Those that do not run are started, and start at boot again.
    Start,
    /// Those that run are stopped.
    Stop,
    /// Those that run are restarted, the others started.
    Restart,
    /// Those that run read again what they can without a restart.
    Reload,
    /// They start at boot.
    Enable,
    /// They do not start at boot.
    Disable,
}

impl Verb {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Reload => "reload",
            Verb::Enable => "enable",
            Verb::Disable => "disable",
        }
    }
}

/// The steps over all hosts, and what each record is to say afterwards. `plan`: the ordinary plan over the
/// same facts. A plan without steps: everything is as asked.
pub fn act(verb: Verb, chosen: &[Service<'_>], all: &[Service<'_>], input: &Input<'_>, plan: &Plan) -> Plan {
    let chosen: Vec<&Service<'_>> =
        chosen.iter().filter(|one| input.facts.contains_key(&one.resource.address.host)).collect();
    let due: Vec<&Service<'_>> =
        chosen.iter().copied().filter(|service| is_due(verb, service, input)).collect();
    let mut refusals: Vec<Refusal> = due.iter().filter_map(|service| unapplied(service, input)).collect();
    if matches!(verb, Verb::Stop | Verb::Restart) {
        refusals.extend(datastores(verb, &due, all, input));
    }
    if matches!(verb, Verb::Start | Verb::Restart) {
        refusals.extend(lacking(&due, all, input));
    }
    let considered: Vec<Considered<'_>> =
        due.iter().map(|service| consider(verb, service.resource, input)).collect();
    let steps = match verb {
        Verb::Start | Verb::Restart => order::bring(input, &considered, Bring::Anew),
        Verb::Reload => order::bring(input, &considered, Bring::Reload),
        Verb::Stop => order::bring(input, &considered, Bring::Down),
        Verb::Enable => order::bring(input, &considered, Bring::Enable),
        Verb::Disable => order::bring(input, &considered, Bring::Disable),
    };
    let entries: BTreeMap<String, Entry> = due
        .iter()
        .filter_map(|service| {
            let entry = entry(verb, service.resource, input, plan)?;
            Some((service.resource.address.to_string(), entry))
        })
        .collect();
    Plan {
        format_version: FORMAT_VERSION,
        hosts: input.facts.keys().cloned().collect(),
        changes: Vec::new(),
        steps,
        refusals,
        deletes: None,
        notes: Vec::new(),
        unchanged: chosen.len() - due.len(),
        entries,
        forgotten: Vec::new(),
        unsettled: Vec::new(),
        attempts: BTreeMap::new(),
    }
}

/// Whether there is anything to do.
fn is_due(verb: Verb, service: &Service<'_>, input: &Input<'_>) -> bool {
    let unit = input.facts[&service.resource.address.host].units.get(service.unit);
    let runs = unit.is_some_and(is_active);
    // One that is starting, or that systemd starts again and again, can be stopped too.
    let down = unit.is_none_or(|unit| matches!(unit.active.as_str(), "" | "inactive" | "failed"));
    let enabled = unit.is_some_and(|unit| {
        matches!(unit.file_state.as_str(), "enabled" | "static" | "alias" | "indirect" | "generated")
    });
    match verb {
        Verb::Start => !runs,
        Verb::Stop => !down,
        Verb::Restart => true,
        Verb::Reload => runs && order::reloads(service.resource),
        Verb::Enable => !enabled,
        Verb::Disable => enabled,
    }
}

/// The resource with what is to happen to it, as the order of a plan reads it.
fn consider<'a>(verb: Verb, resource: &'a Resource, input: &Input<'_>) -> Considered<'a> {
    let address = &resource.address;
    let unit = input.facts[&address.host].units.get(&address.name);
    let configuration = unit.is_some_and(is_active) && matches!(verb, Verb::Restart | Verb::Reload);
    let attribute = if configuration {
        ("configuration".to_owned(), Some(format!("outdated: {WHY}")), Some("current".to_owned()))
    } else {
        ("active".to_owned(), None, None)
    };
    let change = Change {
        address: address.to_string(),
        host: address.host.clone(),
        module: address.module.clone(),
        kind: address.kind.to_owned(),
        name: address.name.clone(),
        operation: Operation::Update,
        cause: Cause::Intended,
        reason: WHY.to_owned(),
        attributes: vec![attribute],
        diff: None,
    };
    let outdated = configuration.then(|| Outdated { reason: WHY.to_owned(), rereads: false });
    Considered { resource, change: Some(change), reads: Reads::default(), outdated }
}

/// The reason of every step.
const WHY: &str = "you asked for it";

/// What the record says once it is done. `None`: nothing changes that it speaks of.
fn entry(verb: Verb, resource: &Resource, input: &Input<'_>, plan: &Plan) -> Option<Entry> {
    let known = input.entry(&resource.address)?;
    let mut entry = known.clone();
    let mut applied: Attributes = known.applied.clone()?;
    let mut set = |key: &str, value: &str| drop(applied.insert(key.to_owned(), value.to_owned()));
    match verb {
        Verb::Start => {
            set("active", "active");
            set("enabled", "enabled");
        }
        Verb::Restart | Verb::Reload => set("active", "active"),
        Verb::Stop => set("active", "inactive"),
        Verb::Enable => set("enabled", "enabled"),
        Verb::Disable => set("enabled", "disabled"),
    }
    entry.applied = Some(applied);
    match verb {
        Verb::Start | Verb::Restart | Verb::Reload => {
            entry.pending = None;
            if !known_to_read(known, resource, input, plan) {
                // Nobody can say for sure what it reads now; the age of its files will.
                entry.started = None;
            }
        }
        Verb::Stop => entry.pending = None,
        Verb::Enable | Verb::Disable => {}
    }
    Some(entry)
}

/// Whether a start at this moment reads just what the record says it read last.
fn known_to_read(known: &Entry, resource: &Resource, input: &Input<'_>, plan: &Plan) -> bool {
    let here: Vec<&Resource> =
        input.resources.iter().filter(|one| one.address.host == resource.address.host).collect();
    let paths = reads(resource, &here, input).paths;
    let touched = plan.changes.iter().any(|change| {
        let ours = change.cause == Cause::Intended;
        let read = here.iter().any(|one| {
            one.address.to_string() == change.address
                && matches!(&one.body, Body::File { path, .. } | Body::Secret { path, .. } if paths.contains(path))
        });
        read && !ours
    });
    let half = |address: &crate::resource::Address| {
        input.entry(address).is_some_and(|entry| entry.pending.is_some())
    };
    let unfinished = here.iter().any(|one| {
        matches!(&one.body, Body::File { path, .. } | Body::Secret { path, .. } if paths.contains(path))
            && half(&one.address)
    });
    known.pending.is_none()
        && known.started.as_ref().is_some_and(|started| started.owed.is_none())
        && !touched
        && !unfinished
}

fn refusal(host: &str, summary: String, help: String) -> Refusal {
    Refusal { host: Some(host.to_owned()), summary, help }
}

/// What synprov never set up cannot be spoken of to systemd.
fn unapplied(service: &Service<'_>, input: &Input<'_>) -> Option<Refusal> {
    let address = &service.resource.address;
    let applied = input.entry(address).is_some_and(|entry| entry.applied.is_some());
    (!applied).then(|| {
        refusal(
            &address.host,
            format!("{} has never been applied here", service.name),
            "`synprov apply` sets it up and starts it".to_owned(),
        )
    })
}

/// A running deployment loses its datastore only on purpose.
fn datastores(verb: Verb, due: &[&Service<'_>], all: &[Service<'_>], input: &Input<'_>) -> Vec<Refusal> {
    if input.allow.datastore_restart {
        return Vec::new();
    }
    let stops = |service: &Service<'_>| verb == Verb::Stop && due.iter().any(|one| same(one, service));
    let left = all.iter().find(|one| one.instance.is_some() && runs(one, input) && !stops(one));
    let Some(left) = left else { return Vec::new() };
    due.iter()
        .filter(|one| one.stage == Stage::Datastore && runs(one, input))
        .map(|one| {
            refusal(
                &one.resource.address.host,
                format!("{} is used by a running deployment ({} and others)", one.name, left.name),
                "every process is without it for seconds; allow it with `--allow-datastore-restart`, or stop the processes first"
                    .to_owned(),
            )
        })
        .collect()
}

/// A process would wait in vain for what it needs.
fn lacking(due: &[&Service<'_>], all: &[Service<'_>], input: &Input<'_>) -> Vec<Refusal> {
    let starts = |service: &Service<'_>| due.iter().any(|one| same(one, service));
    let asked = |service: &Service<'_>| input.facts.contains_key(&service.resource.address.host);
    let absent = |stage: Stage| {
        all.iter().find(|one| one.stage == stage && asked(one) && !runs(one, input) && !starts(one))
    };
    let mut refusals = Vec::new();
    for one in due.iter().filter(|one| one.instance.is_some()) {
        let needs: &[Stage] = match one.stage {
            Stage::Main => &[Stage::Datastore],
            _ => &[Stage::Datastore, Stage::Main],
        };
        if let Some(absent) = needs.iter().find_map(|stage| absent(*stage)) {
            refusals.push(refusal(
                &one.resource.address.host,
                format!(
                    "{} needs {}, which does not run on {}",
                    one.name, absent.name, absent.resource.address.host
                ),
                format!(
                    "start both: `synprov start {} {}`; without names it starts everything",
                    absent.name, one.name
                ),
            ));
        }
    }
    refusals
}

fn same(one: &Service<'_>, other: &Service<'_>) -> bool {
    one.resource.address == other.resource.address
}

fn runs(service: &Service<'_>, input: &Input<'_>) -> bool {
    let facts = input.facts.get(&service.resource.address.host);
    facts.and_then(|facts| facts.units.get(service.unit)).is_some_and(is_active)
}

/// Why a service does not run or is not enabled, if it was us who were asked for that.
pub(in crate::plan) fn asked_for(actual: &Attributes, entry: Option<&Entry>) -> Option<String> {
    let entry = entry.filter(|entry| entry.pending.is_none())?;
    let applied = entry.applied.as_ref()?;
    let so = |key: &str, value: &str| {
        actual.get(key).is_some_and(|found| found == value)
            && applied.get(key).is_some_and(|known| known == value)
    };
    if so("active", "inactive") {
        return Some("`synprov stop` stopped it".to_owned());
    }
    let runs = actual.get("active").is_some_and(|state| state == "active");
    (runs && so("enabled", "disabled"))
        .then(|| "it runs, but would not start at boot: `synprov disable`".to_owned())
}
