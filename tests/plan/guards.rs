//! What an edit alone does not do: delete many processes unasked, move what others hang on, take another name,
//! make known secrets anew.

use std::collections::BTreeSet;

use proptest::prelude::*;
use synprov::plan::{Deletes, Plan};
use synprov::topology::Instance;

use crate::causes::SMALL;
use crate::inventories::written;
use crate::leaving::without;
use crate::sampled;
use crate::world::World;

/// The small deployment with a pool of five.
pub fn with_five() -> String {
    format!("{SMALL}  many: {{host: hs2, count: 5, handles: [client_reader, encryption]}}\n")
}

fn names(plan: &Plan) -> Option<Vec<&str>> {
    plan.deletes.as_ref().map(|deletes| deletes.names.iter().map(String::as_str).collect())
}

#[test]
fn many_deletes_need_a_word_and_few_do_not() {
    let mut world = World::model(&with_five());
    world.becomes(SMALL);
    let plan = world.plan();
    assert_eq!(names(&plan), Some(vec!["many", "many2", "many3", "many4", "many5"]));
    assert_eq!(plan.deletes.as_ref().unwrap().of, 10, "main and nine workers");
    assert_eq!(plan.refusals, [], "a person at a terminal may say yes");
    world.allow.deletes = true;
    assert_eq!(world.plan().deletes, None);
    // Two of ten are few.
    world.allow.deletes = false;
    world.becomes(&with_five().replace("count: 5", "count: 3"));
    assert_eq!(world.plan().deletes, None);
    // Two of five are more than a quarter.
    let mut world = World::model(SMALL);
    world.becomes(
        &without("sync")
            .lines()
            .filter(|line| !line.starts_with("  client: "))
            .fold(String::new(), |text, line| text + line + "\n"),
    );
    assert_eq!(names(&world.plan()), Some(vec!["client", "sync"]));
}

#[test]
fn what_lives_on_under_another_name_or_elsewhere_is_not_deleted() {
    let mut model = World::model(&with_five());
    model.allow.datastore_restart = true;
    for text in [
        with_five().replace("many: {host: hs2", "many: {host: hs1"),
        with_five().replace("  many: {host: hs2", "  lots: {was: many, host: hs2"),
        with_five().replace("  server_name:", "  prefix: chat\n  server_name:"),
    ] {
        let mut world = model.clone();
        world.becomes(&text);
        let plan = world.plan();
        assert!(plan.counts().2 > 4, "something leaves its host or unit");
        assert_eq!(plan.deletes, None, "{text}\n{}", crate::tell(&plan));
    }
    // With main's host left out nobody knows names; units tell.
    let mut limited = model.clone();
    limited.becomes(SMALL);
    limited.excluded = vec!["hs1".to_owned()];
    let units: Vec<String> = ["many", "many2", "many3", "many4", "many5"]
        .map(|name| format!("matrix_generic_worker@{name}.service"))
        .into();
    assert_eq!(limited.plan().deletes, Some(Deletes { names: units, of: 7 }));
}

#[test]
fn deletes_are_processes_that_were_and_are_no_more() {
    let shrunk = written().prop_flat_map(|from| {
        let pools = from.pools.len();
        (Just(from), prop::collection::vec(any::<bool>(), pools))
    });
    sampled(20, shrunk, |(from, keep)| {
        let mut world = World::model(&from.text());
        let before = world.topology.instances.clone();
        let mut to = from.clone();
        let mut kept = keep.iter();
        to.pools.retain(|_| *kept.next().unwrap());
        world.allow.datastore_restart = true;
        world.becomes(&to.text());
        // Another pool may have taken over a name, or a place with its ports.
        let place = |one: &Instance| (one.host.clone(), one.client_port, one.replication_port);
        let lives = |one: &&Instance| {
            let now = &world.topology.instances;
            !now.iter().any(|other| {
                other.name == one.name
                    || (place(other) == place(one) && place(one) != (one.host.clone(), None, None))
            })
        };
        let gone: BTreeSet<&String> = before.iter().filter(lives).map(|one| &one.name).collect();
        let many = gone.len() > 3 || (before.len() >= 4 && gone.len() * 4 > before.len());
        assert_eq!(world.plan().deletes.is_some(), many, "{gone:?} of {}", before.len());
        if let Some(deletes) = world.plan().deletes {
            assert_eq!(deletes.of, before.len());
            assert_eq!(deletes.names.iter().collect::<BTreeSet<_>>(), gone);
        }
    });
}

/// Everything is stopped, as the pages say first.
fn stopped(world: &World) -> World {
    let mut world = world.clone();
    for host in ["hs1", "hs2"] {
        for (unit, fact) in &mut world.machine(host).units {
            if unit.starts_with("matrix_") {
                fact.active = "inactive".to_owned();
            }
        }
    }
    world
}

