//! What `status` says of model hosts, and that its JSON is what its schema says.

use synprov::facts::host::ProcessFact;
use synprov::plan::control::select::{Service, Unknown, select, services};
use synprov::plan::control::status::{Status, status};

use crate::world::World;

const TEXT: &str = include_str!("../data/labs/two-hosts.yaml");
const SCHEMA: &str = include_str!("../../schema/status.schema.json");

fn chosen<'a>(world: &'a World, words: &[&str]) -> Result<Vec<Service<'a>>, Unknown> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    select(&words, &services(&world.topology, &world.resources), |_| true)
}

fn names(world: &World, words: &[&str]) -> Vec<String> {
    let chosen = chosen(world, words).unwrap_or_else(|error| panic!("{error}"));
    chosen.iter().map(|one| format!("{} {}", one.resource.address.host, one.name)).collect()
}

/// The status of all processes; `lack` names one that is not ready.
fn all(world: &World, lack: &str) -> Vec<Status> {
    let mut facts = world.facts();
    for host in facts.values_mut() {
        for unit in host.units.keys() {
            let missing = if unit.contains(lack) && !lack.is_empty() { "Redis at 10.8.0.1:6380" } else { "" };
            let program = format!("{}/bin/python", world.topology.venv.path);
            let fact = ProcessFact { memory: 1 << 20, program, missing: missing.to_owned() };
            host.processes.insert(unit.clone(), fact);
        }
    }
    let chosen = chosen(world, &[]).unwrap();
    world.with_plan(&facts, |input, plan| status(&chosen, input, plan))
}

fn of<'a>(all: &'a [Status], name: &str) -> &'a Status {
    all.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn services_are_named_in_the_order_in_which_they_start() {
    let world = World::model(TEXT);
    let everything = [
        "hs1 postgresql",
        "hs1 redis",
        "hs1 main",
        "hs1 typing",
        "hs2 sync",
        "hs2 sync2",
        "hs2 federation_sender",
        "hs1 nginx",
    ];
    assert_eq!(names(&world, &[]), everything);
    assert_eq!(names(&world, &["all"]), everything);
    assert_eq!(names(&world, &["sync"]), ["hs2 sync", "hs2 sync2"], "a pool");
    assert_eq!(names(&world, &["sync2"]), ["hs2 sync2"]);
    assert_eq!(names(&world, &["proxy", "main", "main"]), ["hs1 main", "hs1 nginx"], "each once, in order");
    assert_eq!(names(&world, &["matrix_main", "redis"]), ["hs1 redis", "hs1 main"]);
    assert_eq!(
        names(&world, &["*n*"]),
        ["hs1 main", "hs1 typing", "hs2 sync", "hs2 sync2", "hs2 federation_sender"]
    );
    let unknown = chosen(&world, &["sync", "snyc"]).unwrap_err();
    assert_eq!(unknown.to_string(), "\"snyc\" is no process of this inventory");
    assert!(unknown.help.starts_with("did you mean \"sync\"?"), "{}", unknown.help);
    assert!(chosen(&world, &["postgres*"]).is_err(), "a pattern never reaches a datastore");
}

#[test]
fn what_runs_as_it_should_is_well() {
    let world = World::model(TEXT);
    let all = all(&world, "");
    assert!(all.iter().all(|one| one.well && one.ready && one.current == Some(true)), "{all:#?}");
    assert_eq!(of(&all, "sync2").version.as_deref(), Some("1.163.2"));
    assert_eq!(of(&all, "postgresql").version.as_deref(), Some("15.18"));
}

#[test]
fn what_is_not_as_it_should_says_why() {
    let mut world = World::model(TEXT);
    let sync = world.machine("hs2").units.get_mut("matrix_generic_worker@sync.service").unwrap();
    (sync.active, sync.sub) = ("inactive".to_owned(), "dead".to_owned());
    world.becomes(&TEXT.replace("handles: [sync]}", "handles: [sync], config: {event_cache_size: 5K}}"));
    let all = all(&world, "federation_sender");
    let said = |name: &str| {
        let one = of(&all, name);
        (one.state.as_str(), one.ready, one.current, one.well)
    };
    assert_eq!(said("main"), ("running", true, Some(true), true));
    assert_eq!(said("sync"), ("stopped", false, None, false));
    assert_eq!(said("sync2"), ("running", true, Some(false), false), "the inventory changed");
    assert_eq!(said("federation_sender"), ("running", false, Some(true), false));
    assert_eq!(of(&all, "federation_sender").missing.as_deref(), Some("Redis at 10.8.0.1:6380"));
    assert_eq!(of(&all, "sync").reason.as_deref(), Some("it should run and is stopped"));
}

#[test]
fn hosts_that_were_never_applied_have_nothing() {
    let world = World::bare(TEXT);
    let all = all(&world, "");
    assert!(all.iter().all(|one| one.state == "absent" && !one.well), "{all:#?}");
}

#[test]
fn the_json_is_what_its_schema_says() {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let hostile = synprov::facts::HostError::unreachable("\x1b[31mno\x07", None);
    for world in [World::bare(TEXT), World::model(TEXT)] {
        let text = synprov::render::status::json(
            "a.example",
            &all(&world, "sync"),
            &[("hs3".to_owned(), hostile.clone())],
        );
        let document = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(errors, [] as [String; 0], "{text}");
        assert_eq!(document["unreachable"][0]["summary"], "[31mno");
    }
}
