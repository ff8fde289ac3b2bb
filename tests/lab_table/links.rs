//! The way to a host and the log-in there: cut, held, slow, noisy, forbidden.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fault::{Fault, How};
use crate::table::{Table, Work};
use crate::wire::{Cut, Harm, Way};

/// Bytes after which the connection is closed: in the greeting, the key exchange, the log-in, the facts script, the
/// apply script, and close together in the steps. What is more than an apply needs is never reached: it succeeds.
const UP: [u64; 18] = [
    0, 900, 12_000, 40_000, 60_000, 84_000, 92_000, 98_000, 102_000, 110_000, 118_000, 122_000, 130_000,
    145_000, 160_000, 175_000, 190_000, 203_000,
];
const DOWN: [u64; 16] = [
    0, 1_500, 20_000, 39_000, 60_000, 80_000, 90_000, 100_000, 120_000, 140_000, 160_000, 180_000, 200_000,
    210_000, 215_000, 218_000,
];

fn cut(host: &'static str, way: Way, bytes: u64, harm: Harm) -> Fault {
    let (verb, towards) = match (harm, way) {
        (Harm::Close, Way::Up) => ("closed", "to"),
        (Harm::Close, Way::Down) => ("closed", "from"),
        (Harm::Hold, Way::Up) => ("dead, and nobody told,", "to"),
        (Harm::Hold, Way::Down) => ("dead, and nobody told,", "from"),
    };
    let name = format!("TCP {verb} after {bytes} bytes {towards} {host}");
    let work = if host == "hs1" { Work::Client } else { Work::Sync };
    // 6: who logs in anew gets through, and leads it back. A wire that is dead stays dead.
    let ends: &[_] = match harm {
        Harm::Close => &[Some(0), Some(1), Some(3), Some(6)],
        Harm::Hold => &[Some(0), Some(1), Some(3), Some(7)],
    };
    Fault::new(name, work, How::Wire { host, cut: Cut { way, bytes, harm } }).ends(ends).held(90)
}

fn on(host: &'static str, name: &str, make: &str, heal: &str) -> Fault {
    let work = if host == "hs1" { Work::Client } else { Work::Sync };
    let (make, heal) = (format!("set -e; {make}"), format!("set -e; {heal}"));
    Fault::new(name, work, How::Around { host, make, heal })
}

fn during(host: &'static str, name: &str, make: &str, heal: &str) -> Fault {
    let (work, step) = if host == "hs1" { (Work::Client, "validate ") } else { (Work::Sync, "validate ") };
    Fault::new(name, work, How::During { step, host, make: make.to_owned(), heal: heal.to_owned() }).held(60)
}

/// A line of sshd's configuration, in force for whoever logs in from now on.
fn sshd(name: &str, line: &str) -> Fault {
    let reload = "systemctl reload ssh.service; sleep 0.3";
    on(
        "hs2",
        name,
        &format!("echo '{line}' > /etc/ssh/sshd_config.d/fault.conf; {reload}"),
        &format!("rm /etc/ssh/sshd_config.d/fault.conf; {reload}"),
    )
}

/// The log-in user's start-up file says or does this.
fn bashrc(name: &str, code: &str) -> Fault {
    let quoted = code.replace('\'', "'\\''");
    on(
        "hs2",
        name,
        &format!("cp /home/deploy/.bashrc /root/bashrc; printf '%s\\n' '{quoted}' > /home/deploy/.bashrc"),
        "cp /root/bashrc /home/deploy/.bashrc",
    )
}

/// Of fifty packets between this machine and the hosts' sshd the kernel drops one, in both directions.
struct Lossy;

impl Lossy {
    const TABLE: &'static str = "synprov-lossy";

    fn made(table: &Table) -> Self {
        let rules = table.site.hosts().map(|host| {
            let address = &table.site.host(host).address;
            format!(
                "add rule ip {0} away ip daddr {address} tcp dport 22 numgen random mod 50 < 1 counter drop\n\
                 add rule ip {0} back ip saddr {address} tcp sport 22 numgen random mod 50 < 1 counter drop\n",
                Self::TABLE
            )
        });
        let rules: String = rules.collect();
        nft(&format!(
            "add table ip {0}\nadd chain ip {0} away {{ type filter hook output priority 0; }}\n\
             add chain ip {0} back {{ type filter hook input priority 0; }}\n{rules}",
            Self::TABLE
        ));
        Self
    }

