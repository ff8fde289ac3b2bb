//! The transport through its own door, against a real sshd on 127.0.0.1 that each test starts for itself.
//!
//! Needs openssh-server and root (sshd logs in the user it runs as). Fails, and says so, if sshd is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "all of it is test"
)]

mod bad_links;
mod crowds;
mod host_keys;
mod local;
mod logging_in;
mod login_shells;
mod openssh;
#[path = "../ports/mod.rs"]
mod ports;
mod reaching;
mod runs;
mod sshd;
mod streams;

use std::time::{Duration, Instant};

use synprov::transport::{Event, Session};

/// What a command did, as its operator would see it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<i32>,
}

impl Outcome {
    fn text(&self) -> (String, String, Option<i32>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&self.stdout), text(&self.stderr), self.status)
    }
}

/// Runs a command to its end, feeding it `input`. A minute of silence is a failure.
fn run(session: &mut dyn Session, command: &str, input: &[u8]) -> Outcome {
    let mut exec = session.exec(command).expect("the command starts");
    exec.send(input).expect("stdin is taken");
    exec.close_stdin().expect("stdin is closed");
    let mut outcome = Outcome { stdout: Vec::new(), stderr: Vec::new(), status: None };
    let start = Instant::now();
    loop {
        match exec.next(Duration::from_secs(5)).expect("the connection lives") {
            Event::Stdout(bytes) => outcome.stdout.extend(bytes),
            Event::Stderr(bytes) => outcome.stderr.extend(bytes),
            Event::Idle => {
                assert!(start.elapsed() < Duration::from_secs(60), "silence, {} unsent", exec.unsent())
            }
            Event::Exit(status) => {
                assert_eq!(exec.next(Duration::ZERO).expect("again"), Event::Exit(status));
                return Outcome { status, ..outcome };
            }
        }
    }
}

/// Bytes in which a lost, doubled or swapped piece shows.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// What this thread has computed so far, to tell waiting from looping.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
