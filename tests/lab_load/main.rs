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
#[path = "../throwaway/scenarios.rs"]
mod scenarios;
mod senders;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;
#[path = "../lab_worlds/world.rs"]
#[allow(dead_code)]
mod world;

use scenarios::Scenario;

const SCENARIOS: &[Scenario] = &[
    ("all workers of pools change, two come, one goes", changes::options_of_all_workers),
    ("the same behind HAProxy", changes::behind_haproxy),
    ("another version of Synapse", changes::another_version),
    ("federation senders: one, three, one", senders::one_three_one),
];

#[test]
#[ignore = "lab: needs root and podman"]
fn lab_nobody_notices() {
    scenarios::walk(SCENARIOS);
}

/// Nothing is left to do for the inventory of a directory.
#[track_caller]
fn settled(directory: &std::path::Path) {
    world::program(directory, &["plan", "--detailed-exitcode"]).exits(0);
}
