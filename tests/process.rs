//! How each process runs: from the inventory's text to the files on hosts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use synprov::diagnostic::Severity;
use synprov::inventory::{self, Lock};
use synprov::modules::{Modules, expand};
use synprov::resource::{Body, Resource};
use synprov::topology::{Topology, resolve};

/// One host; `synapse` and `main` are continued inside their braces, `rest` are further sections.
fn inventory(synapse: &str, main: &str, rest: &str) -> String {
    format!(
        "hosts: {{hs1: {{address: 192.0.2.10, user: root}}}}\n\
         synapse: {{server_name: example.org, version: 1.163.2{synapse}}}\n\
         postgresql: {{host: hs1}}\nredis: {{host: hs1}}\nmain: {{host: hs1{main}}}\nproxy: {{host: hs1, tls: none}}\n{rest}\n"
    )
}

/// What it means; it must be without an error.
fn meaning(text: &str, lock: &Lock) -> (Topology, Lock, Vec<Resource>) {
    let (inventory, found) = inventory::parse(text);
    let inventory = inventory.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(found.iter().all(|one| one.severity != Severity::Error), "{found:#?}");
    let resolved = resolve(&inventory, lock);
    let topology = resolved.topology.unwrap_or_else(|| panic!("{:#?}", resolved.diagnostics));
    let resources = expand(&Modules::builtin(), &topology).unwrap_or_else(|errors| panic!("{errors:#?}"));
    (topology, resolved.lock, resources)
}

fn resources(text: &str) -> Vec<Resource> {
    meaning(text, &Lock::default()).2
}

/// Summaries of all errors.
fn errors(text: &str) -> Vec<String> {
    let (inventory, mut found) = inventory::parse(text);
    found.extend(inventory.map(|one| resolve(&one, &Lock::default()).diagnostics).unwrap_or_default());
    found.into_iter().filter(|one| one.severity == Severity::Error).map(|one| one.summary).collect()
}

fn find<'a>(resources: &'a [Resource], kind: &str, name: &str) -> Option<&'a Body> {
    resources.iter().find(|one| one.address.kind == kind && one.address.name == name).map(|one| &one.body)
}

/// Text of a file, empty if there is none.
fn text(resources: &[Resource], path: &str) -> String {
    match find(resources, "file", path) {
        Some(Body::File { content, .. }) => content.redacted(),
        _ => String::new(),
    }
}

const MAIN: &str = "/etc/systemd/system/matrix_main.service.d/matrix.conf";
const SYNC: &str = "/etc/systemd/system/matrix_generic_worker@sync.service.d/matrix.conf";

#[test]
fn a_pools_word_wins_over_mains_and_workers_defaults() {
    let resources = resources(&inventory(
        "",
        ", memory_max: 4G, environment: {B: main}",
        "defaults: {cache_factor: 0.5, memory_max: 2G, memory_high: 1500M, nice: 5, environment: {A: all, B: '50%'}}\n\
         workers: {sync: {host: hs1, handles: [sync], cache_factor: 2, cpu_quota: 150%, nice: -3}}",
    ));
    assert_eq!(
        text(&resources, MAIN),
        "[Service]\nEnvironment=A=all B=main SYNAPSE_CACHE_FACTOR=0.5\nMemoryMax=4G\nMemoryHigh=1500M\nNice=5\n"
    );
    assert_eq!(
        text(&resources, SYNC),
        "[Service]\nEnvironment=A=all B=50%% SYNAPSE_CACHE_FACTOR=2.0\nMemoryMax=2G\nMemoryHigh=1500M\n\
         CPUQuota=150%\nNice=-3\n"
    );
    // What is said of nobody needs no drop-in, and none of its directory.
    let plain = self::resources(&inventory("", "", "workers: {sync: {host: hs1, handles: [sync]}}"));
    assert!(
        plain.iter().all(|one| !one.address.name.starts_with("/etc/systemd/system/matrix_main.service.d"))
    );
}

