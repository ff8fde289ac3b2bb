//! The page of every key, word and limit of the inventory, from what the program itself reads them by.

mod keys;
mod limits;
mod words;

use std::collections::BTreeSet;

use keys::Schema;
use serde_json::Value;
use synprov::topology::catalogue::Catalogue;

/// Where the descriptions of keys and words stand.
const SCHEMA: &str = include_str!("../../schema/inventory.schema.json");

/// What a cell holds.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The page.
pub fn page() -> String {
    let whole: Value = serde_json::from_str(SCHEMA).unwrap();
    let catalogue = Catalogue::builtin().unwrap();
    let mut schema = Schema { whole: &whole, told: BTreeSet::new(), out: String::new() };
    for (key, node) in whole["properties"].as_object().unwrap() {
        schema.mapping(key, node);
    }
    format!(
        "# Keys, words and limits of the inventory\n\n\
         Written by `SYNPROV_WRITE=1 cargo test --test docs` from `schema/inventory.schema.json` and \
         `modules/worker/endpoints.yaml`; changes here are lost. [inventory.md](../inventory.md) explains.\n\n\
         {}\n{}\n{}\n{}\n## Keys\n{}",
        words::handles(&whole, catalogue),
        words::writes(&whole, catalogue),
        words::runs(&whole, catalogue),
        limits::limits(),
        schema.out
    )
}
