//! What leaves the inventory: its routes first, then the process, then its files; data stays.

use std::collections::BTreeSet;

use synprov::plan::Plan;
use synprov::plan::change::{Cause, Operation};
use synprov::plan::step::Action;
use synprov::resource::FileSet;

use crate::causes::{SMALL, changed};
use crate::machine::Kind;
use crate::order::assert_valid;
use crate::perform::Killed;
use crate::world::World;

const UNIT: &str = "matrix_generic_worker@client.service";
const YAML: &str = "/opt/matrix/conf/workers/client.yaml";
const LOG: &str = "/opt/matrix/conf/log/client.yaml";
const NGINX: &str = "/opt/matrix/nginx/worker/client.conf";

/// The small deployment without the line of a worker.
pub fn without(worker: &str) -> String {
    let line = |line: &&str| !line.starts_with(&format!("  {worker}: "));
    SMALL.lines().filter(line).map(|line| format!("{line}\n")).collect()
}

/// Position of the first step that does what `wanted` says.
pub fn position(plan: &Plan, wanted: impl Fn(&Action) -> bool) -> usize {
    let found = plan.steps.iter().position(|step| wanted(&step.action));
    found.unwrap_or_else(|| panic!("no such step\n{}", crate::tell(plan)))
}

fn stops(unit: &str) -> impl Fn(&Action) -> bool {
    move |action| matches!(action, Action::Stop { unit: of, .. } if of == unit)
}

/// Units that are started, restarted or reloaded.
pub fn brought(plan: &Plan) -> Vec<&str> {
    let mut units = Vec::new();
    for step in &plan.steps {
        match &step.action {
            Action::Start { services } => units.extend(services.iter().map(|one| one.unit.as_str())),
            Action::Restart { service } | Action::Reload { service } | Action::Reread { service } => {
                units.push(&service.unit);
            }
            _ => {}
        }
    }
    units
}

#[test]
fn a_worker_leaves_routes_first_then_the_process_then_its_files() {
    let mut world = World::model(SMALL);
    world.becomes(&without("client"));
    let plan = world.plan();
    assert_valid(&world, &plan);
    assert_eq!(plan.refusals, []);
    let gone: BTreeSet<&str> = plan
        .changes
        .iter()
        .filter(|change| change.operation == Operation::Delete)
        .map(|change| change.name.as_str())
        .collect();
    assert_eq!(gone, BTreeSet::from([UNIT, YAML, LOG, NGINX]), "{}", crate::tell(&plan));
    assert_eq!(brought(&plan), ["nginx.service"], "nothing else restarts");
    let reload = position(&plan, |action| matches!(action, Action::Reload { .. }));
    let stop = position(&plan, stops(UNIT));
    let remove = position(&plan, |action| matches!(action, Action::Remove { .. }));
    assert!(reload < stop && stop < remove, "{}", crate::tell(&plan));
    let Action::Stop { ports, drain_seconds, .. } = &plan.steps[stop].action else { panic!() };
    assert_eq!(ports.len(), 1, "requests in flight end first");
    assert!(*drain_seconds > 0);
    assert_eq!(plan.notes, [] as [&str; 0]);
    world.apply(&plan);
    world.assert_settled();
    let machine = world.machine("hs1");
    assert!([YAML, LOG, NGINX].iter().all(|path| !machine.nodes.contains_key(*path)));
    assert_eq!(machine.units[UNIT].active, "inactive");
}

#[test]
fn what_somebody_edited_leaves_a_copy_and_what_is_gone_is_forgotten_silently() {
    let mut world = World::model(SMALL);
    world.machine("hs1").node(YAML).kind = Kind::File("mine".to_owned());
    world.machine("hs1").node(LOG).kind = Kind::Link("/etc/passwd".to_owned());
    world.machine("hs1").remove(NGINX);
    world.becomes(&without("client"));
    let plan = world.plan();
    for path in [YAML, LOG] {
        let change = changed(&plan, path);
        assert_eq!((change.operation, change.cause), (Operation::Delete, Cause::Drift));
    }
    assert!(plan.changes.iter().all(|change| change.name != NGINX));
    let remove = position(&plan, |action| matches!(action, Action::Remove { .. }));
    let Action::Remove { files, .. } = &plan.steps[remove].action else { panic!() };
    assert_eq!(*files, [(LOG.to_owned(), true), (YAML.to_owned(), true)]);
    world.apply(&plan);
    world.assert_settled();
    let entries = world.machine("hs1").recorded().entries;
    assert!(entries.keys().all(|address| !address.contains("client")), "{entries:#?}");
}

