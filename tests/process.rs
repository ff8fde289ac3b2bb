//! How each process runs: from the inventory's text to the files on hosts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use serde_json::{Value, json};
use synprov::diagnostic::Severity;
use synprov::inventory::{self, Lock};
use synprov::modules::{Modules, expand};
use synprov::resource::{Body, Resource, Stage};
use synprov::topology::{Source, Topology, reachability, resolve};

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
        "[Service]\nEnvironment=A=all B=main\nMemoryMax=4G\nMemoryHigh=1500M\nNice=5\n"
    );
    assert_eq!(
        text(&resources, SYNC),
        "[Service]\nEnvironment=A=all B=50%%\nMemoryMax=2G\nMemoryHigh=1500M\n\
         CPUQuota=150%\nNice=-3\n"
    );
    // What is said of nobody needs no drop-in, and none of its directory.
    let plain = self::resources(&inventory("", "", "workers: {sync: {host: hs1, handles: [sync]}}"));
    assert!(
        plain.iter().all(|one| !one.address.name.starts_with("/etc/systemd/system/matrix_main.service.d"))
    );
}

/// `caches` of the shared configuration and of the worker `sync`.
fn caches(config: &str, main: &str, defaults: &str, sync: &str) -> [Value; 2] {
    let text = inventory(
        &format!(", config: {{{config}}}"),
        main,
        &format!("defaults: {{{defaults}}}\nworkers: {{sync: {{host: hs1, handles: [sync]{sync}}}}}"),
    );
    let topology = meaning(&text, &Lock::default()).0;
    let own = topology.instances.iter().find(|one| one.name == "sync").and_then(|one| one.config.as_ref());
    [Some(&topology.shared_config), own]
        .map(|config| config.and_then(|config| config.get("caches")).cloned().unwrap_or_default())
}

#[test]
fn a_cache_factor_stands_where_synapse_reads_it() {
    const FACTOR: &str = "cache_factor: 2";
    let none = Value::Null;
    let is = |factor: f64| json!({"global_factor": factor});
    assert_eq!(caches("", "", "", ""), [none.clone(), none.clone()]);
    assert_eq!(caches("", "", FACTOR, ""), [is(2.0), none.clone()]);
    assert_eq!(caches("", "", "", ", cache_factor: 3"), [none.clone(), is(3.0)]);
    assert_eq!(caches("", "", FACTOR, ", cache_factor: 3"), [is(2.0), is(3.0)]);
    // Main reads the shared file alone; workers keep what is said for all.
    assert_eq!(caches("", ", cache_factor: 3", FACTOR, ""), [is(3.0), is(2.0)]);
    assert_eq!(caches("", ", cache_factor: 3", "", ""), [is(3.0), json!({})]);
    let config = "caches: {expire_caches: false, global_factor: 4}";
    let [shared, own] = caches(config, ", cache_factor: 3", "", "");
    assert_eq!(shared, json!({"expire_caches": false, "global_factor": 3.0}));
    assert_eq!(own, json!({"expire_caches": false, "global_factor": 4}));
    // The nearest word wins, whichever way it is written.
    let near = ", config: {caches: {global_factor: 5}}";
    assert_eq!(caches("", "", FACTOR, near), [is(2.0), json!({"global_factor": 5})]);
    let [_, own] =
        caches(config, "", "", ", cache_factor: 3, config: {caches: {per_cache_factors: {get_event: 2}}}");
    let merged = json!({"expire_caches": false, "global_factor": 3.0, "per_cache_factors": {"get_event": 2}});
    assert_eq!(own, merged);
}

