//! Whole homeservers out of real inventories, on throwaway hosts: everything on workers, on one host and on
//! three; old Synapse; two homeservers that federate; the inventories that people copy.
//!
//! Each scenario has hosts of its own, so they are long. `sample.rs` says which of them run.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "../throwaway/answer.rs"]
#[allow(dead_code)]
mod answer;
mod copied;
mod every;
mod federation;
mod process;
mod proxies;
#[path = "../throwaway/sample.rs"]
mod sample;
#[path = "../throwaway/scenarios.rs"]
mod scenarios;
mod table;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;
mod world;

use scenarios::Scenario;

const SCENARIOS: &[Scenario] = &[
    ("everything on workers: behind nginx, against a lone main", every::nginx_and_the_table),
    ("everything on workers: behind HAProxy, against a lone main", every::haproxy_and_the_table),
    ("everything on workers: three hosts", every::three_hosts),
    ("two homeservers federate", federation::two_homeservers),
    ("one inventory: Synapse 1.90.0", copied::synapse_1_90),
    ("one inventory: Synapse 1.120.2", copied::synapse_1_120),
    ("one inventory: Synapse 1.163.2", copied::synapse_1_163),
    ("the classic inventory", copied::classic),
    ("one of each, out of init", copied::one_of_each),
    ("how each process runs", process::as_the_inventory_says),
    ("one proxy after the other", proxies::one_after_the_other),
];

#[test]
#[ignore = "lab: needs root and podman"]
fn lab_whole_homeservers() {
    scenarios::walk(SCENARIOS);
}
