//! A deployment on two throwaway hosts, spoken with as if they were real ones: no stand-ins, no `--lab`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use synprov::lab::{Distro, Flavour, Lab, LabHost, Outward, lab_spec};

use crate::answer::{Answer, Plan};
use crate::throwaway::Removed;

/// What a test begins with.
#[derive(Clone, Copy)]
pub struct Beginning {
    /// The inventory.
    pub inventory: &'static str,
    /// Its hosts, each with the line that is written there, up to its address, user and rights.
    pub hosts: &'static [(&'static str, &'static str)],
}

/// Every file that synprov may have written, with its digest.
const MANAGED: &str = "find /opt/matrix/conf /etc/systemd/system /etc/nginx /etc/redis /etc/needrestart/conf.d \
    -type f -print0 2> /dev/null | sort -z | xargs -0 sha256sum";

/// See the module.
pub struct Site {
    /// The hosts.
    pub lab: Lab,
    beginning: Beginning,
    directory: PathBuf,
    environment: RefCell<BTreeMap<String, String>>,
    doors: RefCell<BTreeMap<String, u16>>,
    // In this order: the lab goes first.
    _removed: Option<Removed>,
    _temporary: Option<tempfile::TempDir>,
}

impl Site {
    /// Boots the hosts; nothing is applied yet.
    ///
    /// With `SYNPROV_TEST_LAB=NAME` the lab NAME-TEST is used and stays, for those who write tests.
    pub fn up(test: &str, flavour: Flavour, beginning: Beginning) -> Self {
        let kept = std::env::var("SYNPROV_TEST_LAB").ok().map(|name| format!("{name}-{test}"));
        let name = kept.clone().unwrap_or_else(|| format!("test-{test}-{}", std::process::id()));
        let removed = kept.is_none().then(|| Removed(name.clone()));
        let temporary = kept.is_none().then(|| tempfile::tempdir().unwrap());
        let directory = match &temporary {
            Some(directory) => directory.path().to_owned(),
            None => std::env::temp_dir().join(format!("synprov-{name}")),
        };
        std::fs::create_dir_all(&directory).unwrap();
        let (inventory, found) = synprov::inventory::parse(beginning.inventory);
        let inventory = inventory.unwrap_or_else(|| panic!("{found:?}"));
        let spec = lab_spec(&inventory, &name, Distro::Debian12, flavour, Outward::Indexes);
        let lab = Lab::find(&name).unwrap_or_else(|_| Lab::up(&spec).unwrap());
        let (environment, doors) = (RefCell::default(), RefCell::default());
        let site =
            Self { lab, beginning, directory, environment, doors, _removed: removed, _temporary: temporary };
        site.write(beginning.inventory);
        site
    }

    /// Makes `text` the inventory, with the throwaway hosts in place of the written ones.
    #[track_caller]
    pub fn write(&self, text: &str) {
        let mut text = text.to_owned();
        for (name, written) in self.beginning.hosts {
            let LabHost { address, internal_address, user, key, host_key, .. } = self.host(name);
            let address = match self.doors.borrow().get(*name) {
                Some(port) => format!("127.0.0.1, port: {port}"),
                None => address.clone(),
            };
            let sudo = if user == "root" { "" } else { ", become: true" };
            let real = format!(
                "{{address: {address}, internal_address: {internal_address}, user: {user}{sudo}, identity_files: [{}], host_key: {host_key}",
                key.display()
            );
            text = text.replace(written, &real);
        }
        std::fs::write(self.directory.join("inventory.yaml"), text).unwrap();
    }

    /// Writes the first inventory with things replaced; each must be there.
    #[track_caller]
    pub fn rewrite(&self, replace: &[(&str, &str)]) {
        self.write(&replaced(self.beginning.inventory, replace));
    }

    /// Names of the hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.beginning.hosts.iter().map(|(name, _)| *name)
    }

    /// The host as the lab knows it.
    pub fn host(&self, name: &str) -> &LabHost {
        self.lab.host(name).unwrap()
    }

    /// A path beside the inventory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What the program keeps of its runs is below this.
    pub fn kept(&self) -> PathBuf {
        self.path("state")
    }

    /// Sets a variable of the program's environment.
    pub fn set_env(&self, name: &str, value: &str) {
        self.environment.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    /// From the next inventory on this host is reached through a port of this machine.
    pub fn through(&self, host: &str, port: u16) {
        self.doors.borrow_mut().insert(host.to_owned(), port);
    }

    /// The program with these arguments, to be run beside the inventory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // Whoever runs the tests may have signals ignored (nohup).
        let mut command = Command::new("env");
        command.args(["--default-signal", env!("CARGO_BIN_EXE_synprov")]);
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.env_remove("SYNPROV_INVENTORY").env_remove("SYNPROV_MODULES");
        command.env("XDG_STATE_HOME", self.kept()).envs(&*self.environment.borrow());
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().unwrap().into()
    }

    /// The plan; its exit code must be this one.
    #[track_caller]
    pub fn plan(&self, code: i32) -> Plan {
        let answer = self.run(&["plan", "--json"]).exits(code);
        Plan(serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}\n{}", answer.text)))
    }

    /// Applies without asking; has to succeed.
    #[track_caller]
    pub fn apply(&self) -> Answer {
        self.run(&["apply", "--yes", "--allow-deletes", "--diff", "none"]).exits(0)
    }

    /// Nothing must be left to do.
    #[track_caller]
    pub fn is_settled(&self) {
        let plan = self.plan(0);
        let left = [plan.changes(), plan.steps(), plan.refusals()].concat();
        assert!(left.is_empty(), "the plan is not empty: {left:#?}");
    }

    /// Runs a script as root on a host, through podman; has to succeed. Its output without the last newline.
    #[track_caller]
    pub fn sh(&self, host: &str, script: &str) -> String {
        let (ok, said) = self.try_sh(host, script);
        assert!(ok, "{script}\n{said}");
        said
    }

    /// Like [`Site::sh`], whatever its status.
    pub fn try_sh(&self, host: &str, script: &str) -> (bool, String) {
        let output = self.lab.exec(host, &["bash", "-c", script]).unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text.trim_end_matches('\n').to_owned())
    }

    /// `active`, `inactive`, …
    pub fn state(&self, host: &str, unit: &str) -> String {
        self.try_sh(host, &format!("systemctl is-active {unit}")).1
    }

    /// Managed files of both hosts, `hs1:/path` to digest.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for host in self.hosts() {
            for line in self.sh(host, MANAGED).lines() {
                let (digest, path) = line.split_once("  ").unwrap();
                files.insert(format!("{host}:{path}"), digest.to_owned());
            }
        }
        files
    }

    /// Waits until no host's lock is held any more; how long that took.
    #[track_caller]
    pub fn unlocked(&self, at_most: Duration) -> Duration {
        let began = Instant::now();
        let script = "[[ ! -e /run/synprov/lock ]] || flock --nonblock /run/synprov/lock true";
        while !self.hosts().all(|host| self.try_sh(host, script).0) {
            assert!(began.elapsed() < at_most, "a lock is still held after {} s", at_most.as_secs());
            std::thread::sleep(Duration::from_millis(50));
        }
        began.elapsed()
    }
}

/// An inventory with things replaced; each must be there.
#[track_caller]
pub fn replaced(text: &str, replace: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in replace {
        assert!(text.contains(from), "the inventory has no {from:?}");
        text = text.replace(from, to);
    }
    text
}