#[test]
fn a_cache_factor_is_not_said_twice_for_the_same_processes() {
    let shared = ", config: {caches: {global_factor: 1}}";
    let own = "workers: {sync: {host: hs1, handles: [sync], cache_factor: 2, config: {caches: {global_factor: 1}}}}";
    assert_eq!(
        errors(&inventory(shared, "", "defaults: {cache_factor: 2}")),
        ["cache_factor in defaults and caches.global_factor in synapse.config are one setting"]
    );
    assert_eq!(
        errors(&inventory("", "", own)),
        ["cache_factor in worker \"sync\" and caches.global_factor in its config are one setting"]
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

#[test]
fn metrics_have_a_locked_port_each_and_a_document_for_prometheus() {
    let workers = "workers: {sync: {host: hs1, count: 2, handles: [sync]}}";
    let text = inventory(", metrics: {networks: [10.9.0.0/24]}", "", workers);
    let (topology, lock, resources) = meaning(&text, &Lock::default());
    assert_eq!(topology.shared_config["enable_metrics"], true);
    let addresses: Vec<&str> = topology.instances.iter().filter_map(|one| one.metrics.as_deref()).collect();
    assert_eq!(addresses, ["127.0.0.1:9300", "127.0.0.1:9301", "127.0.0.1:9302"]);
    let document = self::text(&resources, "/opt/matrix/prometheus/matrix.json");
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        document[2],
        serde_json::json!({
            "targets": ["127.0.0.1:9302"],
            "labels": {"__metrics_path__": "/_synapse/metrics", "instance": "example.org", "job": "sync", "index": "2",
                "worker": "sync2"},
        })
    );
    assert_eq!(document[0]["labels"]["job"], "master");
    // On the network where the host has an address for it, and only then something for the firewall.
    assert_eq!(reachability(&topology).iter().filter(|one| one.why.starts_with("metrics")).count(), 0);
    let wide = text.replace("user: root}", "user: root, internal_address: 10.8.0.1}");
    let (topology, again, _) = meaning(&wide, &lock);
    assert_eq!(again.ports, lock.ports);
    assert_eq!(topology.instances[1].metrics.as_deref(), Some("10.8.0.1:9301"));
    let reach = reachability(&topology).into_iter().filter(|one| one.why.starts_with("metrics"));
    let reach: Vec<(u16, Source)> = reach.map(|one| (one.port, one.from)).collect();
    let prometheus = Source::Networks(vec!["10.9.0.0/24".to_owned()]);
    assert_eq!(reach, [9300, 9301, 9302].map(|port| (port, prometheus.clone())));
}

#[test]
fn main_may_have_listeners_of_the_admins_own() {
    let (topology, ..) = meaning(
        &inventory(
            "",
            ", listeners: {admin: {port: 8009, resources: [client], x_forwarded: true}, hole: {type: manhole, port: 9900}}",
            "workers: {sync: {host: hs1, handles: [sync]}}",
        ),
        &Lock::default(),
    );
    let listeners = topology.shared_config["listeners"].as_array().unwrap();
    assert_eq!(
        listeners[2..],
        [
            serde_json::json!({"type": "http", "port": 8009, "bind_addresses": ["127.0.0.1"], "x_forwarded": true,
                "resources": [{"names": ["client"]}]}),
            serde_json::json!({"type": "manhole", "port": 9900, "bind_addresses": ["127.0.0.1"]}),
        ]
    );
    let taken = |port: u16| {
        errors(&inventory(
            "",
            &format!(", listeners: {{admin: {{port: {port}, resources: [client]}}}}"),
            "workers: {sync: {host: hs1, handles: [sync]}}",
        ))
    };
    assert_eq!(taken(9093), ["port 9093 of listener \"admin\" is taken by main's replication listener"]);
    assert_eq!(taken(443), ["port 443 of listener \"admin\" is taken by the proxy"]);
    // A worker that would have had it gets the next one.
    assert_eq!(taken(8081), [""; 0]);
}

#[test]
fn packages_are_part_of_the_venv_and_of_its_path() {
    let plain = meaning(&inventory("", "", ""), &Lock::default()).0.venv;
    let more =
        meaning(&inventory(", packages: ['matrix-synapse-ldap3==0.3.0']", "", ""), &Lock::default()).0.venv;
    assert_ne!(plain.path, more.path);
    assert_eq!(more.requirements.last().unwrap(), "matrix-synapse-ldap3==0.3.0");
}

#[test]
fn files_are_delivered_to_all_and_on_pythons_path() {
    let text = inventory(
        ", files: {rules/__init__.py: {source: rules.py}, banner.html: {source: banner.html}}",
        "",
        "workers: {sync: {host: hs1, handles: [sync]}}",
    );
    let mut parsed = inventory::parse(&text).0.unwrap();
    for file in parsed.synapse.files.values_mut() {
        file.value.text = Some(format!("from {} {{{{ synapse.root }}}}\n", file.value.source.value));
    }
    let topology = resolve(&parsed, &Lock::default()).topology.unwrap();
    let resources = expand(&Modules::builtin(), &topology).unwrap();
    let path = "/opt/matrix/modules/rules/__init__.py";
    assert_eq!(self::text(&resources, path), "from rules.py {{ synapse.root }}\n");
    let Some(Body::File { inputs_of, mode, group, .. }) = find(&resources, "file", path) else {
        panic!("no file")
    };
    assert_eq!((mode.as_str(), group.as_str(), inputs_of.len()), ("0640", "matrix", 2));
    assert!(find(&resources, "directory", "/opt/matrix/modules/rules").is_some());
    for drop_in in [MAIN, SYNC] {
        assert_eq!(
            self::text(&resources, drop_in),
            "[Service]\nEnvironment=PYTHONPATH=/opt/matrix/modules\n"
        );
    }
}

#[test]
fn a_media_store_is_for_those_who_use_it() {
    let text = inventory(
        ", media_store: {path: /srv/media, mount_unit: srv-media.mount}",
        "",
        "workers: {sync: {host: hs1, handles: [sync]}, media: {host: hs1, handles: [media]}}",
    );
    let (topology, _, resources) = meaning(&text, &Lock::default());
    assert_eq!(topology.shared_config["media_store_path"], "/srv/media");
    let media = "/etc/systemd/system/matrix_media.service.d/matrix.conf";
    assert_eq!(
        self::text(&resources, media),
        "[Unit]\nRequiresMountsFor=/srv/media\nRequires=srv-media.mount\nAfter=srv-media.mount\n\n\
         [Service]\nReadWritePaths=/srv/media\n"
    );
    assert_eq!(self::text(&resources, SYNC), "");
    assert!(
        !self::text(&resources, "/etc/systemd/system/matrix_generic_worker@.service").contains("/srv/media")
    );
    let Some(Body::Service { stage: Stage::Mount, owned: false, .. }) =
        find(&resources, "service", "srv-media.mount")
    else {
        panic!("the mount is not waited for")
    };
    // Without media workers main reads and writes them.
    let alone = self::resources(&text.replace(", media: {host: hs1, handles: [media]}", ""));
    assert!(self::text(&alone, MAIN).contains("ReadWritePaths=/srv/media\n"));
}

#[test]
fn media_on_several_hosts_need_a_store_that_is_shared() {
    let text = |store: &str| {
        inventory(store, "", "workers: {media: {hosts: {hs1: 1, hs2: 1}, handles: [media]}}").replace(
            "hosts: {hs1: {address: 192.0.2.10, user: root}}",
            "hosts: {hs1: {address: 10.0.0.1}, hs2: {address: 10.0.0.2}}",
        )
    };
    let refused = ["media processes are on hosts \"hs1\" and \"hs2\""];
    assert_eq!(errors(&text("")), refused);
    assert_eq!(errors(&text(", media_store: {path: /srv/media}")), refused);
    assert_eq!(
        errors(&text(", media_store: {path: /srv/media, mount_unit: srv-media.mount, shared: false}")),
        refused
    );
    let (topology, _, resources) =
        meaning(&text(", media_store: {path: /srv/media, shared: true}"), &Lock::default());
    assert_eq!(topology.media.hosts, ["hs1", "hs2"]);
    assert!(find(&resources, "service", "srv-media.mount").is_none());
}

const SOCKETS: &str = "workers:\n  sync: {host: hs1, handles: [sync]}\n  typing: {host: hs1, writes: [typing]}\n  persister: {host: hs1, writes: [events]}\n  \
                       background: {host: hs1, runs: [background_tasks]}\ndefaults: {listen: unix}";

#[test]
fn listeners_are_sockets_where_all_who_connect_are_on_the_host() {
    let (topology, lock, resources) = meaning(&inventory("", "", SOCKETS), &Lock::default());
    let shared = &topology.shared_config;
    assert_eq!(
        shared["listeners"],
        serde_json::json!([
            {"type": "http", "path": "/run/matrix/main/client.sock", "mode": 0o666, "x_forwarded": true,
                "resources": [{"names": ["client", "federation"]}]},
            {"type": "http", "path": "/run/matrix/main/replication.sock", "mode": 0o660,
                "resources": [{"names": ["replication"]}]},
        ])
    );
    assert_eq!(
        shared["instance_map"]["typing"],
        serde_json::json!({"path": "/run/matrix/typing/replication.sock"})
    );
    assert!(lock.ports.values().all(indexmap::IndexMap::is_empty), "{:?}", lock.ports);
    // A writer that serves no requests has one socket, and is probed there.
    let persister = topology.instances.iter().find(|one| one.name == "persister").unwrap();
    assert_eq!(persister.ready.listens, ["unix:/run/matrix/persister/replication.sock"]);
    assert_eq!(persister.config.as_ref().unwrap()["worker_listeners"].as_array().unwrap().len(), 1);
    assert_eq!(text(&resources, SYNC), "[Service]\nRuntimeDirectory=matrix/sync\n");
    let ready = &topology.instances[1].ready;
    assert_eq!(ready.health.as_deref(), Some("unix:/run/matrix/sync/client.sock"));
    assert_eq!(
        ready.reaches,
        ["main", "typing", "persister"].map(|name| format!("unix:/run/matrix/{name}/replication.sock"))
    );
    let nginx: String = resources
        .iter()
        .filter(|one| one.address.name.contains("nginx"))
        .map(|one| text(&resources, &one.address.name))
        .collect();
    for path in ["main/client", "sync/client", "typing/client"] {
        assert!(nginx.contains(&format!("server unix:/run/matrix/{path}.sock max_fails=0;")), "{nginx}");
    }
    let unit = text(&resources, "/etc/systemd/system/matrix_generic_worker@.service");
    assert!(unit.contains(" /run/matrix/main/replication.sock\n"), "{unit}");
    assert!(reachability(&topology).iter().all(|one| one.address == "*"), "the proxy alone");
}

#[test]
fn a_pool_goes_back_to_ports_of_its_own() {
    let tcp = SOCKETS.replace("handles: [sync]", "handles: [sync], listen: tcp");
    let (topology, lock, _) = meaning(&inventory("", "", &tcp), &Lock::default());
    assert_eq!(topology.instances[1].client.as_deref(), Some("127.0.0.1:8081"));
    assert_eq!(lock.ports["sync"]["client"], 8081);
    assert_eq!(topology.instances[0].client.as_deref(), Some("unix:/run/matrix/main/client.sock"));
}

#[test]
fn over_several_hosts_sockets_are_taken_where_they_can_be_and_refused_where_asked_for() {
    let two = |rest: &str| {
        inventory("", "", rest).replace(
            "hosts: {hs1: {address: 192.0.2.10, user: root}}",
            "hosts: {hs1: {address: 10.0.0.1}, hs2: {address: 10.0.0.2}}",
        )
    };
    let workers = "workers: {sync: {host: hs1, handles: [sync]}, client: {host: hs2, handles: [login]}}\n";
    let (topology, ..) = meaning(&two(&format!("{workers}defaults: {{listen: unix}}")), &Lock::default());
    let clients: Vec<&str> = topology.instances.iter().filter_map(|one| one.client.as_deref()).collect();
    assert_eq!(
        clients,
        ["unix:/run/matrix/main/client.sock", "unix:/run/matrix/sync/client.sock", "10.0.0.2:8081"]
    );
    assert_eq!(topology.shared_config["instance_map"]["main"]["host"], "10.0.0.1");
    assert_eq!(
        errors(&two(&workers.replace("[login]", "[login], listen: unix"))),
        ["\"client\" on host \"hs2\" cannot listen on a socket: a proxy on host \"hs1\" must reach it"]
    );
    let long = inventory(
        ", prefix: a23456789-a23456789-a23456789",
        "",
        &format!("workers: {{{}: {{host: hs1, handles: [sync], listen: unix}}}}", "w".repeat(63)),
    );
    assert!(errors(&long)[0].ends_with("has too long a path"), "{:?}", errors(&long));
}
