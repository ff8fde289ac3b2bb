//! Every secret of the deployment: origin, file, hosts; and how each is written into configuration.
//!
//! A secret's value never comes here. Synapse reads a file where its version has a `…_path` key,
//! else the value stands inline as `{"secret": NAME}` until the moment the file is written.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::Draft;
use super::placement::Placement;
use super::selecting;
use super::types::{SecretNode, SecretShape};
use crate::inventory::{Datastore, Inventory, PASSFILE, SecretSource};

/// Secrets that stand for one key of homeserver.yaml: name and key.
const KEYS: [(&str, &str); 4] = [
    ("macaroon", "macaroon_secret_key"),
    ("form", "form_secret"),
    ("registration", "registration_shared_secret"),
    ("replication", "worker_replication_secret"),
];

/// Path of a secret's own file, the same on every host.
pub fn path(root: &str, name: &str) -> String {
    format!("{root}/conf/secrets/{name}")
}

/// libpq's passfile, which holds the database password for Synapse.
pub fn passfile(root: &str) -> String {
    path(root, PASSFILE)
}

/// Name of the secret that is an application service's registration file.
pub fn registration_of(appservice: &str) -> String {
    format!("appservice-{appservice}")
}

/// Name of the secret that is an application service's `as_token`, for proxies that tell its
/// requests from others.
pub fn token_of(appservice: &str) -> String {
    format!("appservice-{appservice}-token")
}

/// Sets the last part of `key` (dotted) to the secret: as `KEY_path` where Synapse reads files for
/// it, else inline.
pub(super) fn write(draft: &Draft<'_>, into: &mut Map<String, Value>, key: &str, name: &str) {
    let last = key.rsplit('.').next().unwrap_or(key);
    if draft.catalogue.releases.has_path(key, &draft.version) {
        into.insert(format!("{last}_path"), json!(path(&draft.root, name)));
    } else {
        into.insert(last.to_owned(), json!({"secret": name}));
    }
}

/// The cluster secrets that are keys of the shared configuration.
pub(super) fn write_shared(draft: &Draft<'_>, into: &mut Map<String, Value>) {
    into.insert("signing_key_path".to_owned(), json!(path(&draft.root, "signing_key")));
    for (name, key) in KEYS {
        if draft.replicated || name != "replication" {
            write(draft, into, key, name);
        }
    }
}

/// Name of the secret with PostgreSQL's password; `None`: no password.
pub(super) fn database_password(inventory: &Inventory) -> Option<String> {
    match &inventory.postgresql.value {
        Datastore::Host(_) => Some("database".to_owned()),
        Datastore::External(external) => external.password.as_ref().map(|name| name.value.clone()),
    }
}

/// Name of the secret with Redis' password; `None`: no password or no Redis.
pub(super) fn redis_password(inventory: &Inventory) -> Option<String> {
    match &inventory.redis.as_ref()?.value {
        Datastore::Host(_) => Some("redis".to_owned()),
        Datastore::External(external) => external.password.as_ref().map(|name| name.value.clone()),
    }
}

/// Names of all secrets in a configuration value, in order of appearance, each once.
pub(super) fn named_in(value: &Value, names: &mut Vec<String>) {
    if let Some(name) = name_of(value) {
        if !names.contains(&name) {
            names.push(name);
        }
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| named_in(item, names)),
        Value::Object(map) => map.values().for_each(|item| named_in(item, names)),
        _ => {}
    }
}

/// NAME if the value is `{"secret": NAME}`.
pub(super) fn name_of(value: &Value) -> Option<String> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    map.get("secret")?.as_str().map(str::to_owned)
}

/// Secrets every Synapse process reads at start, in order: cluster, datastores, configuration,
/// application services.
pub(super) fn shared(inventory: &Inventory) -> Vec<String> {
    let mut names: Vec<String> = vec!["signing_key".to_owned()];
    names.extend(KEYS.iter().map(|(name, _)| (*name).to_owned()));
    if inventory.redis.is_none() {
        names.retain(|name| name != "replication");
    }
    names.extend(database_password(inventory));
    names.extend(redis_password(inventory));
    names.extend(inventory.mas.as_ref().map(|mas| mas.secret.value.clone()));
    for value in inventory.synapse.config.values.values() {
        named_in(value, &mut names);
    }
    names.extend(inventory.synapse.appservices.keys().map(|name| registration_of(name)));
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// The table of all secrets that something uses.
pub(super) fn table(
    inventory: &Inventory,
    placement: &Placement,
    root: &str,
) -> IndexMap<String, SecretNode> {
    let mut hosts: IndexMap<String, Vec<String>> = IndexMap::new();
    for name in shared(inventory) {
        hosts.insert(name, placement.synapse_hosts().to_vec());
    }
    let mut also = |name: String, host: &str| {
        let hosts = hosts.entry(name).or_default();
        if !hosts.iter().any(|known| known == host) {
            hosts.push(host.to_owned());
        }
    };
    for pool in inventory.workers.values() {
        let mut names = Vec::new();
        pool.config.values.values().for_each(|value| named_in(value, &mut names));
        for (host, _) in pool.hosts.iter().filter(|(_, count)| *count > 0) {
            names.iter().for_each(|name| also(name.clone(), host));
        }
    }
    if let Datastore::Host(host) = &inventory.postgresql.value {
        also("database".to_owned(), host);
    }
    if let Some(Datastore::Host(host)) = inventory.redis.as_ref().map(|redis| &redis.value) {
        also("redis".to_owned(), host);
    }
    let selected = selecting::appservices(inventory);
    for name in &selected {
        placement.proxies().iter().for_each(|host| also(token_of(name), host));
    }
    let tokens: IndexMap<String, &String> = selected
        .iter()
        .filter_map(|name| Some((token_of(name), &inventory.synapse.appservices.get(name)?.value.file)))
        .collect();
    let registrations: IndexMap<String, &String> = inventory
        .synapse
        .appservices
        .iter()
        .map(|(name, service)| (registration_of(name), &service.file))
        .collect();
    hosts
        .into_iter()
        .map(|(name, hosts)| {
            let source = match (inventory.synapse.secrets.get(&name), registrations.get(&name)) {
                (Some(source), _) => source.value.clone(),
                (None, Some(file)) => SecretSource::File((*file).clone()),
                (None, None) => match tokens.get(&name) {
                    Some(file) => SecretSource::Field { file: (*file).clone(), key: "as_token".to_owned() },
                    None => SecretSource::Generate,
                },
            };
            let shape = if name == "signing_key" { SecretShape::SigningKey } else { SecretShape::Token };
            let path = path(root, &name);
            (name, SecretNode { source, shape, hosts, path })
        })
        .collect()
}
