//! What `--json` puts out, good runs and failing ones, against the published schemas.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

use crate::causes::SMALL;
use crate::inventories::SHIPPED;
use crate::saved;
use crate::world::World;

const CHECK: &str = include_str!("../../schema/check.schema.json");
const PLAN: &str = include_str!("../../schema/plan.schema.json");
const APPLY: &str = include_str!("../../schema/apply.schema.json");
const ROUTE: &str = include_str!("../../schema/route.schema.json");

#[track_caller]
fn validate(schema: &str, document: &Value) {
    let validator = jsonschema::draft202012::new(&serde_json::from_str(schema).unwrap()).unwrap();
    let wrong: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{}\n{document:#}", wrong.join("\n"));
}

/// Runs the program; its standard output is nothing but these JSON values.
#[track_caller]
fn run(directory: &Path, words: &[&str], code: i32) -> Vec<Value> {
    let mut command = Command::cargo_bin("synprov").unwrap();
    command.current_dir(directory).env_remove("SYNPROV_INVENTORY").env("HOME", directory);
    command.env("SMTP_PASSWORD", "smtp of the controller").env_remove("SSH_AUTH_SOCK");
    let output = command.args(words).arg("--json").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{said}");
    let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    values.map(|value| value.unwrap_or_else(|error| panic!("{words:?}: {error}"))).collect()
}

#[track_caller]
fn one(directory: &Path, words: &[&str], code: i32, schema: &str) -> Value {
    let mut values = run(directory, words, code);
    assert_eq!(values.len(), 1, "{words:?}");
    let document = values.remove(0);
    validate(schema, &document);
    document
}

fn directory(text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("inventory.yaml"), text).unwrap();
    directory
}

/// Its hosts are not to be had.
fn unreachable() -> String {
    SMALL.replace("address: 192.0.2.", "port: 1, address: 127.0.0.")
}

/// Whatever is asked for, programs get one document: here why there is none of the kind they asked for.
#[test]
fn what_has_no_answer_says_why_in_its_schema() {
    let schemas = [
        ("status", include_str!("../../schema/status.schema.json")),
        ("history", include_str!("../../schema/history.schema.json")),
        ("drift", include_str!("../../schema/drift.schema.json")),
    ];
    let wrong = directory("hosts: {hs1: {adress: 192.0.2.10}}\n");
    let nowhere = tempfile::tempdir().unwrap();
    for (command, schema) in schemas {
        for directory in [wrong.path(), nowhere.path()] {
            let document = one(directory, &[command], 1, schema);
            assert!(document["error_count"].as_u64() > Some(0), "{document:#}");
            assert_eq!(document["inventory"], "inventory.yaml");
            assert!(document["diagnostics"][0]["summary"].is_string(), "{document:#}");
        }
    }
    let small = directory(SMALL);
    let document = one(small.path(), &["status", "nobody"], 64, schemas[0].1);
    let said = document["diagnostics"].as_array().unwrap().iter();
    let errors = said.filter(|one| one["severity"] == "error").map(|one| one["summary"].as_str().unwrap());
    assert!(errors.into_iter().all(|summary| summary.contains("nobody")), "{document:#}");
}

#[test]
fn check_says_what_is_wrong_in_its_schema() {
    for (_, text) in SHIPPED {
        let document = one(directory(text).path(), &["check"], 0, CHECK);
        assert_eq!((&document["valid"], &document["error_count"]), (&true.into(), &0.into()));
    }
    let bad = directory(&SMALL.replace("handles: [sync]", "handels: [sync]"));
    let document = one(bad.path(), &["check"], 1, CHECK);
    assert_eq!(document["valid"], false);
    let all = document["diagnostics"].as_array().unwrap();
    let found = all.iter().find(|one| one["summary"].as_str().unwrap().contains("handels")).unwrap();
    assert_eq!(found["severity"], "error");
    assert_eq!(found["range"]["filename"], "inventory.yaml");
    assert_eq!(found["range"]["start"]["line"], 15);
    assert!(found["detail"].as_str().unwrap().contains("handles"), "{found:#}");
    let document = one(tempfile::tempdir().unwrap().path(), &["check"], 1, CHECK);
    assert!(document["diagnostics"][0]["range"].is_null());
    let document = one(directory(&unreachable()).path(), &["check", "--against-host"], 3, CHECK);
    assert_eq!((&document["valid"], &document["error_count"]), (&true.into(), &2.into()));
    one(directory(SMALL).path(), &["check", "--locked"], 1, CHECK);
}

