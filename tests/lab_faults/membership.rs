//! Hosts that leave, and workers that move.

use crate::reach::Paused;
use crate::site::{INVENTORY, Site, WRITTEN, replaced};

const WORKERS_OF_HS2: &str = "  sync: {host: hs2, count: 2, handles: [sync]}\n  federation_sender: {host: hs2, runs: [federation_sender]}\n";

/// The first inventory with everything on hs1 and this instead of hs2's line.
fn without_hs2(line: &str) -> String {
    let (name, written) = WRITTEN[1];
    let there = format!("  {name}: {written}}}\n");
    assert!(INVENTORY.contains(&there));
    replaced(&[(WORKERS_OF_HS2, "")]).replace(&there, line)
}

/// A worker that alone writes a stream moves to another host: never are there two, and it stops first.
pub fn a_writer_moves(site: &Site) {
    site.rewrite(&[("typing: {host: hs1", "typing: {host: hs2")]);
    let unit = "matrix_generic_worker@typing.service";
    let plan = site.plan(0);
    let steps = plan.steps();
    let at = |wanted: &str| {
        let found = steps.iter().position(|step| step.contains(wanted));
        found.unwrap_or_else(|| panic!("no step {wanted:?} in {steps:#?}"))
    };
    let stop = at(&format!("hs1 stop and disable {unit}"));
    let start = steps.iter().position(|step| step.starts_with("hs2 start") && step.contains(unit)).unwrap();
    assert!(stop < start, "{steps:#?}");
    assert!(stop < at("hs1 restart matrix_main.service"), "{steps:#?}");
    site.apply();
    site.is_settled();
    assert_eq!(
        (site.state("hs1", unit), site.state("hs2", unit)),
        ("inactive".to_owned(), "active".to_owned())
    );
    let stopped =
        site.sh("hs1", &format!("systemctl show --value --property=InactiveEnterTimestampMonotonic {unit}"));
    // Hosts of a lab share the machine's clock.
    let started =
        site.sh("hs2", &format!("systemctl show --value --property=ExecMainStartTimestampMonotonic {unit}"));
    let number = |text: &str| text.parse::<u64>().unwrap();
    if number(&stopped) > 0 {
        assert!(number(&stopped) < number(&started), "stopped at {stopped}, started elsewhere at {started}");
    }
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
}

/// What is left is one host, and its datastores listen on loopback alone from then on: that is worth a restart.
#[track_caller]
fn apply(site: &Site) {
    site.run(&["apply", "--yes", "--diff", "none", "--allow-datastore-restart", "--allow-deletes"]).exits(0);
}

/// A host that is just deleted from the inventory may still run workers: refused until somebody says what became of it.
pub fn a_host_is_dropped_then_retired(site: &Site) {
    site.write(&without_hs2(""));
    let before = site.files();
    let refusals = site.plan(1).refusals();
    let missing = "- host \"hs2\" belongs to this deployment and is missing from the inventory";
    assert!(refusals.iter().any(|refusal| refusal == missing), "{refusals:?}");
    site.run(&["apply", "--yes"]).exits(1).says("retired: true").says("lost: true");
    assert_eq!(site.files(), before, "a refused apply changes nothing");

    site.write(&without_hs2(&format!("  hs2: {}, retired: true}}\n", WRITTEN[1].1)));
    apply(site);
    site.is_settled();
    let left = site.sh("hs2", "systemctl list-units --no-legend --plain 'matrix*'; ls /opt/matrix/conf/workers /etc/systemd/system/matrix* 2> /dev/null || true");
    assert_eq!(left, "", "on the retired host");
    assert_eq!(site.state("hs1", "matrix_main.service"), "active");

    // It comes back as if it had never been away.
    site.rewrite(&[]);
    apply(site);
    site.is_settled();
}

/// A host that is off for good: nobody speaks to it, everything else goes on.
pub fn a_host_is_lost(site: &Site) {
    let paused = Paused::host(site, "hs2");
    site.write(&without_hs2(&format!("  hs2: {}, lost: true}}\n", WRITTEN[1].1)));
    let plan = site.plan(1);
    assert_eq!(
        plan.refusals(),
        ["hs1 a running deployment's datastore would restart: restart redis-server@matrix.service"]
    );
    let steps = plan.steps();
    assert!(!steps.is_empty() && steps.iter().all(|step| step.starts_with("hs1 ")), "{steps:#?}");
    apply(site);
    site.is_settled();
    let config = site.sh("hs1", "cat /opt/matrix/conf/config.yaml");
    assert!(!config.contains("sync2"), "{config}");
    drop(paused);
    site.rewrite(&[]);
    apply(site);
    site.is_settled();
}
