//! Hosts that go missing, retire or are lost; things that move between hosts; `--limit`.

use synprov::plan::Plan;
use synprov::plan::change::Cause;
use synprov::plan::step::Action;

use crate::causes::SMALL;
use crate::leaving::{brought, position, without};
use crate::order::assert_valid;
use crate::world::World;

/// The small deployment with everything on hs1; hs2 has nothing to do.
fn alone() -> String {
    without("sync").replace("  sender: {host: hs2", "  sender: {host: hs1")
}

fn summaries(plan: &Plan) -> Vec<&str> {
    plan.refusals.iter().map(|refusal| refusal.summary.as_str()).collect()
}

fn one_refusal(plan: &Plan, words: &[&str]) {
    let found = summaries(plan);
    assert_eq!(found.len(), 1, "{found:#?}");
    for word in words {
        let refusal = &plan.refusals[0];
        assert!(refusal.summary.contains(word) || refusal.help.contains(word), "{word}: {refusal:#?}");
    }
}

#[test]
fn a_recorded_host_that_is_missing_is_refused_until_it_is_retired_or_lost() {
    let mut model = World::model(SMALL);
    model.allow.datastore_restart = true;
    let line = "  hs2: {address: 192.0.2.2, internal_address: 10.8.0.2, user: root}\n";
    let mut missing = model.clone();
    missing.becomes(&alone().replace(line, ""));
    one_refusal(&missing.plan(), &["hs2", "missing", "retired: true", "lost: true"]);

    let mut lost = model.clone();
    lost.becomes(&alone().replace("user: root}\nsynapse", "user: root, lost: true}\nsynapse"));
    let plan = lost.plan();
    assert_eq!(plan.refusals, []);
    assert!(!serde_json::to_string(&plan).unwrap().contains("hs2"), "nobody speaks of it any more");
    lost.apply(&plan);
    lost.assert_settled();
    // Once it is forgotten, its line may go.
    lost.becomes(&alone().replace(line, ""));
    assert_eq!(lost.plan().refusals, []);

    let mut retired = model.clone();
    retired.becomes(&alone().replace("user: root}\nsynapse", "user: root, retired: true}\nsynapse"));
    let plan = retired.plan();
    assert_eq!(plan.refusals, []);
    assert_valid(&retired, &plan);
    let stopped = plan.steps.iter().filter(|step| matches!(step.action, Action::Stop { disable: true, .. }));
    assert_eq!(stopped.filter(|step| step.host == "hs2").count(), 3, "{}", crate::tell(&plan));
    retired.apply(&plan);
    retired.assert_settled();
    retired.becomes(&alone().replace(line, ""));
    assert_eq!(retired.plan().refusals, []);
}

