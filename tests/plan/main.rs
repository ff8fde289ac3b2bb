//! What a plan promises, proven without a host: model hosts answer, and the steps are done on them.
//!
//! Random cases are sampled; a failing run prints its seed, and `PLAN_SEED=…` repeats it.
//! `PLAN_TIMES=20` takes twenty times as many.

// Clippy takes only `#[test]` functions for tests, not the helpers beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod adopting;
mod back;
mod causes;
mod control;
mod drift;
mod growing;
mod guards;
mod hosts;
mod inventories;
mod json;
mod kinds;
mod leaving;
mod machine;
mod mutations;
mod order;
mod page;
mod perform;
mod properties;
mod reading;
mod rereads;
mod restarts;
mod rolling;
mod rules;
mod saved;
mod status;
mod target;
mod upgrade;
mod wheels;
mod why;
mod world;

use std::fmt::Write as _;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use synprov::plan::Plan;

/// Runs `property` on `cases` values; a failure names the seed.
fn sampled<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value)) {
    let random = || u64::from_le_bytes(std::array::from_fn(|_| rand_byte()));
    let seed = std::env::var("PLAN_SEED").ok().map_or_else(random, |seed| seed.parse().unwrap());
    println!("PLAN_SEED={seed}");
    let times: u32 = std::env::var("PLAN_TIMES").map_or(1, |times| times.parse().unwrap());
    let config = Config {
        cases: cases * times,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        property(value);
        Ok::<(), TestCaseError>(())
    });
    if let Err(error) = outcome {
        panic!("PLAN_SEED={seed}\n{error}");
    }
}

/// One byte of the standard library's own randomness.
fn rand_byte() -> u8 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish().to_le_bytes()[0]
}

/// A plan in few words, for messages.
fn tell(plan: &Plan) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        let _ = writeln!(
            text,
            "\n{:?} {} {:?}: {} {:?}",
            change.operation, change.address, change.cause, change.reason, change.attributes
        );
    }
    for step in &plan.steps {
        let _ = writeln!(text, "{} {}: {} ({})", step.id, step.host, step.action.title(), step.why);
    }
    let _ = write!(text, "{:#?} {:#?}", plan.refusals, plan.notes);
    text
}
