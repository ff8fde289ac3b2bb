//! What of the written inventory means something else than what runs, where processes depend on each other.
//!
//! A process that goes on with its old configuration and one that has started with the new one have to get
//! along. They do if they agree on who listens where, who writes what and which datastores there are. Only
//! this is compared; where a process logs, or as whom it runs, is nobody else's business.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::found::Found;
use super::listeners::{self, Listeners};
use super::purpose::Classes;
use super::{Note, shown};
use crate::topology::catalogue::Catalogue;
use crate::topology::{App, Topology};

const HELP: &str = "processes that do not agree on this must restart together: apply without --keep-running";

/// Differences; none: processes may restart one by one, whenever it suits.
pub fn differences(found: &Found, topology: &Topology, catalogue: &Catalogue) -> Vec<Note> {
    let mut notes = Vec::new();
    let Some(main) = found.processes.iter().find(|process| process.is_main()) else { return notes };
    let before = main.merged();
    let after = &topology.shared_config;
    let jobs = catalogue.jobs.iter().map(|job| job.key.as_str());
    for key in ["instance_map", "stream_writers"].into_iter().chain(jobs) {
        compare(key, before.get(key), after.get(key), &mut notes);
    }
    let redis = |config: &Map<String, Value>| {
        let redis = config.get("redis").filter(|redis| redis.get("enabled") == Some(&Value::Bool(true)))?;
        Some(with_defaults(redis.as_object()?.clone(), REDIS))
    };
    compare("redis", redis(&before).as_ref(), redis(after).as_ref(), &mut notes);
    let args = |config: &Map<String, Value>| {
        let args = config.get("database")?.get("args")?.as_object()?.clone();
        Some(with_defaults(args, POSTGRESQL))
    };
    let (before, after) = (args(&before), args(after));
    let either = |args: &Option<Value>, keys: [&str; 2]| {
        let args = args.as_ref()?;
        keys.iter().find_map(|key| args.get(*key)).cloned()
    };
    for keys in [["host", "host"], ["port", "port"], ["database", "dbname"], ["user", "user"]] {
        let what = format!("database.args.{}", keys[0]);
        compare(&what, either(&before, keys).as_ref(), either(&after, keys).as_ref(), &mut notes);
    }
    for instance in &topology.instances {
        let process = found.processes.iter().find(|process| {
            if instance.app == App::Homeserver {
                process.is_main()
            } else {
                name(process) == Some(instance.name.as_str())
            }
        });
        let Some(process) = process else { continue };
        let config = if process.is_main() {
            process.merged()
        } else {
            process.own().map(|own| own.config.clone()).unwrap_or_default()
        };
        let was: Listeners = listeners::of(&config, process.is_main());
        for (what, was, is) in [
            ("client", was.client, instance.client_port),
            ("replication", was.replication, instance.replication_port),
        ] {
            // Who has none yet is asked by nobody there.
            let (Some(was), Some(is)) = (was, is) else { continue };
            if was != is {
                let what = format!("its {what} listener: port {was} becomes {is}");
                notes.push(Note::new(&instance.name, what, HELP));
            }
        }
        if process.unit != instance.unit {
            let what = format!("its unit {} becomes {}", shown(&process.unit), instance.unit);
            let help =
                "stop and disable the old unit just before you apply: the new one wants the same ports";
            notes.push(Note::new(&instance.name, what, help));
        }
    }
    notes
}

/// Classes of endpoints that a proxy of synprov's would send to others than nginx does.
pub fn routes(classes: &Classes, topology: &Topology) -> Vec<Note> {
    let mut notes = Vec::new();
    for (class, was) in classes {
        let of_class = topology.routes.iter().filter(|route| route.class == *class);
        let upstreams = of_class.filter_map(|route| topology.upstreams.get(&route.upstream));
        let servers = upstreams.flat_map(|upstream| upstream.servers.iter());
        let is: BTreeSet<String> = servers.map(|server| server.instance.clone()).collect();
        if *was == is {
            continue;
        }
        let text = |names: &BTreeSet<String>| match names.len() {
            0 => "main".to_owned(),
            _ => names.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        notes.push(Note::new(
            format!("requests of class {class}"),
            format!("nginx sends them to {}, a proxy of synprov's would to {}", text(was), text(&is)),
            "it matters only when you hand nginx over: change `handles` until it suits",
        ));
    }
    notes
}

/// What Synapse and libpq take where nothing is written.
const REDIS: &[(&str, &str)] = &[("host", "localhost"), ("port", "6379")];
const POSTGRESQL: &[(&str, &str)] = &[("port", "5432")];

fn with_defaults(mut map: Map<String, Value>, defaults: &[(&str, &str)]) -> Value {
    for (key, value) in defaults {
        map.entry((*key).to_owned()).or_insert_with(|| Value::from(*value));
    }
    Value::Object(map)
}

fn name(process: &super::found::Process) -> Option<&str> {
    process.own()?.config.get("worker_name")?.as_str()
}

/// Compares what two processes would have to agree on; secrets count as equal, absent counts as empty.
fn compare(key: &str, before: Option<&Value>, after: Option<&Value>, notes: &mut Vec<Note>) {
    let (before, after) = (plain(before), plain(after));
    if before == after {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (&before, &after) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for inner in keys {
            compare(&format!("{key}.{inner}"), before.get(inner), after.get(inner), notes);
        }
        return;
    }
    let text = |value: &Value| if value.is_null() { "nothing".to_owned() } else { shown(&value.to_string()) };
    notes.push(Note::new(shown(key), format!("{} becomes {}", text(&before), text(&after)), HELP));
}

/// A value as far as it matters: one name is a list of one, loopback has one name, secrets are left out.
fn plain(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => Value::Null,
        Some(Value::Array(items)) if items.is_empty() => Value::Null,
        Some(Value::Array(items)) if items.len() == 1 => plain(items.first()),
        Some(Value::Array(items)) => items.iter().map(|item| plain(Some(item))).collect(),
        Some(Value::String(text)) if matches!(text.as_str(), "localhost" | "::1") => "127.0.0.1".into(),
        Some(Value::String(text)) if text == "main" || text == "master" => Value::Null,
        Some(Value::String(text)) => {
            text.parse::<u64>().map_or_else(|_| Value::from(text.as_str()), Value::from)
        }
        Some(Value::Object(map)) => {
            let secret = |key: &str| matches!(key, "password" | "password_path" | "enabled" | "tls");
            let kept = map.iter().filter(|(key, value)| !secret(key) && !value.is_null());
            let kept: Map<String, Value> = kept
                .map(|(key, value)| (key.clone(), plain(Some(value))))
                .filter(|(_, value)| !value.is_null())
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        Some(other) => other.clone(),
    }
}
