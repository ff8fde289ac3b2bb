//! An apply that fails leads back, and a person goes back: on real hosts.

use std::collections::BTreeMap;

use crate::site::Site;

const SYNC: &str = "sync: {host: hs2, count: 2, handles: [sync]";
/// An option with which the worker does not start on a host that is [`Picky`].
const BROKEN: &str = "sync: {host: hs2, count: 2, handles: [sync], config: {event_cache_size: 4711}";
/// A drop-in of the admin's own.
const DROP_IN: &str = "/etc/systemd/system/matrix_generic_worker@sync.service.d/zz-picky.conf";

/// hs2, where something that no check sees keeps the worker from starting with [`BROKEN`], until this goes.
struct Picky<'a>(&'a Site);

impl<'a> Picky<'a> {
    fn made(site: &'a Site) -> Self {
        site.sh(
            "hs2",
            &format!(
                "mkdir -p $(dirname {DROP_IN}) && printf '[Service]\nExecStartPre=/bin/sh -c \"! grep -q 4711 /opt/matrix/conf/workers/sync.yaml\"\n' > {DROP_IN} && systemctl daemon-reload"
            ),
        );
        Self(site)
    }
}

impl Drop for Picky<'_> {
    fn drop(&mut self) {
        let _ = self.0.try_sh("hs2", &format!("rm -f {DROP_IN}; systemctl daemon-reload"));
    }
}

/// Unit to InvocationID, of everything of ours that runs on both hosts.
fn invocations(site: &Site) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for host in ["hs1", "hs2"] {
        let said = site.sh(
            host,
            "systemctl show --property=Id,InvocationID,ActiveState 'matrix*' 'redis-server@*' nginx.service | sed '/^$/d'",
        );
        let mut id = String::new();
        for line in said.lines() {
            match line.split_once('=') {
                Some(("Id", unit)) => id = format!("{host} {unit}"),
                Some((key, value)) => {
                    found.insert(format!("{id} {key}"), value.to_owned());
                }
                None => {}
            }
        }
    }
    found
}

/// Numbers of the generations that hosts keep, oldest first, and the one they are in.
fn generations(site: &Site) -> (Vec<u64>, u64) {
    let answer = site.run(&["history", "--json"]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let listed = document["generations"].as_array().unwrap().clone();
    let number = |one: &serde_json::Value| one["number"].as_u64().unwrap();
    let current = listed.iter().find(|one| one["current"].as_array().is_some_and(|hosts| !hosts.is_empty()));
    (listed.iter().map(number).collect(), current.map_or(0, number))
}

/// A worker does not start on its new options: everything is as before, and the next plan shows them again.
pub fn a_worker_never_becomes_ready(site: &Site) {
    let picky = Picky::made(site);
    let (files, running, before) = (site.files(), invocations(site), generations(site));
    site.rewrite(&[(SYNC, BROKEN), ("report_stats: false", "report_stats: false\n    max_upload_size: 17M")]);
    let intended = site.plan(0).changes();
    assert!(!intended.is_empty());
    site.run(&["apply", "--yes", "--diff", "none", "--ready-timeout", "15"])
        .exits(6)
        .says("matrix_generic_worker@sync.service")
        .says("Going back to generation")
        .says("Rolled back in")
        .says("verified; every service is ready");
    assert_eq!(site.files(), files, "files are as they were");
    assert_eq!(generations(site), before);
    let now = invocations(site);
    for (what, value) in &running {
        // Main took the larger uploads over before the worker failed, so it restarts once more.
        let restarted = what.contains("InvocationID");
        assert!(now.get(what) == Some(value) || restarted, "{what}: {value}, now {:?}", now.get(what));
    }
    // The second of the pool was never touched.
    let second = "hs2 matrix_generic_worker@sync2.service InvocationID";
    assert_eq!(now.get(second), running.get(second));
    assert_eq!(site.plan(0).changes(), intended, "shown again");
    drop(picky);
    site.rewrite(&[]);
    site.is_settled();
}

/// The same, left as it is for somebody who wants to look.
pub fn a_failure_is_left_alone(site: &Site) {
    let picky = Picky::made(site);
    site.rewrite(&[(SYNC, BROKEN)]);
    let told = site
        .run(&["apply", "--yes", "--diff", "none", "--ready-timeout", "10", "--no-rollback"])
        .exits(1)
        .says("Not rolled back: --no-rollback leaves it as it is.");
    assert!(!told.text.contains("Going back"), "{}", told.text);
    assert_ne!(site.state("hs2", "matrix_generic_worker@sync.service"), "active");
    drop(picky);
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
}

/// The way back fails as well: what stands in its way is said, and once it is gone an apply finishes.
pub fn the_way_back_fails_too(site: &Site) {
    let picky = Picky::made(site);
    site.rewrite(&[(SYNC, BROKEN)]);
    // Once the worker was told to restart, its file cannot be written any more.
    let watcher = "nohup bash -c 'until systemctl show --value --property=NRestarts matrix_generic_worker@sync.service | grep -qv ^0; do sleep 0.05; done; \
        chattr +i /opt/matrix/conf/workers/sync.yaml' > /dev/null 2>&1 &";
    site.sh("hs2", watcher);
    site.run(&["apply", "--yes", "--diff", "none", "--ready-timeout", "15"])
        .exits(7)
        .says("The way back to generation")
        .says("failed too")
        .says("sync.yaml");
    site.sh("hs2", "chattr -i /opt/matrix/conf/workers/sync.yaml");
    drop(picky);
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
}

/// `rollback` and `history`.
pub fn somebody_goes_back(site: &Site) {
    let (_, first) = generations(site);
    let files = site.files();
    site.rewrite(&[
        (SYNC, "sync: {host: hs2, count: 3, handles: [sync], config: {event_cache_size: 4712}"),
        ("writes: [typing]", "writes: [typing, to_device]"),
    ]);
    site.apply();
    let (_, second) = generations(site);
    assert_eq!(second, first + 1);
    let printed = site.run(&["history", "--print-inventory", &second.to_string()]).exits(0);
    assert_eq!(printed.stdout, std::fs::read_to_string(site.path("inventory.yaml")).unwrap());
    site.run(&["history", "--show", &second.to_string()])
        .exits(0)
        .says("~ hs2: file /opt/matrix/conf/workers/sync.yaml");
    site.run(&["history", "--show", "9999"]).exits(1).says("no host keeps generation 9999");

    let told = site.run(&["rollback", "--yes", "--diff", "none"]).exits(0);
    told.says(&format!("Generation {first}: ")).says("the next plan shows what it asks for");
    assert_eq!(site.files(), files);
    assert_eq!(site.state("hs2", "matrix_generic_worker@sync3.service"), "inactive");
    let (numbers, third) = generations(site);
    assert_eq!(third, second + 1, "{numbers:?}");
    site.run(&["history"]).exits(0).says(&format!("back to {first}: ")).says("← now");
    site.run(&["rollback", "--yes", "--to", "9999"]).exits(1).says("no host keeps generation 9999");

    // Forward again by the same way.
    site.run(&["rollback", "--yes", "--to", &second.to_string(), "--diff", "none"]).exits(0);
    site.is_settled();
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
    assert_eq!(site.files(), files);
}
