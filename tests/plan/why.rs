//! Why a process restarts, or not, key by key.

use synprov::plan::why::{Does, Why, named, why};
use synprov::plan::{Input, plan};
use synprov::render;

use crate::causes::SMALL;
use crate::machine::nonced;
use crate::world::World;

fn asked(world: &World, name: &str) -> (Vec<Why>, String) {
    let facts = world.facts();
    let hashes = world.values.iter().map(|(name, value)| (name.clone(), nonced(value))).collect();
    let input = Input::new(&world.topology, &world.resources, &facts, &hashes, &world.excluded, world.allow);
    let plan = plan(&input);
    let services = named(name, &world.topology, &world.resources);
    let all: Vec<Why> = services.iter().filter_map(|one| why(one, &plan, &input)).collect();
    let text = render::why::text(&all, false);
    (all, text)
}

#[test]
fn a_key_of_a_workers_own_file_is_named_with_both_values() {
    let mut world = World::model(SMALL);
    let (all, text) = asked(&world, "client");
    assert_eq!(all[0].does, None, "{text}");
    assert!(text.contains("does not restart: it runs with what it should, as it has for"), "{text}");
    world.becomes(&SMALL.replace("10K", "20K"));
    let (all, text) = asked(&world, "client");
    assert_eq!(all[0].does, Some(Does::Restart), "{text}");
    assert!(
        text.contains("  /opt/matrix/conf/workers/client.yaml\n    event_cache_size: 10K -> 20K\n"),
        "{text}"
    );
    assert_eq!(all[0].causes.len(), 1, "{text}");
    // By pool, by unit, by unit without its ending.
    assert_eq!(asked(&world, "matrix_generic_worker@client.service").0, all);
    assert_eq!(asked(&world, "matrix_generic_worker@client").0, all);
    let (main, text) = asked(&world, "main");
    assert_eq!((main[0].does, main[0].causes.len()), (None, 0), "{text}");
    assert!(asked(&world, "nonsense").0.is_empty());
}

#[test]
fn keys_that_others_read_are_passed_over() {
    let mut world = World::model(SMALL);
    world.becomes(
        &SMALL.replace("report_stats: false", "report_stats: false, registration_requires_token: true"),
    );
    let (_, text) = asked(&world, "main");
    assert!(text.contains("registration_requires_token: (not there) -> true"), "{text}");
}

#[test]
fn values_named_like_secrets_are_not_shown() {
    let with = |value: &str| {
        SMALL.replace("event_cache_size: 10K", &format!("email: {{smtp_pass: {value}, smtp_host: h{value}}}"))
    };
    let mut world = World::model(&with("aaa"));
    world.becomes(&with("bbb"));
    let (_, text) = asked(&world, "client");
    assert!(text.contains("hbbb") && !text.contains("\"bbb\"") && !text.contains("\"aaa\""), "{text}");
}

#[test]
fn a_restart_that_is_owed_names_the_file_that_is_in_place_already() {
    let mut world = World::model(SMALL);
    let now = world.tick();
    world.machine("hs1").start("matrix_generic_worker@client.service", now, false);
    let now = world.tick();
    world.machine("hs1").node("/opt/matrix/conf/workers/client.yaml").changed = now;
    let (all, text) = asked(&world, "client");
    assert_eq!(all[0].does, Some(Does::Restart), "{text}");
    assert!(text.contains("it was started before /opt/matrix/conf/workers/client.yaml changed"), "{text}");
}

#[test]
fn a_key_whose_secret_has_a_new_value_is_named() {
    let with = SMALL.replace("event_cache_size: 10K", "email: {smtp_pass: {secret: smtp}}");
    let mut world = World::model(&with);
    let old = world.values.insert("smtp".to_owned(), "another".to_owned());
    assert!(old.is_some());
    let (all, text) = asked(&world, "client");
    assert_eq!(all[0].does, Some(Does::Restart), "{text}");
    assert!(text.contains("client.yaml  (email: it holds secret smtp, which has a new value)"), "{text}");
}

#[test]
fn what_is_read_again_is_said_to_reload() {
    let mut world = World::model(SMALL);
    let quiet = "config: {event_cache_size: 10K}, logging: {level: WARNING}";
    world.becomes(&SMALL.replace("config: {event_cache_size: 10K}", quiet));
    let (all, text) = asked(&world, "client");
    assert_eq!(all[0].does, Some(Does::Reload), "{text}");
    assert!(text.contains("will reload: /opt/matrix/conf/log/client.yaml changed"), "{text}");
}
