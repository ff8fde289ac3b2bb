//! The closed set of things synprov manages on a host: what each one is when it is right.
//!
//! A [`Resource`] is desired state and nothing else. How a kind is probed is `facts`' business,
//! which changes follow is `plan`'s, what an apply does is `apply`'s. Pure data.

#![warn(clippy::disallowed_methods)]

mod content;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::inventory::Installer;

pub use content::{Content, Piece, Quote};

/// Names one resource in the whole topology: host, module, kind and the kind's own key.
///
/// Text form: `hs1/worker/file:/opt/matrix/conf/workers/sync.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Host name of the inventory.
    pub host: String,
    /// Module that declared it.
    pub module: String,
    /// `file`, `directory`, `service`, …
    pub kind: &'static str,
    /// The kind's key: a path, a unit, a user, a package list's name.
    pub name: String,
}

/// One thing on one host, as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Its name.
    pub address: Address,
    /// What it should be.
    pub body: Body,
}

/// The kinds. Fields are what `module.yaml` may write; strings have been interpolated already.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// apt packages, installed in any version. Leaving: kept.
    Packages {
        /// Key of this list, e.g. `nginx`.
        name: String,
        /// Package names.
        packages: Vec<String>,
    },
    /// A system user with a group of the same name. Leaving: kept.
    User {
        /// User and group name.
        name: String,
        /// Home directory, not created.
        home: String,
    },
    /// A directory. Leaving: removed when empty.
    Directory {
        /// Absolute path.
        path: String,
        /// Owner.
        owner: String,
        /// Group.
        group: String,
        /// Octal, e.g. `0750`.
        mode: String,
        /// `true`: holds data (media, keys); never removed when it leaves.
        #[serde(default)]
        keep: bool,
    },
    /// A whole file. Leaving: removed, a copy kept if somebody edited it.
    File {
        /// Absolute path.
        path: String,
        /// Owner.
        owner: String,
        /// Group.
        group: String,
        /// Octal, e.g. `0640`.
        mode: String,
        /// What stands in it.
        content: Content,
        /// File set that is staged, validated and swapped together; see [`FileSet`].
        set: FileSet,
        /// Units of this host that read it at start, with the digest of what each of them reads
        /// of it. A unit that reads the whole file has the file's own digest (`Content::digest`).
        #[serde(default)]
        inputs_of: IndexMap<String, String>,
        /// Units of this host that read it at start and again while they run, when they are told to
        /// (SIGHUP), with the file's digest.
        #[serde(default)]
        reread_by: IndexMap<String, String>,
    },
    /// A number in a file that belongs to a package: `directive value;` raised to at least `minimum`.
    Directive {
        /// Absolute path, e.g. `/etc/nginx/nginx.conf`.
        path: String,
        /// Name, e.g. `worker_connections`.
        directive: String,
        /// Lowest acceptable value.
        minimum: u64,
        /// Units that read it at start or reload, with what they need of it.
        #[serde(default)]
        inputs_of: IndexMap<String, String>,
    },
    /// A secret's own file. Leaving: kept.
    Secret {
        /// Name in the topology's table of secrets.
        name: String,
        /// Absolute path.
        path: String,
        /// Owner.
        owner: String,
        /// Group.
        group: String,
        /// Octal.
        mode: String,
    },
    /// An immutable Python environment with Synapse.
    Venv {
        /// `/opt/matrix/venvs/VERSION-HASH`.
        path: String,
        /// What pip is asked for, e.g. `matrix-synapse[redis,oidc]==1.163.2`.
        requirements: Vec<String>,
        /// pip constraints for this Synapse version.
        constraints: Vec<String>,
        /// The set resolved once, from the lock, by Python tag (`cp311-x86_64`): lines of a
        /// requirements file with hashes. `None` until the first apply resolved it.
        locked: Option<IndexMap<String, Vec<String>>>,
        /// `false`: adopted; must exist and import Synapse, is never changed.
        managed: bool,
        /// Which program fills it.
        #[serde(default)]
        installer: Installer,
        /// Its packages come from the wheelhouse alone.
        #[serde(default)]
        offline: bool,
    },
    /// The routes, checked against what Synapse in this venv serves. Leaving: forgotten.
    Routes {
        /// Path of the venv.
        venv: String,
        /// Digest of what is checked.
        digest: String,
    },
    /// A systemd unit that runs. Leaving: stopped, disabled.
    Service {
        /// Full unit name.
        unit: String,
        /// Which place in the global order.
        stage: Stage,
        /// What else must be true before it counts as ready.
        #[serde(default)]
        ready: Ready,
        /// Things read at start that are no files of ours: label to digest, e.g. `venv`.
        #[serde(default)]
        inputs: IndexMap<String, String>,
        /// Things among what it read at start that it reads again while it runs, when it is told to: label to
        /// digest. One that goes is not forgotten by that; it needs a restart.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        rereads: IndexMap<String, String>,
        /// Names of secrets read at start.
        #[serde(default)]
        secrets: Vec<String>,
        /// `false`: somebody else's unit (postgresql, nginx): started and enabled, never stopped when it leaves.
        #[serde(default = "yes")]
        owned: bool,
        /// `true`: changed inputs are taken over by reload, not restart (nginx).
        #[serde(default)]
        reload: bool,
    },
    /// A PostgreSQL cluster of the distribution: our role, database, settings and peers.
    Postgresql {
        /// Role that owns the database.
        role: String,
        /// Name of the secret with the role's password.
        password: String,
        /// Database, UTF8, C locale, from template0.
        database: String,
        /// Settings made with `ALTER SYSTEM`; numbers are lower bounds, never lowered.
        settings: IndexMap<String, String>,
        /// Addresses (CIDR) of peers to be let in by scram-sha-256.
        peers: Vec<String>,
    },
    /// A PostgreSQL server somebody else runs; only checked, from this host.
    ExternalPostgresql {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// Database.
        database: String,
        /// Role.
        user: String,
        /// Name of the secret with its password.
        password: Option<String>,
        /// libpq sslmode.
        sslmode: Option<String>,
    },
}

