//! One host from one release of Synapse to another, with everything that can be in the way: a database that
//! forbids the way back, an upgrade that fails where it allows it, backups that are read again.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../throwaway/answer.rs"]
mod answer;
mod backup;
#[path = "../throwaway/site.rs"]
#[allow(dead_code)]
mod deployment;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;

use std::time::Instant;

use synprov::lab::Flavour;

use deployment::{Beginning, Site};

const INVENTORY: &str = include_str!("../data/labs/upgrade.yaml");
const HOST: [(&str, &str); 1] = [("hs1", "{address: 192.0.2.10, internal_address: 10.8.0.1, user: root")];

/// The release to begin with, the last one that the second leaves no way back to, and the present one.
const RELEASES: [&str; 3] = ["1.97.0", "1.157.1", "1.163.2"];

/// A worker that does not start as long as its unit has this release in it, until this goes.
struct Unwilling<'a>(&'a Site);

const DROP_IN: &str = "/etc/systemd/system/matrix_generic_worker@typing.service.d/zz-unwilling.conf";

impl<'a> Unwilling<'a> {
    fn made(site: &'a Site, release: &str) -> Self {
        site.sh(
            "hs1",
            &format!(
                "mkdir -p ${{0%/*}}; printf '[Service]\\nExecStartPre=/bin/sh -c \"! grep -qF {release} /etc/systemd/system/matrix_generic_worker@.service\"\\n' > {DROP_IN} && systemctl daemon-reload"
            ).replace("${0%/*}", DROP_IN.rsplit_once('/').unwrap().0),
        );
        Self(site)
    }
}

impl Drop for Unwilling<'_> {
    fn drop(&mut self) {
        let _ = self.0.try_sh("hs1", &format!("rm -f {DROP_IN}; systemctl daemon-reload"));
    }
}

/// Makes this release the wanted one.
fn wants(site: &Site, release: &str) {
    site.rewrite(&[(RELEASES[0], release)]);
}

/// Every process runs from the venv of this release, and is active.
#[track_caller]
fn all_run(site: &Site, release: &str) {
    let said = site.sh(
        "hs1",
        "for unit in $(systemctl list-units --plain --no-legend 'matrix_*.service' | cut -d' ' -f1); do echo $(systemctl is-active $unit) $(tr '\\0' ' ' < /proc/$(systemctl show --value --property=MainPID $unit)/cmdline | cut -d' ' -f1); done",
    );
    assert_eq!(said.lines().count(), 5, "{said}");
    let venv = format!("active /opt/matrix/venvs/{release}-");
    assert!(said.lines().all(|line| line.starts_with(&venv)), "{release}: {said}");
}

fn story(what: &str, act: impl FnOnce()) {
    let began = Instant::now();
    act();
    println!("ok     {what} ({:.1} s)", began.elapsed().as_secs_f32());
}

#[test]
#[ignore = "lab: needs root and podman"]
fn one_host_is_upgraded_and_goes_back_as_far_as_the_database_allows() {
    let site = Site::up("upgrade", Flavour::Warm, Beginning { inventory: INVENTORY, hosts: &HOST });
    let [old, middle, new] = RELEASES;
    story("provisioned with 1.97.0", || {
        site.apply();
        site.is_settled();
        all_run(&site, old);
    });
    story("an upgrade fails behind the point of no return", || {
        wants(&site, middle);
        let unwilling = Unwilling::made(&site, middle);
        site.run(&["plan", "--diff", "none"])
            .exits(0)
            .says("main upgrades the database's schema from 83 to 94")
            .says(
                "Synapse 1.97.0 does not start on it afterwards: only a backup leads back then (`--backup`)",
            )
            .says("Synapse 1.126: only server admins may publish rooms");
        let failed = site
            .run(&["apply", "--yes", "--diff", "none", "--ready-timeout", "15", "--backup=/srv/backups"])
            .exits(7);
        failed.says("back up database matrix to /srv/backups").says("the database forbids Synapse 1.97.0");
        drop(unwilling);
        site.apply();
        site.is_settled();
        all_run(&site, middle);
    });
    story("the backup is whole, and nobody else's", || backup::is_whole(&site));
    story("the way back is refused with the reason", || {
        let before = site.files();
        wants(&site, old);
        let why = "the database forbids Synapse 1.97.0: its schema (94) asks for a release that knows 84, this one knows 83";
        site.run(&["apply", "--yes", "--diff", "none"]).exits(1).says(why).says("install 1.100 or later");
        wants(&site, middle);
        site.run(&["rollback", "--to", "1", "--yes", "--diff", "none"]).exits(1).says(why);
        assert_eq!(site.files(), before, "what is refused changes nothing");
        all_run(&site, middle);
        site.is_settled();
    });
    story("an upgrade fails and leads back to the old venv", || {
        wants(&site, new);
        let _unwilling = Unwilling::made(&site, new);
        site.run(&["apply", "--yes", "--diff", "none", "--ready-timeout", "15"]).exits(6);
        all_run(&site, middle);
        wants(&site, middle);
        site.is_settled();
    });
    story("background updates that have not ended are said", || {
        let psql = "cd / && runuser -u postgres -- psql -q matrix -c";
        site.sh("hs1", &format!("{psql} \"insert into background_updates (update_name, progress_json, ordering) values ('one', '{{}}', 9998), ('other', '{{}}', 9999)\""));
        wants(&site, new);
        let plan = site.run(&["plan", "--diff", "none"]);
        site.sh(
            "hs1",
            &format!("{psql} \"delete from background_updates where update_name in ('one', 'other')\""),
        );
        plan.exits(0).says("2 background updates of the database on hs1 have not ended (one, other)");
        assert!(!site.run(&["plan", "--diff", "none"]).exits(0).text.contains("background"));
    });
    story("no space for the backup: nothing is changed", || {
        wants(&site, new);
        backup::without_space(&site);
        all_run(&site, middle);
    });
    story("upgraded, with the backup given to a command", || {
        backup::through_a_command(&site);
        site.is_settled();
        all_run(&site, new);
    });
    story("a person goes back, and forth again", || {
        site.run(&["rollback", "--yes", "--diff", "none"])
            .exits(0)
            .says("Synapse goes back from 1.163.2 to 1.157.1, which the database allows");
        all_run(&site, middle);
        site.apply();
        site.is_settled();
        all_run(&site, new);
    });
}
