//! Why a process restarts, or why it does not: key by key of the files it reads at start.
//!
//! An explanation of a [`Plan`] that was made from the same [`Input`]. Values that are or look like
//! secrets are left out. Never here: decisions; those are the plan's.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::change::{Change, Operation};
use super::{Action, Input, Plan};
use crate::resource::{Body, Content, Resource};
use crate::secret::names_a_secret;
use crate::topology::catalogue::Catalogue;
use crate::topology::{Instance, Topology};
use crate::yaml;

/// What is to be said of one unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// Host name.
    pub host: String,
    /// Full unit name.
    pub unit: String,
    /// Synapse name, if it is a Synapse process.
    pub instance: Option<String>,
    /// What the plan does with it; `None`: nothing.
    pub does: Option<Does>,
    /// The plan's reason.
    pub reason: Option<String>,
    /// What it reads at start and is another since.
    pub causes: Vec<Cause>,
    /// Files that change in keys that it does not read.
    pub passed_over: Vec<Cause>,
    /// Microseconds that it has been running; `None`: it does not run.
    pub running_for: Option<i64>,
}

/// What the plan does with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// It does not run yet.
    Start,
    /// It takes its configuration over by restarting.
    Restart,
    /// It takes its configuration over while running.
    Reload,
    /// It leaves the inventory.
    Stop,
}

/// One thing that a process reads at start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// Path of a file, or what else it is: `venv`, `secret NAME`.
    pub what: String,
    /// Keys that differ; empty where the file has no keys or its content is not known here.
    pub keys: Vec<Key>,
    /// Why no keys are named, or what else there is to say.
    pub note: Option<String>,
}

/// A top-level key, as it stands on the host and as it will be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// `None`: it was not there.
    pub before: Option<String>,
    /// `None`: it goes.
    pub after: Option<String>,
}

/// Longest value that is shown, in characters.
const LONGEST: usize = 200;

/// Units that `name` stands for: an instance, a pool, a unit with or without `.service`.
pub fn named<'a>(name: &str, topology: &Topology, resources: &'a [Resource]) -> Vec<&'a Resource> {
    let units: Vec<&str> = {
        let instances = topology.instances.iter();
        instances.filter(|one| one.name == name || one.pool == name).map(|one| one.unit.as_str()).collect()
    };
    let service = format!("{name}.service");
    let named = |unit: &str| units.contains(&unit) || unit == name || unit == service;
    let services = resources.iter();
    services.filter(|one| matches!(&one.body, Body::Service { unit, .. } if named(unit))).collect()
}

/// Explains what `plan` does with a unit. `None`: its host was not asked.
pub fn why(service: &Resource, plan: &Plan, input: &Input<'_>) -> Option<Why> {
    let Body::Service { unit, reload, .. } = &service.body else { return None };
    let facts = input.facts.get(&service.address.host)?;
    let address = service.address.to_string();
    let change = plan.changes.iter().find(|change| change.address == address);
    let instance =
        input.topology.instances.iter().find(|one| one.unit == *unit && one.host == service.address.host);
    let fact = facts.units.get(unit).filter(|fact| fact.active == "active" && fact.started > 0);
    let does = change.map(|change| match change.operation {
        Operation::Delete | Operation::Forget => Does::Stop,
        Operation::Create => Does::Start,
        Operation::Update if fact.is_none() => Does::Start,
        Operation::Update if *reload || rereads(&service.address.host, unit, plan) => Does::Reload,
        Operation::Update => Does::Restart,
    });
    let mut why = Why {
        host: service.address.host.clone(),
        unit: unit.clone(),
        instance: instance.map(|one| one.name.clone()),
        does,
        reason: change.map(|change| change.reason.clone()),
        causes: Vec::new(),
        passed_over: Vec::new(),
        running_for: fact.map(|fact| facts.now.saturating_sub(fact.started).max(0)),
    };
    let differing = differing(&address, plan, input);
    for other in input.resources.iter().filter(|one| one.address.host == service.address.host) {
        let Body::File { path, inputs_of, reread_by, content, .. } = &other.body else { continue };
        let Some(read) = inputs_of.get(unit).or_else(|| reread_by.get(unit)) else { continue };
        let file = other.address.to_string();
        let changing = plan.changes.iter().find(|change| change.address == file);
        let changing = changing.filter(|change| {
            change.attributes.iter().any(|(name, ..)| matches!(name.as_str(), "content" | "secrets" | "type"))
        });
        // In place already, and the process was started with another.
        let owed = does.is_some() && differing.iter().any(|label| label == path);
        if changing.is_none() && !owed {
            continue;
        }
        let before = facts.paths.get(path).and_then(|fact| fact.content.as_deref());
        let all = before.and_then(|before| keys(before, &content.redacted()));
        let own = instance.is_some_and(|one| *path == own_file(input.topology, one));
        let whole = own || *read == content.digest();
        let is_read = |key: &Key| whole || reads(instance, &key.key);
        let (mine, others): (Vec<Key>, Vec<Key>) =
            all.clone().unwrap_or_default().into_iter().partition(is_read);
        let note = match (&all, changing) {
            (Some(_), _) => None,
            (None, None) => Some("as it is to be already; the process was started before that".to_owned()),
            (None, Some(change)) if change.operation == Operation::Create => Some("new".to_owned()),
            (None, Some(change)) if change.attributes.iter().any(|(name, ..)| name == "secrets") => {
                Some(match holding(content, change, &service.address.host, input).as_slice() {
                    [] => format!("{}; it holds secrets, so its content stays on the host", change.reason),
                    keys => format!("{}: {}", keys.join(", "), change.reason),
                })
            }
            (None, Some(change)) => Some(change.reason.clone()),
        };
        if does.is_some() && (all.is_none() || !mine.is_empty()) {
            why.causes.push(Cause { what: path.clone(), keys: mine, note });
        } else if !others.is_empty() {
            why.passed_over.push(Cause { what: path.clone(), keys: others, note: None });
        }
    }
    if does.is_some() {
        let files: BTreeSet<String> = why.causes.iter().map(|cause| cause.what.clone()).collect();
        let rest = differing.iter().filter(|label| !label.starts_with('/') && !files.contains(**label));
        why.causes.extend(rest.map(|label| Cause {
            what: (*label).to_owned(),
            keys: Vec::new(),
            note: None,
        }));
    }
    Some(why)
}

