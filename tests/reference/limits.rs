//! What the parser accepts at most.

use serde_json::{Value, json};
use synprov::diagnostic::Severity;
use synprov::inventory;

/// An inventory that says this besides what each needs.
fn inventory_with(place: &str, value: Value) -> String {
    let mut inventory = json!({
        "hosts": {"hs1": {"address": "192.0.2.10"}},
        "synapse": {"server_name": "example.org", "version": "1.163.2"},
        "postgresql": {"host": "hs1"},
        "redis": {"host": "hs1"},
        "main": {"host": "hs1"},
        "workers": {"sync": {"host": "hs1", "handles": ["sync"]}},
    });
    let (mapping, key) = place.rsplit_once('/').unwrap();
    inventory.pointer_mut(mapping).unwrap()[key] = value;
    serde_json::to_string(&inventory).unwrap()
}

/// What is bounded, by how much, and an inventory that has so much.
type Bound = (&'static str, usize, fn(usize) -> String);

const MOST: &[Bound] = &[
    ("processes of a pool on one host", 100, |most| inventory_with("/workers/sync/count", json!(most))),
    ("`weight`", 256, |most| inventory_with("/workers/sync/weight", json!(most))),
    ("characters in the name of a pool", 63, |most| {
        inventory_with(
            &format!("/workers/{}", "a".repeat(most)),
            json!({"host": "hs1", "handles": ["media"]}),
        )
    }),
    ("entries of a list", 1000, |most| {
        let keys: Vec<String> = (0..most).map(|number| format!("key{number}")).collect();
        inventory_with("/hosts/hs1/identity_files", json!(keys))
    }),
    ("bytes in a value of `environment`", 4096, |most| {
        inventory_with("/main/environment", json!({"A": "a".repeat(most)}))
    }),
    ("bytes in the whole file", 1 << 20, |most| {
        let inventory = inventory_with("/main/nice", json!(1));
        format!("{inventory}{}", "\n".repeat(most - inventory.len()))
    }),
];

/// The bounds, each tried at the parser.
pub fn limits() -> String {
    let is_refused =
        |text: &str| inventory::parse(text).1.iter().any(|found| found.severity == Severity::Error);
    let mut rows = String::new();
    for (what, most, with) in MOST {
        assert!(
            !is_refused(&with(*most)),
            "{most} {what} are refused: {:?}",
            inventory::parse(&with(*most)).1
        );
        assert!(is_refused(&with(most + 1)), "more than {most} {what} are accepted");
        rows += &format!("| {what} | {most} |\n");
    }
    let memory = |size: &str| inventory_with("/main/memory_max", json!(size));
    assert!(is_refused(&memory("127M")) && !is_refused(&memory("128M")));
    format!(
        "## Limits\n\n`check` refuses what is beyond these. Bounds of other numbers stand at their keys.\n\n\
         | what | at most |\n| --- | --- |\n{rows}\n`memory_max` and `memory_high` are at least `128M`.\n"
    )
}
