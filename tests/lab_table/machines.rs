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

fn loses_power(table: &Table) {
    podman(table, "hs1", &["kill"]);
    podman(table, "hs1", &["start"]);
}

/// Does something to hs1 as a step begins.
fn as_it_begins(table: &Table, step: &str, then: impl FnOnce(&Table)) -> Answer {
    let mut apply = table.start(&[]);
    assert!(apply.until_step(step).is_some(), "it never came to {step}");
    then(table);
    apply.ends()
}

/// The way back logs in once more.
const LED_BACK: &[Option<i32>] = &[Some(6)];

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
        .ends(LED_BACK)
        .says(&["it has said nothing for 45 seconds"])
        .long(),
        told("a host loses power for a moment as a file is put in place", |table| {
            let answer = as_it_begins(table, "client.yaml in place", loses_power);
            booted(table, "hs1");
            answer
        })
        .ends(LED_BACK),
        told("a host loses power for a moment during a restart", |table| {
            let answer = as_it_begins(table, "restart matrix_generic_worker@client.service", loses_power);
            booted(table, "hs1");
            answer
        })
        .ends(LED_BACK),
        told("a host loses power and is off until the apply has given up", |table| {
            let answer = as_it_begins(table, "client.yaml in place", |table| podman(table, "hs1", &["kill"]));
            podman(table, "hs1", &["start"]);
            booted(table, "hs1");
            answer
        })
        .ends(&[Some(7)])
        .says(&["hs1 could not be had again"])
        .long(),
        told("a host is rebooted during a validation", |table| {
            let answer =
                as_it_begins(table, "validate ", |table| podman(table, "hs1", &["restart", "--time", "10"]));
            booted(table, "hs1");
            answer
        })
        .ends(LED_BACK),
        told("the shell that works on the host is killed", |table| {
            as_it_begins(table, "validate ", |table| {
                table.site.sh("hs1", "pkill -KILL -f '[s]ynprov_main'");
            })
        })
        .ends(LED_BACK)
        .says(&["its apply script ended early"]),
        told("the shell that works on the host is killed as a file is put in place", |table| {
            as_it_begins(table, "client.yaml in place", |table| {
                table.site.sh("hs1", "pkill -KILL -f '[s]ynprov_main'");
            })
        })
        .ends(&[Some(0), Some(6)]),
        told("the shell that works on the host stands still", |table| {
            let answer = as_it_begins(table, "validate ", |table| {
                table.site.sh("hs1", "pkill -STOP -f '[s]ynprov_main'");
            });
            table.site.sh("hs1", "pkill -CONT -f '[s]ynprov_main'");
            answer
        })
        .ends(LED_BACK)
        .says(&["it has said nothing for 45 seconds"])
        .long(),
    ]
}
