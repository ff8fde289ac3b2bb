//! Bytes in both directions, ends of commands, silence, loss.

use std::time::{Duration, Instant};

use synprov::transport::{Error, Event, Session};

use crate::sshd::Sshd;
use crate::{noise, run, thread_cpu};

/// The behaviour that every transport shows; local.rs runs it too.
pub fn check_streams(session: &mut dyn Session) {
    let big = noise(8 << 20);
    let outcome = run(session, "cat", &big);
    assert!(
        outcome.stdout == big && outcome.stderr.is_empty() && outcome.status == Some(0),
        "8 MiB both ways"
    );

    let outcome = run(session, "tee /dev/stderr", &big[..3 << 20]);
    assert!(
        outcome.stdout == big[..3 << 20] && outcome.stderr == big[..3 << 20],
        "one flood does not starve another"
    );

    let both = "for i in 1 2 3; do echo out$i; echo err$i >&2; done; exit 7";
    assert_eq!(
        run(session, both, b"").text(),
        ("out1\nout2\nout3\n".into(), "err1\nerr2\nerr3\n".into(), Some(7))
    );
    assert_eq!(run(session, "kill -9 $$", b"").status, None, "the end by a signal has no status");
    assert_eq!(
        run(session, "exec >&- 2>&-; sleep 0.3; exit 3", b"").status,
        Some(3),
        "streams end before the command"
    );
    let outcome = run(session, "head -c 5; exit 4", &big);
    assert_eq!(
        (outcome.stdout.as_slice(), outcome.status),
        (&big[..5], Some(4)),
        "a command need not read it all"
    );
    assert_eq!(run(session, "no-such-command-at-all", b"").status, Some(127));
}

#[test]
fn over_ssh() {
    let sshd = Sshd::start(&[]);
    check_streams(&mut *sshd.session());
}

#[test]
fn rekeying_in_the_middle() {
    // Both sides exchange new keys several times while both directions are full.
    let sshd = Sshd::start(&["RekeyLimit 1M"]);
    let big = noise(6 << 20);
    assert!(run(&mut *sshd.session(), "cat", &big).stdout == big);
}

#[test]
fn a_dialogue_step_by_step() {
    let sshd = Sshd::start(&[]);
    let mut session = sshd.session();
    let counters = session.counters();
    let mut exec = session.exec("while read -r line; do echo \"got $line\"; done; echo end").unwrap();
    for word in ["one", "two"] {
        exec.send(format!("{word}\n").as_bytes()).unwrap();
        let event = exec.next(Duration::from_secs(20)).unwrap();
        assert_eq!(event, Event::Stdout(format!("got {word}\n").into_bytes()));
    }
    exec.close_stdin().unwrap();
    assert_eq!(exec.next(Duration::from_secs(20)).unwrap(), Event::Stdout(b"end\n".to_vec()));
    assert_eq!(exec.next(Duration::from_secs(20)).unwrap(), Event::Exit(Some(0)));
    let counted = (counters.logins(), counters.execs(), counters.bytes_out(), counters.bytes_in());
    assert_eq!(counted, (1, 1, 8, 20));
}

#[test]
fn silence_is_reported_and_costs_no_cpu() {
    let sshd = Sshd::start(&[]);
    let mut session = sshd.session();
    let mut exec = session.exec("sleep 30").unwrap();
    let (wall, cpu) = (Instant::now(), thread_cpu());
    assert_eq!(exec.next(Duration::from_millis(800)).unwrap(), Event::Idle);
    assert!(wall.elapsed() >= Duration::from_millis(800) && wall.elapsed() < Duration::from_secs(15));
    assert!(thread_cpu() - cpu < Duration::from_millis(100), "waiting is not looping");
    let polled = Instant::now();
    assert_eq!(exec.next(Duration::ZERO).unwrap(), Event::Idle);
    assert!(polled.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_full_pipe_costs_no_cpu() {
    // The host reads nothing, so that the window closes over 16 MiB that cannot be sent.
    let sshd = Sshd::start(&[]);
    let mut session = sshd.session();
    let mut exec = session.exec("sleep 30").unwrap();
    exec.send(&noise(16 << 20)).unwrap();
    while exec.next(Duration::from_millis(300)).unwrap() != Event::Idle {}
    assert!(exec.unsent() > 0);
    let cpu = thread_cpu();
    assert_eq!(exec.next(Duration::from_millis(800)).unwrap(), Event::Idle);
    assert!(thread_cpu() - cpu < Duration::from_millis(100), "waiting is not looping");
}

#[test]
fn a_killed_connection_is_lost() {
    let sshd = Sshd::start(&[]);
    let mut session = sshd.session();
    // The parent of the command is the sshd process of this very connection.
    let mut exec = session.exec("echo started; sleep 0.2; kill -9 $PPID; sleep 5").unwrap();
    assert_eq!(exec.next(Duration::from_secs(20)).unwrap(), Event::Stdout(b"started\n".to_vec()));
    let error = exec.next(Duration::from_secs(4)).expect_err("the connection is gone");
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("lost the connection to 127.0.0.1:{}: it was closed by the host or on the way", sshd.port)
    );
    drop(exec);
    assert!(matches!(session.exec("true"), Err(Error::Lost { .. })));
}

#[test]
fn max_sessions_1() {
    let sshd = Sshd::start(&["MaxSessions 1"]);
    let mut session = sshd.session();
    for word in ["a", "b", "c"] {
        assert_eq!(run(&mut *session, &format!("echo {word}"), b"").stdout, format!("{word}\n").as_bytes());
    }
    drop(session.exec("sleep 2").unwrap());
    let error = session.exec("true").err().expect("the abandoned command still runs");
    assert!(
        matches!(error, Error::Exec { .. }) && error.help().unwrap().contains("MaxSessions"),
        "{error:?}"
    );
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1, "one log-in for all of it");
}

#[test]
fn an_abandoned_command_sees_its_stdin_closed() {
    let sshd = Sshd::start(&[]);
    let mark = sshd.path("mark");
    let mut session = sshd.session();
    let mut exec = session.exec(&format!("cat; echo ended > {}", mark.display())).unwrap();
    exec.send(&noise(5 << 20)).unwrap();
    drop(exec);
    drop(session);
    let start = Instant::now();
    while !mark.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "the command still waits for input");
        std::thread::sleep(Duration::from_millis(20));
    }
}
