//! Services started, stopped and restarted by name: the order, what the records say, and what the next plan
//! makes of it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use synprov::plan::Plan;
use synprov::plan::change::Cause;
use synprov::plan::control::act::{Verb, act};
use synprov::plan::control::select::{select, services};
use synprov::plan::step::Action;

use crate::inventories::written;
use crate::sampled;
use crate::world::World;

const TEXT: &str = include_str!("../data/labs/two-hosts.yaml");

/// What a verb makes of these names; none: everything.
fn asked(world: &World, verb: Verb, words: &[&str]) -> Plan {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let all = services(&world.topology, &world.resources);
    let chosen = select(&words, &all, |_| true).unwrap_or_else(|error| panic!("{error}"));
    let facts = world.facts();
    world.with_plan(&facts, |input, plan| act(verb, &chosen, &all, input, plan))
}

fn titles(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.host, step.action.title())).collect()
}

/// Does it, on model hosts.
fn done(world: &mut World, verb: Verb, words: &[&str]) -> Plan {
    let plan = asked(world, verb, words);
    assert_eq!(plan.refusals, [], "refused");
    world.apply_lines(&plan);
    plan
}

fn running(world: &World) -> BTreeSet<String> {
    let machines = world.machines.values();
    machines
        .flat_map(|machine| machine.units.iter().filter(|(_, fact)| fact.active == "active"))
        .map(|(unit, _)| unit.clone())
        .collect()
}

/// Every step waits, over all hosts, for those of the stages before.
fn assert_stages(plan: &Plan, order: &[&str]) {
    let stage = |title: &str| order.iter().position(|word| title.contains(word));
    for step in &plan.steps {
        for earlier in &plan.steps {
            let (Some(first), Some(then)) = (stage(&earlier.action.title()), stage(&step.action.title()))
            else {
                continue;
            };
            if first < then {
                let mut before: BTreeSet<usize> = step.after.iter().copied().collect();
                for at in (0..step.id).rev() {
                    if before.contains(&at) {
                        before.extend(&plan.steps[at].after);
                    }
                }
                assert!(before.contains(&earlier.id), "{:#?}", titles(plan));
            }
        }
    }
}

#[test]
fn everything_stops_in_reverse_and_starts_in_order() {
    let mut world = World::model(TEXT);
    let before = running(&world);
    world.allow.datastore_restart = true;
    let plan = done(&mut world, Verb::Stop, &["all"]);
    let order = ["nginx", "sync", "typing", "matrix_main", "postgresql"];
    assert_stages(&plan, &order);
    assert_eq!(running(&world), BTreeSet::from(["matrix.target".to_owned()]));
    let plan = done(&mut world, Verb::Start, &[]);
    assert_stages(&plan, &["postgresql", "matrix_main", "typing", "sync", "nginx"]);
    assert_eq!(running(&world), before);
    world.assert_settled();
}

#[test]
fn what_was_stopped_by_synprov_is_no_drift_and_says_so() {
    let mut world = World::model(TEXT);
    let plan = done(&mut world, Verb::Stop, &["sync2"]);
    assert_eq!(titles(&plan), ["hs2 stop matrix_generic_worker@sync2.service"]);
    let plan = world.plan();
    let [change] = plan.changes.as_slice() else { panic!("{}", crate::tell(&plan)) };
    assert_eq!((change.cause, change.reason.as_str()), (Cause::Intended, "`synprov stop` stopped it"));
    assert_eq!(titles(&plan), ["hs2 start matrix_generic_worker@sync2.service"]);
    assert_eq!(plan.unsettled, [] as [&str; 0]);
    // Somebody else stops another one: that is drift, as ever.
    let fact = world.machine("hs2").units.get_mut("matrix_generic_worker@sync.service").unwrap();
    "inactive".clone_into(&mut fact.active);
    let plan = world.plan();
    let causes: Vec<Cause> = plan.changes.iter().map(|change| change.cause).collect();
    assert_eq!(causes, [Cause::Drift, Cause::Intended], "{}", crate::tell(&plan));
    let world = world.settled();
    world.assert_settled();
}

#[test]
fn what_is_disabled_says_so_until_it_is_enabled() {
    let mut world = World::model(TEXT);
    done(&mut world, Verb::Disable, &["sync"]);
    let plan = world.plan();
    assert_eq!(plan.changes.len(), 2);
    for change in &plan.changes {
        let said = "it runs, but would not start at boot: `synprov disable`";
        assert_eq!((change.cause, change.reason.as_str()), (Cause::Intended, said));
    }
    done(&mut world, Verb::Enable, &["sync"]);
    world.assert_settled();
}

#[test]
fn a_restart_leaves_nothing_to_plan() {
    let mut world = World::model(TEXT);
    world.allow.datastore_restart = true;
    let plan = done(&mut world, Verb::Restart, &["all"]);
    assert_stages(&plan, &["postgresql", "matrix_main", "typing", "sync", "nginx"]);
    assert_eq!(titles(&plan).last().unwrap(), "hs1 reload nginx.service");
    world.assert_settled();
    let record = world.machines["hs2"].recorded();
    let entry = record.entries.iter().find(|(address, _)| address.ends_with("@sync.service")).unwrap().1;
    let fact = &world.machines["hs2"].units["matrix_generic_worker@sync.service"];
    assert_eq!(entry.started.as_ref().unwrap().invocation, fact.invocation, "the record knows the new start");
}

