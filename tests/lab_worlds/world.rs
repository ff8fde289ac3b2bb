//! A world under test: an inventory rehearsed by the real binary, its hosts, and a client at its door.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use synprov::inventory::Lock;
use synprov::lab::client::{Answer as Reply, Ask, Client, Door};
use synprov::lab::stand_in::stand_in;
use synprov::lab::{Distro, Flavour, Lab, LabHost, Outward, lab_spec};
use synprov::topology::Topology;

use crate::answer::Answer;
use crate::throwaway::Removed;

/// Every stream and job on a worker of its own, every class of endpoints a pool of its own; one host.
pub const EVERY: &str = include_str!("../data/labs/every.yaml");

/// Of every user.
const PASSWORD: &str = "throwaway password of a throwaway host";

/// A rehearsed inventory, gone when dropped. With `SYNPROV_TEST_KEEP=PREFIX` its hosts stay and are used again,
/// for those who write tests.
pub struct World {
    /// Its hosts.
    pub lab: Lab,
    name: String,
    inventory: String,
    _removed: Option<Removed>,
}

impl World {
    /// Rehearses an inventory: it must apply, its client be served rightly, and the second plan be empty.
    #[track_caller]
    pub fn rehearse(name: &str, inventory: &str) -> Self {
        let (name, removed) = named(name);
        let directory = tempfile::tempdir().unwrap();
        let file = format!("{name}.yaml");
        std::fs::write(directory.path().join(&file), inventory).unwrap();
        if let Some(lab) = Lab::find(&name).ok().filter(|_| removed.is_none()) {
            return Self { lab, name, inventory: inventory.to_owned(), _removed: removed };
        }
        let answer = program(directory.path(), &["rehearse", "--keep", "--warm", &file]);
        let answer = answer.exits(0);
        let lab = Lab::find(&name).unwrap();
        if let Some(proven) = answer.text.lines().find(|line| line.contains("requests answered rightly")) {
            eprintln!("seen   {proven}");
        }
        Self { lab, name, inventory: inventory.to_owned(), _removed: removed }
    }

    /// Boots the hosts of an inventory and provisions nothing.
    #[track_caller]
    pub fn boot(name: &str, inventory: &str) -> Self {
        let (name, removed) = named(name);
        if let (Ok(lab), None) = (Lab::find(&name), &removed) {
            return Self { lab, name, inventory: inventory.to_owned(), _removed: removed };
        }
        let (parsed, found) = synprov::inventory::parse(inventory);
        let parsed = parsed.unwrap_or_else(|| panic!("{found:?}"));
        let spec = lab_spec(&parsed, &name, Distro::Debian12, Flavour::Warm, Outward::Indexes);
        Self { lab: Lab::up(&spec).unwrap(), name, inventory: inventory.to_owned(), _removed: removed }
    }

    /// Applies an inventory of one host as it is, with nothing stood in but the host's address and key.
    #[track_caller]
    pub fn apply(&self, inventory: &str) {
        self.apply_in(tempfile::tempdir().unwrap().path(), inventory).exits(0);
    }

    /// The same in a directory that keeps the lock for the next time.
    pub fn apply_in(&self, directory: &Path, inventory: &str) -> Answer {
        let LabHost { address, key, host_key, .. } = &self.lab.hosts()[0];
        let written = "{address: 192.0.2.10, user: root}";
        assert!(inventory.contains(written));
        let key = key.display();
        let real =
            format!("{{address: {address}, user: root, identity_files: [{key}], host_key: {host_key}}}");
        std::fs::write(directory.join("inventory.yaml"), inventory.replace(written, &real)).unwrap();
        program(directory, &["apply", "--yes", "--diff", "none"])
    }

    /// Applies another inventory to the rehearsed hosts, with what stands in for the real ones, and gives what
    /// was said; a second plan must be empty.
    #[track_caller]
    pub fn apply_in_lab(&self, inventory: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = format!("{}.yaml", self.name);
        std::fs::write(directory.path().join(&file), inventory).unwrap();
        let done = program(directory.path(), &["apply", "--lab", "--yes", "--diff", "none", &file]);
        let text = done.exits(0).text;
        program(directory.path(), &["plan", "--lab", "--detailed-exitcode", &file]).exits(0);
        text
    }

