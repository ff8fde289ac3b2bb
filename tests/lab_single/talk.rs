//! What runs tell machines and keep for people, and a part of a plan alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::site::{CANARIES, INVENTORY, Site};

const CLIENT: &str = "matrix_generic_worker@client.service";
const TYPING: &str = "matrix_generic_worker@typing.service";
const EVENT: &str = include_str!("../../schema/apply.schema.json");

/// The events of an apply, each as its schema says.
fn events(site: &Site, code: i32) -> Vec<Value> {
    let answer = site.run(&["apply", "--yes", "--json"]).exits(code);
    let validator = jsonschema::draft202012::new(&serde_json::from_str(EVENT).unwrap()).unwrap();
    let events: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &events {
        let wrong: Vec<String> = validator.iter_errors(event).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}\n{event:#}");
    }
    assert_eq!(events[0]["type"], "version");
    assert_eq!(events.last().unwrap()["exit_code"], code);
    events
}

fn logs(site: &Site) -> Vec<PathBuf> {
    let logs = site.directory.join("state/synprov/logs");
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Events while it runs, of a run that does something, one that has nothing to do, one that fails.
pub fn events_and_logs(site: &Site) {
    site.rewrite("config: {turn_shared_secret", "config: {event_cache_size: 9K, turn_shared_secret");
    let told = events(site, 0);
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let count = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    assert_eq!(count("step_begins"), count("step_ends"));
    let restart = format!("restart {CLIENT}");
    let restarted =
        told.iter().find(|event| event["type"] == "step_ends" && event["title"] == restart.as_str());
    assert_eq!(restarted.unwrap()["outcome"], "done");
    let last = told.last().unwrap();
    assert_eq!(last["steps"]["done"], last["steps"]["total"]);
    let nothing = events(site, 0);
    assert_eq!(nothing.iter().filter(|event| event["type"] == "step_begins").count(), 0);

    site.rewrite(
        "config: {turn_shared_secret",
        "config: {room_list_publication_rules: [{action: maybe}], turn_shared_secret",
    );
    let failed = events(site, 1);
    let wrong = failed.iter().find(|event| event["outcome"] == "failed").unwrap();
    assert!(wrong["output"].to_string().contains("can only have action of"), "{wrong:#}");
    let path = PathBuf::from(failed.last().unwrap()["log"].as_str().unwrap());
    assert_eq!(logs(site).last(), Some(&path));
    let text = std::fs::read_to_string(&path).unwrap();
    for part in ["Plan: ", "validate Synapse files as if in place", "can only have action of", "exit 1"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let told = site.run(&["apply", "--yes"]).exits(1);
    assert!(told.stderr.contains("The full log of this run is "), "{}", told.stderr);
    for path in logs(site) {
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        let text = std::fs::read_to_string(&path).unwrap();
        for (name, value) in CANARIES {
            assert!(!text.contains(value), "{name} stands in {}", path.display());
        }
    }
    site.write(INVENTORY);
    site.apply();
}

/// Two workers change; one is targeted, restarts, and the other is left for later.
pub fn a_part_alone(site: &Site) {
    let text = INVENTORY
        .replace("writes: [typing, to_device]", "writes: [typing, to_device], config: {event_cache_size: 7K}")
        .replace("config: {turn_shared_secret", "config: {event_cache_size: 7K, turn_shared_secret");
    site.write(&text);
    let before = site.invocations();
    site.run(&["plan", "--target", "clients"]).exits(64).says("which nothing is called");
    assert_eq!(site.plan_with(&["--target", "client"]).service_steps(), [format!("restart {CLIENT}")]);
    site.run(&["plan", "--target", "client", "--out", "part.plan"]).exits(0);
    site.run(&["apply", "part.plan"]).exits(0);
    assert_eq!(site.disturbed(&before), [CLIENT]);
    assert_eq!(site.plan().service_steps(), [format!("restart {TYPING}")]);
    site.run(&["plan", "--html", "plan.html"]).exits(0);
    let page = std::fs::read_to_string(site.directory.join("plan.html")).unwrap();
    assert!(page.contains("event_cache_size: 7K") && page.contains("<svg"), "{page}");
    site.apply();
    site.is_settled();
    site.rewrite("report_stats: false", "report_stats: true");
    site.run(&["apply", "--yes", "--target", "client"]).exits(1).says("config.yaml would change for");
    site.write(INVENTORY);
    site.apply();
}
