//! A host that answers whatever it likes: it is data, bounded, and fit for a terminal before anybody sees it.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use synprov::facts::{Asked, HostErrorKind, gather};
use synprov::transport::{Client, Error, Event, Exec, Session, Target, Transport};

/// What a host says once it has been asked: pieces, of which the last is repeated for ever if there is no end.
#[derive(Clone)]
struct Hostile {
    /// Before the sentinel.
    noise: Vec<u8>,
    /// After it.
    answer: Vec<u8>,
    /// Again and again, and never the end.
    endless: Vec<u8>,
}

struct Talk {
    hostile: Hostile,
    heard: Vec<u8>,
    said: usize,
}

impl Transport for Hostile {
    fn connect(&self, _: &Target) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(self.clone()))
    }
}

impl Session for Hostile {
    fn exec(&mut self, _: &str) -> Result<Box<dyn Exec + '_>, Error> {
        Ok(Box::new(Talk { hostile: self.clone(), heard: Vec::new(), said: 0 }))
    }
}

impl Exec for Talk {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.heard.extend_from_slice(bytes);
        Ok(())
    }

    fn close_stdin(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn next(&mut self, _: Duration) -> Result<Event, Error> {
        self.said += 1;
        let line = String::from_utf8_lossy(&self.heard).lines().next().unwrap_or_default().to_owned();
        let sentinel = line.split(' ').nth(2).unwrap_or_default().to_owned();
        Ok(match self.said {
            1 => Event::Stdout(self.hostile.noise.clone()),
            2 => Event::Stdout(format!("\n{sentinel}\n").into_bytes()),
            3 => Event::Stdout(self.hostile.answer.clone()),
            _ if self.hostile.endless.is_empty() => Event::Exit(Some(0)),
            _ => Event::Stdout(self.hostile.endless.clone()),
        })
    }

    fn unsent(&self) -> usize {
        0
    }
}

/// Asks such a host; what people are told: `summary / help`.
#[track_caller]
fn check(noise: &[u8], answer: &[u8], endless: &[u8], words: &str) -> String {
    let hostile = Hostile { noise: noise.to_vec(), answer: answer.to_vec(), endless: endless.to_vec() };
    let target = Target {
        name: "hs1".to_owned(),
        address: "192.0.2.1".to_owned(),
        port: 22,
        user: "root".to_owned(),
        identity_files: Vec::new(),
        known_hosts: Vec::new(),
        host_key: None,
        accept_new: false,
        connect_timeout: Duration::from_secs(1),
        client: Client::default(),
    };
    let asked = Asked {
        target,
        privilege: Default::default(),
        transport: &hostile,
        resources: Vec::new(),
        routes: None,
        reaches: Vec::new(),
        generations: None,
        states: false,
        watch: String::new(),
    };
    let began = Instant::now();
    let (_, outcome) = gather(&[asked], "example.org", "nonce", 1).remove(0);
    assert!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
    let error = outcome.err().unwrap_or_else(|| panic!("it was believed"));
    let told = format!("{} / {}", error.summary, error.help.unwrap_or_default());
    assert!(told.contains(words), "{told:?} does not say {words:?}");
    assert!(told.len() < 10_000, "{} bytes are told", told.len());
    assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
    assert!(matches!(error.kind, HostErrorKind::Unreachable | HostErrorKind::Unfit | HostErrorKind::Locked));
    told
}

#[test]
fn an_answer_without_end_is_given_up() {
    let line = [b"record\thost/x/file:/f\t{}", "x".repeat(100_000).as_bytes(), b"\n"].concat();
    let lines = line.repeat(10);
    check(b"", b"euid\t0\n", &lines, "its facts have no end");
    for line in [
        "path\tfile\t644\troot\troot\t1\t1.0\t1.0\t/f\n",
        "user\tu\tl\n",
        "key\t/f\tk\n",
        "pg_peer\ta\tscram-sha-256\n",
    ] {
        check(b"", b"", line.repeat(20_000).as_bytes(), "its facts have no end");
    }
}

#[test]
fn a_line_without_end_is_given_up() {
    check(b"", b"", &[b'x'; 65536], "it sends a line without end");
    check(&vec![b'x'; 3 << 20], b"", b"", "it sends a line without end");
    check(b"", b"", &[0; 65536], "it sends a line without end");
}

#[test]
fn what_is_no_answer_is_told_without_control_characters() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{202e}";
    for answer in [
        format!("error\t{evil}\n"),
        format!("{evil}\n"),
        format!("locked\t{evil}\n"),
        format!("record\tx\t{{\"applied\":\"{evil}\"}}\nrecord\ty\t{{}}\nend\tfacts\n"),
        format!("record\t{evil}\nrecord\ty\t{{}}\nend\tfacts\n"),
        format!("euid\t0\nsystemd\nos\tID\t{evil}\nos\tPRETTY_NAME\t{evil}\nend\tfacts\n"),
        format!("euid\t{evil}\n"),
        format!("now\t{evil}\n"),
    ] {
        check(b"", answer.as_bytes(), b"", "");
    }
    check(b"\xff\xfe\x1b[31m", b"\xff\xfe\xff\n", b"", "not understood");
}
