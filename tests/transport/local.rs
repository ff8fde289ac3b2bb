//! The same behaviour without SSH.

use std::time::{Duration, Instant};

use synprov::transport::{Client, Event, Passphrases, Session, Target, choose};

use crate::streams::check_streams;
use crate::{noise, run};

/// Nobody is there to be asked for a passphrase.
static NOBODY: Passphrases = Passphrases::asked_by(|_| None);

fn session() -> Box<dyn Session> {
    let target = Target {
        name: "here".into(),
        address: "local".into(),
        port: 0,
        user: "nobody-in-particular".into(),
        identity_files: vec![],
        known_hosts: vec![],
        host_key: None,
        accept_new: false,
        connect_timeout: Duration::from_secs(1),
        client: Client::default(),
    };
    choose("local", &NOBODY).connect(&target).unwrap()
}

#[test]
fn on_this_machine() {
    let mut session = session();
    check_streams(&mut *session);
    assert_eq!((session.counters().logins(), session.counters().execs()), (0, 7));
}

#[test]
fn the_operators_environment_stays_outside() {
    // Cargo exports this for every test it runs.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
    let outcome = run(&mut *session(), "echo ${CARGO_PKG_NAME-none} $HOME; pwd", b"");
    let home = std::env::var("HOME").unwrap();
    assert_eq!(outcome.text(), (format!("none {home}\n{home}\n"), String::new(), Some(0)));
}

#[test]
fn ctrl_c_at_the_terminal_does_not_reach_it() {
    // A terminal signals the foreground process group; the command must be in another.
    let outcome = run(&mut *session(), "ps -o pgid= -p $$", b"");
    let own = rustix::process::getpgrp().as_raw_nonzero().to_string();
    assert!(!outcome.text().0.trim().is_empty());
    assert_ne!(outcome.text().0.trim(), own);
}

#[test]
fn silence_and_abandoning() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let mut session = session();
    let mut exec = session.exec(&format!("cat >/dev/null; echo ended > {}", mark.display())).unwrap();
    exec.send(&noise(1 << 20)).unwrap();
    assert_eq!(exec.next(Duration::from_millis(300)).unwrap(), Event::Idle);
    assert_eq!(exec.unsent(), 0);
    let start = Instant::now();
    drop(exec);
    assert!(start.elapsed() < Duration::from_secs(10), "dropping does not wait");
    while !mark.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "the command still waits for input");
        std::thread::sleep(Duration::from_millis(10));
    }
}