    /// Some were.
    fn counted(self) {
        let output = Command::new("nft").args(["list", "table", "ip", Self::TABLE]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let dropped = |line: &str| line.split("packets ").nth(1)?.split(' ').next()?.parse::<u32>().ok();
        let all: u32 = text.lines().filter_map(dropped).sum();
        assert!(all > 0, "no packet was lost:\n{text}");
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        nft(&format!("delete table ip {}\n", Self::TABLE));
    }
}

fn nft(script: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
}

pub fn faults() -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(UP.map(|bytes| cut("hs1", Way::Up, bytes, Harm::Close)));
    faults.extend(DOWN.map(|bytes| cut("hs1", Way::Down, bytes, Harm::Close)));
    faults.extend([8_000, 50_000, 100_000].map(|bytes| cut("hs2", Way::Up, bytes, Harm::Close)));
    faults.extend([9_000, 50_000].map(|bytes| cut("hs2", Way::Down, bytes, Harm::Close)));
    faults.push(cut("hs1", Way::Up, 100_000, Harm::Hold).long());
    faults.push(cut("hs1", Way::Down, 150_000, Harm::Hold).long());
    faults.push(Fault::new(
        "every packet is 100 ms late",
        Work::Client,
        How::Told(|table| {
            for host in table.site.hosts() {
                table.wire(host).slow(Duration::from_millis(100));
            }
            let answer = table.start(&[]).ends();
            for host in table.site.hosts() {
                table.wire(host).mend();
            }
            answer
        }),
    ));
    faults.push(Fault::new(
        "packets take 300 ms there and back, and one of fifty is lost",
        Work::All,
        How::Told(|table| {
            let lossy = Lossy::made(table);
            for host in table.site.hosts() {
                table.wire(host).slow(Duration::from_millis(150));
            }
            let answer = table.start(&[]).ends();
            for host in table.site.hosts() {
                table.wire(host).mend();
            }
            lossy.counted();
            answer
        }),
    ));
    faults.extend([
        sshd("MaxSessions 1", "MaxSessions 1"),
        sshd("MaxStartups 1", "MaxStartups 1"),
        sshd("a banner with terminal commands", "Banner /etc/ssh/fault.banner")
            .first("printf '\\033]0;owned\\007\\377\\033[31mWelcome\\n' > /etc/ssh/fault.banner; "),
        during("hs1", "sshd is restarted", "systemctl restart ssh.service", "true"),
        during("hs1", "the session's sshd is killed", "pkill -KILL -f '^sshd: root@notty'", "true")
            .ends(&[Some(6)])
            .says(&["closed by the host or on the way", "Logging in there once more"]),
        during("hs2", "sudo is withdrawn under an apply", "mv /etc/sudoers.d/synprov-lab /root/rule", "mv /root/rule /etc/sudoers.d/synprov-lab"),
        on("hs2", "sudo is withdrawn", "mv /etc/sudoers.d/synprov-lab /root/rule", "mv /root/rule /etc/sudoers.d/synprov-lab")
            .refuses(&[Some(3)], &["wants a password", "Nothing was changed."]),
        on(
            "hs2",
            "sudo takes four seconds",
            "printf '#!/bin/bash\\nsleep 4; exec /usr/bin/sudo \"$@\"\\n' > /usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo",
            "rm /usr/local/bin/sudo",
        ),
        on("hs2", "the log-in shell is nologin", "usermod --shell /usr/sbin/nologin deploy", "usermod --shell /bin/bash deploy")
            .refuses(&[Some(3)], &["before the facts script began", "Nothing was changed."]),
        on("hs2", "the log-in shell is dash", "usermod --shell /bin/dash deploy", "usermod --shell /bin/bash deploy"),
        bashrc("a start-up file that prints", "echo Welcome to hs2; echo; printf \"end\\tfacts\\n\"; printf \"error\\tno\\n\" >&2"),
        bashrc("a start-up file that prints terminal commands and no UTF-8", "printf \"\\033]0;owned\\007\\377\\376 \\033[31m\\n\""),
        bashrc("a start-up file that takes three seconds", "sleep 3"),
        bashrc("a start-up file with another locale and umask", "export LANG=de_DE.UTF-8 LC_ALL=tr_TR.UTF-8; umask 000"),
        bashrc("a start-up file that prints without end", "cat /dev/zero; exit")
            .refuses(&[Some(3)], &["it sends a line without end", "Nothing was changed."]),
        on("hs2", "no name can be resolved", "cp /etc/resolv.conf /root/resolv; echo nameserver 127.0.0.254 > /etc/resolv.conf", "cat /root/resolv > /etc/resolv.conf"),
        on(
            "hs2",
            "another host key",
            "mkdir /root/keys; mv /etc/ssh/ssh_host_* /root/keys/; ssh-keygen -qA; systemctl restart ssh.service; sleep 0.3",
            "rm /etc/ssh/ssh_host_*; mv /root/keys/* /etc/ssh/; rmdir /root/keys; systemctl restart ssh.service; sleep 0.3",
        )
        .refuses(&[Some(3)], &["Nothing was changed."]),
        on("hs2", "sshd is down", "systemctl stop ssh.socket ssh.service 2> /dev/null || systemctl stop ssh.service", "systemctl start ssh.service; sleep 0.3")
            .refuses(&[Some(3)], &["Nothing was changed."]),
        on("hs1", "flock is missing", "printf '#!/bin/sh\\nexit 127\\n' > /usr/local/bin/flock; chmod 755 /usr/local/bin/flock", "rm /usr/local/bin/flock")
            .refuses(&[Some(5), Some(3)], &["Nothing was changed."]),
    ]);
    faults
}