/// Refused with this page while everything runs; once it is stopped, it is a plan like any other.
fn check_move(from: &str, to: &str, page: &str, prepare: impl Fn(&mut World)) {
    let mut world = World::model(SMALL);
    (world.allow.datastore_restart, world.allow.adopt) = (true, true);
    world.becomes(&SMALL.replace(from, to));
    prepare(&mut world);
    let plan = world.plan();
    let told: Vec<&String> = plan.refusals.iter().map(|refusal| &refusal.help).collect();
    assert!(told.iter().any(|help| help.contains(page)), "{page}: {:#?}", plan.refusals);
    assert_eq!(told.len(), 1, "{told:#?}");
    let page = format!("{}/{page}", env!("CARGO_MANIFEST_DIR"));
    assert!(std::fs::read_to_string(&page).unwrap().contains("synprov stop --yes"), "{page}");
    let mut world = stopped(&world);
    let plan = world.plan();
    assert_eq!(plan.refusals, [], "{}", crate::tell(&plan));
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn main_and_datastores_are_moved_as_their_pages_say() {
    check_move("main: {host: hs1", "main: {host: hs2", "docs/runbooks/move-main.md", |_| {});
    check_move("redis: {host: hs1", "redis: {host: hs2", "docs/runbooks/move-redis.md", |_| {});
    // The database is there already, restored.
    let restored = |world: &mut World| {
        let there = world.machine("hs1").postgresql.clone();
        let machine = world.machine("hs2");
        machine.postgresql = there;
        machine.packages.insert("postgresql".to_owned());
        machine.units.insert("postgresql.service".to_owned(), crate::machine::idle("enabled"));
        machine.start("postgresql.service", crate::machine::BOOT, false);
    };
    let (from, to) = ("postgresql: {host: hs1}", "postgresql: {host: hs2}");
    check_move(from, to, "docs/runbooks/move-postgresql.md", restored);
    // One that was only created is not the one that is meant, whoever is stopped.
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace(from, to));
    restored(&mut world);
    world.machine("hs2").postgresql.as_mut().unwrap().holds = None;
    let mut world = stopped(&world);
    world.allow.adopt = true;
    let refusals = world.plan().refusals;
    assert!(refusals.len() == 1 && refusals[0].summary.contains("would be empty"), "{refusals:#?}");
    // Whoever gives it to somebody else's PostgreSQL stops first as well.
    let mut world = World::model(SMALL);
    world.becomes(
        &SMALL.replace(from, "postgresql: {external: {host: 192.0.2.9, database: synapse, user: synapse}}"),
    );
    let refusals = world.plan().refusals;
    assert!(refusals.iter().any(|one| one.help.contains("move-postgresql.md")), "{refusals:#?}");
    assert_eq!(stopped(&world).plan().refusals, []);
}

#[test]
fn another_server_name_is_refused_with_its_page() {
    let world = World::model(SMALL);
    let refused = |change: fn(&mut synprov::facts::HostFacts)| {
        let mut facts = world.facts();
        change(facts.get_mut("hs1").unwrap());
        let refusals = world.plan_over(&facts).refusals;
        assert_eq!(refusals.len(), 1, "{refusals:#?}");
        let page = "docs/runbooks/another-server-name.md";
        assert!(refusals[0].help.contains(page), "{refusals:#?}");
        assert!(refusals[0].summary.contains("\"old.example\""), "{refusals:#?}");
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page).exists());
    };
    refused(|facts| {
        facts.claims.insert("/opt/matrix/conf/config.yaml".to_owned(), "old.example".to_owned());
    });
    refused(|facts| {
        let holds = facts.postgresql.as_mut().unwrap().holds.as_mut().unwrap();
        holds.server_name = Some("old.example".to_owned());
    });
}

#[test]
fn an_old_database_makes_no_new_secrets() {
    let used = World::model(SMALL);
    let mut world = World::bare(SMALL);
    world.machine("hs1").postgresql = used.machines["hs1"].postgresql.clone();
    world.allow.adopt = true;
    let refused: BTreeSet<String> = world.plan().refusals.into_iter().map(|one| one.summary).collect();
    assert_eq!(refused.len(), 4, "{refused:#?}");
    for name in ["signing_key", "macaroon", "form", "registration"] {
        assert!(
            refused.iter().any(|summary| summary.contains(&format!("its secret {name} is on no host"))),
            "{refused:#?}"
        );
        // Brought by hand, or by `secrets import`.
        let path = format!("/opt/matrix/conf/secrets/{name}");
        let node = used.machines["hs1"].nodes[&path].clone();
        world.machine("hs1").nodes.insert(path, node);
    }
    assert_eq!(world.plan().refusals, []);
    // One that no Synapse has started on says nothing.
    let mut world = World::bare(SMALL);
    world.machine("hs1").postgresql = used.machines["hs1"].postgresql.clone();
    world.machine("hs1").postgresql.as_mut().unwrap().holds = None;
    world.allow.adopt = true;
    assert_eq!(world.plan().refusals, []);
}