/// Moves something and insists that its old holder stops before the new one starts.
fn check_move(from: &str, to: &str, old: (&str, &str), new: (&str, &str)) {
    let mut world = World::model(from);
    world.allow.datastore_restart = true;
    world.becomes(to);
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    assert_valid(&world, &plan);
    let stop = plan.steps.iter().position(|step| {
        step.host == old.0 && matches!(&step.action, Action::Stop { unit, .. } if unit == old.1)
    });
    let start = plan.steps.iter().position(|step| {
        let unit = |unit: &str| step.host == new.0 && unit == new.1;
        match &step.action {
            Action::Start { services } => services.iter().any(|service| unit(&service.unit)),
            Action::Restart { service } => unit(&service.unit),
            _ => false,
        }
    });
    assert!(stop.is_some() && stop < start, "{stop:?} {start:?}\n{}", crate::tell(&plan));
    let why = &plan.steps[stop.unwrap()].why;
    assert!(why.contains("from now on") || why.contains("the list of "), "{why}");
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn what_holds_a_stream_or_job_stops_before_another_takes_over() {
    let worker = |name: &'static str| format!("matrix_generic_worker@{name}.service");
    // A worker that moves to another host.
    check_move(
        SMALL,
        &SMALL.replace("sender: {host: hs2", "sender: {host: hs1"),
        ("hs2", &worker("sender")),
        ("hs1", &worker("sender")),
    );
    // A stream that moves to another worker.
    check_move(
        &SMALL.replace("handles: [sync]", "handles: [sync], writes: [typing]"),
        &SMALL.replace("handles: [client_reader]", "handles: [client_reader], writes: [typing]"),
        ("hs2", &worker("sync")),
        ("hs1", &worker("client")),
    );
    // A stream and a job that go back to main.
    check_move(
        &SMALL.replace("handles: [sync]", "handles: [sync], writes: [typing]"),
        SMALL,
        ("hs2", &worker("sync")),
        ("hs1", "matrix_main.service"),
    );
    check_move(
        &SMALL.replace("handles: [sync]", "handles: [sync], runs: [background_tasks]"),
        SMALL,
        ("hs2", &worker("sync")),
        ("hs1", "matrix_main.service"),
    );
    check_move(SMALL, &without("sender"), ("hs2", &worker("sender")), ("hs1", "matrix_main.service"));
    // One more shard: who shares the work is known to all before any goes on.
    let two = SMALL.replace("sender: {host: hs2", "sender: {host: hs2, count: 2");
    check_move(SMALL, &two, ("hs2", &worker("sender")), ("hs2", &worker("sender2")));
    check_move(&two, SMALL, ("hs2", &worker("sender2")), ("hs2", &worker("sender")));
}

#[test]
fn a_limited_run_never_starts_what_may_still_run_elsewhere() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("sender: {host: hs2", "sender: {host: hs1"));
    world.excluded = vec!["hs2".to_owned()];
    one_refusal(&world.plan(), &["sender", "hs2", "--limit"]);
    // The other way round, main's host, which remembers who holds what, is left out.
    let mut world = World::model(SMALL);
    world.becomes(
        &SMALL
            .replace("  persister: {host: hs1, writes: [events]}\n", "")
            .replace("  sender: {host: hs2", "  sender: {host: hs1"),
    );
    let mut world = world.settled();
    world.becomes(&SMALL.replace("  persister: {host: hs1, writes: [events]}\n", ""));
    world.excluded = vec!["hs1".to_owned()];
    one_refusal(&world.plan(), &["sender", "hs1", "--limit"]);
}

#[test]
fn a_limited_run_is_refused_where_hosts_would_differ_afterwards() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("report_stats: false", "report_stats: true"));
    world.excluded = vec!["hs2".to_owned()];
    one_refusal(&world.plan(), &["config.yaml", "hs2", "--limit"]);
    // What concerns one host alone is not.
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    world.excluded = vec!["hs2".to_owned()];
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    assert_eq!(brought(&plan), ["matrix_generic_worker@client.service"]);
    world.apply(&plan);
    world.assert_settled();
    world.excluded.clear();
    world.assert_settled();
    // A secret that would have to come from a host that is left out, or is new.
    let mut world = World::model(SMALL);
    world.machine("hs2").remove("/opt/matrix/conf/secrets/form");
    world.excluded = vec!["hs1".to_owned()];
    assert!(!world.plan().refusals.is_empty());
    let mut world = World::bare(SMALL);
    world.excluded = vec!["hs2".to_owned()];
    assert!(summaries(&world.plan()).iter().all(|summary| summary.contains("--limit")));
    assert!(!world.plan().refusals.is_empty());
}

