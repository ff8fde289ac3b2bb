//! Every page under docs/runbooks/ done on throwaway hosts, command by command, as it stands there.
//!
//! `SYNPROV_TEST_ALL=1` does all, `SYNPROV_TEST_ONLY=word` those whose name has the word, else one is drawn.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod page;
#[path = "../throwaway/sample.rs"]
mod sample;
mod stage;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Name and text of every page, in order of name.
fn pages() -> Vec<(String, String)> {
    let folder = format!("{}/docs/runbooks", env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("README.md")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

#[test]
fn every_page_can_be_read_and_is_in_the_list() {
    let list = include_str!("../../docs/runbooks/README.md");
    for (name, text) in pages() {
        page::parse(&text).text();
        assert!(list.contains(&format!("({name}.md)")), "README.md does not list {name}.md");
    }
}

#[test]
#[ignore = "lab: needs root and podman"]
fn runbooks_do_what_they_say() {
    let pages = pages();
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    let chosen = sample::chosen(&names, &[], 1);
    let mut failed = Vec::new();
    for ((name, text), _) in pages.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let page = page::parse(text);
            let stage = stage::Stage::up(name, &page);
            page.acts.iter().for_each(|act| stage.act(act));
        }));
        let word = if result.is_ok() { "ok    " } else { "FAILED" };
        println!("{word} {name}.md ({:.0} s)", began.elapsed().as_secs_f32());
        if result.is_err() {
            failed.push(name.as_str());
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
