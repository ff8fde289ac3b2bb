//! An apply fails anywhere: the way back leads to what was, by a plan like any other.

use std::collections::BTreeMap;

use base64::Engine as _;
use indexmap::IndexMap;
use proptest::prelude::*;
use synprov::apply::former::{Former, Meaning, NoFormer};
use synprov::facts::HostFacts;
use synprov::facts::generation::{Meta, meta_text, resources_text};
use synprov::facts::packed::packed;
use synprov::facts::reply::Reply;
use synprov::inventory::SecretSource;
use synprov::plan::change::{Cause, Operation};
use synprov::plan::step::Action;
use synprov::plan::{Allow, Plan};
use synprov::render::history::{Listed, json};

use crate::causes::SMALL;
use crate::inventories::{Written, written};
use crate::leaving::brought;
use crate::machine::Kind;
use crate::order::assert_valid;
use crate::perform::Killed;
use crate::sampled;
use crate::world::World;

/// Applies `text` to `world`, fails at step `at` after `done` parts of it, and goes back. Gives the plan
/// that failed and the one that led back.
fn fails_and_returns(world: &mut World, text: &str, at: usize, done: usize) -> Option<(Plan, Plan)> {
    let (topology, resources) = (world.topology.clone(), world.resources.clone());
    let before = contents(world);
    world.becomes(text);
    world.allow.datastore_restart = true;
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    if plan.is_empty() {
        return None;
    }
    let at = at % plan.steps.len();
    println!("fails at {} {}", plan.steps[at].host, plan.steps[at].action.title());
    world.apply_killed(&plan, Killed { at, done });

    (world.topology, world.resources) = (topology, resources);
    for node in world.topology.secrets.values_mut() {
        node.source = SecretSource::Generate;
    }
    let back = world.plan();
    assert_eq!(back.refusals, []);
    assert_valid(world, &back);
    for change in &back.changes {
        // systemd may not have been told yet, which tells nothing about who changed the file.
        let untold = change.reason.starts_with("systemd has not read");
        assert!(change.cause == Cause::Intended || untold, "nobody else touched it: {}", crate::tell(&back));
    }
    assert!(
        !back.steps.iter().any(|step| matches!(step.action, Action::GenerateSecret { .. })),
        "{}",
        crate::tell(&back)
    );
    world.apply(&back);
    world.assert_settled();
    assert_eq!(contents(world), before, "not what it was");
    Some((plan, back))
}

/// Files that are managed now, with what stands in them, but for secrets of their own (values that were
/// brought stay) and for units: what runs.
fn contents(world: &World) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (host, machine) in &world.machines {
        for (path, node) in &machine.nodes {
            if let (Kind::File(text), false) = (&node.kind, path.contains("/conf/secrets/")) {
                found.insert(format!("{host}:{path}"), format!("{} {} {text}", node.owner, node.mode));
            }
        }
        for (unit, fact) in machine.units.iter().filter(|(_, fact)| fact.active == "active") {
            // A package that stays brings its own.
            if !unit.starts_with("nginx") {
                found.insert(format!("{host}: {unit}"), fact.file_state.clone());
            }
        }
    }
    found
}

/// A host that had nothing gets files with secrets, and the apply dies right there.
#[test]
fn what_was_put_on_a_new_host_a_moment_ago_goes_again_and_nobody_changed_it() {
    let first = Written { hosts: 2, data: 0, front: 0, tls: false, pools: Vec::new() };
    let second = Written { pools: vec![(8, 0, 1), (0, 1, 1)], ..first.clone() };
    let mut world = World::model(&first.text());
    world.becomes(&second.text());
    let steps = world.plan().steps;
    let swaps = steps.iter().filter(|step| matches!(step.action, Action::Swap { .. }));
    for at in swaps.map(|step| step.id) {
        for done in 1..4 {
            let mut world = World::model(&first.text());
            fails_and_returns(&mut world, &second.text(), at, done);
        }
    }
}

#[test]
fn an_apply_that_fails_anywhere_leads_back_to_what_was() {
    let moments = (any::<prop::sample::Index>(), 0..4usize);
    sampled(16, (written(), written(), moments), |(first, second, (at, done))| {
        let second = Written { pools: second.pools, tls: second.tls, ..first.clone() };
        let mut world = World::model(&first.text());
        let Some((plan, _)) = fails_and_returns(&mut world, &second.text(), at.index(10_000), done) else {
            return;
        };
        // What was intended is still to come, and nobody is blamed for it.
        world.becomes(&second.text());
        let again = world.plan();
        assert_eq!(again.refusals, []);
        for change in &again.changes {
            assert_eq!(change.cause, Cause::Intended, "{}", crate::tell(&again));
        }
        let updates = |plan: &Plan| -> Vec<String> {
            let updated = plan.changes.iter().filter(|change| change.operation == Operation::Update);
            updated.map(|change| change.address.clone()).collect()
        };
        for address in updates(&plan) {
            let listed = again.changes.iter().any(|change| change.address == address);
            // What is only ever raised, installed or checked was done once and for all.
            let lasting = ["/directive:", "/packages:", "/routes:", "/postgresql:", "/secret:"];
            assert!(listed || lasting.iter().any(|kind| address.contains(kind)), "{address} is forgotten");
        }
        world.apply(&again);
        world.assert_settled();
    });
}

