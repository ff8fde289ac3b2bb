//! Findings from the plan's own changes: whatever an apply would put right.

use super::finding::{Class, Difference, Finding, What};
use super::{Host, since};
use crate::plan::change::{Cause, Change, Operation};
use crate::plan::{Input, Plan, diff};
use crate::resource::Body;

pub(super) fn findings(input: &Input<'_>, plan: &Plan, host: &Host<'_>) -> Vec<Finding> {
    let changes: Vec<&Change> = plan.changes.iter().filter(|change| change.host == host.name).collect();
    let (services, others): (Vec<&Change>, Vec<&Change>) =
        changes.into_iter().partition(|change| change.kind == "service");
    let mut found: Vec<Finding> = others.into_iter().map(|change| finding(host, change)).collect();
    for change in services {
        let one = finding(host, change);
        let cause = found.iter_mut().find(|other| explains(input, host, other, change));
        match cause {
            Some(cause) => cause.affects.push(one.name),
            None => found.push(one),
        }
    }
    if plan.unsettled.iter().any(|other| other == host.name) {
        let summary = "an apply was cut short before it had written down what it did".to_owned();
        found.push(
            Finding {
                healed_by_apply: true,
                ..Finding::new(host.name, "record", "record", What::NotApplied, summary)
            }
            .class(Class::Pending),
        );
    }
    found
}

/// Generated secrets that somebody changed where the others get them from: an apply takes the new value
/// over, so the plan calls what follows from it intended.
pub(super) fn origins(input: &Input<'_>, host: &Host<'_>, found: &mut Vec<Finding>) {
    for resource in &host.resources {
        let Body::Secret { name, path, .. } = &resource.body else { continue };
        let of_here = input.origin(name).and_then(|origin| origin.host.as_deref()) == Some(host.name);
        let applied = input.entry(&resource.address).and_then(|entry| entry.applied.as_ref()?.get("value"));
        let (Some(applied), Some(fact)) = (applied, host.facts.secrets.get(name)) else { continue };
        let now = format!("revision {}", fact.revision);
        if !of_here || fact.revision.is_empty() || *applied == now || !applied.starts_with("revision ") {
            continue;
        }
        let changed = host.facts.paths.get(path).map_or(0, |fact| fact.changed);
        let summary = "somebody changed its value, and this host is where the others get it from".to_owned();
        let mut one = Finding::new(host.name, "secret", name, What::Content, summary)
            .module(&resource.address.module)
            .since(changed)
            .advice("put the old value back, or let `synprov apply` take the new one to all processes");
        one.healed_by_apply = true;
        found.retain(|other| !(other.kind == "service" && reads_only(input, host, &other.name, name)));
        found.push(one);
    }
}

/// Whether a pending restart of this unit is only because of this secret.
fn reads_only(input: &Input<'_>, host: &Host<'_>, unit: &str, secret: &str) -> bool {
    host.resources.iter().any(|one| match &one.body {
        Body::Service { unit: of, secrets, .. } if of == unit => {
            let label = format!("secret {secret}");
            let reads = crate::plan::service::reads(one, &host.resources, input);
            let known = input.entry(&one.address).and_then(|entry| entry.started.as_ref());
            let differs =
                |key: &String| known.is_some_and(|known| known.inputs.get(key) != reads.inputs.get(key));
            secrets.iter().any(|name| name == secret)
                && reads.inputs.keys().filter(|key| differs(key)).all(|key| *key == label)
        }
        _ => false,
    })
}

fn finding(host: &Host<'_>, change: &Change) -> Finding {
    let class = class(host, change);
    let what = if class == Class::Pending { What::NotApplied } else { what(change) };
    let mut one = Finding::new(host.name, &change.kind, &change.name, what, change.reason.clone())
        .class(class)
        .module(&change.module)
        .since(if class == Class::Drift { since::since(host, change, what) } else { None });
    let shown = |(name, found, expected): &(String, Option<String>, Option<String>)| Difference {
        name: name.clone(),
        expected: expected.clone(),
        found: found.clone(),
    };
    // The reason says these in words.
    let plain = |name: &str| name == "configuration" || (change.kind == "service" && name == "unit file");
    one.differences = change.attributes.iter().filter(|(name, ..)| !plain(name)).map(shown).collect();
    one.diff = reversed(host, change);
    one.healed_by_apply = true;
    one
}

