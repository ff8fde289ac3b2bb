//! Why a resource changes, in one clause that an admin can act on.
//!
//! The cause says whose doing it was; here it becomes words of the kind. Never here: decisions.

use super::Input;
use super::change::{Cause, Operation};
use super::values::UNKNOWN;
use crate::facts::record::{Attributes, Entry};
use crate::resource::{Body, Resource};

/// A difference: name, as found, as it will be.
pub type Difference = (String, Option<String>, Option<String>);

/// The reason of a change to something desired.
pub fn reason(
    resource: &Resource,
    operation: Operation,
    cause: Cause,
    differences: &[Difference],
    entry: Option<&Entry>,
    input: &Input<'_>,
) -> String {
    match (operation, cause) {
        (Operation::Create, Cause::Drift) => "somebody removed it".to_owned(),
        (Operation::Create, _) => match resource.body {
            Body::Packages { .. } => "not installed yet".to_owned(),
            Body::Routes { .. } => "not checked yet".to_owned(),
            Body::Directive { .. } => "that many connections are needed".to_owned(),
            _ => "new".to_owned(),
        },
        (_, Cause::Unmanaged) => "it exists, differs, and synprov has no record of it".to_owned(),
        (_, Cause::Intended) => intended(resource, differences, entry, input),
        (_, Cause::Drift) => somebody(resource, differences, entry),
        (_, Cause::DriftAndChange) => {
            format!("{}, and the inventory changed too", somebody(resource, differences, entry))
        }
    }
}

/// The reason of something that left the inventory.
pub fn leaving(operation: Operation, cause: Cause) -> &'static str {
    match (operation, cause) {
        (Operation::Forget, _) => "it left the inventory; synprov never deletes this kind",
        (_, Cause::Drift | Cause::DriftAndChange) => {
            "it left the inventory; somebody changed it, a copy is kept"
        }
        _ => "it left the inventory",
    }
}

fn intended(
    resource: &Resource,
    differences: &[Difference],
    entry: Option<&Entry>,
    input: &Input<'_>,
) -> String {
    if let Some(around) = entry.and_then(|entry| entry.meta.get(super::AROUND)) {
        return format!("an apply that was cut short routed around {around}");
    }
    if entry.is_some_and(|entry| entry.pending.is_some()) {
        return "an apply that was cut short left it unfinished".to_owned();
    }
    let only = |wanted: &str| differences.iter().all(|(name, ..)| name == wanted);
    match &resource.body {
        Body::Directive { .. } => return "that many connections are needed".to_owned(),
        Body::Packages { .. } => return "not installed yet".to_owned(),
        Body::Routes { .. } if only("packages") => return "Synapse was installed anew".to_owned(),
        Body::Secret { name, .. } if only("value") => {
            let origin = input.origin(name).and_then(|origin| origin.host.as_deref());
            return format!(
                "it has a new value {}",
                origin.map_or("here".to_owned(), |host| format!("on {host}"))
            );
        }
        Body::File { .. } if only("secrets") => {
            let after = differences.first().and_then(|(_, _, after)| after.as_deref()).unwrap_or_default();
            let names: Vec<&str> = after
                .split(&format!("={UNKNOWN}"))
                .filter_map(|part| part.rsplit([' ', '=']).next())
                .filter(|name| input.topology.secrets.contains_key(*name))
                .collect();
            return format!("it holds secret {}, which has a new value", list(&names));
        }
        _ => {}
    }
    let header = input.facts.get(&resource.address.host).and_then(|facts| facts.record.header.as_ref());
    match header.map(|header| header.synprov.as_str()) {
        Some(before) if before != env!("CARGO_PKG_VERSION") => {
            format!(
                "the inventory, or synprov {} after {before}, asks for something else",
                env!("CARGO_PKG_VERSION")
            )
        }
        _ => "the inventory asks for something else now".to_owned(),
    }
}

/// What somebody did, going by what differs from what was applied.
fn somebody(resource: &Resource, differences: &[Difference], entry: Option<&Entry>) -> String {
    let applied: Option<&Attributes> = entry.and_then(|entry| entry.applied.as_ref());
    let touched: Vec<&Difference> = differences
        .iter()
        .filter(|(name, before, _)| applied.is_none_or(|applied| applied.get(name) != before.as_ref()))
        .collect();
    let found = |wanted: &str| {
        touched.iter().find(|(name, ..)| name == wanted).and_then(|(_, before, _)| before.as_deref())
    };
    let names: Vec<&str> = touched.iter().map(|(name, ..)| name.as_str()).collect();
    match &resource.body {
        Body::Packages { .. } => format!("somebody removed {}", list(&names)),
        Body::Directive { directive, .. } => format!("somebody lowered {directive}"),
        Body::Venv { .. } => match found("state") {
            Some("broken") => "it is broken: its interpreter does not run".to_owned(),
            Some("partial") => "it is incomplete".to_owned(),
            Some(state) => format!("it is {state}"),
            None => "somebody changed its packages".to_owned(),
        },
        Body::Postgresql { .. } => format!("somebody changed its {}", list(&names)),
        _ => match found("type") {
            Some(kind) => format!("somebody put a {kind} in its place"),
            None if names.contains(&"content") => "somebody edited it".to_owned(),
            None if names.contains(&"value") => "somebody changed its value".to_owned(),
            None if names.is_empty() => "somebody changed it".to_owned(),
            None => format!("somebody changed its {}", list(&names)),
        },
    }
}

/// Why a service has something done to it: its state in plain words. `None`: it is the configuration.
pub fn service(actual: &Attributes, cut_short: bool) -> Option<String> {
    let active = actual.get("active").map_or("unknown", String::as_str);
    if active != "active" {
        return Some(match active {
            "inactive" if cut_short => "an apply that was cut short left it stopped".to_owned(),
            "inactive" => "it should run and is stopped".to_owned(),
            "activating" => "it is still starting".to_owned(),
            state => format!("it is {state}")
                .replace("it is failed", "it has failed")
                .replace("it is crashing", "it keeps crashing"),
        });
    }
    let configuration = actual.get("configuration").map_or("current", String::as_str);
    if let Some(reason) = configuration.strip_prefix("outdated: ") {
        return Some(reason.to_owned());
    }
    match actual.get("enabled").map(String::as_str) {
        Some("enabled") | None => {
            let stale = actual.get("unit file").is_some_and(|state| state != "loaded");
            stale.then(|| "systemd has not read its unit file since that changed".to_owned())
        }
        Some(state) => Some(format!("it runs, but would not start at boot ({state})")),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
