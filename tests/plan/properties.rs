//! Of any deployment: bare hosts, applied ones, half applied ones, and the same answer every time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use synprov::plan::change::{Cause, Operation};
use synprov::resource::Body;

use crate::inventories::{SHIPPED, written};
use crate::order::assert_valid;
use crate::perform::Killed;
use crate::sampled;
use crate::world::World;

/// Bare hosts need everything once; once it is there nothing is left.
fn from_bare_to_settled(text: &str) -> World {
    let mut world = World::bare(text);
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    let listed: Vec<&str> = plan.changes.iter().map(|change| change.address.as_str()).collect();
    let once: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(listed.len(), once.len(), "something is listed twice");
    let desired: BTreeSet<String> = world
        .resources
        .iter()
        .filter(|one| !matches!(&one.body, Body::ExternalPostgresql { .. }))
        .filter(|one| !matches!(&one.body, Body::Directory { path, .. } if world.machines[&one.address.host].nodes.contains_key(path)))
        .map(|one| one.address.to_string())
        .collect();
    assert_eq!(once, desired.iter().map(String::as_str).collect());
    for change in &plan.changes {
        assert_eq!(
            (change.operation, change.cause),
            (Operation::Create, Cause::Intended),
            "{}",
            change.address
        );
    }
    assert_valid(&world, &plan);
    world.apply(&plan);
    world.assert_settled();
    world
}

#[test]
fn the_shipped_inventories_go_from_bare_hosts_to_nothing_to_do() {
    for (name, text) in SHIPPED {
        println!("{name}");
        from_bare_to_settled(text);
    }
}

#[test]
fn any_inventory_goes_from_bare_hosts_to_nothing_to_do() {
    sampled(40, written(), |written| drop(from_bare_to_settled(&written.text())));
}

#[test]
fn the_same_input_gives_the_same_bytes_in_whatever_order_hosts_answered() {
    sampled(12, written(), |written| {
        let world = World::bare(&written.text());
        let plan = world.plan();
        let bytes = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::to_vec(&world.plan()).unwrap(), bytes);
        let mut facts = world.facts();
        facts.reverse();
        assert_eq!(serde_json::to_vec(&world.plan_over(&facts)).unwrap(), bytes);
    });
}

#[test]
fn an_apply_that_dies_anywhere_is_finished_by_the_next_and_is_nobodys_drift() {
    let moments = prop::collection::vec((any::<prop::sample::Index>(), 0..4usize), 1..4);
    sampled(40, (written(), moments), |(written, moments)| {
        let mut world = World::bare(&written.text());
        for (at, done) in moments {
            let plan = world.plan();
            if plan.is_empty() {
                break;
            }
            assert_eq!(plan.refusals, []);
            for change in &plan.changes {
                assert_eq!(change.cause, Cause::Intended, "{}", crate::tell(&plan));
            }
            let killed = Killed { at: at.index(plan.steps.len()), done };
            println!("killed at {killed:?}");
            world.apply_killed(&plan, killed);
        }
        let plan = world.plan();
        assert_eq!(plan.refusals, []);
        for change in &plan.changes {
            assert_eq!(change.cause, Cause::Intended, "{}", crate::tell(&plan));
        }
        world.apply(&plan);
        world.assert_settled();
    });
}