#[test]
fn a_restart_takes_nothing_from_what_an_inventory_or_somebody_changed() {
    let mut world = World::model(TEXT);
    world.becomes(&TEXT.replace("cache_factor: 0.2", "cache_factor: 0.3"));
    let before = titles(&world.plan());
    done(&mut world, Verb::Restart, &["main", "sync"]);
    assert_eq!(titles(&world.plan()), before, "an inventory's change is still to be applied");

    let mut world = World::model(TEXT);
    let path = "/opt/matrix/conf/workers/sync.yaml";
    let now = world.tick();
    let node = world.machine("hs2").node(path);
    node.kind = crate::machine::Kind::File("edited".to_owned());
    node.changed = now;
    done(&mut world, Verb::Restart, &["sync"]);
    let plan = world.plan();
    let restarts = titles(&plan)
        .iter()
        .filter(|title| title.ends_with("restart matrix_generic_worker@sync.service"))
        .count();
    assert_eq!(restarts, 1, "it runs with what somebody wrote: {}", crate::tell(&plan));
    // Somebody puts the file back by hand: nobody can say any more that it was read as it is now.
    let desired = World::model(TEXT).machines["hs2"].text(path).unwrap().to_owned();
    let now = world.tick();
    let node = world.machine("hs2").node(path);
    node.kind = crate::machine::Kind::File(desired);
    node.changed = now;
    let mut plan = titles(&world.plan());
    plan.retain(|title| title.contains(" restart "));
    assert_eq!(plan, ["hs2 restart matrix_generic_worker@sync.service"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let refusals = |world: &World, verb: Verb, words: &[&str]| -> Vec<String> {
        asked(world, verb, words).refusals.iter().map(|refusal| refusal.summary.clone()).collect()
    };
    let mut world = World::model(TEXT);
    let used = ["redis is used by a running deployment (main and others)"];
    assert_eq!(refusals(&world, Verb::Restart, &["redis"]), used);
    assert_eq!(
        refusals(&world, Verb::Stop, &["redis", "main"]),
        ["redis is used by a running deployment (typing and others)"]
    );
    assert_eq!(refusals(&world, Verb::Stop, &["all"]), [] as [&str; 0], "nobody is left to use them");
    done(&mut world, Verb::Stop, &["main", "sync"]);
    assert_eq!(refusals(&world, Verb::Start, &["sync2"]), ["sync2 needs main, which does not run on hs1"]);
    assert_eq!(refusals(&world, Verb::Start, &["sync2", "main"]), [] as [&str; 0]);
    let bare = World::bare(TEXT);
    assert!(
        refusals(&bare, Verb::Start, &["sync2"]).contains(&"sync2 has never been applied here".to_owned())
    );
}

#[test]
fn what_is_so_already_is_left_alone() {
    let world = World::model(TEXT);
    for (verb, words) in
        [(Verb::Start, &[] as &[&str]), (Verb::Enable, &["sync"]), (Verb::Reload, &["redis"])]
    {
        assert_eq!(titles(&asked(&world, verb, words)), [] as [&str; 0], "{verb:?}");
    }
    let reload = asked(&world, Verb::Reload, &["main", "proxy"]);
    assert_eq!(titles(&reload), ["hs1 reload matrix_main.service", "hs1 reload nginx.service"]);
    assert!(matches!(reload.steps[0].action, Action::Reread { .. }), "main is told, and goes on");
}

/// Any deployment, any of its processes: down and up again, or restarted, is as before.
#[test]
fn down_and_up_again_is_as_before() {
    sampled(20, (written(), any::<u16>(), any::<bool>()), |(deployment, picks, restart)| {
        let Ok(world) = World::try_bare(&deployment.text()) else { return };
        let mut world = world.settled();
        world.allow.datastore_restart = true;
        let before = running(&world);
        let all = services(&world.topology, &world.resources);
        let words: Vec<String> = all
            .iter()
            .enumerate()
            .filter(|(at, _)| picks & (1 << (at % 16)) != 0)
            .map(|(_, one)| one.name.to_owned())
            .collect();
        if words.is_empty() {
            return;
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if restart {
            done(&mut world, Verb::Restart, &words);
        } else {
            done(&mut world, Verb::Stop, &words);
            let drift = world.plan().changes.iter().filter(|change| change.cause != Cause::Intended).count();
            assert_eq!(drift, 0, "what synprov stopped is no drift");
            done(&mut world, Verb::Start, &[]);
        }
        assert_eq!(running(&world), before);
        world.assert_settled();
    });
}

/// Killed at any step: the rest is seen, nothing is called drift, and an apply makes it whole.
#[test]
fn killed_at_any_step_is_no_drift() {
    for verb in [Verb::Stop, Verb::Restart] {
        let mut model = World::model(TEXT);
        model.allow.datastore_restart = true;
        let plan = asked(&model, verb, &["all"]);
        for at in 0..plan.steps.len() {
            for done in [0, 1, usize::MAX] {
                let mut world = model.clone();
                world.apply_killed(&plan, crate::perform::Killed { at, done });
                let after = world.plan();
                let drift = after.changes.iter().find(|change| change.cause != Cause::Intended);
                assert_eq!(drift, None, "{verb:?} killed at {at} after {done}: {}", crate::tell(&after));
                let world = world.settled();
                world.assert_settled();
            }
        }
    }
}
