//! A set-up that synprov has no record of: taken over while it runs.

use std::collections::BTreeMap;

use synprov::plan::Plan;
use synprov::plan::change::Cause;
use synprov::plan::step::Action;

use crate::causes::SMALL;
use crate::machine::Kind;
use crate::world::World;

/// Everything runs, nothing is recorded, and every file of Synapse's and every unit file says something else.
fn by_hand() -> World {
    let mut world = World::model(SMALL);
    world.tick();
    for host in ["hs1", "hs2"] {
        let machine = world.machine(host);
        machine.record.clear();
        machine.digests.clear();
        let of_synapse =
            |path: &str| path.starts_with("/opt/matrix/conf/workers/") || path.contains("/matrix_");
        for (path, node) in &mut machine.nodes {
            if matches!(node.kind, Kind::File(_)) && of_synapse(path) {
                node.kind = Kind::File("made by hand".to_owned());
            }
        }
    }
    world.allow.adopt = true;
    // Redis is found unrecorded here too.
    world.allow.datastore_restart = true;
    world
}

fn starts(world: &World) -> BTreeMap<(String, String), String> {
    let facts = world.facts();
    let all = facts.iter().flat_map(|(host, facts)| {
        facts.units.iter().map(|(unit, fact)| ((host.clone(), unit.clone()), fact.invocation.clone()))
    });
    all.filter(|((_, unit), _)| unit.starts_with("matrix_")).collect()
}

fn restarts(plan: &Plan) -> usize {
    plan.steps
        .iter()
        .filter(
            |step| matches!(&step.action, Action::Restart { service } if service.unit.starts_with("matrix_")),
        )
        .count()
}

#[test]
fn what_runs_goes_on_when_that_is_asked_for() {
    let mut world = by_hand();
    assert!(restarts(&world.plan()) > 2, "without the flag they restart");
    world.allow.keep_running = true;
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    assert_eq!(restarts(&plan), 0);
    assert!(
        plan.notes.iter().any(|note| note.contains("go on with what they were started with")),
        "{:?}",
        plan.notes
    );
    let before = starts(&world);
    world.apply(&plan);
    assert_eq!(starts(&world), before);
    assert!(world.plan().is_empty(), "again: {}", crate::tell(&world.plan()));
    assert_eq!(world.drift().findings, [], "nobody went behind our back");
}

#[test]
fn what_went_on_restarts_with_the_next_apply_and_once() {
    let mut world = by_hand();
    world.allow.keep_running = true;
    world.apply(&world.plan());
    world.allow.keep_running = false;
    let plan = world.plan();
    assert!(restarts(&plan) > 2);
    assert!(plan.changes.iter().all(|change| change.cause == Cause::Intended), "{}", crate::tell(&plan));
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn what_a_record_knows_is_not_kept() {
    let mut world = World::model(SMALL);
    world.allow.adopt = true;
    world.becomes(&SMALL.replace("handles: [sync]", "handles: [sync], config: {event_cache_size: 20K}"));
    let without = restarts(&world.plan());
    world.allow.keep_running = true;
    assert!(without > 0);
    assert_eq!(restarts(&world.plan()), without);
}
