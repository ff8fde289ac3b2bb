//! Two hosts that are kept over all faults, and the work that applies have with them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;

use synprov::lab::Flavour;

use crate::heal::HEAL;
use crate::running::Running;
use crate::site::{Beginning, Site, replaced};
use crate::watch;
use crate::wire::Wire;

/// The inventory that work changes.
const INVENTORY: &str = include_str!("../data/labs/table.yaml");
const HOSTS: [(&str, &str); 2] = [
    ("hs1", "{address: 192.0.2.10, internal_address: 10.8.0.1, user: root"),
    ("hs2", "{address: 192.0.2.11, internal_address: 10.8.0.2, user: deploy, become: true"),
];
/// `--yes` and everything it could say.
pub const APPLY: [&str; 5] = ["apply", "--yes", "-vvv", "--diff", "full"];

/// What the inventory newly wants while something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Of the worker on hs1 one option and a secret: one file, one restart.
    Client,
    /// Of the workers on hs2, behind sudo, one option: two files, two restarts.
    Sync,
    /// What everybody reads, another secret, and a writer more or less: every file, process and route.
    All,
}

/// See the module.
pub struct Table {
    pub site: Site,
    wires: BTreeMap<&'static str, Wire>,
    /// How often each kind of work was wanted.
    counts: [Cell<u32>; 3],
    /// Values that must be nowhere, with their names.
    canaries: RefCell<Vec<(String, String)>>,
}

impl Table {
    /// Boots the hosts, watches them, and provisions them.
    pub fn up() -> Self {
        let site = Site::up("table", Flavour::Warm, Beginning { inventory: INVENTORY, hosts: &HOSTS });
        let mut wires = BTreeMap::new();
        for (name, _) in HOSTS {
            let address = site.host(name).address.parse().unwrap();
            let wire = Wire::to(SocketAddr::new(address, 22));
            site.through(name, wire.port);
            wires.insert(name, wire);
        }
        // Lab hosts that were kept have seen other work than this.
        let begin = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let counts = [(); 3].map(|()| Cell::new(u32::try_from(begin % 100_000).unwrap() * 2));
        let table = Self { site, wires, counts, canaries: RefCell::default() };
        for (name, _) in HOSTS {
            watch::begin(&table.site, name);
        }
        table.want(Work::All);
        table
    }

    /// Applies what is wanted to hosts as they boot.
    pub fn provision(&self) {
        self.site.run(&[&APPLY[..], &["--adopt", "--allow-datastore-restart"]].concat()).exits(0);
        self.site.is_settled();
        self.know_secrets();
    }

    /// The wire to a host.
    pub fn wire(&self, host: &str) -> &Wire {
        &self.wires[host]
    }

    /// Writes an inventory that wants something new.
    pub fn want(&self, work: Work) {
        let count = &self.counts[work as usize];
        count.set(count.get() + 1);
        self.write(&[]);
    }

    /// Writes the inventory as it is wanted, with more things replaced.
    pub fn write(&self, more: &[(&str, &str)]) {
        let [client, sync, all] = [0, 1, 2].map(|at| self.counts[at].get());
        for (variable, name, count) in [("CANARY_TURN", "turn", client), ("CANARY_SMTP", "smtp", all)] {
            let value = format!("canary-{name}-{count}-c2Vjcm");
            self.site.set_env(variable, &value);
            let mut canaries = self.canaries.borrow_mut();
            if canaries.iter().all(|(_, known)| *known != value) {
                canaries.push((name.to_owned(), value));
            }
        }
        let writer = if all % 2 == 1 { "  typing: {host: hs1, writes: [typing]}\n" } else { "" };
        let text = replaced(
            INVENTORY,
            &[
                (
                    "registration], config: {event_cache_size: 1000",
                    &format!("registration], config: {{event_cache_size: {client}"),
                ),
                (
                    "[sync], config: {event_cache_size: 1000",
                    &format!("[sync], config: {{event_cache_size: {sync}"),
                ),
                // The proxy lets 12.5M through anyway.
                ("max_upload_size: 10M", &format!("max_upload_size: {}K", 20_000 + all)),
                ("workers:\n", &format!("workers:\n{writer}")),
            ],
        );
        self.site.write(&replaced(&text, more));
    }

    /// Starts an apply that says everything.
    pub fn start(&self, more: &[&str]) -> Running {
        Running::start(self.site.command(&[&APPLY[..], more].concat()))
    }

    /// Values that must be nowhere, with their names.
    pub fn canaries(&self) -> Vec<(String, String)> {
        self.canaries.borrow().clone()
    }

    /// Secrets that hosts made themselves are looked for too.
    pub fn know_secrets(&self) {
        let list = self
            .site
            .sh("hs1", "cd /opt/matrix/conf/secrets 2> /dev/null || exit 0; shopt -s nullglob; for f in *; do echo \"$f $(tail -c 44 $f)\"; done");
        let mut canaries = self.canaries.borrow_mut();
        for line in list.lines() {
            let (name, value) = line.split_once(' ').unwrap();
            // Of the signing key the third word is the secret.
            let value = value.rsplit(' ').next().unwrap();
            assert!(value.len() >= 12, "secret {name} is too short to be looked for");
            if canaries.iter().all(|(_, known)| known != value) {
                canaries.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Back to an empty plan, so that one failure is one failure.
    pub fn heal(&self) {
        for wire in self.wires.values() {
            wire.arm(None);
            wire.mend();
        }
        self.write(&[]);
        let answer = self.site.run(&HEAL);
        if answer.code != Some(0) {
            eprintln!("could not be healed: {}", answer.text);
        }
    }
}
