//! Throwaway hosts that are real: containers with systemd, sshd, apt and addresses of their own.
//!
//! `synprov rehearse` and the tests apply inventories to them. Everything a lab makes carries the
//! prefix `synprov-lab-` and a label, is found again by these, and is removed by [`Lab::remove`],
//! also when starting failed half way. Never in this room: what is provisioned on the hosts, and
//! anything that reaches a real host.

pub mod client;
mod error;
mod host;
mod image;
mod indexes;
mod meet;
mod network;
mod outward;
mod process;
mod rehearsal;
mod spec;
pub mod stand_in;
mod stand_in_config;
mod state;
mod story;
mod teller;
mod tls;
mod up;
pub mod verify;

pub use error::LabError;
pub use rehearsal::{client_name, lab_spec};
pub use spec::{Distro, Flavour, HostSpec, LabSpec, Outward, Sudo, lab_name};
pub use state::{LabHost, LabState};
pub use tls::{CERTIFICATE as LAB_CERTIFICATE, KEY as LAB_KEY};

use std::process::Output;
use std::time::Duration;

/// A lab that is up.
#[derive(Debug, Clone)]
pub struct Lab {
    state: LabState,
}

impl Lab {
    /// Starts a lab and waits until every host takes log-ins. Whatever fails, nothing is left behind.
    ///
    /// A host takes about 5 s, an image that is not there yet about 40 s more.
    ///
    /// # Errors
    /// [`LabError::Missing`] and [`LabError::NotRoot`] before anything is done, [`LabError::Exists`]
    /// for a lab of that name, [`LabError::Busy`] while another process starts or removes it.
    pub fn up(spec: &LabSpec) -> Result<Self, LabError> {
        up::up(spec).map(|state| Self { state })
    }

    /// The lab of this name.
    ///
    /// # Errors
    /// [`LabError::NotFound`] when it was not started, or not to the end.
    pub fn find(name: &str) -> Result<Self, LabError> {
        spec::check_lab_name(name)?;
        let state = state::read(name)?.ok_or_else(|| LabError::NotFound { lab: name.to_owned() })?;
        Ok(Self { state })
    }

    /// All labs, sorted by name.
    pub fn all() -> Result<Vec<Self>, LabError> {
        let mut labs = Vec::new();
        for name in state::traces()? {
            // One that another process is starting or has just removed is not an error.
            labs.extend(state::read(&name)?.map(|state| Self { state }));
        }
        Ok(labs)
    }

    /// Names of all labs of which there is a trace, also those that were not started to the end. Sorted.
    pub fn names() -> Result<Vec<String>, LabError> {
        up::names()
    }

    /// Removes every trace of the lab.
    pub fn down(self) -> Result<(), LabError> {
        Self::remove(&self.state.name)
    }

    /// Removes every trace of a lab, also of one that was not started to the end.
    ///
    /// # Errors
    /// [`LabError::NotFound`] if there is no trace. What could be removed is removed in any case.
    pub fn remove(name: &str) -> Result<(), LabError> {
        up::remove(name)
    }

    /// What is known of it.
    pub fn state(&self) -> &LabState {
        &self.state
    }

    /// Its hosts in the order of the spec.
    pub fn hosts(&self) -> &[LabHost] {
        &self.state.hosts
    }

    /// One host by name.
    pub fn host(&self, name: &str) -> Result<&LabHost, LabError> {
        self.state.hosts.iter().find(|host| host.name == name).ok_or_else(|| LabError::NoHost {
            lab: self.state.name.clone(),
            host: name.to_owned(),
            known: self.state.hosts.iter().map(|host| host.name.clone()).collect(),
        })
    }

    /// Runs a command as root on a host (through podman, not SSH), whatever its exit status.
    pub fn exec(&self, host: &str, argv: &[&str]) -> Result<Output, LabError> {
        self.exec_with_input(host, argv, b"")
    }

    /// Like [`Lab::exec`], with standard input.
    pub fn exec_with_input(&self, host: &str, argv: &[&str], input: &[u8]) -> Result<Output, LabError> {
        let host = &self.host(host)?.name;
        host::exec(&self.state.name, host, argv, input)
    }

    /// Lets the hosts of two labs reach each other's first host by these names, and trust each other's
    /// CA: what two homeservers need to federate.
    pub fn meet(&self, names: &[&str], other: &Lab, other_names: &[&str]) -> Result<(), LabError> {
        meet::introduce(self, other, other_names)?;
        meet::introduce(other, self, names)
    }

    /// The OpenSSH command that logs in on a host with the lab's key and pinned host keys.
    pub fn ssh_command(&self, host: &str) -> Result<Vec<String>, LabError> {
        let host = self.host(host)?;
        let mut argv: Vec<String> = ["ssh", "-F", "none", "-i"].map(str::to_owned).to_vec();
        argv.push(host.key.display().to_string());
        for option in [
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            format!("UserKnownHostsFile=\"{}\"", host.known_hosts.display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ] {
            argv.extend(["-o".to_owned(), option]);
        }
        argv.push(format!("{}@{}", host.user, host.address));
        Ok(argv)
    }

    /// Open TCP ports of an address, as a container sees them that is on the public network only.
    ///
    /// # Errors
    /// When the scanner could not be run, or took longer than five minutes.
    pub fn port_scan(&self, address: &str) -> Result<Vec<u16>, LabError> {
        let what = format!("scan the ports of {address}");
        let Some(host) = self.state.hosts.first() else { return Ok(Vec::new()) };
        let (runtime, _) = up::runtime(&host.image)?;
        let label = format!("{}={}", state::LABEL, self.state.name);
        let limits = host::limits();
        let mut args = vec!["--runtime", &runtime, "run", "--rm", "--interactive", "--label", &label];
        args.extend(["--network", &self.state.public_network, "--dns", "none"]);
        args.extend(limits.iter().map(String::as_str));
        args.extend([host.image.as_str(), "perl", "-", address]);
        let script = include_str!("scan.pl").as_bytes();
        let text = process::run(&what, "podman", &args, script, Duration::from_secs(300))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }
}
