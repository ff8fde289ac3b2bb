//! Pools of several restart a few at a time, and nothing is routed to those that are away.

use std::collections::{BTreeMap, BTreeSet};

use synprov::modules::away::upstreams;
use synprov::plan::change::Cause;
use synprov::plan::step::Action;
use synprov::plan::{Batch, Plan, Step};
use synprov::resource::{FileSet, Piece};

use crate::inventories::written;
use crate::machine::Kind;
use crate::order::assert_valid;
use crate::perform::Killed;
use crate::sampled;
use crate::world::World;

const SYNC: &str = "{hosts: {hs1: 1, hs2: 1}, handles: [sync], config: {event_cache_size: 10K}}";
const CLIENT: &str =
    "{host: hs2, count: 4, handles: [client_reader, login], config: {event_cache_size: 10K}}";

/// Pools of two (on two hosts) and of four, two senders, and one that is alone.
fn pools(proxy: &str) -> String {
    format!(
        "\
hosts:
  hs1: {{address: 192.0.2.1, internal_address: 10.8.0.1, user: root}}
  hs2: {{address: 192.0.2.2, internal_address: 10.8.0.2, user: root}}
synapse:
  server_name: example.org
  version: 1.163.2
  install: managed
  config: {{report_stats: false}}
postgresql: {{host: hs1}}
redis: {{host: hs1}}
main: {{host: hs1}}
proxy: {{host: hs1, kind: {proxy}, tls: none}}
workers:
  sync: {SYNC}
  client: {CLIENT}
  alone: {{host: hs2, handles: [federation], config: {{event_cache_size: 10K}}}}
  sender: {{host: hs2, count: 2, runs: [federation_sender], config: {{event_cache_size: 10K}}}}
"
    )
}

const FILES: [(&str, &str); 2] =
    [("nginx", "/etc/nginx/conf.d/matrix.conf"), ("haproxy", "/etc/haproxy/matrix.cfg")];

/// An option of every worker is another.
fn changed(text: &str) -> String {
    text.replace("10K", "20K")
}

/// Name of the process behind a unit.
fn name<'w>(world: &'w World, host: &str, unit: &str) -> Option<&'w str> {
    let instances = world.topology.instances.iter();
    instances.filter(|one| one.host == host && one.unit == unit).map(|one| one.name.as_str()).next()
}

/// Goes through a plan with every proxy's routes before it, and insists that whoever restarts and could be
/// routed around is, that half of every pool stays, and that all are routed to again in the end. Gives back
/// who was routed around when.
fn follow(world: &World, plan: &Plan) -> Vec<Vec<String>> {
    let running = |pool: &str| world.topology.instances.iter().filter(|one| one.pool == pool).count();
    let mut rounds: Vec<Vec<String>> = Vec::new();
    let mut away: BTreeSet<String> = BTreeSet::new();
    let mut drained: BTreeSet<&str> = BTreeSet::new();
    for step in &plan.steps {
        match &step.action {
            Action::Route { set, file, away: now, .. } => {
                let Piece::Text(text) = &file.content.0[0] else { panic!() };
                for servers in upstreams(*set, text) {
                    assert!(!servers.is_empty());
                }
                let mark = if *set == FileSet::Nginx { " down;" } else { " disabled\n" };
                assert_eq!(text.contains(mark), !now.is_empty(), "{now:?}\n{text}");
                away = now.iter().cloned().collect();
                drained.clear();
                let mut pools: BTreeMap<&str, usize> = BTreeMap::new();
                for one in world.topology.instances.iter().filter(|one| away.contains(&one.name)) {
                    *pools.entry(&one.pool).or_default() += 1;
                }
                // Pools of one may share an upstream.
                for (pool, count) in pools.into_iter().filter(|(pool, _)| running(pool) > 1) {
                    assert!(count * 2 <= running(pool), "{count} of {} of {pool}", running(pool));
                }
                rounds.push(now.clone());
            }
            Action::Drain { unit, listener, seconds } => {
                let name = name(world, &step.host, unit).unwrap();
                assert!(away.contains(name), "{name} is waited for and routed to");
                let instance = world.topology.instances.iter().find(|one| one.name == name).unwrap();
                assert_eq!(instance.client.as_ref(), Some(listener));
                assert_eq!(*seconds, 120);
                drained.insert(name);
            }
            Action::Restart { service } => {
                let Some(name) = name(world, &step.host, &service.unit) else { continue };
                assert_eq!(away.contains(name), drained.contains(name), "{name}");
            }
            _ => {}
        }
    }
    assert_eq!(away, BTreeSet::new(), "some are not routed to in the end\n{}", crate::tell(plan));
    rounds
}

