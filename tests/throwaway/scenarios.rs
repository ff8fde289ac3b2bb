//! Scenarios with hosts of their own, one after the other: a failure of one is no failure of the next.

use std::panic::catch_unwind;
use std::time::Instant;

use crate::sample;

/// A scenario: its name, and what happens.
pub type Scenario = (&'static str, fn());

/// Walks one of them drawn, or those that are asked for; prints a line each, and fails if one has.
pub fn walk(scenarios: &[Scenario]) {
    let names: Vec<&str> = scenarios.iter().map(|(name, _)| *name).collect();
    let chosen = sample::chosen(&names, &[], 1);
    let mut failed = Vec::new();
    for ((name, scenario), _) in scenarios.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
        let began = Instant::now();
        let word = if catch_unwind(scenario).is_ok() { "ok" } else { "FAILED" };
        eprintln!("{word:6} {name} ({:.0} s)", began.elapsed().as_secs_f32());
        if word != "ok" {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
