//! Synapse's own rules: who stops, who starts and who restarts together when something changes.

use std::collections::BTreeSet;

use synprov::plan::step::Action;
use synprov::plan::{Plan, Step};

use crate::causes::SMALL;
use crate::leaving::{brought, without};
use crate::machine::Kind;
use crate::order::assert_valid;
use crate::world::World;

const MAIN: &str = "matrix_main.service";

fn worker(name: &str) -> String {
    format!("matrix_generic_worker@{name}.service")
}

/// The plan for another inventory, which is valid and not refused.
fn planned(world: &mut World, text: &str) -> Plan {
    world.allow.datastore_restart = true;
    world.becomes(text);
    let plan = world.plan();
    assert_valid(world, &plan);
    assert_eq!(plan.refusals, []);
    plan
}

fn stop<'p>(plan: &'p Plan, name: &str) -> &'p Step {
    let unit = worker(name);
    let found =
        plan.steps.iter().find(|step| matches!(&step.action, Action::Stop { unit: of, .. } if *of == unit));
    found.unwrap_or_else(|| panic!("{name} is not stopped\n{}", crate::tell(plan)))
}

/// The step that starts or restarts a unit.
fn up<'p>(plan: &'p Plan, unit: &str) -> &'p Step {
    let found = plan.steps.iter().find(|step| match &step.action {
        Action::Start { services } => services.iter().any(|service| service.unit == unit),
        Action::Restart { service } => service.unit == unit,
        _ => false,
    });
    found.unwrap_or_else(|| panic!("{unit} does not start\n{}", crate::tell(plan)))
}

/// Whether `then` waits for `first`, directly or not.
fn waits(plan: &Plan, then: &Step, first: &Step) -> bool {
    let mut before: BTreeSet<usize> = then.after.iter().copied().collect();
    for step in plan.steps.iter().rev().filter(|step| step.id < then.id) {
        if before.contains(&step.id) {
            before.extend(&step.after);
        }
    }
    before.contains(&first.id)
}

fn assert_order(plan: &Plan, steps: &[&Step]) {
    for pair in steps.windows(2) {
        assert!(
            waits(plan, pair[1], pair[0]),
            "{} does not wait for {}\n{}",
            pair[1].action.title(),
            pair[0].action.title(),
            crate::tell(plan)
        );
    }
}

/// Units of Synapse that start or restart.
fn processes(plan: &Plan) -> BTreeSet<String> {
    let units = brought(plan).into_iter().filter(|unit| unit.starts_with("matrix_"));
    units.map(ToOwned::to_owned).collect()
}

fn all(world: &World) -> BTreeSet<String> {
    world.topology.instances.iter().map(|one| one.unit.clone()).collect()
}

#[test]
fn all_federation_senders_stop_before_anybody_starts_with_another_list() {
    let three = SMALL.replace("sender: {host: hs2, ", "sender: {hosts: {hs1: 1, hs2: 2}, ");
    for (from, to) in [(SMALL, three.as_str()), (three.as_str(), SMALL)] {
        let mut world = World::model(from);
        let before: Vec<String> = members(&world, "federation_sender");
        let plan = planned(&mut world, to);
        for old in &before {
            let stop = stop(&plan, old);
            assert!(stop.why.contains("list of federation senders changes"), "{}", stop.why);
            assert_order(&plan, &[stop, up(&plan, MAIN)]);
            for now in members(&world, "federation_sender") {
                assert_order(&plan, &[stop, up(&plan, &worker(&now))]);
            }
        }
        let main = up(&plan, MAIN);
        assert!(main.why.contains("all senders have stopped before main and they start"), "{}", main.why);
        // Nobody else reads that list.
        let now = members(&world, "federation_sender");
        let expected = now.iter().map(|name| worker(name)).chain([MAIN.to_owned()]);
        assert_eq!(processes(&plan), expected.collect(), "{}", crate::tell(&plan));
        world.apply(&plan);
        world.assert_settled();
    }
}

fn members(world: &World, job: &str) -> Vec<String> {
    let instances = world.topology.instances.iter();
    instances.filter(|one| one.runs.iter().any(|run| run == job)).map(|one| one.name.clone()).collect()
}