fn restarted(plan: &Plan) -> Vec<&str> {
    let restarts = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Restart { service } => Some(service.unit.as_str()),
        _ => None,
    });
    restarts
        .map(|unit| unit.trim_start_matches("matrix_generic_worker@").trim_end_matches(".service"))
        .collect()
}

#[test]
fn pools_restart_half_at_a_time_and_whoever_is_alone_comes_last() {
    for (proxy, file) in FILES {
        let text = pools(proxy);
        let mut world = World::model(&text);
        let before = world.machine("hs1").text(file).unwrap().to_owned();
        world.becomes(&changed(&text));
        let plan = world.plan();
        assert_valid(&world, &plan);
        assert_eq!(
            follow(&world, &plan),
            [vec!["sync", "client", "client2"], vec!["sync2", "client3", "client4"], vec![]],
            "{}",
            crate::tell(&plan)
        );
        let order = restarted(&plan);
        assert_eq!(order.last(), Some(&"alone"), "{order:?}");
        assert_eq!(order.len(), 9, "{order:?}");
        assert_eq!(plan.notes, [] as [&str; 0]);
        world.apply(&plan);
        world.assert_settled();
        assert_eq!(world.machine("hs1").text(file), Some(before.as_str()), "its very bytes are back");
    }
}

#[test]
fn a_round_that_fails_stops_the_next() {
    let text = pools("nginx");
    let mut world = World::model(&text);
    world.becomes(&changed(&text));
    let plan = world.plan();
    let at = |wanted: &str| {
        let found = plan.steps.iter().find(|step| matches!(&step.action, Action::Restart { service } if service.unit == format!("matrix_generic_worker@{wanted}.service")));
        found.unwrap()
    };
    let mut waits: BTreeSet<usize> = at("sync2").after.iter().copied().collect();
    for step in plan.steps.iter().rev().filter(|step| step.id < at("sync2").id) {
        if waits.contains(&step.id) {
            waits.extend(&step.after);
        }
    }
    for first in ["sync", "client", "client2", "sender"] {
        assert!(waits.contains(&at(first).id), "sync2 does not wait for {first}\n{}", crate::tell(&plan));
    }
}

#[test]
fn more_or_fewer_at_a_time_and_no_waiting_if_so_wished() {
    let text = pools("nginx");
    for (batch, rounds) in [(Batch::Count(1), 5), (Batch::Percent(100), 3), (Batch::Count(9), 3)] {
        let mut world = World::model(&text);
        world.becomes(&changed(&text));
        world.rolling.batch = batch;
        world.rolling.drain_seconds = 0;
        let plan = world.plan();
        let routes = plan.steps.iter().filter(|step| matches!(step.action, Action::Route { .. })).count();
        assert_eq!(routes, rounds, "{batch}\n{}", crate::tell(&plan));
        assert!(!plan.steps.iter().any(|step| matches!(step.action, Action::Drain { .. })));
        world.apply(&plan);
        world.assert_settled();
    }
}

#[test]
fn an_apply_that_dies_while_it_routes_around_somebody_is_nobodys_drift() {
    for (proxy, file) in FILES {
        let text = pools(proxy);
        let mut model = World::model(&text);
        let before = model.machine("hs1").text(file).unwrap().to_owned();
        model.becomes(&changed(&text));
        let plan = model.plan();
        let first = plan.steps.iter().position(|step| matches!(step.action, Action::Route { .. })).unwrap();
        // On HAProxy, which differs in the file alone, only in the steps that write it.
        let tried = |step: &Step| {
            matches!(step.action, Action::Route { .. })
                || proxy == "nginx" && matches!(step.action, Action::Drain { .. } | Action::Restart { .. })
        };
        for at in (first..plan.steps.len()).filter(|at| tried(&plan.steps[*at])) {
            for done in [1, usize::MAX] {
                let mut world = model.clone();
                world.apply_killed(&plan, Killed { at, done });
                let again = world.plan();
                let what =
                    format!("killed in {} ({done})\n{}", plan.steps[at].action.title(), crate::tell(&again));
                assert_eq!(again.refusals, [], "{what}");
                assert!(again.changes.iter().all(|change| change.cause == Cause::Intended), "{what}");
                let leftover = again.changes.iter().find(|change| change.name == file);
                let standing = world.machine("hs1").text(file).unwrap().to_owned();
                assert_eq!(leftover.is_some(), standing != before, "{what}");
                assert_valid(&world, &again);
                follow(&world, &again);
                // And once more, somewhere in the middle.
                if let Some(step) = again.steps.get(again.steps.len() / 2) {
                    world.apply_killed(&again, Killed { at: step.id, done });
                }
                let last = world.plan();
                assert!(
                    last.changes.iter().all(|change| change.cause == Cause::Intended),
                    "{}",
                    crate::tell(&last)
                );
                world.apply(&last);
                world.assert_settled();
                assert_eq!(world.machine("hs1").text(file), Some(before.as_str()), "{what}");
            }
        }
    }
}

