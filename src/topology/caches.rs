//! How large caches are: `cache_factor` of a process is `caches: {global_factor}` of what it reads.
//!
//! Synapse sizes every cache by its configuration once it has read it, and SYNAPSE_CACHE_FACTOR counts for nothing
//! from then on (config/cache.py, `resize_all_caches`; 1.90 to 1.163). Never here: caches by name.

use serde_json::{Map, Value, json};

use super::config_keys::span_in;
use super::config_rules::get;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::inventory::{ConfigMap, Inventory, Pool};

const PATH: &str = "caches.global_factor";

/// Writes main's factor into the shared file, which is main's own.
pub(super) fn write_shared(inventory: &Inventory, config: &mut Map<String, Value>) {
    let main = inventory.main.overrides.cache_factor.as_ref();
    if let Some(factor) = main.or(inventory.defaults.cache_factor.as_ref()) {
        write(config, Some(json!(factor.value)));
    }
}

/// Writes a pool's factor into the file of one of its workers, if the shared one says another or is main's alone.
pub(super) fn write_own(
    inventory: &Inventory,
    pool: &Pool,
    shared: &Map<String, Value>,
    config: &mut Map<String, Value>,
) {
    let own = pool.overrides.cache_factor.as_ref();
    let mains = inventory.main.overrides.cache_factor.is_some();
    if get(&pool.config, PATH).is_some() || (own.is_none() && !mains) {
        return;
    }
    let factor = own.or(inventory.defaults.cache_factor.as_ref()).map(|factor| json!(factor.value));
    let factor = factor.or_else(|| get(&inventory.synapse.config, PATH).cloned());
    // Synapse merges its files shallowly: what the shared one says of other caches has to stand here, too.
    config.entry("caches").or_insert_with(|| shared.get("caches").cloned().unwrap_or_default());
    write(config, factor);
}

/// Without a factor Synapse has its default.
fn write(config: &mut Map<String, Value>, factor: Option<Value>) {
    let caches = config.entry("caches").or_insert(Value::Null);
    if !caches.is_object() {
        *caches = json!({});
    }
    let Some(caches) = caches.as_object_mut() else { return };
    match factor {
        Some(factor) => caches.insert("global_factor".to_owned(), factor),
        None => caches.shift_remove("global_factor"),
    };
}

/// Reports a factor that is written in two ways for the same processes.
pub(super) fn check(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) {
    let mut twice = |what: &str, factor: &Option<Spanned<f64>>, config: &ConfigMap, of: &str| {
        let (Some(factor), true) = (factor, get(config, PATH).is_some()) else { return };
        let summary = format!("cache_factor in {what} and {PATH} in {of} are one setting");
        diagnostics.push(
            Diagnostic::error(factor.span, summary)
                .related(span_in(config, PATH), "the other one")
                .help("delete one of them"),
        );
    };
    twice("defaults", &inventory.defaults.cache_factor, &inventory.synapse.config, "synapse.config");
    for (name, pool) in &inventory.workers {
        twice(&format!("worker {name:?}"), &pool.overrides.cache_factor, &pool.config, "its config");
    }
}
