//! One real host, provisioned once by the real binary, and what may happen to it afterwards.
//!
//! The scenarios run in order on the same host, each begins and ends with an empty plan. A failed one
//! is told, the host is healed, and the others run all the same. `sample.rs` says which of them run;
//! `SYNPROV_TEST_LAB=NAME` keeps the host for the next run.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod answer;
mod changes;
mod drift;
#[path = "../throwaway/heal.rs"]
mod heal;
mod quiet;
mod runs;
#[path = "../throwaway/sample.rs"]
mod sample;
mod saved;
mod secrets;
mod site;
mod talk;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use heal::HEAL;
use site::{INVENTORY, Site};

/// A scenario: its name, and what happens.
type Scenario = (&'static str, fn(&Site));

const SCENARIOS: &[Scenario] = &[
    ("an empty second plan", quiet::second_plan_is_empty_and_leaves_no_trace),
    ("an apply and what it costs", quiet::an_apply_costs_one_exec),
    ("drift: a worker's file", drift::an_edited_worker_file),
    ("drift: files", drift::files_changed_by_hand),
    ("drift: units", drift::units_changed_by_hand),
    ("drift: our own unit file", drift::an_edited_unit_file),
    ("drift: nginx.conf", drift::nginx_conf),
    ("drift: Redis", drift::redis_conf),
    ("drift: restarts by hand", drift::restarts_by_hand),
    ("change: one worker's option", changes::one_workers_option),
    ("change: a worker comes and goes", changes::a_worker_comes_and_goes),
    ("change: a secret", changes::a_secret_changes),
    ("refused: a foreign nginx file", changes::a_foreign_nginx_file_is_broken),
    ("refused: an option by Synapse", changes::synapse_refuses_an_option),
    ("refused: a route that Synapse does not serve", changes::synapse_does_not_serve_a_route),
    ("plan: saved", saved::a_plan_is_saved_and_applied_once),
    ("plan: a part alone", talk::a_part_alone),
    ("run: events and logs", talk::events_and_logs),
    ("run: two at once", runs::two_at_once),
    ("run: a prompt", runs::a_prompt),
    ("run: SIGINT", runs::interrupted_once),
    ("run: SIGINT twice", runs::interrupted_twice),
    ("run: SIGTERM", runs::terminated_once),
    ("secrets: canaries", secrets::no_secret_is_anywhere_else),
    ("strings: PyYAML", secrets::strings_arrive),
    ("a client is served", changes::a_client_is_served),
];

#[test]
#[ignore = "lab: needs root and podman"]
fn lab_one_host_and_what_happens_to_it() {
    let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    let chosen = sample::chosen(
        &names,
        &["an empty second plan", "an apply and what it costs", "a client is served"],
        4,
    );
    let mut site = Site::up();
    let began = Instant::now();
    secrets::watch(&site);
    site.first = site.run(&["apply", "--yes", "-vvv"]).exits(0);
    site.is_settled();
    eprintln!("provisioned in {:.0} s", began.elapsed().as_secs_f32());
    let mut failed = Vec::new();
    for ((name, scenario), _) in SCENARIOS.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            scenario(&site);
            site.is_settled();
        }));
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        eprintln!("{word:6} {name} ({:.1} s)", began.elapsed().as_secs_f32());
        if result.is_err() {
            failed.push(*name);
            heal(&site);
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

/// Back to the inventory of all scenarios, so that one failure is one failure.
fn heal(site: &Site) {
    site.write(INVENTORY);
    let answer = site.run(&HEAL);
    if answer.code != 0 {
        eprintln!("could not be healed (exit {}):\n{}", answer.code, answer.all());
    }
}
