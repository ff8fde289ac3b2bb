//! conf/config.yaml: the configuration that all processes share, the same bytes on every host.
//!
//! Synapse merges its files shallowly, so every key stands here whole. What the user writes is laid
//! over it, except keys that synprov derives. Never here: anything about one worker alone.

use serde_json::{Map, Value, json};

use super::Draft;
use super::caches;
use super::lists::writers_of;
use super::mas;
use super::secrets;
use super::sockets::{CLIENT_MODE, REPLICATION_MODE};
use crate::inventory::{Datastore, DbPool, ListenerKind};

/// Main in lists of writers (config/workers.py, `MAIN_PROCESS_INSTANCE_NAME`).
const MAIN_WRITER: &str = "master";

/// conf/config.yaml of the topology; secrets as `{"secret": NAME}`.
pub(super) fn build(draft: &Draft<'_>) -> Map<String, Value> {
    let synapse = &draft.inventory.synapse;
    let root = &draft.root;
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| {
        config.insert(key.to_owned(), value);
    };
    set("server_name", json!(synapse.server_name.value));
    let default_url = format!("https://{}/", synapse.server_name.value);
    set("public_baseurl", json!(synapse.public_baseurl.as_ref().map_or(&default_url, |url| &url.value)));
    // Synapse refuses to start without an answer.
    set("report_stats", json!(false));
    set("listeners", listeners(draft));
    set("log_config", json!(log_config(root, "main")));
    set("media_store_path", json!(super::media::path(draft)));
    if draft.inventory.synapse.metrics.is_some() {
        set("enable_metrics", json!(true));
    }
    set("database", database(draft, draft.settings("main").db_pool()));
    if draft.replicated {
        set("redis", redis(draft));
        set("instance_map", instance_map(draft));
    }
    let writers = stream_writers(draft);
    if !writers.is_empty() {
        set("stream_writers", Value::Object(writers));
    }
    for job in &draft.catalogue.jobs {
        match (job.shared(), draft.lock.lists.get(&job.key), draft.holder(job)) {
            (true, Some(list), _) => set(&job.key, json!(list)),
            (false, _, Some(holder)) => set(&job.key, json!(holder)),
            _ => {}
        }
    }
    if draft.roles.values().any(|role| role.media) {
        set("enable_media_repo", json!(false));
    }
    if !synapse.appservices.is_empty() {
        let files =
            synapse.appservices.keys().map(|name| secrets::path(root, &secrets::registration_of(name)));
        set("app_service_config_files", files.collect());
    }
    if let Some(mas) = &draft.mas {
        config.insert("matrix_authentication_service".to_owned(), mas::config(draft, mas));
    }
    secrets::write_shared(draft, &mut config);
    let owned: Vec<String> = config.keys().filter(|key| *key != "report_stats").cloned().collect();
    for (key, value) in &synapse.config.values {
        if !owned.contains(key) {
            config.insert(key.clone(), value.clone());
        }
    }
    caches::write_shared(draft.inventory, &mut config);
    config
}

/// Path of a process' log configuration.
pub(super) fn log_config(root: &str, instance: &str) -> String {
    format!("{root}/conf/log/{instance}.yaml")
}

