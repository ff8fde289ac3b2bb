//! Becoming root with a password, on real hosts: sudo with all its moods, and doas. Needs root and podman.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic)]

mod throwaway;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use synprov::lab::{Distro, Lab, LabHost, Outward, Sudo};
use throwaway::{host, spec};

const PASSWORD: &str = "correct horse 'battery' $taple";

/// `requiretty`, a lecture each time, nothing remembered, a slow PAM, a /tmp from which nothing runs.
const MOODS: &str = "\
printf '%s\\n' 'Defaults requiretty' 'Defaults lecture=always' 'Defaults timestamp_timeout=0' 'Defaults use_pty' > /etc/sudoers.d/moods
sed -i '1i auth optional pam_exec.so quiet /bin/sleep 1' /etc/pam.d/sudo
mount -o remount,noexec /tmp 2> /dev/null || mount -t tmpfs -o noexec tmpfs /tmp
";

fn inventory(host: &LabHost, r#become: &str) -> String {
    let LabHost { address, key, host_key, user, .. } = host;
    format!(
        "hosts:\n  one: {{address: {address}, user: {user}, become: {become}, identity_files: [{}], host_key: {host_key}}}\n\
         synapse: {{server_name: become.example, version: 1.163.2, config: {{report_stats: false}}}}\n\
         postgresql: {{host: one}}\nredis: {{host: one}}\nmain: {{host: one}}\n\
         workers:\n  sync: {{host: one, handles: [sync]}}\n",
        key.display()
    )
}

fn plan(directory: &Path, password: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synprov"));
    command.args(["plan", "--diff", "none"]).current_dir(directory).env("NO_COLOR", "1").stdin(Stdio::null());
    command.env_remove("SYNPROV_INVENTORY").env_remove("SYNPROV_BECOME_PASSWORD");
    command.envs(password.map(|password| ("SYNPROV_BECOME_PASSWORD", password)));
    answer(&command.output().unwrap())
}

fn answer(output: &Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned(),
    )
}

fn sh(lab: &Lab, host: &str, script: &str) -> String {
    let output = lab.exec(host, &["bash", "-c", script]).unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "lab: needs root and podman"]
fn a_password_makes_root_whatever_sudo_is_like() {
    let hosts = vec![
        host("hs1", 1, "asked", Sudo::Password, Distro::Debian12),
        host("hs2", 2, "asked", Sudo::Password, Distro::Debian13),
    ];
    let (spec, _removed) = spec("become", Outward::Indexes, hosts);
    let lab = Lab::up(&spec).unwrap();
    for host in lab.hosts() {
        let name = host.name.as_str();
        let quoted = PASSWORD.replace('\'', "'\\''");
        sh(&lab, name, &format!("printf '%s\\n' 'asked:{quoted}' | chpasswd\n{MOODS}"));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("inventory.yaml"), inventory(host, "true")).unwrap();

        let (status, text) = plan(directory.path(), None);
        assert!(status == Some(3) && text.contains("wants a password"), "{name}: {text}");
        let (status, text) = plan(directory.path(), Some(PASSWORD));
        assert!(status == Some(3) && text.contains("there is no python3"), "{name}: {text}");
        sh(&lab, name, "apt-get -qq update && apt-get -qq install -y python3-minimal > /dev/null 2>&1");
        let (status, text) = plan(directory.path(), Some("wrong"));
        assert!(status == Some(3) && text.contains("was not accepted"), "{name}: {text}");
        let (status, text) = plan(directory.path(), Some(PASSWORD));
        assert!(status == Some(0) && text.contains(" to add, "), "{name}: {text}");
        eprintln!("seen   {name}: sudo with requiretty, lecture, use_pty, slow PAM and noexec /tmp");

        // As a person gives it: asked for once, on the terminal, and not shown there.
        let program = env!("CARGO_BIN_EXE_synprov");
        let script = format!("cd {} && {program} plan -K --diff none", directory.path().display());
        let mut typed = Command::new("script")
            .args(["-qec", &script, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut keyboard, mut screen) = (typed.stdin.take().unwrap(), typed.stdout.take().unwrap());
        let mut shown = Vec::new();
        // What is typed before the question is thrown away.
        while !shown.ends_with(b"hosts: ") {
            let mut byte = [0];
            screen.read_exact(&mut byte).unwrap();
            shown.extend(byte);
        }
        keyboard.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        screen.read_to_end(&mut shown).unwrap();
        let (status, text) = (typed.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned());
        assert!(!text.contains(PASSWORD), "{text}");
        assert!(status == Some(0) && text.contains(" to add, "), "{name}: {text}");
        eprintln!("seen   {name}: -K asks once");

        // doas knows no option for passwords: it reads its terminal.
        sh(
            &lab,
            name,
            "apt-get -qq install -y opendoas > /dev/null 2>&1\n\
             echo 'permit asked as root' > /etc/doas.conf && chmod 0400 /etc/doas.conf",
        );
        std::fs::write(directory.path().join("inventory.yaml"), inventory(host, "doas")).unwrap();
        let (status, text) = plan(directory.path(), Some("wrong"));
        assert!(status == Some(3) && text.contains("was not accepted"), "{name}: {text}");
        let (status, text) = plan(directory.path(), None);
        assert!(status == Some(3) && text.contains("wants a password"), "{name}: {text}");
        let (status, text) = plan(directory.path(), Some(PASSWORD));
        assert!(status == Some(0) && text.contains(" to add, "), "{name}: {text}");
        eprintln!("seen   {name}: doas");

        let journal = sh(&lab, name, "journalctl --no-pager | cat; cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        assert!(!journal.contains(PASSWORD), "{name}: the password is in the journal or in a command line");
    }
}
