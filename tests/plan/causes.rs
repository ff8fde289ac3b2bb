//! The three-value table through `plan()`: whose doing a difference is.

use synprov::facts::record::Entry;
use synprov::plan::Plan;
use synprov::plan::change::{Cause, Change, Operation};

use crate::machine::Kind;
use crate::world::World;

pub const SMALL: &str = "\
hosts:
  hs1: {address: 192.0.2.1, internal_address: 10.8.0.1, user: root}
  hs2: {address: 192.0.2.2, internal_address: 10.8.0.2, user: root}
synapse:
  server_name: example.org
  version: 1.163.2
  install: managed
  config: {report_stats: false}
  secrets: {smtp: env:SMTP_PASSWORD}
postgresql: {host: hs1}
redis: {host: hs1}
main: {host: hs1}
proxy: {host: hs1, kind: nginx, tls: none}
workers:
  sync: {host: hs2, handles: [sync]}
  client: {host: hs1, handles: [client_reader], config: {event_cache_size: 10K}}
  persister: {host: hs1, writes: [events]}
  sender: {host: hs2, runs: [federation_sender]}
";

const FILE: &str = "/opt/matrix/conf/workers/client.yaml";
const SERVICE: &str = "matrix_generic_worker@client.service";

pub fn changed<'a>(plan: &'a Plan, name: &str) -> &'a Change {
    let found = plan.changes.iter().find(|change| change.name == name);
    found.unwrap_or_else(|| panic!("{name} does not change\n{}", crate::tell(plan)))
}

/// desired, actual, recorded, pending: what stands in the file, `-` for nothing; what is planned.
fn check(desired: &str, actual: &str, applied: &str, pending: &str, expected: Option<(Operation, Cause)>) {
    let text = |size: &str| SMALL.replace("10K", size);
    let content = |world: &World, size: &str| {
        let mut other = world.clone();
        other.becomes(&text(size));
        let file = other.resources.iter().find(|one| one.address.name == FILE).unwrap().clone();
        let synprov::resource::Body::File { content, .. } = &file.body else { panic!() };
        content.clone()
    };
    let mut world = World::model(SMALL);
    let address = format!("hs1/worker/file:{FILE}");
    let whole = world.machine("hs1").recorded().entries[&address].clone();
    let attributes = |world: &World, size: &str| {
        (size != "-").then(|| {
            let mut values = whole.applied.clone().unwrap();
            values.insert("content".to_owned(), content(world, size).digest());
            values
        })
    };
    let entry =
        Entry { applied: attributes(&world, applied), pending: attributes(&world, pending), ..whole.clone() };
    let line = if applied == "-" && pending == "-" {
        synprov::facts::record::forget(&address)
    } else {
        entry.line(&address)
    };
    let found = (actual != "-").then(|| content(&world, actual).redacted());
    let machine = world.machine("hs1");
    machine.record.push_str(&line);
    match found {
        None => drop(machine.nodes.remove(FILE)),
        Some(found) => machine.node(FILE).kind = Kind::File(found),
    }
    world.becomes(&text(desired));
    let plan = world.plan();
    let what = format!("desired {desired}, actual {actual}, applied {applied}, pending {pending}");
    let change = plan.changes.iter().find(|change| change.name == FILE);
    assert_eq!(change.map(|change| (change.operation, change.cause)), expected, "{what}");
    let unmanaged = expected.is_some_and(|(_, cause)| cause == Cause::Unmanaged);
    assert_eq!(plan.refusals.len(), usize::from(unmanaged), "{what}: {:#?}", plan.refusals);
    if unmanaged {
        world.allow.adopt = true;
        assert_eq!(world.plan().refusals, [], "{what}");
    }
    let plan = world.plan();
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn the_three_value_table_of_a_file() {
    use Cause::{Drift, DriftAndChange, Intended, Unmanaged};
    use Operation::{Create, Update};
    check("10K", "10K", "10K", "-", None);
    check("20K", "10K", "10K", "-", Some((Update, Intended)));
    check("10K", "20K", "10K", "-", Some((Update, Drift)));
    check("30K", "20K", "10K", "-", Some((Update, DriftAndChange)));
    check("10K", "20K", "-", "-", Some((Update, Unmanaged)));
    check("10K", "10K", "-", "-", None);
    check("20K", "20K", "10K", "-", None);
    check("10K", "-", "-", "-", Some((Create, Intended)));
    check("10K", "-", "10K", "-", Some((Create, Drift)));
    // An apply that was killed: before its act, after it, and the inventory has moved on since.
    check("20K", "10K", "10K", "20K", Some((Update, Intended)));
    check("20K", "20K", "10K", "20K", None);
    check("30K", "20K", "10K", "20K", Some((Update, Intended)));
    check("20K", "-", "-", "20K", Some((Create, Intended)));
    check("30K", "20K", "-", "20K", Some((Update, Intended)));
    check("20K", "40K", "10K", "20K", Some((Update, DriftAndChange)));
}

#[test]
fn a_new_value_on_the_controller_is_intended_and_an_edited_copy_is_drift() {
    let text = SMALL.replace("event_cache_size: 10K", "email: {smtp_pass: {secret: smtp}}");
    let mut world = World::model(&text);
    let path = "/opt/matrix/conf/secrets/smtp";
    let mut edited = world.clone();
    edited.machine("hs1").node(path).kind = Kind::File("mine".to_owned());
    let plan = edited.plan();
    assert_eq!(changed(&plan, "smtp").cause, Cause::Drift, "{}", crate::tell(&plan));
    assert!(!plan.changes.iter().any(|change| change.name == FILE), "the file still holds the right value");
    assert_eq!(changed(&plan, SERVICE).cause, Cause::Drift);
    edited.apply(&plan);
    edited.assert_settled();

    world.values.insert("smtp".to_owned(), "another".to_owned());
    let plan = world.plan();
    let names: Vec<&str> = plan.changes.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names, ["smtp", FILE, SERVICE], "{}", crate::tell(&plan));
    assert!(plan.changes.iter().all(|change| change.cause == Cause::Intended), "{}", crate::tell(&plan));
    assert!(!serde_json::to_string(&plan).unwrap().contains("another"));
    world.apply(&plan);
    world.assert_settled();
    assert!(world.machine("hs1").text(FILE).unwrap().contains("another"));
}