#[test]
fn a_running_deployments_datastore_restarts_only_when_that_is_allowed() {
    let more = format!("{SMALL}  much: {{host: hs1, count: 30, handles: [initial_sync]}}\n");
    let mut world = World::model(SMALL);
    world.becomes(&more);
    one_refusal(&world.plan(), &["PostgreSQL", "--allow-datastore-restart"]);
    // With main stopped nobody is hurt.
    let mut stopped = world.clone();
    stopped.machine("hs1").units.get_mut("matrix_main.service").unwrap().active = "inactive".to_owned();
    assert_eq!(stopped.plan().refusals, []);
    world.allow.datastore_restart = true;
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    position(&plan, |action| matches!(action, Action::PreparePostgresql { restart: Some(_), .. }));
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn a_secret_that_existed_and_is_gone_from_everywhere_is_never_made_anew() {
    let mut world = World::model(SMALL);
    world.machine("hs2").remove("/opt/matrix/conf/secrets/signing_key");
    assert_eq!(world.plan().refusals, [], "the other host still has it");
    world.machine("hs1").remove("/opt/matrix/conf/secrets/signing_key");
    one_refusal(&world.plan(), &["signing_key", "/opt/matrix/conf/secrets/signing_key", "backup"]);
}

#[test]
fn an_empty_database_never_takes_the_place_of_one_that_held_data() {
    // On another host.
    let mut world = World::model(SMALL);
    world.allow.datastore_restart = true;
    world.becomes(&SMALL.replace("postgresql: {host: hs1}", "postgresql: {host: hs2}"));
    one_refusal(&world.plan(), &["database", "hs1", "hs2", "restore"]);
    // On the same host, dropped.
    let mut world = World::model(SMALL);
    world.machine("hs1").postgresql.as_mut().unwrap().database = None;
    one_refusal(&world.plan(), &["database", "gone", "backup"]);
}

#[test]
fn a_mask_is_undone_like_any_other_change_of_somebodys() {
    let mut world = World::model(SMALL);
    let unit = world.machine("hs1").units.get_mut("matrix_generic_worker@client.service").unwrap();
    (unit.load, unit.file_state, unit.active) =
        ("masked".to_owned(), "masked".to_owned(), "inactive".to_owned());
    let plan = world.plan();
    assert_eq!(summaries(&plan), Vec::<String>::new());
    let changed: Vec<_> = plan.changes.iter().map(|change| (change.name.as_str(), change.cause)).collect();
    assert_eq!(changed, [("matrix_generic_worker@client.service", Cause::Drift)]);
    world.settled().assert_settled();
}

#[test]
fn after_a_limited_run_main_remembers_of_the_others_what_they_were() {
    let mut world = World::model(SMALL);
    let before = world.machine("hs1").recorded().topology.unwrap();
    // A worker more on each host, and a host more; only main's host is applied.
    world.becomes(
        &format!("{SMALL}  here: {{host: hs1, handles: [initial_sync]}}\n  there: {{host: hs2, handles: [initial_sync]}}\n  far: {{host: hs3, handles: [initial_sync]}}\n")
            .replace("synapse:", "  hs3: {address: 192.0.2.3, internal_address: 10.8.0.3, user: root}\nsynapse:"),
    );
    world.excluded = vec!["hs2".to_owned(), "hs3".to_owned()];
    world.allow.datastore_restart = true;
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    world.apply(&plan);
    world.assert_settled();
    let after = world.machine("hs1").recorded().topology.unwrap();
    assert_eq!(after.hosts, before.hosts);
    let names: Vec<&String> =
        after.instances.keys().filter(|name| !before.instances.contains_key(*name)).collect();
    assert_eq!(names, ["here"]);
    // What hs2 ran it still runs, though the inventory asks for less there.
    let mut less = World::model(SMALL);
    less.becomes(&without("sync"));
    less.excluded = vec!["hs2".to_owned()];
    let plan = less.plan();
    assert_eq!(plan.refusals, []);
    less.apply(&plan);
    let after = less.machine("hs1").recorded().topology.unwrap();
    assert_eq!(after.instances.get("sync"), before.instances.get("sync"));
}

#[test]
fn a_file_of_the_admins_must_not_replace_what_follows_from_the_inventory() {
    let world = World::model(SMALL);
    let mut facts = world.facts();
    let path = "/opt/matrix/conf/conf.d/mine.yaml";
    let keys = ["email", "report_stats", "instance_map"].map(str::to_owned).to_vec();
    facts.get_mut("hs1").unwrap().keys.insert(path.to_owned(), keys);
    let plan = world.plan_over(&facts);
    one_refusal(&plan, &[path, "instance_map", "delete"]);
    assert_eq!(plan.notes, [format!("{path} on hs1 has report_stats, which wins over the inventory's")]);
}

#[test]
fn haproxy_older_than_its_configuration_needs_is_refused_before_anything() {
    let world = World::bare(&SMALL.replace("kind: nginx", "kind: haproxy"));
    let with = |os: (&str, &str), package: Option<&str>| {
        let mut facts = world.facts();
        let hs1 = facts.get_mut("hs1").unwrap();
        (hs1.os_id, hs1.os_version) = (os.0.to_owned(), os.1.to_owned());
        hs1.packages.extend(package.map(|version| ("haproxy".to_owned(), version.to_owned())));
        world.plan_over(&facts)
    };
    one_refusal(&with(("ubuntu", "22.04"), None), &["distribution's HAProxy 2.4", "2.6 or later", "nginx"]);
    one_refusal(
        &with(("ubuntu", "22.04"), Some("2.4.24-0ubuntu0.22.04.1")),
        &["HAProxy 2.4", "2.6 or later"],
    );
    assert_eq!(with(("ubuntu", "22.04"), Some("2.8.5-1ppa1~jammy")).refusals, []);
    assert_eq!(with(("debian", "12"), None).refusals, []);
    assert_eq!(with(("ubuntu", "24.04"), Some("2.8.5-1ubuntu3")).refusals, []);
}