#[test]
fn a_plan_is_in_its_schema_also_where_there_is_none() {
    let incomplete = directory(&unreachable());
    let document = one(incomplete.path(), &["plan"], 3, PLAN);
    assert_eq!((&document["complete"], &document["errored"]), (&false.into(), &false.into()));
    assert_eq!(document["error_count"], 2, "one a host");
    let document = one(incomplete.path(), &["plan", "--limit", "hs9"], 64, PLAN);
    assert_eq!((&document["errored"], &document["applyable"]), (&true.into(), &false.into()));
    let broken = directory("nonsense: [");
    let document = one(broken.path(), &["plan"], 1, PLAN);
    assert!(document["diagnostics"][0]["range"]["start"]["line"].is_u64(), "{document:#}");
    one(broken.path(), &["show", "inventory.yaml"], 1, PLAN);
    // Whole plans, as `show` puts them out: of bare hosts, of changes, of what leaves, of a refused one.
    let mut changing = World::model(SMALL);
    changing.becomes(&SMALL.replace("10K", "20K"));
    let mut leaving = World::model(SMALL);
    leaving.becomes(&crate::leaving::without("sync"));
    let mut refused = World::model(SMALL);
    refused.machine("hs1").remove("/opt/matrix/conf/secrets/signing_key");
    refused.machine("hs2").remove("/opt/matrix/conf/secrets/signing_key");
    let mut shrinking = World::model(&crate::guards::with_five());
    shrinking.becomes(&SMALL.replace("10K", "20K"));
    shrinking.backup = Some("command:cat".parse().unwrap());
    for world in [World::bare(SHIPPED[1].1), changing, leaving, refused, shrinking] {
        let saved = saved::saved(&world);
        std::fs::write(broken.path().join("saved.plan"), saved.text().unwrap()).unwrap();
        let document = one(broken.path(), &["show", "saved.plan"], 0, PLAN);
        assert_eq!(document["changes"].as_array().unwrap().len(), saved.plan.changes.len());
        assert_eq!(document["applyable"], saved.plan.refusals.is_empty());
        assert_eq!(document["deletes"].is_null(), saved.plan.deletes.is_none());
    }
}

#[test]
fn apply_says_what_happens_an_event_a_line() {
    let check = |text: &str, words: &[&str], code: i32| -> Vec<Value> {
        let events = run(directory(text).path(), &[&["apply"], words].concat(), code);
        for event in &events {
            validate(APPLY, event);
        }
        assert_eq!(events[0]["type"], "version");
        let last = events.last().unwrap();
        assert_eq!((&last["type"], &last["exit_code"]), (&"summary".into(), &code.into()));
        events
    };
    let kinds = |events: &[Value]| -> Vec<String> {
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    let events = check("nonsense: [", &["--yes"], 1);
    assert!(kinds(&events).contains(&"diagnostic".to_owned()));
    let events = check(&unreachable(), &["--yes"], 3);
    let mut order = kinds(&events);
    order.dedup();
    assert_eq!(order, ["version", "diagnostic", "plan", "summary"]);
    validate(PLAN, &plan_of(&events[events.len() - 2]));
    check(&unreachable(), &["--limit", "hs9"], 64);
}

/// The plan of an event as the document that `plan --json` would put out.
pub fn plan_of(event: &Value) -> Value {
    let mut plan = event["plan"].clone();
    for (key, value) in
        [("error_count", 0.into()), ("warning_count", 0.into()), ("diagnostics", Value::Array(vec![]))]
    {
        plan[key] = value;
    }
    plan
}

#[test]
fn a_route_is_in_its_schema() {
    let directory = directory(SHIPPED[1].1);
    for words in [
        ["GET", "/_matrix/client/v3/sync?since=s1"],
        ["PUT", "/_matrix/client/v3/rooms/!a:b/typing/@u:b"],
        ["POST", "/_matrix/client/v3/account/password"],
        ["GET", "/_synapse/admin/v1/users"],
        ["GET", "/_matrix/federation/v1/version"],
        ["GET", "/.well-known/matrix/client"],
        ["POST", "/_matrix/client/v3/login"],
        ["GET", "/_matrix/media/v3/download/a/b"],
        ["POST", "/_matrix/client/v3/keys/query"],
    ] {
        let document = one(directory.path(), &[&["route"], &words[..]].concat(), 0, ROUTE);
        assert_eq!(document["method"], words[0]);
    }
    let document = one(directory.path(), &["route", "get", "/x"], 64, ROUTE);
    assert_eq!(document["diagnostics"][0]["severity"], "error");
    assert!(document["route"].is_null());
}

/// The schemas stand alone: what they share is the same in all.
#[test]
fn diagnostics_are_the_same_everywhere() {
    let definitions = |text: &str| -> Value {
        let schema: Value = serde_json::from_str(text).unwrap();
        ["diagnostic", "range", "position"].iter().map(|name| schema["$defs"][*name].clone()).collect()
    };
    for schema in [PLAN, APPLY, ROUTE] {
        assert_eq!(definitions(schema), definitions(CHECK));
    }
    for name in ["inventory", "check", "plan", "apply", "route"] {
        let output = Command::cargo_bin("synprov").unwrap().args(["schema", name]).output().unwrap();
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(schema["title"].as_str().unwrap().contains(name), "{schema:#}");
    }
}
