//! Commands on this machine, with the same behaviour as over SSH.
//!
//! The command starts as sshd would start it: in the home directory, with a bare environment (what the operator
//! exported, secrets among it, is nobody's business there), in a process group of its own, so that Ctrl-C at the
//! terminal reaches synprov and not the step that is to be finished. Must never be here: another user; `become`
//! is the caller's.

use std::process::Command;

use super::child::ChildExec;
use super::{Counters, Error, Exec, Session, Target, Transport};

/// As sshd sets it for root on Debian.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The transport for the address `local`. The target's user, keys and deadline mean nothing here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

impl Transport for Local {
    fn connect(&self, _: &Target) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(LocalSession(Counters::default())))
    }
}

struct LocalSession(Counters);

impl Session for LocalSession {
    fn exec(&mut self, command: &str) -> Result<Box<dyn Exec + '_>, Error> {
        let exec =
            ChildExec::start(&mut shell(command), "local", self.0.clone()).map_err(|error| Error::Exec {
                address: "local".into(),
                reason: error.to_string(),
                help: "can this machine start another process?".into(),
            })?;
        self.0.exec();
        Ok(Box::new(exec))
    }

    fn counters(&self) -> Counters {
        self.0.clone()
    }
}

/// As sshd would start it.
fn shell(command: &str) -> Command {
    let home = std::env::home_dir().filter(|home| home.is_dir()).unwrap_or("/".into());
    let kept =
        ["USER", "LOGNAME", "SHELL"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", command])
        .env_clear()
        .envs(kept)
        .env("PATH", PATH)
        .env("HOME", &home)
        .current_dir(&home);
    shell
}