/// The `database` key with this pool size.
pub(super) fn database(draft: &Draft<'_>, pool: DbPool) -> Value {
    let endpoint = &draft.postgresql;
    let mut args = Map::new();
    if let Some(database) = &endpoint.database {
        args.insert("user".to_owned(), json!(database.role));
        args.insert("database".to_owned(), json!(database.database));
        args.insert("host".to_owned(), json!(endpoint.address));
        args.insert("port".to_owned(), json!(endpoint.port));
        if database.password.is_some() {
            args.insert("passfile".to_owned(), json!(secrets::passfile(&draft.root)));
        }
        if let Some(sslmode) = &database.sslmode {
            args.insert("sslmode".to_owned(), json!(sslmode));
        }
    }
    args.insert("cp_min".to_owned(), json!(pool.min));
    args.insert("cp_max".to_owned(), json!(pool.max));
    if let Datastore::External(external) = &draft.inventory.postgresql.value {
        for (key, value) in &external.args {
            args.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    json!({"name": "psycopg2", "args": args})
}

fn listeners(draft: &Draft<'_>) -> Value {
    let host = &draft.inventory.main.host.value;
    let mut listeners = Vec::new();
    listeners.extend(http_listener(
        draft,
        "main",
        "client",
        &draft.placement.client(host),
        &["client", "federation"],
    ));
    listeners.extend(replication_listener(draft, "main", host));
    listeners.extend(metrics_listener(draft, "main", host));
    for extra in draft.inventory.main.listeners.values() {
        listeners.push(match &extra.kind {
            ListenerKind::Manhole => {
                json!({"type": "manhole", "port": extra.port, "bind_addresses": [extra.address]})
            }
            ListenerKind::Http { resources, x_forwarded } => json!({
                "type": "http",
                "port": extra.port,
                "bind_addresses": [extra.address],
                "x_forwarded": x_forwarded,
                "resources": [{"names": resources}],
            }),
        });
    }
    Value::Array(listeners)
}

/// The listener that Prometheus asks, if there is one. Never behind the proxy.
pub(super) fn metrics_listener(draft: &Draft<'_>, instance: &str, host: &str) -> Option<Value> {
    let port = draft.port(instance, "metrics")?;
    Some(json!({"type": "metrics", "port": port, "bind_addresses": [draft.placement.metrics(host)]}))
}

/// A listener for HTTP replication, if the process has one. On a port or socket of its own, so that it is
/// never behind the proxy.
pub(super) fn replication_listener(draft: &Draft<'_>, instance: &str, host: &str) -> Option<Value> {
    http_listener(draft, instance, "replication", &draft.placement.replication(host), &["replication"])
}

/// An HTTP listener on its socket, or on its port at `address`; `None` if it has neither.
pub(super) fn http_listener(
    draft: &Draft<'_>,
    instance: &str,
    listener: &'static str,
    address: &str,
    resources: &[&str],
) -> Option<Value> {
    let mut value = Map::from_iter([("type".to_owned(), json!("http"))]);
    if let Some(path) = draft.sockets.path(instance, listener) {
        let mode = if listener == "replication" { REPLICATION_MODE } else { CLIENT_MODE };
        value.insert("path".to_owned(), json!(path));
        value.insert("mode".to_owned(), json!(mode));
    } else {
        value.insert("port".to_owned(), json!(draft.port(instance, listener)?));
        value.insert("bind_addresses".to_owned(), json!([address]));
    }
    if resources.contains(&"client") {
        value.insert("x_forwarded".to_owned(), json!(true));
    }
    value.insert("resources".to_owned(), json!([{"names": resources}]));
    Some(Value::Object(value))
}

fn redis(draft: &Draft<'_>) -> Value {
    let mut redis = Map::new();
    redis.insert("enabled".to_owned(), json!(true));
    if let Some(endpoint) = &draft.redis {
        redis.insert("host".to_owned(), json!(endpoint.address));
        redis.insert("port".to_owned(), json!(endpoint.port));
    }
    if let Some(name) = secrets::redis_password(draft.inventory) {
        secrets::write(draft, &mut redis, "redis.password", &name);
    }
    if let Some(Datastore::External(external)) = draft.inventory.redis.as_ref().map(|redis| &redis.value) {
        for (key, value) in &external.args {
            redis.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Value::Object(redis)
}

/// Main, the writers, and who sends federation requests for the others: only processes that others
/// send replication requests to.
fn instance_map(draft: &Draft<'_>) -> Value {
    let mut map = Map::new();
    for seat in &draft.seats {
        if let Some(path) = draft.sockets.path(&seat.name, "replication") {
            map.insert(seat.name.clone(), json!({"path": path}));
        } else if let Some(port) = draft.port(&seat.name, "replication") {
            let host = draft.placement.replication(&seat.host);
            map.insert(seat.name.clone(), json!({"host": host, "port": port}));
        }
    }
    Value::Object(map)
}

fn stream_writers(draft: &Draft<'_>) -> Map<String, Value> {
    let mut writers = Map::new();
    for stream in &draft.catalogue.streams {
        if let Some(list) = draft.lock.lists.get(&writers_of(&stream.name)) {
            let main = stream.with_main.then_some(MAIN_WRITER).into_iter();
            let list: Vec<&str> = main.chain(list.iter().map(String::as_str)).collect();
            writers.insert(stream.name.clone(), json!(list));
        }
    }
    writers
}
