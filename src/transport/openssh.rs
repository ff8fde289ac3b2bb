//! Log-in and commands by OpenSSH's client, for what libssh2 cannot do: jump hosts, `ProxyCommand`, certificates,
//! security tokens, GSSAPI.
//!
//! One master connection a session, in a directory of its own; commands share it. It ends with the session, or, if
//! synprov is killed, by itself a minute later. Must never be here: a command that could open a second connection, and
//! a way to switch host-key checks off.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::attempt::{Attempt, OpenSshExec};
use super::child::ChildExec;
use super::client::{INSTALL, sentence};
use super::dial::{address, bare, seconds};
use super::jump::{proxy, quoted};
use super::known_hosts;
use super::patience::{Refusal, patiently};
use super::{Counters, Error, Exec, Session, Target, Transport};

/// Seconds for which a master outlives a synprov that was killed.
const PERSIST: &str = "ControlPersist=60";
/// How often a child is looked at whose end has no descriptor.
const NAP: Duration = Duration::from_millis(5);

/// OpenSSH's client.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenSsh;

/// A logged-in master connection.
pub(super) struct OpenSshSession {
    directory: tempfile::TempDir,
    pub(super) target: Target,
    counters: Counters,
}

impl Transport for OpenSsh {
    fn connect(&self, target: &Target) -> Result<Box<dyn Session>, Error> {
        let deadline = Instant::now() + target.connect_timeout;
        let directory = tempfile::Builder::new().prefix("synprov-").tempdir();
        let directory = directory.map_err(|error| own(target, error))?;
        let session = OpenSshSession { directory, target: target.clone(), counters: Counters::default() };
        patiently(deadline, || session.log_in(target, deadline))?;
        session.counters.login();
        Ok(Box::new(session))
    }
}

impl OpenSshSession {
    /// One master, or why there is none.
    fn log_in(&self, target: &Target, deadline: Instant) -> Result<(), Refusal> {
        let own = |error| own(target, error);
        let mut master = self.ssh();
        master.args(["-M", "-N", "-o", PERSIST]).args(options(target));
        if let Some(pinned) = &target.host_key {
            let file = self.directory.path().join("known_hosts");
            let name = known_hosts::name(bare(&target.address), target.port);
            // `*`: what the configuration calls this host is not known here, and one key is all there is.
            std::fs::write(&file, format!("{name},* {pinned}\n")).map_err(own)?;
            master.args(["-o", "GlobalKnownHostsFile=none", "-o"]);
            master.arg(option("UserKnownHostsFile=", &[file]));
        } else if !target.known_hosts.is_empty() {
            master.arg("-o").arg(option("UserKnownHostsFile=", &target.known_hosts));
        }
        if let Some(proxy) = proxy(&target.client.config.arguments(), &target.client.jump, target.accept_new)
        {
            // ⚑ With ControlPersist ssh throws away what its ProxyCommand says.
            let said = quoted(&doubled(&self.said()));
            master.arg("-o").arg(format!("ProxyCommand={proxy} 2>{said}")).env("SHELL", "/bin/sh");
        }
        self.run_master(&mut master, deadline)
    }
}

fn own(target: &Target, error: std::io::Error) -> Error {
    Error::Connect {
        address: address(target),
        reason: format!("no private directory for the connection: {error}"),
        help: "is there room in the directory for temporary files?".to_owned(),
    }
}

/// What every log-in demands, before whatever the configuration says.
fn options(target: &Target) -> Vec<OsString> {
    let strict = if target.accept_new { "accept-new" } else { "yes" };
    let mut options: Vec<OsString> = [
        format!("StrictHostKeyChecking={strict}"),
        format!("ConnectTimeout={}", target.connect_timeout.as_secs().max(1)),
        "BatchMode=yes".to_owned(),
        "ServerAliveInterval=15".to_owned(),
        "ServerAliveCountMax=4".to_owned(),
        // Passwords are asked for by nobody, so offering them only lengthens the log-in.
        "PreferredAuthentications=gssapi-with-mic,hostbased,publickey".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| [OsString::from("-o"), option.into()])
    .collect();
    for file in &target.identity_files {
        // ⚑ Not `-i`, which looks for the file under the name before its tokens are read.
        options.extend(["-o".into(), option("IdentityFile=", std::slice::from_ref(file))]);
    }
    options
}

