//! Restarts follow from state: what a process was started with, and by whom.

use synprov::plan::change::Cause;
use synprov::plan::step::Action;
use synprov::resource::FileSet;

use crate::causes::{SMALL, changed};
use crate::leaving::brought;
use crate::machine::{Kind, ticks};
use crate::perform::Killed;
use crate::world::World;

const CLIENT: &str = "matrix_generic_worker@client.service";
const YAML: &str = "/opt/matrix/conf/workers/client.yaml";
const NGINX_FILE: &str = "/opt/matrix/nginx/worker/sync.conf";

fn restarted(world: &mut World, unit: &str) {
    let now = world.tick();
    world.machine("hs1").start(unit, now, unit == "nginx.service");
}

#[test]
fn a_restart_by_hand_is_neither_repeated_nor_forgotten() {
    // Nothing changed but who started it.
    let mut world = World::model(SMALL);
    restarted(&mut world, CLIENT);
    world.assert_settled();
    // Edited and then restarted by hand: the file is put right, and what runs has read the wrong one.
    let now = world.tick();
    let node = world.machine("hs1").node(YAML);
    (node.kind, node.changed) = (Kind::File("mine".to_owned()), now);
    restarted(&mut world, CLIENT);
    let plan = world.plan();
    assert_eq!(brought(&plan), [CLIENT]);
    world.apply(&plan);
    world.assert_settled();
    // Put right by hand after the start: the content is as desired, the process is older.
    let mut world = World::model(SMALL);
    restarted(&mut world, CLIENT);
    let now = world.tick();
    world.machine("hs1").node(YAML).changed = now;
    let plan = world.plan();
    let change = changed(&plan, CLIENT);
    assert_eq!(change.cause, Cause::Drift);
    assert_eq!(change.reason, format!("it was started before {YAML} changed"));
    assert_eq!(brought(&plan), [CLIENT]);
    // Started after that: nothing to do, though the record knows another start.
    restarted(&mut world, CLIENT);
    world.assert_settled();
}

#[test]
fn an_apply_that_dies_between_file_and_restart_still_owes_the_restart() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    let plan = world.plan();
    let swap = plan.steps.iter().position(|step| matches!(step.action, Action::Swap { .. })).unwrap();
    for done in [1, usize::MAX] {
        let mut dead = world.clone();
        dead.apply_killed(&plan, Killed { at: swap, done });
        let again = dead.plan();
        assert_eq!(brought(&again), [CLIENT], "{}", crate::tell(&again));
        // Even if the inventory goes back to what the process was started with: it is current then.
        dead.becomes(SMALL);
        let back = dead.plan();
        assert!(brought(&back).iter().all(|unit| *unit == CLIENT), "{}", crate::tell(&back));
        dead.apply(&back);
        dead.assert_settled();
    }
    // Restarted by hand meanwhile: owed no more.
    world.apply_killed(&plan, Killed { at: swap, done: usize::MAX });
    restarted(&mut world, CLIENT);
    assert_eq!(brought(&world.plan()), [] as [&str; 0]);
}

