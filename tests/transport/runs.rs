//! The program over real sshds whose hosts only play bare ones: signals, a plan that is read for long, `--locked`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt as _;

use crate::sshd::{Sshd, public};

/// Answers as a bare Debian does. Files beside it: with `locked` another run holds its lock, `slow` holds its facts
/// up, `hold` its steps, `fails` fails them. What it was asked is in `asked`.
const HOST: &str = r#"#!/bin/bash
cd "${0%/*}" || exit
read -r length _ sentinel
script=$(head -c "$length" | gzip -dc)
mode=facts
[[ $script == *"synprov_request='mode"$'\t'apply* ]] && mode=apply
echo "$sentinel"
echo "$mode" >> asked
[[ $mode == apply && -e locked ]] && { printf 'locked\tanna@laptop, process 7\n'; exit 0; }
while [[ -e slow ]]; do sleep 0.05; done
printf '%s\t%s\n' euid 0 now 1700000000.0 uptime 1000.00 machine x86_64 python python3.11 bash 5.2
printf 'systemd\nos\tID\tdebian\nos\tVERSION_ID\t12\nend\tfacts\n'
[[ $mode == apply ]] || exit 0
while read -r word id code payload; do
    case $word in
        step | beside)
            head -c $((code + payload)) > /dev/null
            echo step >> asked
            while [[ -e hold ]]; do sleep 0.05; done
            printf 'done\t%s\t%s\n' "$id" "$([[ -e fails ]] && echo 1 || echo 0)" ;;
    esac
done
"#;

/// A deployment on one such host.
struct Site {
    sshd: Sshd,
}

impl Site {
    fn start(extra: &[&str]) -> Self {
        let sshd = Sshd::start(&[&["ForceCommand DIRhost"], extra].concat());
        std::fs::write(sshd.path("host"), HOST).unwrap();
        std::fs::set_permissions(sshd.path("host"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let reach = format!(
            "address: 127.0.0.1\n    port: {}\n    identity_files: [{}]\n    host_key: {}\n",
            sshd.port,
            sshd.path("id").display(),
            public(&sshd.path("host_ed25519")),
        );
        let text = include_str!("../../inventories/single-host.yaml");
        let (before, rest) = text.split_once("address: 192.0.2.10 ").unwrap();
        let (_, after) = rest.split_once("become: true").unwrap();
        let (_, after) = after.split_once('\n').unwrap();
        std::fs::write(sshd.path("inventory.yaml"), format!("{before}{reach}{after}")).unwrap();
        Self { sshd }
    }

    fn inventory(&self) -> PathBuf {
        self.sshd.path("inventory.yaml")
    }

    fn put(&self, name: &str) {
        std::fs::write(self.sshd.path(name), "").unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.sshd.path(name)).unwrap();
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.sshd.path("asked")).unwrap_or_default()
    }

    fn await_asked(&self, word: &str) {
        wait_until(&|| self.asked().contains(word), &|| {
            format!("{word}: {:?}, {}", self.asked(), self.sshd.log())
        });
    }
}

fn wait_until(done: &dyn Fn() -> bool, why: &dyn Fn() -> String) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", why());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run whose output goes to files in `home`.
struct Running {
    child: Child,
    home: tempfile::TempDir,
}

fn begin(words: &[&str], sites: &[&Site]) -> Running {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| std::fs::File::create(home.path().join(name)).unwrap();
    // Whoever runs the tests may have signals ignored (nohup, a shell's background).
    let child = Command::new("env")
        .args(["--default-signal", env!("CARGO_BIN_EXE_synprov")])
        .args(words)
        .args(sites.iter().map(|site| site.inventory()))
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME")
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("err"))
        .spawn()
        .unwrap();
    Running { child, home }
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        // Two of one kind at once are one.
        std::thread::sleep(Duration::from_millis(300));
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap()
    }

    /// Exit status or signal, and all that was said.
    fn ends(mut self) -> (Option<i32>, Option<i32>, String, tempfile::TempDir) {
        let until = Instant::now() + Duration::from_secs(100);
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > until => {
                    self.child.kill().unwrap();
                    panic!("it does not end: {}{}", self.said("out"), self.said("err"));
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        (status.code(), status.signal(), self.said("out") + &self.said("err"), self.home)
    }
}

/// What the one log of a run says.
fn log(home: &Path) -> String {
    let logs = home.join(".local/state/synprov/logs");
    let file = std::fs::read_dir(logs).unwrap().next().unwrap().unwrap();
    std::fs::read_to_string(file.path()).unwrap()
}

