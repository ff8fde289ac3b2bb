//! Throwaway hosts and a controller's directory, in which the commands of a page are run as they stand.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use synprov::lab::{Distro, Flavour, Lab, Outward, lab_spec};

use crate::page::{Act, Page, is_said};
use crate::throwaway::Removed;

/// Hosts that a page may speak of, each as an inventory writes it.
const HOSTS: [&str; 5] = ["hs1", "hs2", "hs3", "hs4", "hs5"];

pub struct Stage {
    lab: Lab,
    directory: tempfile::TempDir,
    _removed: Removed,
}

/// How a page writes a host: address and the address that other hosts use.
fn written(at: usize) -> String {
    format!("{{address: 192.0.2.{}, internal_address: 10.8.0.{}, user: root", at + 10, at + 1)
}

impl Stage {
    /// Boots the hosts that the page speaks of, and applies its inventory.
    pub fn up(name: &str, page: &Page) -> Self {
        let all: String = HOSTS
            .iter()
            .enumerate()
            .filter(|(at, _)| page.speaks_of(&written(*at)))
            .map(|(at, host)| format!("  {host}: {}}}\n", written(at)))
            .collect();
        // What the lab is made from: the page's inventory with every host that it comes to speak of.
        let text = page.text();
        let from = text.find("hosts:\n").unwrap() + "hosts:\n".len();
        let to = from + text[from..].find("\n\n").unwrap() + 1;
        let (inventory, found) = synprov::inventory::parse(&format!("{}{all}{}", &text[..from], &text[to..]));
        let inventory = inventory.unwrap_or_else(|| panic!("{found:?}"));
        let lab_name = format!("runbook-{}-{}", &name[..name.len().min(12)], std::process::id());
        let removed = Removed(lab_name.clone());
        let spec = lab_spec(&inventory, &lab_name, Distro::Debian12, Flavour::Warm, Outward::Indexes);
        let lab = Lab::up(&spec).unwrap();
        let stage = Self { lab, directory: tempfile::tempdir().unwrap(), _removed: removed };
        stage.tools();
        std::fs::write(stage.path("inventory.yaml"), stage.real(&text)).unwrap();
        stage.run("synprov apply --yes --diff none", &[]);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `synprov` and an `ssh` that knows the hosts by name.
    fn tools(&self) {
        let bin = self.path("bin");
        std::fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_synprov"), bin.join("synprov")).unwrap();
        let mut config = String::new();
        for host in self.lab.hosts() {
            let known = self.path("known_hosts");
            writeln!(
                config,
                "Host {}\n  HostName {}\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n  LogLevel ERROR",
                host.name, host.address, host.user, host.key.display(), known.display()
            )
            .unwrap();
        }
        let known: String =
            self.lab.hosts().iter().map(|host| format!("{} {}\n", host.address, host.host_key)).collect();
        std::fs::write(self.path("known_hosts"), known).unwrap();
        std::fs::write(self.path("ssh_config"), config).unwrap();
        let shim = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", self.path("ssh_config").display());
        std::fs::write(bin.join("ssh"), shim).unwrap();
        std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A page's words with the throwaway hosts in place of the written ones.
    fn real(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for host in self.lab.hosts() {
            let at = HOSTS.iter().position(|name| *name == host.name).unwrap();
            let real = format!(
                "{{address: {}, internal_address: {}, user: {}, identity_files: [{}], host_key: {}",
                host.address,
                host.internal_address,
                host.user,
                host.key.display(),
                host.host_key
            );
            text = text.replace(&written(at), &real);
        }
        text
    }

    /// Does one thing of the page.
    pub fn act(&self, act: &Act) {
        match act {
            Act::Edit { from, to } => {
                let (from, to) = (self.real(from), self.real(to));
                let text = std::fs::read_to_string(self.path("inventory.yaml")).unwrap();
                assert_eq!(text.matches(&from).count(), 1, "the inventory has not once:\n{from}\n{text}");
                std::fs::write(self.path("inventory.yaml"), text.replace(&from, &to)).unwrap();
            }
            Act::Run { command, says } => self.run(command, says),
            Act::Happens(script) => self.run(script, &[]),
        }
    }

    /// Runs a command as a person would, in the inventory's directory; `$lab_HOST` is podman's name of a host.
    fn run(&self, command: &str, says: &[String]) {
        let began = Instant::now();
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", command]).current_dir(self.directory.path());
        bash.stdin(Stdio::null()).env("PATH", path).env("NO_COLOR", "1");
        bash.env_remove("SYNPROV_INVENTORY").env_remove("SYNPROV_MODULES");
        for host in self.lab.hosts() {
            bash.env(format!("lab_{}", host.name), &host.container);
        }
        let output = bash.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!(
            "      {:5.1} s  {}",
            began.elapsed().as_secs_f32(),
            command.lines().next().unwrap_or_default()
        );
        assert!(output.status.success(), "{command}\n{}\n{said}", output.status);
        if let Err(missing) = is_said(says, &said) {
            panic!("{command}\ndoes not say {missing:?}:\n{said}");
        }
    }
}

impl Page {
    /// Its inventory as written.
    pub fn text(&self) -> String {
        let path = format!("{}/tests/data/labs/{}", env!("CARGO_MANIFEST_DIR"), self.inventory);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn speaks_of(&self, host: &str) -> bool {
        let edits = self.acts.iter().any(|act| matches!(act, Act::Edit { to, .. } if to.contains(host)));
        edits || self.text().contains(host)
    }
}
