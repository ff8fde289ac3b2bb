//! `synprov import`: what is written is an inventory, and what is not understood is said.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Output;

use assert_cmd::Command;
use base64::Engine as _;
use serde_json::{Map, Value, json};
use synprov::diagnostic::Severity;
use synprov::import::{self, Imported, Reached, found};
use synprov::inventory::{self, FoundSecret, SecretSource};

/// The rest of an inventory, to see what the hosts part is worth.
const REST: &str = "synapse: {server_name: example.org, version: 1.163.2}\npostgresql: {host: hs1}\nredis: {host: hs1}\nmain: {host: hs1}\n";

fn ansible(name: &str, text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(name), text).unwrap();
    let mut command = Command::cargo_bin("synprov").unwrap();
    command.current_dir(directory.path()).args(["import", "--ansible", name]).output().unwrap()
}

#[test]
fn hosts_of_ansible_begin_an_inventory() {
    let ini = "[matrix]\nhs1 ansible_host=192.0.2.10 ansible_user=deploy ansible_port=2222 ansible_become=true\n[matrix:vars]\nansible_password=hunter2\n";
    let yaml = "matrix:\n  hosts:\n    hs1: {ansible_host: 192.0.2.10, ansible_user: deploy, ansible_port: 2222}\n  vars: {ansible_become: yes, ansible_password: hunter2}\n";
    for (name, text) in [("hosts", ini), ("hosts.yml", yaml)] {
        let output = ansible(name, text);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let hosts = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            hosts,
            "hosts:\n  hs1: {address: 192.0.2.10, port: 2222, user: deploy, become: true}   # matrix\n"
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("host hs1: ansible_password is not carried over") && !said.contains("hunter2"),
            "{said}"
        );
        let (read, found) = inventory::parse(&format!("{hosts}{REST}"));
        assert!(found.is_empty() && read.is_some(), "{found:#?}");
    }
}