/// The file that only this process has.
fn own_file(topology: &Topology, instance: &Instance) -> String {
    format!("{}/conf/workers/{}.yaml", topology.root, instance.name)
}

/// Top-level keys with a secret that has another value than the file had when it was put in place.
fn holding(content: &Content, change: &Change, host: &str, input: &Input<'_>) -> Vec<String> {
    let had = change.attributes.iter().find(|(name, ..)| name == "secrets");
    let had = had.and_then(|(_, before, _)| before.as_deref()).unwrap_or_default();
    let marks: Vec<String> = content
        .secrets()
        .into_iter()
        .filter(|name| !had.contains(&format!("{name}={}", input.revision(host, name))))
        .map(|name| format!("<secret {name}>"))
        .collect();
    let Ok(Value::Object(keys)) = yaml::parse(&content.redacted()).map(|document| document.to_json()) else {
        return Vec::new();
    };
    let holds = |value: &Value| marks.iter().any(|mark| value.to_string().contains(mark));
    keys.into_iter().filter(|(_, value)| holds(value)).map(|(key, _)| key).collect()
}

/// The plan has it read again while it runs.
fn rereads(host: &str, unit: &str, plan: &Plan) -> bool {
    plan.steps.iter().any(|step| {
        step.host == host && matches!(&step.action, Action::Reread { service } if service.unit == unit)
    })
}

/// Labels of what a service reads that are other than at its last start; none if nobody recorded that.
fn differing<'a>(address: &str, plan: &'a Plan, input: &'a Input<'_>) -> Vec<&'a str> {
    let desired = plan.entries.get(address).and_then(|entry| entry.started.as_ref());
    let recorded = input.facts.values().find_map(|facts| facts.record.entries.get(address));
    let recorded = recorded.and_then(|entry| entry.started.as_ref());
    let (Some(desired), Some(recorded)) = (desired, recorded) else { return Vec::new() };
    let labels: BTreeSet<&String> = desired.inputs.keys().chain(recorded.inputs.keys()).collect();
    labels
        .into_iter()
        .filter(|label| desired.inputs.get(*label) != recorded.inputs.get(*label))
        .map(String::as_str)
        .collect()
}

/// Whether a process reads a key of the shared configuration. A key that goes is in no list of what
/// it will read; then the table of readers says whether everybody reads it.
fn reads(instance: Option<&Instance>, key: &str) -> bool {
    let Some(instance) = instance else { return true };
    instance.shared_inputs.contains_key(key)
        || Catalogue::builtin().is_ok_and(|catalogue| !catalogue.readers.contains_key(key))
            && instance.config.as_ref().is_none_or(|own| !own.contains_key(key))
}

/// Top-level keys that differ between two YAML mappings; `None` if one of them is none.
fn keys(before: &[u8], after: &str) -> Option<Vec<Key>> {
    let mapping = |text: &str| match yaml::parse(text).ok()?.to_json() {
        Value::Object(map) => Some(map),
        _ => None,
    };
    let (before, after) = (mapping(std::str::from_utf8(before).ok()?)?, mapping(after)?);
    let names: Vec<&String> = {
        let gone = before.keys().filter(|key| !after.contains_key(*key));
        after.keys().chain(gone).collect()
    };
    let differing = names.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let shown = |key: &String, value: Option<&Value>| value.map(|value| show(key, value));
    Some(
        differing
            .map(|key| Key {
                key: crate::facts::conversation::clean(key),
                before: shown(key, before.get(key)),
                after: shown(key, after.get(key)),
            })
            .collect(),
    )
}

/// A value for people: text bare, the rest as JSON; nothing of what is named like a secret.
fn show(key: &str, value: &Value) -> String {
    let text = match hidden(key, value) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let text = crate::facts::conversation::clean(&text);
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn hidden(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), hidden(key, value))).collect(),
        Value::Array(items) => items.iter().map(|item| hidden(key, item)).collect(),
        Value::String(text) if names_a_secret(key) && !text.starts_with("<secret ") => "(not shown)".into(),
        other => other.clone(),
    }
}