#[test]
fn an_option_in_the_environment_is_gone_before_the_process_starts_again() {
    let with = SMALL.replace("handles: [client_reader], ", "handles: [client_reader], environment: {A: b}, ");
    let mut world = World::model(&with);
    world.becomes(SMALL);
    let plan = world.plan();
    assert_eq!(brought(&plan), [UNIT], "{}", crate::tell(&plan));
    let removed = position(&plan, |action| matches!(action, Action::Remove { .. }));
    let reload = position(&plan, |action| *action == Action::DaemonReload);
    let restart = position(&plan, |action| matches!(action, Action::Restart { .. }));
    assert!(removed < reload && reload < restart, "{}", crate::tell(&plan));
    assert_valid(&world, &plan);
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn data_is_never_deleted_only_forgotten_with_a_word_about_it() {
    let mut world = World::model(SMALL);
    world.becomes(
        &without("sync")
            .replace("  sender: {host: hs2", "  sender: {host: hs1")
            .replace("10.8.0.2, user: root", "10.8.0.2, user: root, retired: true"),
    );
    // Redis and PostgreSQL bind to the loopback alone when the last other host goes.
    world.allow.datastore_restart = true;
    let before = world.clone();
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    assert_valid(&world, &plan);
    world.apply(&plan);
    world.assert_settled();
    assert_eq!(world.plan().notes, [] as [&str; 0], "it is said once");
    let (was, is) = (&before.machines["hs2"], &world.machines["hs2"]);
    assert_eq!((&was.users, &was.venvs, &was.packages), (&is.users, &is.venvs, &is.packages));
    let mut kept = 0;
    for path in was.nodes.keys() {
        let data = path.contains("/conf/secrets/") && !path.ends_with("pgpass") || path.contains("/data");
        if data {
            kept += 1;
            assert!(is.nodes.contains_key(path), "{path} was deleted");
        }
    }
    assert!(kept > 3);
    assert!(
        !is.nodes.keys().any(|path| path.ends_with(".yaml") || path.ends_with(".service")),
        "{:#?}",
        is.nodes.keys()
    );
    assert!(is.units.values().all(|unit| unit.active != "active"));
    for word in ["user matrix", "secret signing_key", "venv /opt/matrix/venvs/", "packages python"] {
        let noted = plan.notes.iter().filter(|note| note.contains(word)).count();
        assert_eq!(noted, 1, "{word}: {:#?}", plan.notes);
    }
    assert_eq!(is.recorded().entries.len(), 0);
}

#[test]
fn a_proxy_that_leaves_a_host_serves_no_longer_there() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("proxy: {host: hs1", "proxy: {host: hs2"));
    let plan = world.plan();
    assert_valid(&world, &plan);
    let removed = plan.steps.iter().position(|step| {
        step.host == "hs1"
            && matches!(&step.action, Action::Remove { files, .. } if files.iter().any(|(path, _)| path.contains("nginx")))
    });
    let reload =
        plan.steps.iter().position(|step| step.host == "hs1" && matches!(step.action, Action::Reload { .. }));
    assert!(removed.is_some() && removed < reload, "{}", crate::tell(&plan));
    world.apply(&plan);
    world.assert_settled();
    // Where nginx does not run, there is nothing to reload.
    let mut world = World::model(SMALL);
    world.machine("hs1").units.get_mut("nginx.service").unwrap().active = "inactive".to_owned();
    world.becomes(&SMALL.replace("proxy: {host: hs1", "proxy: {host: hs2"));
    let plan = world.plan();
    assert!(
        !plan.steps.iter().any(|step| step.host == "hs1" && matches!(step.action, Action::Reload { .. }))
    );
}

