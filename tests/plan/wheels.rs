//! Environments from a wheelhouse: what it lacks is said before anything is done.

use synprov::plan::Plan;
use synprov::plan::locked::unlocked;
use synprov::plan::step::Action;

use crate::causes::SMALL;
use crate::world::World;

fn offline() -> String {
    SMALL.replace("install: managed", "install: managed\n  wheelhouse: wheels\n  installer: uv")
}

fn refused(plan: &Plan) -> Vec<String> {
    plan.refusals
        .iter()
        .map(|refusal| format!("{}: {}", refusal.host.as_deref().unwrap_or("-"), refusal.summary))
        .collect()
}

/// File names of these packages, as an index has them.
fn wheels(packages: &[&str]) -> Option<Vec<String>> {
    Some(packages.iter().map(|package| format!("{package}-py3-none-any.whl")).collect())
}

#[test]
fn what_a_wheelhouse_lacks_is_named_for_each_host() {
    let mut world = World::bare(&offline());
    let builds = |plan: &Plan| {
        let built =
            plan.steps.iter().filter(|step| matches!(step.action, Action::BuildVenv { offline: true, .. }));
        built.count()
    };
    // Nobody has looked, as on the way back to a former generation.
    let plan = world.plan();
    assert_eq!((builds(&plan), refused(&plan)), (2, vec![]));
    assert!(plan.steps.iter().any(|step| step.action.title().contains(" from the wheelhouse, resolving")));

    world.topology.venv.wheels = wheels(&["psycopg2_binary-2.9.9", "matrix_synapse-1.162.0"]);
    let lacks =
        |host: &str| format!("{host}: the wheelhouse lacks matrix-synapse 1.163.2, which is asked for");
    assert_eq!(refused(&world.plan()), [lacks("hs1"), lacks("hs2")]);
    world.topology.venv.wheels = wheels(&["matrix_synapse-1.163.2"]);
    assert_eq!(refused(&world.plan()), [""; 0]);

    // The lock says exactly what.
    let key = world.topology.venv.path.rsplit('/').next().unwrap().to_owned();
    let names = ["a", "b-c", "d", "e", "f", "g", "matrix-synapse"];
    let line = |name: &&str| {
        let version = if *name == "matrix-synapse" { "1.163.2" } else { "1.0" };
        format!("{name}=={version} --hash=sha256:{}", "0".repeat(64))
    };
    let set: Vec<String> = names.iter().map(line).collect();
    world.lock.packages.insert(key, [("cp311-x86_64".to_owned(), set)].into_iter().collect());
    let text = offline();
    world.becomes(&text);
    world.topology.venv.wheels = wheels(&["matrix_synapse-1.163.2", "B.C-1.0", "d-2.0"]);
    let refusals = refused(&world.plan());
    let lacks =
        "the wheelhouse lacks a 1.0, d 1.0, e 1.0, f 1.0, g 1.0, which the lock demands for cp311-x86_64";
    assert_eq!(refusals, [format!("hs1: {lacks}"), format!("hs2: {lacks}")]);

    // Where the environment is there, nothing of it is needed any more.
    world.topology.venv.wheels = None;
    let mut world = world.settled();
    world.topology.venv.wheels = wheels(&["nothing-1"]);
    let plan = world.plan();
    assert!(plan.is_empty() && plan.refusals.is_empty());
}

#[test]
fn naming_a_wheelhouse_changes_nothing_on_hosts() {
    let mut world = World::model(SMALL);
    world.becomes(&offline());
    assert!(world.plan().is_empty());
}

/// Nothing may be chosen with `--locked`: each host needs a set for its Python, wheelhouse or not.
#[test]
fn packages_that_are_not_in_the_lock_are_named() {
    for text in [SMALL.to_owned(), offline()] {
        let mut world = World::bare(&text);
        let key = world.topology.venv.path.rsplit('/').next().unwrap().to_owned();
        let told = |world: &World, facts: &_| {
            let plan = world.plan_over(facts);
            assert_eq!(refused(&plan), [""; 0], "without --locked they may be chosen");
            refused(&Plan { refusals: unlocked(&plan, facts), ..plan })
        };
        let lacks = |which: &str| {
            let why = format!("inventory.lock has no packages {which}, and --locked forbids to choose some");
            [format!("hs1: {why}"), format!("hs2: {why}")]
        };
        let mut has = |tags: &[&str]| {
            let sets = tags.iter().map(|tag| ((*tag).to_owned(), vec!["matrix-synapse==1.163.2".to_owned()]));
            world.lock.packages.insert(key.clone(), sets.collect());
            world.becomes(&text);
            told(&world, &world.facts())
        };
        assert_eq!(has(&["cp312-x86_64"]), lacks("for cp311-x86_64"));
        assert_eq!(has(&["cp312-x86_64", "cp311-x86_64"]), [""; 0]);

        // Before Python is installed nobody knows which set will do.
        let mut facts = world.facts();
        facts.values_mut().for_each(|facts| facts.python.clear());
        assert_eq!(told(&world, &facts), lacks("that are known to fit, as there is no Python yet"));

        // Where the environment is there nothing is built, whatever the lock has.
        world.lock.packages.clear();
        let world = world.settled();
        assert_eq!(told(&world, &world.facts()), [""; 0]);
    }
}