/// The way to a host and the way to root are carried over, or it is said what to write.
#[test]
fn the_way_through_a_bastion_and_to_root_is_carried_over() {
    for (variables, keys, notes) in [
        (
            "ansible_ssh_common_args='-o ProxyJump=admin@bastion:2222'",
            ", jump: [\"admin@bastion:2222\"]",
            &[][..],
        ),
        ("ansible_ssh_extra_args='-J a,b'", ", jump: [a, b]", &[]),
        (
            "ansible_ssh_common_args='-J bastion -o Compression=yes'",
            ", jump: [bastion]",
            &["only the jump hosts of ansible_ssh_common_args are carried over", "in ~/.ssh/config"],
        ),
        (
            "ansible_ssh_common_args='-o ProxyCommand=\"ssh -W %h:%p bastion\"'",
            "",
            &["ansible_ssh_common_args is not carried over", "write jump: [USER@]HOST[:PORT]"],
        ),
        ("ansible_become=yes ansible_become_method=doas", ", become: doas", &[]),
        ("ansible_become=yes ansible_become_method=community.general.sudo", ", become: true", &[]),
        ("ansible_become=yes ansible_become_method=su", "", &["it becomes root by su", "become: sudo"]),
        (
            "ansible_become=yes ansible_become_pass=hunter2",
            ", become: true",
            &["ansible_become_pass is not carried over", "--ask-become-password"],
        ),
    ] {
        let output = ansible("hosts", &format!("hs1 {variables}\n"));
        let hosts = String::from_utf8(output.stdout).unwrap();
        assert_eq!(hosts, format!("hosts:\n  hs1: {{address: hs1{keys}}}\n"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(notes.iter().all(|note| said.contains(note)) && !said.contains("hunter2"), "{said}");
        assert_eq!(said.contains("host hs1: "), !notes.is_empty(), "{said}");
        let (read, found) = inventory::parse(&format!("{hosts}{REST}"));
        assert!(found.is_empty() && read.is_some(), "{found:#?}");
    }
}

#[test]
fn what_is_no_inventory_of_ansible_is_refused() {
    for (name, text, words) in [
        ("hosts", "", "names no host"),
        ("hosts.yml", "all: [", "error"),
        ("hosts", "$ANSIBLE_VAULT;1.1;AES256\n6162", "is encrypted"),
    ] {
        let output = ansible(name, text);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
}

/// What `import.sh` says of a process: unit, app, user, Python, and its files with their configuration.
fn process(unit: &str, app: &str, user: &str, python: &str, files: &[(&str, Value)]) -> Vec<String> {
    let coded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let files: Vec<Value> =
        files.iter().map(|(path, config)| json!({"path": path, "config": config})).collect();
    let answer = json!({"version": "1.163.2", "errors": [], "files": files}).to_string();
    vec![
        format!(
            "process\t7\t{unit}\tsynapse.app.{app}\t{user}\t{user}\t{}\t{}",
            coded(python),
            coded("/srv")
        ),
        format!("configuration\t{}", coded(&answer)),
    ]
}

fn nginx(text: &str) -> String {
    let coded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!("nginx\t{}\t{}", coded("/etc/nginx/nginx.conf"), coded(text))
}

fn written(lines: &[String]) -> Imported {
    let mut keys = Map::new();
    keys.insert("address".to_owned(), json!("192.0.2.10"));
    import::write(&found::read(lines), &Reached { name: "hs1".to_owned(), keys }).unwrap()
}

/// The topology of what was written; it has to be one.
fn resolved(imported: &Imported) -> synprov::topology::Topology {
    let (read, found) = inventory::parse(&imported.inventory);
    assert!(found.iter().all(|one| one.severity == Severity::Warning), "{found:#?}\n{}", imported.inventory);
    let lock = inventory::lock::parse(&imported.lock).unwrap();
    synprov::topology::resolve(&read.unwrap(), &lock).topology.unwrap()
}

fn listener(port: u16, names: &[&str]) -> Value {
    json!({"type": "http", "port": port, "resources": [{"names": names}]})
}

/// Main's files of a set-up with workers `typist` (a writer) and `generic_worker1`.
fn shared(more: Value) -> Value {
    let mark = json!({"__secret__": true});
    let mut shared = json!({
        "server_name": "example.org",
        "report_stats": false,
        "listeners": [listener(8008, &["client", "federation"]), listener(9093, &["replication"])],
        "database": {"name": "psycopg2", "args": {"user": "synapse", "database": "synapse", "host": "db.example.org", "password": mark}},
        "redis": {"enabled": true, "host": "localhost", "password": mark},
        "media_store_path": "/var/lib/matrix-synapse/media",
        "signing_key_path": "/etc/matrix-synapse/homeserver.signing.key",
        "macaroon_secret_key": mark,
        "worker_replication_secret": mark,
        "instance_map": {"main": {"host": "localhost", "port": 9093}, "typist": {"host": "127.0.0.1", "port": 8034}},
        "stream_writers": {"typing": "typist"},
        "federation_sender_instances": ["generic_worker1"],
    });
    shared.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shared
}

fn workers(
    unit: impl Fn(&str) -> String,
    folder: &str,
    user: &str,
    python: &str,
    main: &[(&str, Value)],
) -> Vec<String> {
    let mut lines = Vec::new();
    let path = |name: &str| format!("{folder}/{name}.yaml");
    for (name, listeners) in [
        ("typist", json!([listener(8034, &["replication"])])),
        ("generic_worker1", json!([listener(8083, &["client", "federation"])])),
    ] {
        let own = json!({"worker_app": "synapse.app.generic_worker", "worker_name": name, "worker_listeners": listeners});
        let path = path(name);
        let files = [main, &[(path.as_str(), own)]].concat();
        lines.extend(process(&unit(name), "generic_worker", user, python, &files));
    }
    lines
}

const LOCATIONS: &str = "http { server { location ~ ^/_matrix/client/(r0|v3)/sync$ { proxy_pass http://localhost:8083; } location / { proxy_pass http://localhost:8008; } } }";

#[test]
fn debians_package_with_self_made_worker_units() {
    let main = [
        (
            "/etc/matrix-synapse/homeserver.yaml",
            shared(json!({"email": {"smtp_host": "mail", "smtp_pass": {"__secret__": true}}})),
        ),
        ("/etc/matrix-synapse/conf.d/server_name.yaml", json!({"server_name": "example.org"})),
    ];
    let python = "/opt/venvs/matrix-synapse/bin/python";
    let mut lines = process("matrix-synapse.service", "homeserver", "matrix-synapse", python, &main);
    let unit = |name: &str| format!("matrix-synapse-worker@{name}.service");
    lines.extend(workers(unit, "/etc/matrix-synapse/workers", "matrix-synapse", python, &main));
    lines.extend(["groupless\tmatrix-synapse".to_owned(), nginx(LOCATIONS), "end\timport".to_owned()]);
    let imported = written(&lines);
    let topology = resolved(&imported);
    assert!(imported.differs.is_empty(), "{:#?}", imported.differs);
    let units: Vec<&str> = topology.instances.iter().map(|one| one.unit.as_str()).collect();
    assert_eq!(
        units,
        [
            "matrix-synapse.service",
            "matrix-synapse-worker@typist.service",
            "matrix-synapse-worker@generic_worker1.service"
        ]
    );
    assert_eq!(topology.venv.path, "/opt/venvs/matrix-synapse");
    let ports: Vec<_> =
        topology.instances.iter().map(|one| (one.client_port, one.replication_port)).collect();
    assert_eq!(ports, [(Some(8008), Some(9093)), (Some(8081), Some(8034)), (Some(8083), None)]);
    let sync = topology.routes.iter().find(|route| route.class == "sync").unwrap();
    assert_eq!(sync.pool, "generic_worker1");
    let source = |name: &str| topology.secrets[name].source.clone();
    let found = |path: &str, key: Option<&str>| {
        SecretSource::Found(FoundSecret { path: path.to_owned(), key: key.map(str::to_owned) })
    };
    let yaml = "/etc/matrix-synapse/homeserver.yaml";
    assert_eq!(source("signing_key"), found("/etc/matrix-synapse/homeserver.signing.key", None));
    assert_eq!(source("macaroon"), found(yaml, Some("macaroon_secret_key")));
    assert_eq!(source("database"), found(yaml, Some("database.args.password")));
    assert_eq!(source("redis"), found(yaml, Some("redis.password")));
    assert_eq!(source("email_smtp_pass"), found(yaml, Some("email.smtp_pass")));
    let said: Vec<&str> = imported.notes.iter().map(|note| note.what.as_str()).collect();
    assert!(said.iter().any(|what| what.contains("no group of its own name")), "{said:?}");
}

#[test]
fn synapses_own_document_with_a_venv_of_ones_own() {
    let main = [("/srv/synapse/homeserver.yaml", shared(json!({"form_secret": {"__secret__": true}})))];
    let python = "/srv/synapse/env/bin/python3";
    let mut lines = process("matrix-synapse.service", "homeserver", "synapse", python, &main);
    let unit = |name: &str| format!("matrix-synapse-worker@{name}.service");
    lines.extend(workers(unit, "/srv/synapse/workers", "synapse", python, &main));
    lines.push(nginx(LOCATIONS));
    let imported = written(&lines);
    let topology = resolved(&imported);
    assert!(imported.differs.is_empty(), "{:#?}", imported.differs);
    assert_eq!((topology.venv.path.as_str(), topology.user.as_str()), ("/srv/synapse/env", "synapse"));
    assert_eq!(topology.main().unwrap().unit, "matrix-synapse.service");
}

#[test]
fn what_runs_otherwise_than_it_would_is_named() {
    let config = shared(
        json!({"instance_map": {"main": {"host": "localhost", "port": 9093}, "typist": {"host": "127.0.0.1", "port": 8099}}}),
    );
    let main = [
        ("/opt/matrix/conf/config.yaml", config),
        ("/opt/matrix/conf/conf.d/mine.yaml", json!({"redis": {"enabled": true}})),
    ];
    let mut lines = process("matrix_main.service", "homeserver", "root", "/opt/matrix/bin/python", &main);
    let unit = |name: &str| format!("synapse_{name}.service");
    lines.extend(workers(unit, "/opt/matrix/conf/workers", "root", "/opt/matrix/bin/python", &main));
    lines.push("homeless\t12\tsynapse.app.generic_worker".to_owned());
    lines.push(nginx(LOCATIONS));
    let imported = written(&lines);
    let differs: Vec<String> =
        imported.differs.iter().map(|note| format!("{}: {}", note.at, note.what)).collect();
    for words in [
        "instance_map.typist.port: 8099 becomes 8034",
        "typist: its unit synapse_typist.service becomes",
        "generic_worker1: its unit",
    ] {
        assert!(differs.iter().any(|line| line.contains(words)), "{words}: {differs:#?}");
    }
    let notes: Vec<String> =
        imported.notes.iter().map(|note| format!("{}: {}", note.at, note.what)).collect();
    for words in ["runs as root", "belongs to no unit of systemd", "mine.yaml: it has redis, which follows"] {
        assert!(notes.iter().any(|line| line.contains(words)), "{words}: {notes:#?}");
    }
}

#[test]
fn nothing_hostile_gets_into_the_inventory_but_as_a_value() {
    let hostile: Vec<String> = serde_json::from_str(include_str!("data/hostile_strings.json")).unwrap();
    let mut values = Map::new();
    for (at, text) in hostile.iter().enumerate() {
        values.insert(format!("k{at}"), json!([text, {"deep": text}]));
    }
    values.insert("a: {b".to_owned(), json!("c}"));
    let config = shared(
        json!({"x": values, "admin_contact": "a\n  evil: true", "password_config": {"pepper": "hunter2"}, "oidc": {"client_secret": "hunter2"}}),
    );
    let main = [("/opt/matrix/conf/config.yaml", config)];
    let mut lines = process("matrix_main.service", "homeserver", "matrix", "/opt/matrix/bin/python", &main);
    let unit = |name: &str| format!("matrix_generic_worker@{name}.service");
    lines.extend(workers(unit, "/opt/matrix/conf/workers", "matrix", "/opt/matrix/bin/python", &main));
    lines.push(nginx("location ~ \"^/\n# evil: x\" { proxy_pass http://localhost:8083; } location ~ ( { }"));
    lines.push("what\u{1b}[31m\tis this".to_owned());
    let imported = written(&lines);
    let tree = synprov::yaml::parse(&imported.inventory).unwrap_or_else(|found| panic!("{found:#?}"));
    let config = tree.get("synapse").and_then(|node| node.get("config")).unwrap();
    for (at, text) in hostile.iter().enumerate() {
        let read = config.get("x").and_then(|node| node.get(&format!("k{at}"))).unwrap().to_json();
        assert_eq!(read, json!([text, {"deep": text}]));
    }
    assert!(tree.get("evil").is_none() && config.get("evil").is_none());
    assert!(!imported.inventory.contains("client_secret: hunter2"), "{}", imported.inventory);
    let said = format!("{:?}", imported.notes);
    assert!(!said.contains("\\u{1b}") && !said.contains("hunter2"), "{said}");
}

#[test]
fn any_answer_is_read_to_its_end() {
    for lines in
        [&["process\t1".to_owned()][..], &["configuration\t%%%".to_owned()], &[], &["\t\t".to_owned()]]
    {
        let found = found::read(lines);
        let error = import::write(&found, &Reached { name: "hs1".to_owned(), keys: Map::new() }).unwrap_err();
        assert!(error.what.contains("no main process"), "{error:?}");
    }
}
