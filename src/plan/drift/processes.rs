//! Processes: those that nobody owns, those that died, those that still run what was replaced.

use std::collections::BTreeMap;

use super::Host;
use super::finding::{Class, Finding, What, quoted};
use crate::plan::Input;
use crate::plan::service::is_active;

/// A unit that systemd started again this soon after boot may only have waited for others, microseconds.
const BOOTING: i64 = 600_000_000;

/// Processes with this deployment's configuration, and units with its names, that are in no inventory.
pub(super) fn strays(input: &Input<'_>, host: &Host<'_>, found: &mut Vec<Finding>) {
    let (facts, watched) = (host.facts, &host.facts.watched);
    let prefix = &input.topology.prefix;
    let ours = |unit: &str| {
        unit.starts_with(&format!("{prefix}_generic_worker@"))
            || unit.starts_with(&format!("{prefix}_media@"))
    };
    // By unit, so that each is told once; processes outside of services by their id.
    let mut strays: BTreeMap<String, Finding> = BTreeMap::new();
    let stray =
        |name: &str, summary: String| Finding::new(host.name, "process", name, What::Unowned, summary);
    for process in watched.processes.iter().filter(|process| !facts.units.contains_key(&process.unit)) {
        let started = i64::try_from(process.ticks).unwrap_or(0).saturating_mul(10_000);
        let since = host.boot() + started;
        let service = process.unit.ends_with(".service");
        let (name, command) = if service {
            (process.unit.clone(), format!("systemctl disable --now {}", quoted(&process.unit)))
        } else {
            (format!("{} in {}", process.pid, process.unit), format!("kill {}", process.pid))
        };
        let summary = format!("it runs {}, and nobody owns it", process.what);
        let one = stray(&name, summary).since(since);
        strays
            .entry(name)
            .or_insert_with(|| one.remedy(command, "two processes of one name write the same streams"));
    }
    let unknown = |unit: &&String| ours(unit) && !facts.units.contains_key(*unit);
    for (unit, active) in watched.units.iter().filter(|(unit, active)| unknown(unit) && *active != "inactive")
    {
        strays.entry(unit.clone()).or_insert_with(|| {
            stray(unit, format!("systemd has it as {active}, and nobody owns it")).remedy(
                format!(
                    "systemctl disable --now {0}; systemctl reset-failed {0} 2> /dev/null || true",
                    quoted(unit)
                ),
                "",
            )
        });
    }
    for unit in watched.wanted.iter().filter(unknown) {
        strays.entry(unit.clone()).or_insert_with(|| {
            stray(unit, "it would start at boot, and nobody owns it".to_owned())
                .remedy(format!("systemctl disable {}", quoted(unit)), "")
        });
    }
    found.extend(strays.into_values());
}

/// Units that died since they were last started by synprov or a person, and that systemd started again.
pub(super) fn crashes(input: &Input<'_>, host: &Host<'_>, found: &mut Vec<Finding>) {
    for (unit, fact) in &host.facts.units {
        let known =
            host.resources.iter().find(|one| one.address.kind == "service" && one.address.name == *unit);
        let Some(resource) = known else { continue };
        let recorded = input.entry(&resource.address).and_then(|entry| entry.started.as_ref());
        let as_recorded = recorded.is_some_and(|started| started.invocation == fact.invocation);
        if fact.restarts == 0 || !is_active(fact) || as_recorded {
            continue;
        }
        let booting = fact.started - host.boot() < BOOTING;
        let times = if fact.restarts == 1 { "once".to_owned() } else { format!("{} times", fact.restarts) };
        found.push(
            Finding::new(
                host.name,
                "service",
                unit,
                What::Crashed,
                format!("it died {times}, and systemd started it again"),
            )
            .module(&resource.address.module)
            .class(if booting { Class::Information } else { Class::Drift })
            .since(fact.started)
            .remedy(
                format!("systemctl reset-failed {}", quoted(unit)),
                &format!("journalctl -u {} tells why; the command takes note of it", quoted(unit)),
            ),
        );
    }
}

/// Programs and libraries that were replaced while units run them: one finding a file.
pub(super) fn stale(host: &Host<'_>, found: &mut Vec<Finding>) {
    let mut by_file: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for (unit, file) in &host.facts.watched.stale {
        // What it may have taken over from another finding is told there.
        if !found.iter().any(|other| other.affects.contains(unit)) {
            by_file.entry(file).or_default().push(unit);
        }
    }
    for (file, units) in by_file {
        let words: Vec<String> = units.iter().map(|unit| quoted(unit)).collect();
        let summary = "it was replaced, and what was there before still runs".to_owned();
        found.push(
            Finding::new(host.name, "program", file, What::Outdated, summary)
                .affects(units.into_iter().cloned().collect())
                .remedy(format!("systemctl restart {}", words.join(" ")), ""),
        );
    }
}
