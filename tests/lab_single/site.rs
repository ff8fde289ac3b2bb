//! The site under test: one throwaway host, provisioned, and the inventory it was provisioned from.
//!
//! The inventory names the lab's host as its real one, so that secrets are resolved for real and no
//! stand-in is between the scenarios and the program.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use synprov::lab::{Distro, Flavour, Lab, LabHost, Outward, lab_spec};

use crate::answer::{Answer, Plan};
use crate::throwaway::Removed;

/// The inventory of all scenarios.
pub const INVENTORY: &str = include_str!("../data/labs/single.yaml");
/// Its one host.
pub const HOST: &str = "one";
/// Where Synapse's things are.
pub const ROOT: &str = "/opt/matrix";
/// Every unit that a scenario could disturb.
const UNITS: &str = "'matrix*' 'redis-server@matrix.service' 'postgresql@*' nginx.service";

/// Secret name to value; each is found nowhere but where it belongs.
pub const CANARIES: [(&str, &str); 4] = [
    ("CANARY_SMTP", "canary-smtp-5ZqX0vTn"),
    ("CANARY_TURN", "canary-turn-8LwR2kBd"),
    ("captcha", "canary-captcha-1HjG7sPc"),
    ("form", "canary-form-9YmF4eUo"),
];

/// See the module.
pub struct Site {
    /// The lab.
    pub lab: Lab,
    /// Directory of the inventory.
    pub directory: PathBuf,
    /// What the apply to the bare host said.
    pub first: Answer,
    /// The inventory that everything begins with.
    pub text: String,
    env: RefCell<BTreeMap<String, String>>,
    // In this order: the lab goes first.
    _removed: Option<Removed>,
    _temporary: Option<tempfile::TempDir>,
}

impl Site {
    /// Boots the host of the inventory of all scenarios.
    pub fn up() -> Self {
        Self::of(INVENTORY, Distro::Debian12)
    }

    /// Boots the host of an inventory like that. With `SYNPROV_TEST_LAB=NAME` that lab is used and stays, for
    /// those who write scenarios.
    pub fn of(text: &str, distro: Distro) -> Self {
        let kept = std::env::var("SYNPROV_TEST_LAB").ok();
        let name = kept.clone().unwrap_or_else(|| format!("test-single-{}", std::process::id()));
        let removed = kept.is_none().then(|| Removed(name.clone()));
        let temporary = kept.is_none().then(|| tempfile::tempdir().unwrap());
        let directory = match &temporary {
            Some(directory) => directory.path().to_owned(),
            None => std::env::temp_dir().join(format!("synprov-{name}")),
        };
        std::fs::create_dir_all(&directory).unwrap();
        let (inventory, found) = synprov::inventory::parse(text);
        let inventory = inventory.unwrap_or_else(|| panic!("{found:?}"));
        let spec = lab_spec(&inventory, &name, distro, Flavour::Warm, Outward::Indexes);
        let lab = Lab::find(&name).unwrap_or_else(|_| Lab::up(&spec).unwrap());
        let mut env = BTreeMap::new();
        for (name, value) in CANARIES {
            if name.starts_with("CANARY") {
                env.insert(name.to_owned(), value.to_owned());
            } else {
                std::fs::write(directory.join(name), value).unwrap();
            }
        }
        let first = Answer::default();
        let env = RefCell::new(env);
        let text = text.to_owned();
        let site = Self { lab, directory, first, text, env, _removed: removed, _temporary: temporary };
        site.write(&site.text);
        site
    }

    /// The host.
    pub fn host(&self) -> &LabHost {
        self.lab.host(HOST).unwrap()
    }

    /// Makes `text` the inventory, with the throwaway host in place of the written one.
    #[track_caller]
    pub fn write(&self, text: &str) {
        let written = "one: {address: 192.0.2.10, user: deploy, become: true}";
        assert!(text.contains(written));
        let LabHost { address, key, host_key, .. } = self.host();
        let real = format!(
            "one: {{address: {address}, user: deploy, become: true, identity_files: [{}], host_key: {host_key}}}",
            key.display()
        );
        std::fs::write(self.inventory(), text.replace(written, &real)).unwrap();
    }

    /// Writes the inventory of all scenarios with one thing replaced.
    #[track_caller]
    pub fn rewrite(&self, from: &str, to: &str) {
        assert!(self.text.contains(from), "the inventory has no {from:?}");
        self.write(&self.text.replace(from, to));
    }

    /// Path of the inventory.
    pub fn inventory(&self) -> PathBuf {
        self.directory.join("inventory.yaml")
    }

    /// Sets a variable of the program's environment.
    pub fn set_env(&self, name: &str, value: &str) {
        self.env.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    /// The program with these arguments, ready to be run in the inventory's directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synprov"));
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.directory.join("state"));
        command.env_remove("SYNPROV_INVENTORY").env_remove("SYNPROV_MODULES").envs(&*self.env.borrow());
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().unwrap().into()
    }

    /// The plan.
    #[track_caller]
    pub fn plan(&self) -> Plan {
        self.plan_with(&[])
    }

    /// The plan with more arguments.
    #[track_caller]
    pub fn plan_with(&self, more: &[&str]) -> Plan {
        let answer = self.run(&[&["plan", "--json"], more].concat());
        let plan = serde_json::from_str(&answer.stdout);
        Plan(plan.unwrap_or_else(|error| panic!("{error}: exit {}\n{}", answer.code, answer.all())))
    }

    /// Applies without asking; has to succeed.
    #[track_caller]
    pub fn apply(&self) -> Answer {
        self.run(&["apply", "--yes"]).exits(0)
    }

    /// Ends the scenario unless nothing is left to do.
    #[track_caller]
    pub fn is_settled(&self) {
        let plan = self.plan();
        assert_eq!((plan.changes(), plan.steps()), (vec![], vec![]), "the plan is not empty");
    }

    /// Runs a script as root on the host, through podman; has to succeed. Its output without the last newline.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.lab.exec(HOST, &["bash", "-c", script]).unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{out}{err}");
        out.trim_end_matches('\n').to_owned()
    }

    /// InvocationID of every unit that runs.
    pub fn invocations(&self) -> BTreeMap<String, String> {
        // Blocks of two lines and an empty one between them.
        let text = self.sh(&format!("systemctl show --property=Id,InvocationID -- {UNITS}"));
        text.split("\n\n")
            .filter_map(|block| {
                let value =
                    |key: &str| block.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
                Some((value("Id=")?, value("InvocationID=").filter(|id| !id.is_empty())?))
            })
            .collect()
    }

    /// Units that were started anew, are new, or are gone since.
    pub fn disturbed(&self, before: &BTreeMap<String, String>) -> Vec<String> {
        let now = self.invocations();
        let mut units: Vec<String> = before.keys().chain(now.keys()).cloned().collect();
        units.sort();
        units.dedup();
        units.retain(|unit| before.get(unit) != now.get(unit));
        units
    }
}