#[test]
fn only_what_took_the_new_options_over_restarts_on_the_way_back() {
    let text = SMALL.replace("10K", "20K").replace("handles: [sync]", "handles: [sync], nice: 5");
    let units = ["matrix_generic_worker@client.service", "matrix_generic_worker@sync.service"];
    let mut world = World::model(SMALL);
    world.becomes(&text);
    let plan = world.plan();
    let first = plan.steps.iter().position(|step| matches!(step.action, Action::Restart { .. })).unwrap();
    for (at, parts) in [(first, 0), (first, usize::MAX)] {
        let mut world = World::model(SMALL);
        let (_, back) = fails_and_returns(&mut world, &text, at, parts).unwrap();
        let restarted = brought(&back);
        assert_eq!(restarted.len(), usize::from(parts > 0), "{}", crate::tell(&back));
        assert!(restarted.iter().all(|unit| units.iter().any(|known| unit == known)));
    }
}

#[test]
fn what_took_a_stream_over_lets_it_go_before_its_former_holder_starts() {
    let held = "  typist: {host: hs2, writes: [typing]}\n";
    let moved = "  other: {host: hs1, writes: [typing]}\n";
    for (from, to) in [("", held), (held, ""), (held, moved)] {
        let (from, to) = (format!("{SMALL}{from}"), format!("{SMALL}{to}"));
        let steps = {
            let mut world = World::model(&from);
            world.becomes(&to);
            world.plan().steps.len()
        };
        for at in 0..steps {
            // The model host insists that no two processes hold it at once.
            let mut world = World::model(&from);
            fails_and_returns(&mut world, &to, at, usize::MAX);
        }
    }
}

const SCHEMA: &str = include_str!("../../schema/history.schema.json");

/// What each host keeps of a generation, as it would send it.
fn kept(world: &World, number: u64, text: &str) -> IndexMap<String, HostFacts> {
    let meta = Meta { format: 1, number, who: "anna@laptop".to_owned(), ..Meta::default() };
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut all = IndexMap::new();
    for (host, facts) in world.facts() {
        let resources = resources_text(world.of(&host).into_iter(), |body| body);
        let lock = synprov::inventory::lock::emit(&world.lock);
        let files = [
            ("meta", meta_text(&meta)),
            ("inventory", text.to_owned()),
            ("lock", lock),
            ("resources", resources),
        ];
        let mut reply = Reply::default();
        reply.take(&format!("kept\t{number}")).unwrap();
        for (file, content) in files {
            reply.take(&format!("kept\t{file}\t{}", base64(&packed(&content)))).unwrap();
        }
        reply.take(&format!("generation\t{number}\t{}", base64(meta_text(&meta).as_bytes()))).unwrap();
        reply.take("end\tfacts").unwrap();
        let said = reply.finish().unwrap();
        let HostFacts { generation, generations, .. } = said;
        all.insert(host, HostFacts { generation, generations, ..facts });
    }
    all
}

fn understand(inventory: &str, lock: &str) -> Result<Meaning, String> {
    let lock = synprov::inventory::lock::parse(lock).map_err(|found| format!("{found:?}"))?;
    let (topology, ..) = crate::world::meaning(inventory, &lock)?;
    Ok(Meaning { topology, addresses: BTreeMap::new() })
}

#[test]
fn what_hosts_keep_is_what_was_applied() {
    let world = World::model(SMALL);
    let facts = kept(&world, 3, SMALL);
    let former = Former::of(&facts, "hs1", true, &understand).unwrap();
    assert_eq!(former.resources, world.resources);
    assert_eq!((former.meta.number, former.numbers["hs2"]), (3, 3));
    let plan = former.plan(&facts, &[], Allow::default());
    assert!(plan.is_empty() && plan.refusals.is_empty(), "{}", crate::tell(&plan));
}

#[test]
fn a_host_is_not_given_a_secret_that_is_not_its_own() {
    let text = SMALL.replace("10K}", "10K, email: {smtp_pass: {secret: smtp}}}");
    let world = World::model(&text);
    let mut facts = kept(&world, 3, &text);
    // hs2 keeps as its own what is hs1's, where the only process with that password is.
    let stolen = facts["hs1"].generation.clone();
    facts["hs2"].generation = stolen;
    match Former::of(&facts, "hs1", true, &understand) {
        Err(NoFormer::Unusable { host, why }) => {
            assert_eq!(host, "hs2");
            assert!(why.contains("which is not for that host"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn there_is_no_way_back_to_what_nobody_keeps() {
    let world = World::model(SMALL);
    let bare = World::bare(SMALL);
    assert!(matches!(Former::of(&bare.facts(), "hs1", true, &understand), Err(NoFormer::First)));
    assert!(matches!(Former::of(&world.facts(), "hs1", true, &understand), Err(NoFormer::NotKept { .. })));
}

#[test]
fn the_json_of_the_history_is_what_its_schema_says() {
    let listed: Vec<Listed> = (1..4)
        .map(|number| {
            let changes = vec!["~ hs2: file /x".to_owned()];
            let meta =
                Meta { format: 1, number, back_to: (number == 3).then_some(1), changes, ..Meta::default() };
            Listed { meta, kept: vec!["hs1".to_owned()], current: Vec::new() }
        })
        .collect();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = serde_json::from_str(&json(&listed, &[])).unwrap();
    let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, [] as [String; 0]);
}
