//! Inventories that are well written and mean something wrong or doubtful: what a person is told.
//!
//! A file of tests/data/wrong each; its snapshot is what `synprov check` prints.

use std::path::Path;

use synprov::diagnostic::joined;
use synprov::inventory::{self, Lock};
use synprov::{render, topology};

fn check(text: &str) -> String {
    let (inventory, found) = inventory::parse(text);
    let resolved = topology::resolve(&inventory.expect("understood"), &Lock::default());
    let found = joined(found, resolved.diagnostics);
    render::diagnostic::text(&found, "inventory.yaml", text, false)
}

#[test]
fn what_is_wrong_is_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wrong");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    insta::with_settings!({snapshot_path => "../snapshots/wrong", prepend_module_to_snapshot => false, omit_expression => true}, {
        for file in files {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            let shown = check(&std::fs::read_to_string(&file).unwrap());
            assert!(!shown.is_empty(), "{name}: nothing is said");
            assert!(!shown.contains("CANARY"), "{name}: a secret is shown:\n{shown}");
            insta::assert_snapshot!(name, shown);
        }
    });
}