/// `KEY=FILE FILE`, each in the double quotes of ssh_config, `%` doubled.
fn option(key: &str, files: &[PathBuf]) -> OsString {
    let mut option = OsString::from(key);
    for (at, file) in files.iter().enumerate() {
        option.push(if at == 0 { "\"" } else { " \"" });
        option.push(doubled(file));
        option.push("\"");
    }
    option
}

impl OpenSshSession {
    /// ssh with what all calls share. The command's own environment is the caller's: a ProxyCommand may need it.
    fn ssh(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(self.target.client.config.arguments());
        ssh.arg("-S").arg(doubled(&self.directory.path().join("master")));
        for option in [
            "RemoteCommand=none",
            "RequestTTY=no",
            "ForwardAgent=no",
            "ForwardX11=no",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(["-p", &self.target.port.to_string(), "-l", &self.target.user]);
        ssh
    }

    fn run_master(&self, master: &mut Command, deadline: Instant) -> Result<(), Refusal> {
        // A group of its own: Ctrl-C at the terminal is synprov's to handle.
        let spawned = master
            .args(["--", bare(&self.target.address)])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.map_err(|error| Error::Connect {
            address: address(&self.target),
            reason: format!("cannot start ssh: {error}"),
            help: INSTALL.to_owned(),
        })?;
        // The master that goes on in the background has let go of its stderr, so this ends with the log-in.
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(stderr) = stderr {
                drop(stderr.take(64 * 1024).read_to_end(&mut bytes));
            }
            bytes
        });
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(NAP),
                Ok(None) | Err(_) => break None,
            }
        };
        match status {
            Some(status) if status.success() => Ok(()),
            Some(_) => {
                let mut all = std::fs::read(self.said()).unwrap_or_default();
                all.extend(said.join().unwrap_or_default());
                let error = refused(&self.target, &all);
                Err(if is_busy(&all) { Refusal::Busy(error) } else { Refusal::Final(error) })
            }
            None => {
                end(&mut child);
                Err(Refusal::Late(Error::Connect {
                    address: address(&self.target),
                    reason: format!("ssh had not logged in within {}", seconds(&self.target)),
                    help: "is the host up, and every jump host on the way? a security token may have waited for a \
                           touch; --timeout gives more time"
                        .to_owned(),
                }))
            }
        }
    }

    /// What jump hosts on the way said.
    fn said(&self) -> PathBuf {
        self.directory.path().join("said")
    }

    /// Whether the master still answers.
    pub(super) fn lives(&self) -> bool {
        self.control("check")
    }

    fn control(&self, word: &str) -> bool {
        let mut ssh = self.ssh();
        ssh.args(["-O", word, "--", bare(&self.target.address)]);
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        ssh.status().is_ok_and(|status| status.success())
    }
}

/// Ends a log-in with everything that it started.
fn end(child: &mut Child) {
    let group = rustix::process::Pid::from_child(child);
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let _ = child.wait();
}

/// Whether the host, or a jump host on the way, let go of ssh before it had said who it is. ⚑ An ssh whose
/// jump host refused says the same of its own connection, after the jump host's reason.
fn is_busy(stderr: &[u8]) -> bool {
    let all = String::from_utf8_lossy(stderr);
    let turned_away = |line: &str| {
        line.contains("Exceeded MaxStartups")
            || line.starts_with("kex_exchange_identification: ")
                && (line.contains("Connection closed by remote host") || line.contains("reset by peer"))
    };
    let refused = |line: &str| {
        ["ssh: ", "channel ", "stdio forwarding failed"].iter().any(|start| line.starts_with(start))
            || ["Host key verification failed", "Permission denied", "Too many authentication failures"]
                .iter()
                .any(|reason| line.contains(reason))
    };
    all.lines().find(|line| turned_away(line) || refused(line)).is_some_and(turned_away)
}