#[test]
fn nginx_is_judged_by_its_newest_worker_process() {
    let mut world = World::model(SMALL);
    // Somebody touched a file and reloaded nginx by hand; an old process still ends its long polls.
    let now = world.tick();
    world.machine("hs1").node(NGINX_FILE).changed = now;
    let now = world.tick();
    let unit = world.machine("hs1").units.get_mut("nginx.service").unwrap();
    unit.workers.push((77, ticks(now)));
    world.assert_settled();
    // Touched again after that reload.
    let now = world.tick();
    world.machine("hs1").node(NGINX_FILE).changed = now;
    let plan = world.plan();
    assert!(matches!(plan.steps.last().unwrap().action, Action::Reload { .. }), "{}", crate::tell(&plan));
    assert_eq!(changed(&plan, "nginx.service").reason, format!("it was started before {NGINX_FILE} changed"));
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn a_raised_directive_is_owed_to_nginx_until_it_reloads() {
    let mut world = World::model(SMALL);
    let key = ("worker_connections".to_owned(), "/etc/nginx/nginx.conf".to_owned());
    world.machine("hs1").directives.insert(key, 100);
    let plan = world.plan();
    let raise =
        plan.steps.iter().position(|step| matches!(step.action, Action::RaiseDirective { .. })).unwrap();
    assert!(matches!(plan.steps[raise + 1].action, Action::Reload { .. }), "{}", crate::tell(&plan));
    for done in [1, 0] {
        let mut dead = world.clone();
        dead.apply_killed(&plan, Killed { at: raise, done });
        let again = dead.plan();
        assert_eq!(brought(&again), ["nginx.service"], "{}", crate::tell(&again));
        dead.apply(&again);
        dead.assert_settled();
    }
}

#[test]
fn a_unit_that_is_outdated_and_disabled_is_mended_in_one_go() {
    let mut world = World::model(SMALL);
    world.machine("hs1").node(YAML).kind = Kind::File("mine".to_owned());
    world.machine("hs1").units.get_mut(CLIENT).unwrap().file_state = "disabled".to_owned();
    let plan = world.plan();
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn an_apply_that_dies_after_its_last_step_leaves_records_that_say_what_is() {
    let mut world = World::model(SMALL);
    // A worker less, another option, a stream that moves: all that a record knows.
    let other = SMALL.replace("10K", "20K").replace("handles: [sync]", "handles: [sync], writes: [typing]");
    world.becomes(&other.replace("  sender: {host: hs2, runs: [federation_sender]}\n", ""));
    let plan = world.plan();
    world.apply_killed(&plan, Killed { at: plan.steps.len() - 1, done: usize::MAX });
    let entries = world.machine("hs1").recorded().entries;
    let unsaid: Vec<&String> = entries
        .iter()
        .filter(|(_, entry)| {
            entry.pending.is_some() || entry.started.iter().any(|started| started.owed.is_some())
        })
        .map(|(address, _)| address)
        .collect();
    assert_eq!(unsaid, [] as [&String; 0]);
    // What somebody does from now on is somebody's.
    let mut touched = world.clone();
    touched.machine("hs1").units.get_mut(CLIENT).unwrap().active = "inactive".to_owned();
    touched.machine("hs1").node(YAML).mode = "0666".to_owned();
    let drift = touched.plan();
    for name in [CLIENT, YAML] {
        assert_eq!(changed(&drift, name).cause, Cause::Drift, "{}", crate::tell(&drift));
    }
    // Nothing is left to do, but the records say that an apply is under way until one says that it is over.
    let empty = world.plan();
    assert!(empty.is_empty(), "{}", crate::tell(&empty));
    assert_eq!(empty.unsettled, ["hs1", "hs2"]);
    world.apply(&empty);
    world.assert_settled();
}

#[test]
fn a_host_that_dies_between_an_act_and_its_line_is_settled_by_an_apply_with_nothing_to_do() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    let plan = world.plan();
    world.apply_killed(&plan, Killed { at: plan.steps.len() - 1, done: 100 });
    let empty = world.plan();
    assert!(empty.is_empty(), "{}", crate::tell(&empty));
    assert_eq!(empty.unsettled, ["hs1"]);
    world.apply(&empty);
    world.assert_settled();
    world.machine("hs1").units.get_mut(CLIENT).unwrap().active = "inactive".to_owned();
    assert_eq!(changed(&world.plan(), CLIENT).cause, Cause::Drift);
}

#[test]
fn a_set_that_could_not_be_put_in_place_owes_nothing_and_is_no_unfinished_work() {
    let mut world = World::model(SMALL);
    let before = world.clone();
    world.becomes(&SMALL.replace("10K", "20K"));
    let plan = world.plan();
    let swap = plan.steps.iter().position(|step| matches!(step.action, Action::Swap { .. })).unwrap();
    world.apply_put_back(&plan, swap);
    assert_eq!(world.machine("hs1").recorded(), before.machines["hs1"].recorded());
    assert_eq!(brought(&world.plan()), [CLIENT]);
    // The inventory goes back: nothing was done, so nothing is to be undone.
    world.becomes(SMALL);
    world.assert_settled();
}

#[test]
fn a_set_that_is_put_back_forgets_no_restart_owed_for_another_set() {
    let text = SMALL.replace("handles: [client_reader], ", "handles: [client_reader], nice: 5, ");
    let mut world = World::model(SMALL);
    world.becomes(&text.replace("10K", "20K"));
    let plan = world.plan();
    let systemd =
        plan.steps.iter().position(|step| matches!(step.action, Action::Swap { set: FileSet::Systemd, .. }));
    world.apply_put_back(&plan, systemd.unwrap());
    world.becomes(&SMALL.replace("10K", "20K"));
    assert_eq!(brought(&world.plan()), [CLIENT], "{}", crate::tell(&world.plan()));
}
