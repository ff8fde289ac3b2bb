//! What happens to a host: it stands still, dies, boots, or loses the shell that works there.

use std::process::Command;
use std::time::Duration;

use crate::answer::Answer;
use crate::fault::{Fault, How};
use crate::table::{Table, Work};
use crate::watch;

fn podman(table: &Table, host: &str, words: &[&str]) {
    let name = &table.site.host(host).container;
    let done = Command::new("podman").args(words).arg(name).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Waits until a host that boots is up, and watches it again.
fn booted(table: &Table, host: &str) {
    let up = "for i in {1..600}; do case $(systemctl is-system-running) in running | degraded) exit;; esac; sleep 0.1; done; exit 1";
    while !table.site.try_sh(host, up).0 {
        std::thread::sleep(Duration::from_millis(200));
    }
    watch::begin(&table.site, host);
}

/// Does something to hs1 as a step begins.
fn as_it_begins(table: &Table, step: &str, then: impl FnOnce(&Table)) -> Answer {
    let mut apply = table.start(&[]);
    assert!(apply.until_step(step).is_some(), "it never came to {step}");
    then(table);
    apply.ends()
}

const LOST: &[Option<i32>] = &[Some(1)];

pub fn faults() -> Vec<Fault> {
    let told =
        |name: &str, tell: fn(&Table) -> Answer| Fault::new(name, Work::Client, How::Told(tell)).held(90);
    vec![
        told("a host stands still for five seconds", |table| {
            as_it_begins(table, "validate ", |table| {
                podman(table, "hs1", &["pause"]);
                std::thread::sleep(Duration::from_secs(5));
                podman(table, "hs1", &["unpause"]);
            })
        }),
        told("a host stands still for a minute", |table| {
            as_it_begins(table, "validate ", |table| {
                podman(table, "hs1", &["pause"]);
                std::thread::sleep(Duration::from_secs(60));
                podman(table, "hs1", &["unpause"]);
            })
        })
        .ends(LOST)
        .says(&["it has said nothing for 45 seconds"])
        .long(),
        told("a host loses power as a file is put in place", |table| {
            let answer = as_it_begins(table, "client.yaml in place", |table| podman(table, "hs1", &["kill"]));
            podman(table, "hs1", &["start"]);
            booted(table, "hs1");
            answer
        })
        .ends(LOST),
        told("a host loses power during a restart", |table| {
            let step = "restart matrix_generic_worker@client.service";
            let answer = as_it_begins(table, step, |table| podman(table, "hs1", &["kill"]));
            podman(table, "hs1", &["start"]);
            booted(table, "hs1");
            answer
        })
        .ends(LOST),
        told("a host is rebooted during a validation", |table| {
            let answer =
                as_it_begins(table, "validate ", |table| podman(table, "hs1", &["restart", "--time", "10"]));
            booted(table, "hs1");
            answer
        })
        .ends(LOST),
        told("the shell that works on the host is killed", |table| {
            as_it_begins(table, "validate ", |table| {
                table.site.sh("hs1", "pkill -KILL -f '[s]ynprov_main'");
            })
        })
        .ends(LOST)
        .says(&["its apply script ended early"]),
        told("the shell that works on the host is killed as a file is put in place", |table| {
            as_it_begins(table, "client.yaml in place", |table| {
                table.site.sh("hs1", "pkill -KILL -f '[s]ynprov_main'");
            })
        })
        .ends(&[Some(0), Some(1)]),
        told("the shell that works on the host stands still", |table| {
            let answer = as_it_begins(table, "validate ", |table| {
                table.site.sh("hs1", "pkill -STOP -f '[s]ynprov_main'");
            });
            table.site.sh("hs1", "pkill -CONT -f '[s]ynprov_main'");
            answer
        })
        .ends(LOST)
        .says(&["it has said nothing for 45 seconds"])
        .long(),
    ]
}