#[test]
fn one_signal_is_for_all_inventories() {
    let (first, second) = (Site::start(&[]), Site::start(&[]));
    first.put("hold");
    second.put("slow");
    second.put("fails");
    let running = begin(&["apply", "--yes", "--at-once", "2"], &[&first, &second]);
    first.await_asked("step");
    second.await_asked("apply");
    running.signal(Signal::INT);
    first.remove("hold");
    second.remove("slow");
    let (code, _, said, _) = running.ends();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("Interrupted. Nothing was changed."), "{said}");
    assert!(!second.asked().contains("step"), "{said}");
}

#[test]
fn a_signal_while_no_host_is_being_changed_ends_the_program() {
    let (first, second) = (Site::start(&[]), Site::start(&[]));
    first.put("fails");
    second.put("slow");
    let running = begin(&["apply", "--yes", "--at-once", "2"], &[&first, &second]);
    first.await_asked("step");
    second.await_asked("apply");
    // It is told of when it is over.
    wait_until(&|| running.said("out").contains("Apply failed"), &|| {
        running.said("out") + &running.said("err")
    });
    running.signal(Signal::TERM);
    let (_, signal, said, _) = running.ends();
    assert_eq!(signal, Some(15), "{said}");
    assert!(!second.asked().contains("step"), "{said}");
}

#[test]
fn a_lock_that_somebody_holds_is_told_with_who_it_is_and_nothing_to_mend() {
    let site = Site::start(&[]);
    site.put("locked");
    for (words, end) in [
        (&["apply", "--yes"][..], "Nothing was changed.\n"),
        (&["restart", "sync", "-i"], "Nothing was done.\n"),
    ] {
        let (code, _, said, _) = begin(words, &[&site]).ends();
        assert_eq!(code, Some(5), "{said}");
        assert!(said.starts_with("error: hs1: another run holds its lock: anna@laptop, process 7"), "{said}");
        assert!(said.ends_with(end) && !said.contains("--limit"), "{said}");
    }
}

#[test]
fn a_terminal_that_goes_lets_running_steps_finish() {
    let site = Site::start(&[]);
    site.put("hold");
    let running = begin(&["apply", "--yes"], &[&site]);
    site.await_asked("step");
    // From the shell, and from the kernel.
    running.signal(Signal::HUP);
    running.signal(Signal::HUP);
    site.remove("hold");
    let (code, _, said, home) = running.ends();
    assert_eq!(code, Some(129), "{said}");
    assert!(said.contains("running steps finish"), "{said}");
    let log = log(home.path());
    assert!(log.contains("python3-venv: done after") && log.contains("exit 129"), "{log}");
}

#[test]
fn a_plan_may_be_read_for_longer_than_sshd_waits() {
    let site = Site::start(&["ClientAliveInterval 1", "ClientAliveCountMax 2"]);
    site.put("fails");
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    // A terminal to ask on.
    let command = format!("{} apply {}", env!("CARGO_BIN_EXE_synprov"), site.inventory().display());
    let mut child = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .env("HOME", home.path())
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&out).unwrap())
        .spawn()
        .expect("script is missing: apt-get install bsdutils");
    let said = || std::fs::read_to_string(&out).unwrap();
    wait_until(&|| said().contains("Apply this?"), &said);
    wait_until(&|| site.sshd.log().contains("Timeout, client not responding"), &|| site.sshd.log());
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"yes\n").unwrap();
    site.await_asked("step");
    child.wait().unwrap();
    assert_eq!(site.sshd.log().matches("Accepted publickey").count(), 2, "{}", said());
}

#[test]
fn locked_refuses_packages_that_the_lock_lacks() {
    let site = Site::start(&[]);
    let told = |words: &[&str]| {
        let (code, _, said, _) = begin(words, &[&site]).ends();
        (code, said)
    };
    assert_eq!(told(&["plan"]).0, Some(0), "it has the ports now");
    let lock = || std::fs::read_to_string(site.sshd.path("inventory.lock")).unwrap();
    let before = lock();
    let lacks = "hs1: inventory.lock has no packages for cp311-x86_64, and --locked forbids to choose some";
    let (code, said) = told(&["plan", "--locked"]);
    assert!(code == Some(0) && said.contains(&format!("note: {lacks}")), "{said}");
    let (code, said) = told(&["apply", "--yes", "--locked"]);
    assert!(code == Some(1) && said.contains(&lacks["hs1: ".len()..]), "{said}");
    assert!(!site.asked().contains("step") && lock() == before, "{said}");
}
