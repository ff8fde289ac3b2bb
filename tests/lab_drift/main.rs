//! One real host, provisioned by the real binary, and everything that somebody may do to it: `drift` names
//! each thing and nothing else, what it says heals it, and then it is silent again. And over many runs
//! against a host that nobody touches it says nothing, and changes nothing there.
//!
//! One inventory is used, all three with `SYNPROV_TEST_ALL=1`; `SYNPROV_TEST_VARIANTS=word,word` names some.
//! Which mutations run says `sample.rs`; `SYNPROV_DRIFTS=N` is how often the untouched host is asked (20);
//! `SYNPROV_TEST_LAB=NAME` keeps the host for the next run.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "../lab_single/answer.rs"]
#[allow(dead_code)]
mod answer;
mod certificate;
mod formats;
#[path = "../throwaway/heal.rs"]
mod heal;
mod mutation;
mod mutations;
#[path = "../throwaway/sample.rs"]
mod sample;
#[path = "../lab_single/site.rs"]
#[allow(dead_code)]
mod site;
mod steady;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use site::{INVENTORY, Site};
use synprov::lab::Distro;

/// What is tried besides the mutations: its name, and what happens.
type Scenario = (&'static str, fn(&Site));

const SCENARIOS: [Scenario; 2] =
    [("an untouched host", steady::an_untouched_host), ("formats and --notify", formats::formats)];

/// An inventory: what of [`INVENTORY`] is another.
struct Variant {
    name: &'static str,
    distro: Distro,
    replace: &'static [(&'static str, &'static str)],
}

const VARIANTS: [Variant; 3] = [
    Variant { name: "nginx, Debian 12", distro: Distro::Debian12, replace: &[] },
    Variant {
        name: "HAProxy and sockets, Debian 12",
        distro: Distro::Debian12,
        replace: &[("kind: nginx", "kind: haproxy"), ("defaults:\n", "defaults:\n  listen: unix\n")],
    },
    Variant {
        name: "metrics, logs in files, Debian 13",
        distro: Distro::Debian13,
        replace: &[
            ("  install: managed\n", "  install: managed\n  metrics: true\n"),
            ("defaults:\n", "defaults:\n  logging: /opt/matrix/log\n"),
        ],
    },
];

impl Variant {
    fn inventory(&self) -> String {
        self.replace.iter().fold(INVENTORY.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from:?}");
            text.replace(from, to)
        })
    }
}

#[test]
#[ignore = "lab: needs root and podman"]
fn lab_somebody_changes_a_host() {
    let variable = |name: &str| std::env::var(name).ok();
    let words = variable("SYNPROV_TEST_VARIANTS");
    let chosen = VARIANTS.iter().enumerate().filter(|(at, variant)| match &words {
        Some(words) => words.split(',').any(|word| variant.name.contains(word)),
        None => *at == 0 || variable("SYNPROV_TEST_ALL").is_some(),
    });
    let failed: Vec<String> = chosen.flat_map(|(_, variant)| walk(variant)).collect();
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

/// What failed on a host with that inventory.
fn walk(variant: &Variant) -> Vec<String> {
    let mut mutations = mutations::all();
    let has = |one: &mutation::Mutation, word: &str| one.script.contains(word) || one.name.contains(word);
    let haproxy = variant.inventory().contains("kind: haproxy");
    mutations.retain(|one| {
        if haproxy { !has(one, "nginx") && !has(one, "certificate") } else { !has(one, "haproxy") }
    });
    println!("\n## {}\n", variant.name);
    let mut names: Vec<&str> = mutations.iter().map(|mutation| mutation.name).collect();
    names.extend(SCENARIOS.map(|(name, _)| name));
    let chosen = sample::chosen(&names, &SCENARIOS.map(|(name, _)| name), 5);
    let site = Site::of(&variant.inventory(), variant.distro);
    let began = Instant::now();
    site.run(&["apply", "--yes"]).exits(0);
    site.is_settled();
    mutation::is_silent(&site);
    eprintln!("provisioned in {:.0} s", began.elapsed().as_secs_f32());
    let mut failed = Vec::new();
    // Whether what comes after can be told from what came before.
    let mut run = |name: &str, act: &dyn Fn() -> String| -> bool {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(act));
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        let told = outcome.unwrap_or_default();
        println!("| {name} | {told} | {word} | {:.1} s |", began.elapsed().as_secs_f32());
        if word == "FAILED" {
            failed.push(name.to_owned());
            return mutation::heal(&site);
        }
        true
    };
    println!("| somebody … | `drift` says | outcome | with healing |\n| --- | --- | --- | --- |");
    for (index, name) in names.iter().enumerate().filter(|(index, _)| chosen[*index]) {
        let healthy = match mutations.get(index) {
            Some(mutation) => run(name, &|| mutation.check(&site)),
            None => run(name, &|| {
                SCENARIOS[index - mutations.len()].1(&site);
                String::new()
            }),
        };
        if !healthy {
            println!("\nThe host could not be healed after that: the rows behind it are not begun.");
            break;
        }
    }
    failed
}

/// Back to what was applied, so that one failure is one failure.
fn reset(site: &Site) {
    site.write(&site.text);
}