#[test]
fn who_is_alone_is_away_for_as_long_as_its_last_start_took() {
    let text = pools("nginx");
    let mut world = World::model(&text);
    world.becomes(&changed(&text));
    let plan = world.plan();
    let alone =
        plan.steps.iter().find(|step| step.action.title() == "restart matrix_generic_worker@alone.service");
    assert!(
        alone.unwrap().why.ends_with("; away for about 3 s, as its last start took"),
        "{}",
        alone.unwrap().why
    );
    let of_pool =
        plan.steps.iter().find(|step| step.action.title() == "restart matrix_generic_worker@client.service");
    assert!(!of_pool.unwrap().why.contains("away"), "{}", of_pool.unwrap().why);
}

#[test]
fn where_nothing_can_be_routed_around_the_plan_says_so() {
    let text = pools("nginx");
    let whole = |mut world: World, reason: &str| {
        world.becomes(&changed(&text));
        let plan = world.plan();
        assert!(
            !plan.steps.iter().any(|step| matches!(step.action, Action::Route { .. } | Action::Drain { .. }))
        );
        assert!(plan.notes.iter().any(|note| note.contains(reason)), "{:?}", plan.notes);
        // Still in rounds, and who is alone last.
        assert_eq!(restarted(&plan).last(), Some(&"alone"));
    };
    let mut limited = World::model(&text);
    limited.excluded = vec!["hs1".to_owned()];
    whole(limited, "hs1, which has a proxy, takes no part");
    let mut edited = World::model(&text);
    let now = edited.tick();
    let node = edited.machine("hs1").node("/opt/matrix/nginx/worker/sync.conf");
    (node.kind, node.changed) = (Kind::File("mine".to_owned()), now);
    whole(edited, "/opt/matrix/nginx/worker/sync.conf is not as synprov left it");
    // A proxy that does not run routes nothing.
    let mut stopped = World::model(&text);
    stopped.machine("hs1").units.get_mut("nginx.service").unwrap().active = "inactive".to_owned();
    stopped.becomes(&changed(&text));
    assert!(!stopped.plan().steps.iter().any(|step| matches!(step.action, Action::Route { .. })));
}

#[test]
fn workers_come_and_go_while_others_of_their_pools_restart() {
    let text = pools("nginx");
    let mut world = World::model(&text);
    let grown =
        changed(&text).replace("count: 4", "count: 3").replace("{hs1: 1, hs2: 1}", "{hs1: 2, hs2: 2}");
    world.becomes(&grown);
    let plan = world.plan();
    assert_valid(&world, &plan);
    // The fourth of its pool is still there while the others restart; new ones get no requests before the end.
    assert_eq!(
        follow(&world, &plan),
        [vec!["sync", "client"], vec!["sync2", "client2"], vec!["client3"], vec![]],
        "{}",
        crate::tell(&plan)
    );
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn any_deployment_with_an_option_of_all_workers_changed() {
    sampled(25, written(), |written| {
        let text =
            written.text().replace("report_stats: false", "report_stats: false, event_cache_size: 10K");
        let mut world = World::model(&text);
        world.becomes(&changed(&text));
        let plan = world.plan();
        assert_eq!(plan.refusals, []);
        assert_valid(&world, &plan);
        for away in follow(&world, &plan) {
            let hosts: BTreeSet<&String> = away.iter().collect();
            assert_eq!(hosts.len(), away.len(), "somebody twice in {away:?}");
        }
        world.apply(&plan);
        world.assert_settled();
    });
}
