//! Inventories as people write them: the good ones, and what is said about the bad ones.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use synprov::diagnostic::Diagnostic;
use synprov::inventory::{self, Inventory};
use synprov::{render, yaml};

/// Bytes of a file as the program reads them: the inventory, its text, and what is wrong.
fn read(bytes: &[u8]) -> (Option<Inventory>, String, Vec<Diagnostic>) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    match yaml::decode(bytes) {
        Ok(good) => {
            let (inventory, found) = inventory::parse(good);
            (inventory, text, found)
        }
        Err(found) => (None, text, found),
    }
}

/// What a person sees.
fn check(bytes: &[u8]) -> String {
    let (_, text, found) = read(bytes);
    render::diagnostic::text(&found, "inventory.yaml", &text, false)
}

fn good(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventories").join(name);
    std::fs::read_to_string(path).expect("an inventory of ours")
}

fn bad() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn ours_are_good() {
    for name in ["single-host.yaml", "three-hosts.yaml", "classic.yaml"] {
        let text = good(name);
        assert_eq!(check(text.as_bytes()), "", "{name}");
        let inventory = inventory::parse(&text).0.expect("understood");
        assert!(inventory.workers.len() >= 10, "{name}");
    }
}

#[test]
fn bad_ones_are_explained() {
    let files = bad();
    assert!(files.len() >= 45, "{}", files.len());
    insta::with_settings!({snapshot_path => "snapshots/bad", prepend_module_to_snapshot => false, omit_expression => true}, {
        for (name, bytes) in files {
            let shown = check(&bytes);
            assert!(!shown.is_empty(), "{name}: nothing is said");
            assert!(!shown.contains("CANARY"), "{name}: a secret is shown:\n{shown}");
            assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{name}: control characters");
            insta::assert_snapshot!(name, shown);
        }
    });
}
