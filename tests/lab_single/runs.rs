//! Runs that meet each other, a person who says no, and signals.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::answer::Answer;
use crate::site::{INVENTORY, Site};

const CLIENT: &str = "matrix_generic_worker@client.service";
const TYPING: &str = "matrix_generic_worker@typing.service";

/// An apply that is under way.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    heard: String,
}

impl Running {
    /// Starts one and reads its talk until a line contains `text`.
    #[track_caller]
    fn until(site: &Site, text: &str) -> Self {
        let mut command = site.command(&["apply", "--yes"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, stderr, heard: String::new() };
        while !running.heard.contains(text) {
            let read = running.stderr.read_line(&mut running.heard).unwrap();
            assert_ne!(read, 0, "ended before {text:?}: {}", running.heard);
        }
        running
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends(mut self) -> Answer {
        self.stderr.read_to_string(&mut self.heard).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Answer { stderr: self.heard, ..output.into() }
    }
}

/// Two workers get another option: two restarts, the writer's first.
fn two_restarts(site: &Site) {
    let text = INVENTORY
        .replace("writes: [typing, to_device]", "writes: [typing, to_device], config: {event_cache_size: 7K}")
        .replace("config: {turn_shared_secret", "config: {event_cache_size: 7K, turn_shared_secret");
    site.write(&text);
    assert_eq!(site.plan().service_steps(), [format!("restart {TYPING}"), format!("restart {CLIENT}")]);
}

/// Two applies at once: the second exits 5 and names user, host and process of the first.
pub fn two_at_once(site: &Site) {
    two_restarts(site);
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let first = Running::until(site, &format!("restart {TYPING}"));
    let process = first.child.id();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let second = site.run(&["apply", "--yes"]).exits(5);
    assert!(
        second.stderr.contains(&format!("{user}@{}, process {process},", host.trim())),
        "{}",
        second.stderr
    );
    assert!(second.stderr.contains("Nothing was changed."), "{}", second.stderr);
    first.ends().exits(0);
    site.is_settled();
    back(site);
}

/// Somebody at a terminal says no, somebody without a terminal is not asked, somebody says yes.
pub fn a_prompt(site: &Site) {
    two_restarts(site);
    let before = site.invocations();
    let found = site.sh("find /opt/matrix/conf /etc/systemd /etc/nginx -type f | sort | xargs sha256sum");
    let ask = |answer: &str| -> Answer {
        let program = site.command(&[]).get_program().to_string_lossy().into_owned();
        let mut command = std::process::Command::new("script");
        command.args(["--quiet", "--return", "--command", &format!("{program} apply"), "/dev/null"]);
        command.envs(site.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
            .current_dir(&site.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(answer.as_bytes()).unwrap();
        // An end of input right behind the answer would be taken for one.
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        output.into()
    };
    for no in ["no\n", "y\n", "\n"] {
        ask(no).exits(1).says("Only \"yes\" is taken for an answer").says("Nothing was changed.");
    }
    site.run(&["apply"]).exits(1).says("there is no terminal to ask on").says("--yes");
    assert!(site.disturbed(&before).is_empty());
    let now = site.sh("find /opt/matrix/conf /etc/systemd /etc/nginx -type f | sort | xargs sha256sum");
    assert_eq!(now, found, "a declined apply changed something");
    ask("yes\n").exits(0).says("Apply complete");
    site.is_settled();
    assert_eq!(site.disturbed(&before), [CLIENT, TYPING]);
    back(site);
}

/// One SIGINT: the running step finishes, nothing new begins, the next plan shows the remainder.
pub fn interrupted_once(site: &Site) {
    interrupted(site, Signal::INT, 130);
}

/// SIGTERM does what SIGINT does, under its own number.
pub fn terminated_once(site: &Site) {
    interrupted(site, Signal::TERM, 143);
}

fn interrupted(site: &Site, signal: Signal, code: i32) {
    two_restarts(site);
    let before = site.invocations();
    let running = Running::until(site, &format!("restart {TYPING}"));
    running.signal(signal);
    running.ends().exits(code).says("running steps finish").says("1 not begun");
    assert_eq!(site.disturbed(&before), [TYPING], "the running step finished");
    assert_eq!(site.sh(&format!("systemctl is-active {TYPING}")), "active");
    let plan = site.plan();
    assert_eq!(plan.steps(), [format!("restart {CLIENT}")], "{:#?}", plan.changes());
    site.apply();
    site.is_settled();
    assert_eq!(site.disturbed(&before), [CLIENT, TYPING]);
    back(site);
}

/// Two SIGINTs: it ends at once; what is left is shown and finished by the next run.
pub fn interrupted_twice(site: &Site) {
    two_restarts(site);
    let before = site.invocations();
    let running = Running::until(site, &format!("restart {TYPING}"));
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    running.signal(Signal::INT);
    running.ends().exits(130);
    assert!(began.elapsed() < Duration::from_secs(1), "took {:?}", began.elapsed());
    // The host ends its own step before it lets go of the lock.
    let free =
        "for i in {1..300}; do flock --nonblock /run/synprov/lock true && exit; sleep 0.1; done; exit 1";
    site.sh(free);
    let steps = site.plan().steps();
    assert!(steps.contains(&format!("restart {CLIENT}")), "{steps:?}");
    site.apply();
    site.is_settled();
    assert_eq!(site.disturbed(&before), [CLIENT, TYPING]);
    back(site);
}

fn back(site: &Site) {
    site.write(INVENTORY);
    site.apply();
}