    /// Plans another inventory for the rehearsed hosts, and gives what was said.
    #[track_caller]
    pub fn plan_in_lab(&self, inventory: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = format!("{}.yaml", self.name);
        std::fs::write(directory.path().join(&file), inventory).unwrap();
        program(directory.path(), &["plan", "--lab", "--diff", "none", &file]).exits(0).text
    }

    /// What the inventory means in the lab; ports may differ, nobody asks for them here.
    #[track_caller]
    pub fn topology(&self) -> Topology {
        let (parsed, found) = synprov::inventory::parse(&self.inventory);
        let (inventory, _) = stand_in(&parsed.unwrap_or_else(|| panic!("{found:?}")), self.lab.hosts());
        let resolved = synprov::topology::resolve(&inventory, &Lock::default());
        resolved.topology.unwrap_or_else(|| panic!("{:?}", resolved.diagnostics))
    }

    /// Registers a server admin, on main's host, as an admin would.
    #[track_caller]
    pub fn make_admin(&self, name: &str) {
        let script = format!(
            "/opt/matrix/venvs/*/bin/register_new_matrix_user --user {name} --password '{PASSWORD}' --admin \
             --config /opt/matrix/conf/config.yaml http://127.0.0.1:8008"
        );
        let output = self.lab.exec(&self.lab.hosts()[0].name, &["bash", "-c", &script]).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// A client at the proxy of the first host.
    pub fn client(&self, name: &str, run: &str) -> Client {
        let door = Door {
            name: name.to_owned(),
            address: SocketAddr::new(self.lab.hosts()[0].address.parse().unwrap(), 443),
            ca: Some(std::fs::read(&self.lab.state().ca).unwrap()),
        };
        Client::new(&door, run).unwrap()
    }
}

/// A lab's name, and what removes it unless it is kept.
fn named(name: &str) -> (String, Option<Removed>) {
    match std::env::var("SYNPROV_TEST_KEEP") {
        Ok(prefix) => (format!("{prefix}-{name}"), None),
        Err(_) => {
            let name = format!("worlds-{name}-{}", std::process::id());
            (name.clone(), Some(Removed(name)))
        }
    }
}

/// Runs the program in a directory.
pub fn program(directory: &Path, arguments: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synprov"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).env("NO_COLOR", "1");
    command.env_remove("SYNPROV_INVENTORY").env_remove("SYNPROV_MODULES");
    command.output().unwrap().into()
}

/// Somebody with an access token.
pub struct User {
    /// `@alice:worlds.example`
    pub id: String,
    /// Device of the token.
    pub device: String,
    /// Access token.
    pub token: String,
}

/// Sends a request that must succeed, and gives its answer.
#[track_caller]
pub fn must(client: &Client, user: Option<&User>, method: &str, path: &str, body: &Value) -> Value {
    let reply = send(client, user, method, path, body);
    assert!(
        (200..300).contains(&reply.status),
        "{method} {path}: {} {:?} {}",
        reply.status,
        reply.problem,
        String::from_utf8_lossy(&reply.body)
    );
    reply.json()
}

/// Sends a request with a JSON body, or without one if it is null.
pub fn send(client: &Client, user: Option<&User>, method: &str, path: &str, body: &Value) -> Reply {
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    let bytes = body.to_string().into_bytes();
    let body = (!body.is_null()).then_some(("application/json", bytes.as_slice()));
    client.ask(Ask { method, path: bare, query, token: user.map(|user| user.token.as_str()), body })
}

/// Registers, which logs in; a user that is there already just logs in.
#[track_caller]
pub fn arrive(client: &Client, name: &str) -> User {
    let auth = json!({"type": "m.login.dummy"});
    let wish = json!({"username": name, "password": PASSWORD, "auth": auth});
    let registered = send(client, None, "POST", "/_matrix/client/v3/register", &wish);
    let user = if registered.status == 200 {
        registered.json()
    } else {
        let said = registered.json();
        assert_eq!(said["errcode"], "M_USER_IN_USE", "{name} cannot register: {} {said}", registered.status);
        let identifier = json!({"type": "m.id.user", "user": name});
        let wish = json!({"type": "m.login.password", "identifier": identifier, "password": PASSWORD});
        must(client, None, "POST", "/_matrix/client/v3/login", &wish)
    };
    let text = |key: &str| user[key].as_str().unwrap().to_owned();
    User { id: text("user_id"), device: text("device_id"), token: text("access_token") }
}
