//! The lock: what is written is read back, and what is not understood is refused.
#![allow(clippy::expect_used, clippy::panic)] // a test that cannot go on says why

use indexmap::IndexMap;
use proptest::prelude::*;
use synprov::inventory::lock::{self, Lock};
use synprov::render;

/// What a person sees of a lock that is refused.
fn check(text: &str) -> String {
    match lock::parse(text) {
        Ok(_) => String::new(),
        Err(found) => render::diagnostic::text(&found, "inventory.lock", text, false),
    }
}

fn example() -> Lock {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let ports =
        |ports: &[(&str, u16)]| ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
    Lock {
        ports: IndexMap::from([
            ("main".into(), ports(&[("client", 8008), ("replication", 9093)])),
            ("sync".into(), ports(&[("client", 8081)])),
        ]),
        instances: IndexMap::from([
            ("sync".into(), names(&["hs1"])),
            ("sender".into(), names(&["hs2", "hs1"])),
        ]),
        lists: IndexMap::from([("federation_sender_instances".into(), names(&["sender", "sender2"]))]),
        packages: IndexMap::from([(
            "matrix-synapse[redis]==1.163.2".into(),
            IndexMap::from([("cp311-x86_64".into(), names(&["attrs==25.4.0 --hash=sha256:00ff", "yes"]))]),
        )]),
    }
}

#[test]
fn written_and_read() {
    let text = lock::emit(&example());
    insta::assert_snapshot!(text);
    assert_eq!(lock::parse(&text).expect("our own"), example());
    assert_eq!(lock::parse(&lock::emit(&Lock::default())).expect("our own"), Lock::default());
}

#[test]
fn refused() {
    let shown: Vec<String> = [
        "format: 2\nsurprise: {}\n",
        "ports: {}\n",
        "format: one\n",
        "format: 1\nprots: {}\nports: {main: {client: 8008, replication: 8008}, sync: {client: 0, x: a}}\n",
        "format: 1\nports: {main: {client: 8008}}\nports: {}\n",
        "format: 1\nlists: {pusher_instances: [a, b, a], x: a}\ninstances: {sync: {hs1: 1}, b: [1]}\n",
        "format: 1\n<<<<<<< ours\nports: {}\n=======\n>>>>>>> theirs\n",
        "[]\n",
        "",
        "# Made by synprov; commit it beside the inventory.\n",
    ]
    .into_iter()
    .map(check)
    .collect();
    assert!(shown.iter().all(|shown| !shown.is_empty()));
    insta::assert_snapshot!(shown.join("\n"));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9_.]{0,8}", ".{0,12}"]
}

fn list() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(text(), 0..4)
}

prop_compose! {
    fn locks()(
        ports in proptest::collection::vec((text(), proptest::collection::vec(text(), 0..3)), 0..4),
        instances in proptest::collection::vec((text(), list()), 0..4),
        lists in proptest::collection::vec((text(), proptest::collection::hash_set(text(), 0..4)), 0..4),
        packages in proptest::collection::vec((text(), proptest::collection::vec((text(), list()), 0..3)), 0..3),
    ) -> Lock {
        // Ports are unique, as resolving makes them.
        let mut next = 8000;
        Lock {
            ports: ports.into_iter().map(|(name, listeners)| {
                (name, listeners.into_iter().map(|listener| { next += 1; (listener, next) }).collect())
            }).collect(),
            instances: instances.into_iter().collect(),
            lists: lists.into_iter().map(|(name, items)| (name, items.into_iter().collect())).collect(),
            packages: packages.into_iter().map(|(name, sets)| (name, sets.into_iter().collect())).collect(),
        }
    }
}

proptest! {
    #[test]
    fn round_trip(lock in locks()) {
        let text = lock::emit(&lock);
        let read = lock::parse(&text).map_err(|found| TestCaseError::fail(format!("{found:?}\n{text}")))?;
        prop_assert_eq!(lock::emit(&read), text);
        prop_assert_eq!(read, lock);
    }

    #[test]
    fn any_text(text in ".*") {
        let _ = check(&text);
        let _ = check(&format!("format: 1\nports: {text}"));
    }
}