#[test]
fn an_nginx_that_serves_us_no_longer_is_owed_its_reload_until_it_had_it() {
    let mut model = World::model(SMALL);
    // Somebody reloaded it by hand before: what it is owed, it is owed as it runs now.
    let now = model.tick();
    model.machine("hs1").start("nginx.service", now, true);
    model.becomes(&SMALL.replace("proxy: {host: hs1", "proxy: {host: hs2"));
    let plan = model.plan();
    let remove = plan.steps.iter().position(|step| {
        step.host == "hs1" && matches!(&step.action, Action::Remove { files, .. } if files.iter().any(|(path, _)| path.contains("nginx")))
    });
    let remove = remove.unwrap();
    for done in [usize::MAX, 1, 100] {
        let mut world = model.clone();
        world.apply_killed(&plan, Killed { at: remove, done });
        let again = world.plan();
        assert_valid(&world, &again);
        let reload = again
            .steps
            .iter()
            .position(|step| step.host == "hs1" && matches!(step.action, Action::Reload { .. }));
        assert!(reload.is_some(), "{}", crate::tell(&again));
        // Again, and once it had it, no more.
        world.apply_killed(&again, Killed { at: reload.unwrap(), done: usize::MAX });
        let third = world.plan();
        assert!(
            !third.steps.iter().any(|step| matches!(step.action, Action::Reload { .. })),
            "{}",
            crate::tell(&third)
        );
        world.apply(&third);
        world.assert_settled();
    }
    // Reloaded by hand after that: nothing is owed any more.
    model.apply_killed(&plan, Killed { at: remove, done: usize::MAX });
    let now = model.tick();
    model.machine("hs1").units.get_mut("nginx.service").unwrap().workers =
        vec![(3, crate::machine::ticks(now))];
    assert!(!model.plan().steps.iter().any(|step| matches!(step.action, Action::Reload { .. })));
}

#[test]
fn files_of_nginx_leave_with_the_set_that_no_longer_needs_them() {
    // The site has another name: nginx, which reads the whole directory, never sees both.
    let old = "/etc/nginx/conf.d/matrix.conf";
    let with = SMALL.replace(
        "postgresql: {host: hs1}",
        "postgresql: {external: {host: 192.0.2.9, database: synapse, user: synapse}}",
    );
    let mut world = World::model(&with);
    world.becomes(&with.replace("  server_name:", "  prefix: chat\n  server_name:"));
    let refused = world.plan().refusals;
    assert!(refused.len() == 1 && refused[0].summary.contains("redis-server@matrix"), "{refused:#?}");
    world.allow.datastore_restart = true;
    let plan = world.plan();
    assert_eq!(plan.refusals, [], "{}", crate::tell(&plan));
    assert_valid(&world, &plan);
    let staged = position(
        &plan,
        |action| matches!(action, Action::Stage { set: FileSet::Nginx, gone, .. } if gone.iter().any(|path| path == old)),
    );
    let validated = position(
        &plan,
        |action| matches!(action, Action::Validate { set: FileSet::Nginx, over, .. } if over.iter().any(|path| path == "/etc/nginx/conf.d")),
    );
    let swapped = position(
        &plan,
        |action| matches!(action, Action::Swap { set: FileSet::Nginx, gone, .. } if gone.iter().any(|(path, _)| path == old)),
    );
    assert!(staged < validated && validated < swapped);
    // Each process has another unit: the old one stops before the new one starts.
    for (old, new) in [
        ("redis-server@matrix.service", "redis-server@chat.service"),
        ("matrix_main.service", "chat_main.service"),
        (UNIT, "chat_generic_worker@client.service"),
    ] {
        let start = position(
            &plan,
            |action| matches!(action, Action::Start { services } if services.iter().any(|one| one.unit == new)),
        );
        assert!(position(&plan, stops(old)) < start, "{old}\n{}", crate::tell(&plan));
    }
    world.apply(&plan);
    world.assert_settled();
    assert_eq!(world.machine("hs1").text(old), None);
    assert!(world.machine("hs1").text("/etc/nginx/conf.d/chat.conf").is_some());
}
