//! The inventory changes: exactly what follows from it, and no process more.

use std::collections::BTreeSet;

use proptest::prelude::*;
use synprov::plan::change::Cause;
use synprov::plan::step::Action;

use crate::causes::SMALL;
use crate::inventories::{Written, written};
use crate::leaving::brought;
use crate::order::assert_valid;
use crate::perform::Killed;
use crate::sampled;
use crate::world::World;

#[test]
fn a_plain_worker_more_restarts_nobody_and_touches_no_shared_file() {
    let mut world = World::model(SMALL);
    world.becomes(&format!("{SMALL}  more: {{host: hs2, count: 2, handles: [initial_sync]}}\n"));
    let plan = world.plan();
    assert_valid(&world, &plan);
    assert_eq!(plan.refusals, []);
    assert_eq!(
        brought(&plan),
        ["matrix_generic_worker@more.service", "matrix_generic_worker@more2.service", "nginx.service"],
        "{}",
        crate::tell(&plan)
    );
    let updated: Vec<&str> = plan
        .changes
        .iter()
        .filter(|change| change.operation == synprov::plan::change::Operation::Update)
        .map(|change| change.name.as_str())
        .filter(|name| !name.contains("nginx"))
        // Its routes are new: they are checked.
        .filter(|name| !name.contains("/venvs/"))
        .collect();
    assert_eq!(updated, [] as [&str; 0], "{}", crate::tell(&plan));
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn any_deployment_takes_a_plain_worker_more_without_a_restart() {
    sampled(10, written(), |written| {
        let mut world = World::model(&written.text());
        world.allow.datastore_restart = true;
        let mut grown = written.clone();
        // On the host of main: a first worker elsewhere changes the addresses of everything.
        grown.pools.push((4, 0, 1));
        world.becomes(&grown.text());
        let plan = world.plan();
        assert_eq!(plan.refusals, []);
        let added = format!("matrix_generic_worker@pool{}.service", written.pools.len());
        for unit in brought(&plan) {
            // A host that had no process of ours also gets the target, and datastores listen to it.
            let new = unit == added || unit == "matrix.target" || unit.starts_with("redis");
            assert!(new || unit == "nginx.service", "{unit} restarts\n{}", crate::tell(&plan));
        }
        world.apply(&plan);
        world.assert_settled();
    });
}

#[test]
fn an_option_of_one_worker_restarts_that_worker_alone() {
    for (from, to) in [("10K", "20K"), ("handles: [sync]", "handles: [sync], nice: 5")] {
        let mut world = World::model(SMALL);
        world.becomes(&SMALL.replace(from, to));
        let plan = world.plan();
        let name = if from == "10K" { "client" } else { "sync" };
        assert_eq!(
            brought(&plan),
            [format!("matrix_generic_worker@{name}.service")],
            "{}",
            crate::tell(&plan)
        );
        assert!(plan.changes.iter().all(|change| change.cause == Cause::Intended));
        assert_valid(&world, &plan);
        world.apply(&plan);
        world.assert_settled();
    }
}

/// Whom Synapse is asked about on each host, as `hs1: client sync`.
fn asked_about(world: &World) -> Vec<String> {
    let plan = world.plan();
    assert_valid(world, &plan);
    let checks = plan.steps.iter().filter_map(|step| {
        let Action::CheckRoutes { check, .. } = &step.action else { return None };
        assert!(check.main.iter().any(|path| path.ends_with("/conf/config.yaml")), "{check:?}");
        let here = check.processes.iter().map(|(name, _)| name.as_str());
        let names: BTreeSet<&str> = here.chain(check.asks_main.then_some("main")).collect();
        Some(format!("{}: {}", step.host, names.into_iter().collect::<Vec<_>>().join(" ")))
    });
    checks.collect()
}

#[test]
fn synapse_is_asked_again_about_whom_a_change_concerns() {
    let media = format!("{SMALL}  media: {{hosts: {{hs1: 1}}, handles: [media]}}\n");
    let all = ["hs1: client main media persister", "hs2: main sender sync"];
    for (from, to, expected) in [
        // Its own file, and its own log configuration.
        ("10K", "20K", vec!["hs1: client"]),
        ("handles: [sync]", "handles: [sync], logging: {to: journald, level: DEBUG}", vec!["hs2: sync"]),
        // A file of all of them.
        ("report_stats: false", "report_stats: false, max_event_delay_duration: 1d", all.to_vec()),
        // Other routes.
        ("handles: [client_reader]", "handles: [client_reader, event_sending]", all.to_vec()),
    ] {
        let mut world = World::model(&media);
        world.becomes(&media.replace(from, to));
        assert_eq!(asked_about(&world), expected, "{to}\n{}", crate::tell(&world.plan()));
    }
    // Without a process for media main says which requests there are.
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    assert_eq!(asked_about(&world), ["hs1: client main"]);
}

#[test]
fn a_shared_option_restarts_every_process_and_main_first() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("report_stats: false", "report_stats: false, max_event_delay_duration: 1d"));
    let plan = world.plan();
    assert_valid(&world, &plan);
    let units = brought(&plan);
    assert_eq!(units.first(), Some(&"matrix_main.service"));
    assert_eq!(units.len(), 5, "{units:?}");
    assert!(plan.steps.iter().all(|step| !matches!(step.action, Action::Reload { .. })));
}

/// The same hosts with other pools; the database stays where it is.
fn another() -> impl Strategy<Value = (Written, Written)> {
    (written(), written()).prop_map(|(from, mut to)| {
        (to.hosts, to.data) = (from.hosts, from.data);
        to.pools.truncate(6);
        (from, to)
    })
}

#[test]
fn any_deployment_becomes_any_other_even_if_the_apply_dies_on_the_way() {
    let moments = prop::collection::vec((any::<prop::sample::Index>(), 0..4usize), 0..3);
    sampled(25, (another(), moments), |((from, to), moments)| {
        let mut world = World::model(&from.text());
        world.allow.datastore_restart = true;
        world.becomes(&to.text());
        for (at, done) in moments {
            let plan = undisputed(&world);
            if !plan.steps.is_empty() {
                world.apply_killed(&plan, Killed { at: at.index(plan.steps.len()), done });
            }
        }
        let plan = undisputed(&world);
        world.apply(&plan);
        world.assert_settled();
        let running: Vec<String> = world
            .machines
            .values()
            .flat_map(|machine| machine.units.iter().map(move |(unit, fact)| (machine, unit, fact)))
            .filter(|(_, unit, fact)| fact.active == "active" && unit.starts_with("matrix_"))
            .map(|(machine, unit, _)| format!("{} {unit}", machine.name))
            .collect();
        assert_eq!(running.len(), world.topology.instances.len(), "{running:#?}");
    });
}

/// A valid plan that nobody but the inventory is the cause of.
fn undisputed(world: &World) -> synprov::plan::Plan {
    let plan = world.plan();
    assert_eq!(plan.refusals, [], "{}", crate::tell(&plan));
    assert_valid(world, &plan);
    for change in &plan.changes {
        assert_eq!(change.cause, Cause::Intended, "{}\n{}", change.address, crate::tell(&plan));
    }
    plan
}
