//! Clients that notice nothing: a load through the proxy while workers restart, come and go, and a
//! homeserver that sends through one, three and one processes while messages flow.
//!
//! `SYNPROV_LOAD_SECONDS` is how long the load lasts at least (60 without it; `make proof` says 300).
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "../throwaway/answer.rs"]
#[allow(dead_code)]
mod answer;
mod changes;
mod load;
#[path = "../throwaway/sample.rs"]
mod sample;
mod senders;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;
#[path = "../lab_worlds/world.rs"]
#[allow(dead_code)]
mod world;

use std::panic::catch_unwind;
use std::time::Instant;

/// A scenario: its name, and what happens.
type Scenario = (&'static str, fn());

const SCENARIOS: &[Scenario] = &[
    ("all workers of pools change, two come, one goes", changes::options_of_all_workers),
    ("another version of Synapse", changes::another_version),
    ("federation senders: one, three, one", senders::one_three_one),
];

#[test]
#[ignore = "lab: needs root and podman"]
fn lab_nobody_notices() {
    let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    let chosen = sample::chosen(&names, &[], 1);
    let mut failed = Vec::new();
    for ((name, scenario), _) in SCENARIOS.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
        let began = Instant::now();
        let word = if catch_unwind(scenario).is_ok() { "ok" } else { "FAILED" };
        eprintln!("{word:6} {name} ({:.0} s)", began.elapsed().as_secs_f32());
        if word != "ok" {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

/// Nothing is left to do for the inventory of a directory.
#[track_caller]
fn settled(directory: &std::path::Path) {
    world::program(directory, &["plan", "--detailed-exitcode"]).exits(0);
}
