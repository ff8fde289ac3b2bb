//! `--target`: a part alone, exactly; the rest stays as it is and as it is remembered, or it is refused.

use proptest::prelude::*;
use synprov::plan::target::{NoTarget, choose};

use crate::causes::SMALL;
use crate::inventories::written;
use crate::leaving::brought;
use crate::order::assert_valid;
use crate::sampled;
use crate::world::World;

const CLIENT: &str = "matrix_generic_worker@client.service";
const SYNC: &str = "matrix_generic_worker@sync.service";

fn aimed(world: &World, target: &str) -> World {
    World { target: vec![target.to_owned()], ..world.clone() }
}

/// Options of two workers changed.
fn two_changes() -> World {
    let mut world = World::model(SMALL);
    let text = SMALL.replace("10K", "20K").replace("handles: [sync]", "handles: [sync], nice: 5");
    world.becomes(&text);
    world
}

#[test]
fn one_of_two_changes_is_planned_and_done_and_the_other_is_left() {
    let whole = two_changes();
    assert_eq!(brought(&whole.plan()), [CLIENT, SYNC]);
    for target in
        ["client", "cl*", CLIENT, "matrix_generic_worker@cl?ent", "/opt/matrix/conf/workers/client.yaml"]
    {
        let mut world = aimed(&whole, target);
        let plan = world.plan();
        assert_eq!(plan.refusals, [], "{target}");
        assert_valid(&world, &plan);
        assert_eq!(brought(&plan), [CLIENT], "{target}: {}", crate::tell(&plan));
        assert!(plan.changes.iter().all(|change| change.host == "hs1" && change.name.contains("client")));
        world.apply(&plan);
        assert!(world.plan().is_empty(), "{}", crate::tell(&world.plan()));
        world.target.clear();
        let rest = world.plan();
        assert_eq!(brought(&rest), [SYNC], "{}", crate::tell(&rest));
        world.apply(&rest);
        world.assert_settled();
    }
}

#[test]
fn a_new_worker_comes_alone_and_nothing_that_left_goes() {
    let mut world = World::model(SMALL);
    let more = "  extra: {host: hs1, handles: [initial_sync]}\n  other: {host: hs1, handles: [encryption]}\n";
    world.becomes(&format!("{}{more}", crate::leaving::without("client")));
    world.target = vec!["extra".to_owned()];
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    assert_eq!(brought(&plan), ["matrix_generic_worker@extra.service"], "{}", crate::tell(&plan));
    world.apply(&plan);
    let names: Vec<String> =
        world.machine("hs1").recorded().topology.unwrap().instances.into_keys().collect();
    assert!(names.contains(&"extra".to_owned()) && names.contains(&"client".to_owned()), "{names:?}");
    assert!(!names.contains(&"other".to_owned()), "{names:?}");
    // The proxy alone would route to what does not run.
    world.target = vec!["nginx*".to_owned()];
    let plan = world.plan();
    assert!(
        plan.refusals.iter().any(|one| one.summary.contains("requests to other")),
        "{:#?}",
        plan.refusals
    );
    world.target.clear();
    world.settled().assert_settled();
}

#[test]
fn what_is_only_right_when_others_follow_is_refused() {
    let check = |text: &str, target: &str, words: &[&str]| {
        let mut world = World::model(SMALL);
        world.becomes(text);
        let plan = aimed(&world, target).plan();
        let said: Vec<String> =
            plan.refusals.iter().map(|one| format!("{}: {}", one.summary, one.help)).collect();
        assert!(
            said.iter().any(|line| words.iter().all(|word| line.contains(word))),
            "{target} {words:?}: {said:#?}"
        );
    };
    // The shared configuration is read by the others, too, and is the same on every host.
    let shared = SMALL.replace("report_stats: false", "report_stats: true");
    check(&shared, "client", &["config.yaml", "matrix_main.service", "--target"]);
    check(&shared, "client", &["config.yaml", "must be the same", "hs2"]);
    // A stream passes from main to a worker.
    let typing = format!("{SMALL}  typing: {{host: hs1, writes: [typing]}}\n");
    check(&typing, "typing", &["config.yaml", "--target"]);
    // A job passes from one process to another.
    let sender = SMALL.replace("sender: {host: hs2", "sender: {host: hs2, count: 2");
    check(&sender, "sender2", &["runs:federation_sender", "sender"]);
}

#[test]
fn what_cannot_be_chosen_is_said() {
    let model = World::model(SMALL);
    let chosen = |world: &World, name: &str| {
        choose(&world.topology, &world.resources, &world.facts(), &[name.to_owned()]).map(|_| ())
    };
    assert!(matches!(chosen(&model, "clients"), Err(NoTarget::Unknown(name, _)) if name == "clients"));
    assert_eq!(chosen(&World::bare(SMALL), "client"), Err(NoTarget::NothingApplied));
}

/// Of any deployment: what a target brings is a part of what everything would bring, and the rest is
/// still to do and still right afterwards.
#[test]
fn any_part_and_then_the_rest_is_the_whole() {
    sampled(20, (written(), written(), any::<prop::sample::Index>()), |(first, second, at)| {
        let mut world = World::model(&first.text());
        let Ok(_) = World::try_bare(&second.text()) else { return };
        if second.hosts != first.hosts || second.data != first.data {
            return;
        }
        world.allow.datastore_restart = true;
        world.becomes(&second.text());
        let whole = world.plan();
        let instance = at.get(&world.topology.instances).name.clone();
        world.target = vec![instance];
        let part = world.plan();
        if !part.refusals.is_empty() || !whole.refusals.is_empty() {
            return;
        }
        for change in &part.changes {
            assert!(whole.changes.iter().any(|one| one.address == change.address), "{}", change.address);
        }
        assert_valid(&world, &part);
        world.apply(&part);
        assert!(world.plan().is_empty(), "{}", crate::tell(&world.plan()));
        world.target.clear();
        let rest = world.plan();
        assert_eq!(rest.refusals, []);
        world.apply(&rest);
        world.assert_settled();
    });
}
