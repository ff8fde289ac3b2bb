//! An apply under load.

use std::time::{Duration, Instant};

use synprov::lab::client::Client;

use crate::load::{Load, Request};
use crate::world::World;

const INVENTORY: &str = include_str!("../data/labs/load.yaml");

/// How long the load lasts at least.
fn at_least() -> Duration {
    let seconds = std::env::var("SYNPROV_LOAD_SECONDS").ok().filter(|text| !text.is_empty());
    Duration::from_secs(seconds.map_or(60, |text| text.parse().unwrap()))
}

fn load(world: &World) -> Load {
    let client: Client = world.client("matrix.load.example", "load");
    Load::new(client, 4)
}

/// Every user has seen every message that was taken in, once.
#[track_caller]
fn each_once(load: &Load, seen: &[Vec<String>]) {
    let sent = load.sent();
    assert!(sent.len() > 20, "only {} messages were sent", sent.len());
    for (user, seen) in seen.iter().enumerate() {
        for text in &sent {
            let times = seen.iter().filter(|other| *other == text).count();
            assert_eq!(times, 1, "user{user} has seen {text:?} {times} times");
        }
    }
    eprintln!("seen   {} messages, each seen once by each of {} users", sent.len(), seen.len());
}

/// All options, two more, one less: nobody notices.
pub fn options_of_all_workers() {
    options(INVENTORY, "load", "nginx");
}

/// The same behind the other proxy.
pub fn behind_haproxy() {
    options(&INVENTORY.replace("kind: nginx", "kind: haproxy"), "load-haproxy", "matrix_haproxy");
}

fn options(inventory: &str, lab: &str, proxy: &str) {
    let world = World::boot(lab, inventory);
    let directory = tempfile::tempdir().unwrap();
    world.apply_in(directory.path(), inventory).exits(0);
    let load = load(&world);
    let changed = inventory
        .replace("10K", "20K")
        .replace("sync: {host: hs1, count: 2", "sync: {host: hs1, count: 3")
        .replace("client: {host: hs1, count: 2", "client: {host: hs1, count: 3")
        .replace("sending: {host: hs1, count: 3", "sending: {host: hs1, count: 2");
    let (seconds, seen) = load.run(at_least(), || {
        let began = Instant::now();
        let answer = world.apply_in(directory.path(), &changed);
        if answer.code != Some(0) {
            eprintln!("{}", answer.text);
        }
        let answer = answer.exits(0);
        let count = |word: &str| answer.text.lines().filter(|line| line.starts_with('[') && line.contains(word)).count();
        eprintln!(
            "seen   an apply of {:.0} s with {} restarts, {} times another way of routing, {} waits for requests to end",
            began.elapsed().as_secs_f32(),
            count(": restart "),
            count(&format!(": have {proxy} route ")),
            count(": wait until requests "),
        );
        assert_eq!(count(": restart "), 8, "{}", answer.text);
        began.elapsed()
    });
    eprintln!("seen   {}", load.figures());
    let failed: Vec<Request> =
        load.requests.lock().unwrap().iter().filter(|one| one.failed()).cloned().collect();
    for one in failed.iter().take(20) {
        eprintln!("failed {:.1} s: {}", one.at.as_secs_f32(), one.what);
    }
    assert!(failed.is_empty(), "{} requests failed", failed.len());
    let requests = load.requests.lock().unwrap();
    let during = requests.iter().filter(|one| one.at < seconds).count();
    assert!(during as f32 / seconds.as_secs_f32() > 8.0, "{during} requests in {seconds:?} are no load");
    drop(requests);
    each_once(&load, &seen);
    crate::settled(directory.path());
}

/// Main and who is alone may fail for a while; the pools and what was taken in may not be lost.
pub fn another_version() {
    let old = INVENTORY.replace("1.163.2", "1.162.0");
    let world = World::boot("version", &old);
    let directory = tempfile::tempdir().unwrap();
    world.apply_in(directory.path(), &old).exits(0);
    let load = load(&world);
    let (_, seen) = load.run(at_least(), || {
        let answer = world.apply_in(directory.path(), INVENTORY);
        if answer.code != Some(0) {
            eprintln!("{}", answer.text);
        }
        answer.exits(0);
    });
    eprintln!("seen   {}", load.figures());
    let requests = load.requests.lock().unwrap().clone();
    let failed: Vec<&Request> = requests.iter().filter(|one| one.failed()).collect();
    if let (Some(first), Some(last)) = (failed.first(), failed.last()) {
        eprintln!(
            "seen   {} failures between {:.1} s and {:.1} s",
            failed.len(),
            first.at.as_secs_f32(),
            (last.at + last.took).as_secs_f32()
        );
    }
    for one in failed.iter().take(20) {
        eprintln!("failed {:.1} s: {}", one.at.as_secs_f32(), one.what);
    }
    each_once(&load, &seen);
    crate::settled(directory.path());
}