#[test]
fn a_value_changed_at_its_origin_goes_to_the_others_and_is_not_their_drift() {
    let mut world = World::model(SMALL);
    world.machine("hs1").node("/opt/matrix/conf/secrets/macaroon").kind = Kind::File("new".to_owned());
    let plan = world.plan();
    let change = changed(&plan, "macaroon");
    assert_eq!((change.host.as_str(), change.cause), ("hs2", Cause::Intended), "{}", crate::tell(&plan));
    world.apply(&plan);
    world.assert_settled();
    assert_eq!(world.machine("hs2").text("/opt/matrix/conf/secrets/macaroon"), Some("new"));
}

#[test]
fn a_file_that_begins_to_hold_a_secret_or_ceases_to_is_nobodys_drift() {
    let with = SMALL.replace("event_cache_size: 10K", "email: {smtp_pass: {secret: smtp}}");
    let mut world = World::model(SMALL);
    for text in [with.as_str(), SMALL, with.as_str()] {
        world.becomes(text);
        let plan = world.plan();
        assert_eq!(changed(&plan, FILE).cause, Cause::Intended, "{}", crate::tell(&plan));
        world.apply(&plan);
        world.assert_settled();
    }
    world.machine("hs1").node(FILE).kind = Kind::File("mine".to_owned());
    assert_eq!(changed(&world.plan(), FILE).cause, Cause::Drift);
    world.becomes(SMALL);
    assert_eq!(changed(&world.plan(), FILE).cause, Cause::DriftAndChange);
}

#[test]
fn a_file_with_a_secret_that_nobody_recorded_is_unmanaged() {
    let text = SMALL.replace("event_cache_size: 10K", "email: {smtp_pass: {secret: smtp}}");
    let mut world = World::model(&text);
    let machine = world.machine("hs1");
    machine.record.push_str(&synprov::facts::record::forget(&format!("hs1/worker/file:{FILE}")));
    machine.digests.remove(FILE);
    let plan = world.plan();
    assert_eq!(changed(&plan, FILE).cause, Cause::Unmanaged);
    assert_eq!(plan.refusals.len(), 1);
    world.allow.adopt = true;
    let plan = world.plan();
    world.apply(&plan);
    world.assert_settled();
}