#[test]
fn another_order_of_the_senders_is_another_list() {
    let text = SMALL.replace("sender: {host: hs2, ", "sender: {host: hs2, count: 2, ");
    let mut world = World::model(&text);
    world.lock.lists.get_mut("federation_sender_instances").unwrap().reverse();
    let plan = planned(&mut world, &text);
    assert_order(&plan, &[stop(&plan, "sender"), up(&plan, MAIN), up(&plan, &worker("sender"))]);
    assert_order(&plan, &[stop(&plan, "sender2"), up(&plan, &worker("sender"))]);
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn main_stops_sending_before_the_first_sender_starts_and_sends_after_the_last_one_stopped() {
    let mut world = World::model(&without("sender"));
    let plan = planned(&mut world, SMALL);
    assert_order(&plan, &[up(&plan, MAIN), up(&plan, &worker("sender"))]);
    world.apply(&plan);
    let plan = planned(&mut world, &without("sender"));
    assert_order(&plan, &[stop(&plan, "sender"), up(&plan, MAIN)]);
}

#[test]
fn persisters_stop_then_start_then_every_other_process_restarts() {
    let two = SMALL.replace("persister: {host: hs1, ", "persister: {hosts: {hs1: 1, hs2: 1}, ");
    for (from, to) in [(SMALL, two.as_str()), (two.as_str(), SMALL)] {
        let mut world = World::model(from);
        let plan = planned(&mut world, to);
        let (old, main) = (stop(&plan, "persister"), up(&plan, MAIN));
        assert!(old.why.contains("list of event persisters changes"), "{}", old.why);
        assert!(main.why.contains("every process restarts after the persisters have"), "{}", main.why);
        assert_order(&plan, &[old, up(&plan, &worker("persister")), main]);
        for other in ["sync", "client", "sender"] {
            assert_order(&plan, &[main, up(&plan, &worker(other))]);
        }
        if to == two {
            assert_order(&plan, &[old, up(&plan, &worker("persister2")), main]);
        } else {
            assert_order(&plan, &[stop(&plan, "persister2"), up(&plan, &worker("persister"))]);
        }
        assert_eq!(processes(&plan), all(&world));
        assert!(plan.notes.iter().any(|note| note.contains("event persisters changes")), "{:?}", plan.notes);
        world.apply(&plan);
        world.assert_settled();
    }
}

#[test]
fn main_goes_first_where_it_was_the_persister_or_becomes_it_or_changes_itself() {
    let mut world = World::model(&without("persister"));
    let plan = planned(&mut world, SMALL);
    assert_order(&plan, &[up(&plan, MAIN), up(&plan, &worker("persister"))]);
    world.apply(&plan);
    let plan = planned(&mut world, &without("persister"));
    assert_order(&plan, &[stop(&plan, "persister"), up(&plan, MAIN)]);
    // The schema is main's: with another Synapse it goes first whatever else changes.
    let mut world = World::model(SMALL);
    let newer = SMALL
        .replace("1.163.2", "1.163.1")
        .replace("persister: {host: hs1, ", "persister: {host: hs1, count: 2, ");
    let plan = planned(&mut world, &newer);
    assert_order(&plan, &[stop(&plan, "persister"), up(&plan, MAIN), up(&plan, &worker("persister"))]);
}

#[test]
fn another_list_of_pushers_restarts_main_and_all_pushers_and_nobody_else() {
    let one = format!("{SMALL}  pusher: {{host: hs2, runs: [pusher]}}\n");
    let two = one.replace("pusher: {host: hs2, ", "pusher: {host: hs2, count: 2, ");
    let mut world = World::model(&one);
    let plan = planned(&mut world, &two);
    let expected = [MAIN.to_owned(), worker("pusher"), worker("pusher2")];
    assert_eq!(processes(&plan), BTreeSet::from(expected), "{}", crate::tell(&plan));
    assert_order(&plan, &[stop(&plan, "pusher"), up(&plan, MAIN), up(&plan, &worker("pusher"))]);
    assert!(up(&plan, MAIN).why.contains("main and all pushers start with the new list"));
}

#[test]
fn a_stream_or_a_job_that_moves_stops_its_old_holder_first() {
    for held in ["writes: [typing]", "runs: [background_tasks]", "runs: [user_directory]"] {
        let with = |pool: &str| {
            format!("{SMALL}  one: {{host: hs1, handles: [login]}}\n  two: {{host: hs2, handles: [registration]}}\n")
                .replace(&format!("  {pool}: {{"), &format!("  {pool}: {{{held}, "))
        };
        let mut world = World::model(&with("one"));
        let plan = planned(&mut world, &with("two"));
        let stop = stop(&plan, "one");
        assert!(stop.why.contains("never by two at a time"), "{}", stop.why);
        assert_order(&plan, &[stop, up(&plan, MAIN), up(&plan, &worker("two"))]);
        assert_order(&plan, &[stop, up(&plan, &worker("one"))]);
        world.apply(&plan);
        world.assert_settled();
    }
}

#[test]
fn a_new_replication_secret_restarts_the_whole_stack_and_says_so() {
    let mut world = World::model(SMALL);
    let path = world.topology.secrets["replication"].path.clone();
    let now = world.tick();
    let node = world.machine("hs1").node(&path);
    (node.kind, node.changed) = (Kind::File("a new secret".to_owned()), now);
    let plan = planned(&mut world, SMALL);
    assert_eq!(processes(&plan), all(&world), "{}", crate::tell(&plan));
    assert!(plan.notes.iter().any(|note| note.contains("the replication secret is new")), "{:?}", plan.notes);
    assert!(!plan.steps.iter().any(|step| matches!(step.action, Action::Route { .. })));
    let client = up(&plan, &worker("client"));
    assert!(client.why.contains("a new replication secret restarts every process"), "{}", client.why);
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn what_changes_restarts_who_reads_it() {
    let media = format!("{SMALL}  media: {{host: hs2, handles: [media], runs: [media_background]}}\n")
        .replace("install: managed", "install: managed\n  extras: [oidc]");
    let config = "config: {report_stats: false";
    let workers = ["sync", "client", "persister", "sender"].map(worker);
    let everybody: Vec<String> =
        workers.iter().cloned().chain([MAIN.to_owned(), "matrix_media.service".to_owned()]).collect();
    let clients = vec![MAIN.to_owned(), worker("sync"), worker("client")];
    let rows: [(&str, &str, &str, Vec<String>); 7] = [
        ("modules", config, "modules: [{module: a.b, config: {}}]", everybody.clone()),
        ("templates", config, "templates: {custom_template_directory: /srv/t}", everybody.clone()),
        (
            "OIDC",
            config,
            "oidc_providers: [{idp_id: x, idp_name: x, issuer: 'https://x.example/', client_id: x}]",
            clients,
        ),
        ("extra packages", "extras: [oidc]", "extras: [oidc, sentry]", everybody.clone()),
        ("instance map", "  persister: {host: hs1, ", "writes: [typing], ", everybody.clone()),
        (
            "media storage",
            config,
            "max_image_pixels: 16M",
            vec![MAIN.to_owned(), "matrix_media.service".to_owned()],
        ),
        ("trusted_proxies", "tls: none", "trusted_proxies: [192.0.2.77/32]", vec![]),
    ];
    for (what, at, add, expected) in rows {
        let mut world = World::model(&media);
        let to = match what {
            "extra packages" => media.replace(at, add),
            "instance map" => format!("{media}  typing: {{host: hs2, {}}}\n", add.trim_end_matches(", ")),
            _ => media.replace(at, &format!("{at}, {add}")),
        };
        let plan = planned(&mut world, &to);
        let mut expected: BTreeSet<String> = expected.into_iter().collect();
        if what == "instance map" {
            expected.insert(worker("typing"));
        }
        assert_eq!(processes(&plan), expected, "{what}\n{}", crate::tell(&plan));
        if expected.is_empty() {
            assert_eq!(brought(&plan), ["nginx.service"], "{what}");
            assert!(plan.steps.iter().any(|step| matches!(step.action, Action::Reload { .. })), "{what}");
        }
        world.apply(&plan);
        world.assert_settled();
    }
}

#[test]
fn secrets_of_hosts_restart_who_knows_them_after_whoever_gives_them_out() {
    for (secret, first) in
        [("signing_key", None), ("redis", Some("redis-server@matrix.service")), ("database", None)]
    {
        let mut world = World::model(SMALL);
        let path = world.topology.secrets[secret].path.clone();
        let now = world.tick();
        let node = world.machine("hs1").node(&path);
        (node.kind, node.changed) = (Kind::File("another".to_owned()), now);
        let plan = planned(&mut world, SMALL);
        assert_eq!(processes(&plan), all(&world), "{secret}\n{}", crate::tell(&plan));
        if let Some(unit) = first {
            assert_order(&plan, &[up(&plan, unit), up(&plan, MAIN)]);
        }
        if secret == "database" {
            let role = plan.steps.iter().find(|step| matches!(step.action, Action::PreparePostgresql { .. }));
            assert_order(&plan, &[role.unwrap(), up(&plan, MAIN)]);
        }
        let at_once = plan.notes.iter().any(|note| note.contains("pools are not routed around"));
        assert_eq!(at_once, secret == "redis", "{secret} {:?}", plan.notes);
        world.apply(&plan);
        world.assert_settled();
    }
}