#[test]
fn a_drop_in_restarts_its_own_process_alone() {
    let resources = resources(&inventory(
        "",
        "",
        "workers: {sync: {host: hs1, count: 2, handles: [sync], memory_max: 1G}, client: {host: hs1, handles: [login]}}",
    ));
    let Some(Body::File { inputs_of, .. }) = find(&resources, "file", SYNC) else { panic!("no drop-in") };
    assert_eq!(inputs_of.keys().collect::<Vec<_>>(), ["matrix_generic_worker@sync.service"]);
    assert!(find(&resources, "file", &SYNC.replace("@sync.", "@client.")).is_none());
}

#[test]
fn limits_that_contradict_each_other_are_found_wherever_they_stand() {
    let found = errors(&inventory(
        "",
        ", memory_max: 4G",
        "defaults: {memory_high: 1500M}\nworkers: {sync: {host: hs1, handles: [sync], memory_max: 1G}}",
    ));
    assert_eq!(found, ["\"sync\" has a memory_high of 1500M above its memory_max of 1G"]);
}

#[test]
fn jemalloc_is_installed_where_it_is_asked_for_and_preloaded_by_name() {
    let asked = inventory("", "", "workers: {sync: {host: hs1, handles: [sync], jemalloc: true}}");
    let resources = resources(&asked);
    assert_eq!(
        text(&resources, SYNC),
        "[Service]\nEnvironment=LD_PRELOAD=libjemalloc.so.2 PYTHONMALLOC=malloc\n"
    );
    assert_eq!(text(&resources, MAIN), "");
    assert!(find(&resources, "packages", "jemalloc").is_some());
    let off = asked.replace("jemalloc: true}}", "jemalloc: false}}\ndefaults: {jemalloc: true}\n");
    let resources = self::resources(&off);
    assert_eq!(text(&resources, SYNC), "");
    assert!(text(&resources, MAIN).contains("LD_PRELOAD"));
}

#[test]
fn a_connection_pool_of_mains_own_is_not_the_workers() {
    let (topology, ..) = meaning(
        &inventory(
            "",
            ", db_pool: {min: 1, max: 20}",
            "defaults: {db_pool: {min: 1, max: 3}}\nworkers: {sync: {host: hs1, handles: [sync]}}",
        ),
        &Lock::default(),
    );
    assert_eq!(topology.shared_config["database"]["args"]["cp_max"], 20);
    let sync = topology.instances[1].config.as_ref().unwrap();
    assert_eq!(sync["database"]["args"]["cp_max"], 3);
}

#[test]
fn a_process_logs_to_a_file_of_its_own_that_it_may_write() {
    let resources = resources(&inventory(
        "",
        "",
        "defaults: {logging: {to: /opt/matrix/log, keep: 30, loggers: {synapse.http.client: WARNING}}}\n\
         workers:\n  sync: {host: hs1, handles: [sync], logging: {level: DEBUG, loggers: {twisted: ERROR}}}\n  \
         client: {host: hs1, handles: [login], logging: journald}",
    ));
    let log = text(&resources, "/opt/matrix/conf/log/sync.yaml");
    for part in [
        "class: logging.handlers.TimedRotatingFileHandler",
        "filename: /opt/matrix/log/sync.log",
        "when: midnight",
        "backupCount: 30",
        "synapse.http.client:\n    level: WARNING",
        "twisted:\n    level: ERROR",
        "level: DEBUG\n",
    ] {
        assert!(log.contains(part), "{part}:\n{log}");
    }
    assert!(text(&resources, "/opt/matrix/conf/log/client.yaml").contains("ext://sys.stderr"));
    assert_eq!(text(&resources, SYNC), "[Service]\nReadWritePaths=/opt/matrix/log\n");
    assert_eq!(text(&resources, &SYNC.replace("@sync.", "@client.")), "");
    let Some(Body::Directory { owner, mode, keep, .. }) = find(&resources, "directory", "/opt/matrix/log")
    else {
        panic!("no directory")
    };
    assert_eq!((owner.as_str(), mode.as_str(), *keep), ("matrix", "0750", true));
}
