//! conf/workers/NAME.yaml: what one process has beyond the shared configuration.
//!
//! Synapse merges its files shallowly: a key in this file replaces the shared one whole. So what a
//! pool's `config:` says of a key is laid over the shared value here, and the whole key is emitted.

use serde_json::{Map, Value, json};

use super::Draft;
use super::caches;
use super::instances::Seat;
use super::placement::LOOPBACK;
use super::roles::Role;
use super::secrets;
use super::shared_config::{database, http_listener, log_config, metrics_listener, replication_listener};

/// The worker's file; secrets as `{"secret": NAME}`.
pub(super) fn build(
    draft: &Draft<'_>,
    seat: &Seat,
    role: &Role,
    shared: &Map<String, Value>,
) -> Map<String, Value> {
    let mut config = Map::new();
    let app = if role.media { "synapse.app.media_repository" } else { "synapse.app.generic_worker" };
    config.insert("worker_app".to_owned(), json!(app));
    config.insert("worker_name".to_owned(), json!(seat.name));
    config.insert("worker_listeners".to_owned(), listeners(draft, seat, role));
    config.insert("worker_log_config".to_owned(), json!(log_config(&draft.root, &seat.name)));
    // Unless it is told not to, a process loads the repository and makes the store, on any host, also where main
    // is the one to do so (config/repository.py, `can_load_media_repo`).
    config.insert("enable_media_repo".to_owned(), json!(role.media));
    let Some(pool) = draft.inventory.workers.get(&seat.pool) else { return config };
    // The shared file says what main has.
    if pool.overrides.db_pool.is_some() || draft.inventory.main.overrides.db_pool.is_some() {
        config.insert("database".to_owned(), database(draft, draft.settings(&seat.pool).db_pool()));
    }
    for (key, own) in &pool.config.values {
        if config.contains_key(key) {
            continue;
        }
        let mut value = shared.get(key).cloned().unwrap_or(Value::Null);
        lay_over(&mut value, own);
        config.insert(key.clone(), value);
    }
    caches::write_own(draft.inventory, pool, shared, &mut config);
    config
}

/// Mappings are merged key by key, anything else is replaced. `{"secret": NAME}` is a scalar.
fn lay_over(under: &mut Value, over: &Value) {
    let scalar = secrets::name_of(under).is_some() || secrets::name_of(over).is_some();
    match (under, over) {
        (Value::Object(under), Value::Object(over)) if !scalar => {
            for (key, value) in over {
                lay_over(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn listeners(draft: &Draft<'_>, seat: &Seat, role: &Role) -> Value {
    // Without requests to serve, nobody but the probe on its own host asks it.
    let (address, names): (String, &[&str]) = match (role.serves, role.media) {
        (false, _) => (LOOPBACK.to_owned(), &["health"]),
        (true, true) => (draft.placement.client(&seat.host), &["media", "client", "federation"]),
        (true, false) => (draft.placement.client(&seat.host), &["client", "federation"]),
    };
    let mut listeners = Vec::new();
    // A writer that serves no requests is probed through its replication listener.
    if role.serves || !seat.replicates() {
        listeners.extend(http_listener(draft, &seat.name, "client", &address, names));
    }
    if seat.replicates() {
        listeners.extend(replication_listener(draft, &seat.name, &seat.host));
    }
    listeners.extend(metrics_listener(draft, &seat.name, &seat.host));
    Value::Array(listeners)
}
