//! The traps of docs/traps.md: the ones that show in a topology, and that each trap has tests that are there.

use std::path::Path;

use serde_json::Value;
use synprov::inventory::Lock;
use synprov::modules::{Modules, expand};
use synprov::resource::Body;
use synprov::topology::{Topology, resolve};

use crate::fresh;
use crate::site::{one_host, three_hosts};

const EVERY: &str = include_str!("../data/labs/every.yaml");
const SOCKETS: &str = include_str!("../data/labs/process.yaml");

fn meant(text: &str) -> Topology {
    let (inventory, found) = synprov::inventory::parse(text);
    let resolved = resolve(&inventory.unwrap_or_else(|| panic!("{found:?}")), &Lock::default());
    resolved.topology.unwrap_or_else(|| panic!("{:?}", resolved.diagnostics))
}

fn all() -> Vec<Topology> {
    vec![fresh(&one_host()), fresh(&three_hosts()), meant(EVERY), meant(SOCKETS)]
}

/// Every listener: who has it, and what it is.
fn listeners(topology: &Topology) -> Vec<(&str, &Value)> {
    let mut out = Vec::new();
    for instance in &topology.instances {
        let list = match &instance.config {
            Some(own) => own.get("worker_listeners"),
            None => topology.shared_config.get("listeners"),
        };
        let list = list.and_then(Value::as_array).into_iter().flatten();
        out.extend(list.map(|listener| (instance.name.as_str(), listener)));
    }
    out
}

#[test]
fn listeners_that_serve_requests_believe_the_proxy() {
    for topology in all() {
        // Main's listeners of the admin's own are asked by whom he likes.
        let upstreams = topology.upstreams.values().flat_map(|upstream| &upstream.servers);
        for server in upstreams {
            let here = |(name, listener): &&(&str, &Value)| {
                let at =
                    listener.get("path").or(listener.get("port")).map(|at| at.to_string().replace('"', ""));
                *name == server.instance && at.is_some_and(|at| server.address.ends_with(&at))
            };
            let all = listeners(&topology);
            let (_, listener) = all.iter().find(here).unwrap_or_else(|| panic!("{server:?}: {all:?}"));
            assert_eq!(listener["x_forwarded"], true, "{server:?}: {listener}");
        }
    }
}

#[test]
fn nobody_is_called_main_or_master_and_every_holder_is_there() {
    for topology in all() {
        let map = topology.shared_config["instance_map"].as_object().unwrap();
        assert!(map.contains_key("main") && !map.contains_key("master"));
        let names: Vec<&str> = topology.instances.iter().map(|one| one.name.as_str()).collect();
        let listed = |value: &Value| -> Vec<String> {
            let one = value.as_str().map(str::to_owned);
            let many =
                value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned));
            one.into_iter().chain(many).collect()
        };
        for (stream, writers) in topology.shared_config["stream_writers"].as_object().unwrap() {
            for writer in listed(writers) {
                // Main writes what its background updates write, and is called master there.
                let main = stream == "quarantined_media_changes" && writer == "master";
                assert!(main || writer != "main" && map.contains_key(&writer), "{stream}: {writer}");
            }
        }
        for (key, value) in &topology.shared_config {
            if key.ends_with("_instances") || key.ends_with("_from_worker") || key.ends_with("_tasks_on") {
                let unknown = listed(value).into_iter().find(|name| !names.contains(&name.as_str()));
                assert_eq!(unknown, None, "{key} names nobody: Synapse would not say so");
            }
        }
    }
}

#[test]
fn ports_are_numbers_and_addresses_are_literal() {
    for topology in all() {
        for (name, listener) in listeners(&topology) {
            let port = listener.get("port");
            assert!(port.is_none_or(Value::is_u64), "{name}: {listener}");
            assert!(port.is_some() != listener.get("path").is_some(), "{name}: {listener}");
        }
        let servers = topology.upstreams.values().flat_map(|upstream| &upstream.servers);
        let asked = servers.map(|server| server.address.clone());
        let map = topology.shared_config["instance_map"].to_string();
        for text in asked.chain([map]).chain(listeners(&topology).into_iter().map(|(_, it)| it.to_string())) {
            assert!(!text.contains("localhost"), "{text}");
        }
    }
}

/// YAML's `660` is 0o1224, and a directory that main owns would go with main.
#[test]
fn sockets_have_octal_modes_and_directories_of_their_own() {
    let topology = meant(SOCKETS);
    let sockets: Vec<_> =
        listeners(&topology).into_iter().filter(|(_, listener)| listener.get("path").is_some()).collect();
    assert!(sockets.len() > 6, "{sockets:?}");
    for (name, listener) in &sockets {
        assert!([0o660, 0o666].contains(&listener["mode"].as_u64().unwrap()), "{name}: {listener}");
        let directory = format!("/run/{}/{name}/", topology.prefix);
        assert!(listener["path"].as_str().unwrap().starts_with(&directory), "{name}: {listener}");
    }
    let owner = |name: &str| topology.instances.iter().find(|one| one.name == name).unwrap();
    for (name, _) in sockets {
        let expected = format!("{}/{name}", topology.prefix);
        assert_eq!(owner(name).runtime_directory.as_deref(), Some(expected.as_str()));
    }
}

/// `systemctl restart matrix.target` restarts all: the units are part of it, and only of it.
#[test]
fn every_process_is_part_of_the_target() {
    for topology in all() {
        let resources = expand(&Modules::builtin(), &topology).unwrap();
        let target = format!("PartOf={}.target\n", topology.prefix);
        for instance in &topology.instances {
            let stem = instance
                .unit
                .split_once('@')
                .map_or(instance.unit.clone(), |(stem, _)| format!("{stem}@.service"));
            let path = format!("/etc/systemd/system/{stem}");
            let text = resources.iter().find_map(|one| match &one.body {
                Body::File { path: of, content, .. } if *of == path && one.address.host == instance.host => {
                    Some(content.redacted())
                }
                _ => None,
            });
            assert!(text.unwrap().contains(&target), "{path}");
        }
    }
}

#[test]
fn each_trap_has_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("docs/traps.md")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=22).collect::<Vec<_>>());
    for row in rows {
        let tests: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "trap {} has no test", row[0]);
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let text = std::fs::read_to_string(root.join("tests").join(file)).unwrap_or_default();
            let declared = [format!("fn {name}("), format!("pub fn {name}(")];
            assert!(declared.iter().any(|line| text.contains(line)), "trap {}: no {name} in {file}", row[0]);
        }
    }
}