/// Why ssh did not log in, out of its own words (OpenSSH's messages are not translated).
fn refused(target: &Target, stderr: &[u8]) -> Error {
    let all = String::from_utf8_lossy(stderr);
    let Target { user, port, .. } = target;
    let address = address(target);
    let jump = match target.client.jump.join(",") {
        none if none.is_empty() => none,
        jump => format!("-J {jump} "),
    };
    let compare = format!("compare: ssh -v {jump}-p {port} {user}@{}", bare(&target.address));
    if all.contains("Host key verification failed") {
        let help = if all.contains("has changed") || all.contains("revoked") {
            "another machine may be answering; if the host was reinstalled, ask it for its key on its console and \
             record that"
                .to_owned()
        } else {
            format!("compare the key's fingerprint and record it, or write accept_new: true; {compare}")
        };
        // Around them stands a page of warnings.
        let telling = ["Offending", "has changed", "revoked", "is known for", "SHA256:"];
        let told: Vec<&str> =
            all.lines().filter(|line| telling.iter().any(|word| line.contains(word))).collect();
        let said = sentence(told.join("\n").as_bytes());
        return Error::HostKey { summary: format!("{address}: {said}"), help };
    }
    let said = sentence(stderr);
    if said.contains("Permission denied") || said.contains("Too many authentication failures") {
        return Error::Auth {
            user: user.clone(),
            address,
            tried: format!("ssh says: {said}"),
            help: format!(
                "a key with a passphrase must be in an agent (ssh-add); a jump host may also be the one that refuses; {compare}"
            ),
        };
    }
    Error::Connect { address, reason: said, help: compare }
}

impl OpenSshSession {
    pub(super) fn start(&self, command: &str) -> Result<ChildExec, Error> {
        let mut ssh = self.ssh();
        // Without its master it must not log in anew.
        for option in ["ControlMaster=no", "BatchMode=yes", "ProxyCommand=false", "EscapeChar=none"] {
            ssh.args(["-o", option]);
        }
        ssh.args(["-T", "--", bare(&self.target.address), command]);
        ChildExec::start(&mut ssh, &address(&self.target), self.counters.clone())
            .map_err(|error| self.not_started(error.to_string(), "can this machine start another process?"))
    }

    pub(super) fn not_started(&self, reason: String, help: &str) -> Error {
        Error::Exec { address: address(&self.target), reason, help: help.to_owned() }
    }
}

impl Session for OpenSshSession {
    fn exec(&mut self, command: &str) -> Result<Box<dyn Exec + '_>, Error> {
        if command.contains('\0') {
            return Err(
                self.not_started("the command holds a zero byte".to_owned(), "send such bytes on stdin")
            );
        }
        let exec = self.start(command)?;
        let first = self.counters.execs() == 0;
        self.counters.exec();
        let attempt = (!first).then(|| Attempt::new(command));
        Ok(Box::new(OpenSshExec { exec, session: self, attempt }))
    }

    fn counters(&self) -> Counters {
        self.counters.clone()
    }
}

impl Drop for OpenSshSession {
    fn drop(&mut self) {
        self.control("exit");
    }
}

/// A path in which ssh finds no token.
fn doubled(file: &Path) -> String {
    file.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::is_busy;

    #[test]
    fn who_is_busy_gave_no_reason_before_it_let_go() {
        let closed = "kex_exchange_identification: Connection closed by remote host\nConnection closed by ";
        assert!(is_busy(format!("{closed}192.0.2.1 port 22\n").as_bytes()));
        assert!(is_busy(format!("Exceeded MaxStartups\n{closed}UNKNOWN port 65535\n").as_bytes()));
        for reason in [
            "ssh: connect to host 192.0.2.1 port 22: Connection refused",
            "ssh: Could not resolve hostname jump: Name or service not known",
            "admin@jump: Permission denied (publickey).",
            "Host key verification failed.",
            "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed",
        ] {
            assert!(!is_busy(format!("{reason}\n{closed}UNKNOWN port 65535\n").as_bytes()), "{reason}");
        }
    }
}