fn yes() -> bool {
    true
}

/// Files that are staged, validated as if in place, and swapped together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSet {
    /// Redis configuration.
    Redis,
    /// Synapse's YAML and log configurations; validated by Synapse itself for every process.
    Synapse,
    /// Unit files; validated by `systemd-analyze verify`.
    Systemd,
    /// nginx files; validated by `nginx -t`.
    Nginx,
    /// HAProxy's file; validated by `haproxy -c`.
    Haproxy,
    /// Nothing validates these.
    Plain,
}

/// Place in the global order. Everything of a stage is ready before the next one starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// File systems that somebody else set up: mounted before anything is put on them.
    Mount,
    /// PostgreSQL, Redis.
    Datastore,
    /// Synapse's main process.
    Main,
    /// Workers that write streams.
    Writer,
    /// All other workers.
    Worker,
    /// nginx.
    Proxy,
    /// Groups others; starts nothing itself.
    Target,
}

/// What must be true, beyond systemd saying active, before a service counts as ready.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// `ADDRESS:PORT` whose `/health` must answer 200.
    #[serde(default)]
    pub health: Option<String>,
    /// `ADDRESS:PORT`s that must be listening, by this service.
    #[serde(default)]
    pub listens: Vec<String>,
    /// `ADDRESS:PORT` of Redis to which the process must hold an established connection.
    #[serde(default)]
    pub redis: Option<String>,
    /// `ADDRESS:PORT`s (replication) that must accept a connection from this host.
    #[serde(default)]
    pub reaches: Vec<String>,
    /// `true`: wait without limit (main migrates the schema); progress is reported, nothing killed.
    #[serde(default)]
    pub unlimited: bool,
}

impl Ready {
    /// The conditions as the functions on hosts take them (`ready.sh`): words `KIND=VALUE`.
    pub fn conditions(&self) -> Vec<String> {
        let listens = self.listens.iter().map(|address| format!("listens={address}"));
        let health = self.health.iter().map(|address| format!("health={address}"));
        let redis = self.redis.iter().map(|address| format!("redis={address}"));
        let reaches = self.reaches.iter().map(|address| format!("reaches={address}"));
        listens.chain(health).chain(redis).chain(reaches).collect()
    }
}

impl Resource {
    /// Names the resource after what it is: the kind's own key.
    pub fn new(host: &str, module: &str, body: Body) -> Self {
        let name = body.name().to_owned();
        let kind = body.kind();
        Self { address: Address { host: host.to_owned(), module: module.to_owned(), kind, name }, body }
    }
}

impl Body {
    /// The kind's name as in `module.yaml`.
    pub fn kind(&self) -> &'static str {
        match self {
            Body::Packages { .. } => "packages",
            Body::User { .. } => "user",
            Body::Directory { .. } => "directory",
            Body::File { .. } => "file",
            Body::Directive { .. } => "directive",
            Body::Secret { .. } => "secret",
            Body::Venv { .. } => "venv",
            Body::Routes { .. } => "routes",
            Body::Service { .. } => "service",
            Body::Postgresql { .. } => "postgresql",
            Body::ExternalPostgresql { .. } => "external_postgresql",
        }
    }

    /// The path that it alone has on a host. Directives of one file are many; a Python environment that is not ours may
    /// be the root itself.
    pub fn path(&self) -> Option<&str> {
        match self {
            Body::Directory { path, .. } | Body::File { path, .. } | Body::Secret { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The key that is unique among resources of this kind on a host.
    pub fn name(&self) -> &str {
        match self {
            Body::Packages { name, .. } | Body::User { name, .. } | Body::Secret { name, .. } => name,
            Body::Directory { path, .. }
            | Body::File { path, .. }
            | Body::Directive { path, .. }
            | Body::Venv { path, .. } => path,
            Body::Routes { venv, .. } => venv,
            Body::Service { unit, .. } => unit,
            Body::Postgresql { database, .. } | Body::ExternalPostgresql { database, .. } => database,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}:{}", self.host, self.module, self.kind, self.name)
    }
}

impl FileSet {
    /// All of them, in the order in which they are staged.
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::Redis, Self::Synapse, Self::Systemd, Self::Nginx, Self::Haproxy];

    /// Its name in `module.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            FileSet::Redis => "redis",
            FileSet::Synapse => "synapse",
            FileSet::Systemd => "systemd",
            FileSet::Nginx => "nginx",
            FileSet::Haproxy => "haproxy",
            FileSet::Plain => "plain",
        }
    }
}