/// From what should be there to what is: the plan's diff goes the other way.
fn reversed(host: &Host<'_>, change: &Change) -> Option<String> {
    change.diff.as_ref()?;
    let content = host.resources.iter().find_map(|one| match &one.body {
        Body::File { path, content, .. } if *path == change.name => Some(content),
        _ => None,
    })?;
    let found = host.facts.paths.get(&change.name)?.content.as_deref()?;
    let wanted = content.redacted();
    diff::unified(&change.name, Some(wanted.as_bytes()), Some(std::str::from_utf8(found).ok()?))
}

/// Drift is what somebody else did; work that synprov has begun or has yet to begin is pending.
fn class(host: &Host<'_>, change: &Change) -> Class {
    let entry = host.facts.record.entries.get(&change.address);
    let under_way = entry.is_some_and(|entry| {
        entry.pending.is_some() || entry.started.as_ref().is_some_and(|started| started.owed.is_some())
    });
    match change.cause {
        Cause::Drift | Cause::DriftAndChange if change.kind == "service" && under_way => Class::Pending,
        Cause::Drift | Cause::DriftAndChange => Class::Drift,
        Cause::Intended | Cause::Unmanaged => Class::Pending,
    }
}

fn what(change: &Change) -> What {
    let found = |wanted: &str| {
        change
            .attributes
            .iter()
            .find(|(name, ..)| name == wanted)
            .map(|(_, found, _)| found.as_deref().unwrap_or_default())
    };
    if change.operation == Operation::Create {
        return What::Removed;
    }
    match change.kind.as_str() {
        "service" => match (found("active"), found("enabled")) {
            (Some(active), _) if active.starts_with("failed") || active.starts_with("crashing") => {
                What::Failed
            }
            (Some(_), _) => What::Stopped,
            (None, Some(enabled)) if enabled.starts_with("masked") => What::Masked,
            (None, Some(_)) => What::Disabled,
            (None, None) if found("configuration").is_some() => What::Outdated,
            (None, None) => What::NotReloaded,
        },
        "file" | "secret" | "directory" => {
            if found("type").is_some() {
                What::Replaced
            } else if ["content", "secrets", "value"].iter().any(|name| found(name).is_some()) {
                What::Content
            } else {
                What::Rights
            }
        }
        "packages" => What::Removed,
        "postgresql" | "directive" => What::Setting,
        _ => What::Content,
    }
}

/// Whether what a unit has to do is only what follows from another finding.
fn explains(input: &Input<'_>, host: &Host<'_>, other: &Finding, change: &Change) -> bool {
    let only = |names: &[&str]| change.attributes.iter().all(|(name, ..)| names.contains(&name.as_str()));
    if other.class != Class::Drift || !only(&["configuration", "unit file"]) {
        return false;
    }
    let path = match host.resources.iter().map(|one| &one.body).find_map(|body| match body {
        Body::Secret { name, path, .. } if other.kind == "secret" && *name == other.name => Some(path),
        _ => None,
    }) {
        Some(path) => path.as_str(),
        None => other.name.as_str(),
    };
    let unit_file = concerns(path, &change.name);
    if only(&["unit file"]) {
        return unit_file;
    }
    // What it reads was changed by somebody: the plan says of each such unit that it may have read it.
    let resource = host.resources.iter().find(|one| one.address.to_string() == change.address);
    let reads = resource.map(|resource| crate::plan::service::reads(resource, &host.resources, input));
    let touched = !matches!(other.change, What::Rights);
    let read = reads.is_some_and(|reads| {
        reads.paths.contains(path)
            || reads.inputs.contains_key(path)
            || (other.kind == "venv" && reads.inputs.contains_key("venv"))
    });
    change.reason.starts_with("somebody changed ") && touched && (read || unit_file)
}

/// Whether a path below /etc/systemd/system is part of what systemd knows of a unit.
pub(super) fn concerns(path: &str, unit: &str) -> bool {
    let Some(file) = path.strip_prefix("/etc/systemd/system/") else { return false };
    let template = unit.split_once('@').map(|(stem, _)| format!("{stem}@.service"));
    let of = |name: &str| file == name || file.strip_prefix(name).is_some_and(|rest| rest.starts_with(".d/"));
    of(unit) || template.as_deref().is_some_and(of)
}
