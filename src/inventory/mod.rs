//! What a person wrote in `inventory.yaml`, as types with places; nothing resolved.
//!
//! `parse` turns text into an [`Inventory`] and all diagnostics at once. Cross-references
//! (does this host exist, do ports collide, is a stream single-writer) are the topology's
//! business, which has the places of everything from here. The lock is read and written here too.
//! Never in this room: files, network, the clock, hosts, defaults that depend on other keys.

#![warn(clippy::disallowed_methods)]

pub mod lock;
pub mod registration;
pub mod words;

mod config;
mod datastore;
mod decode;
mod host;
mod install;
mod limits;
mod listeners;
mod logging;
mod mas;
mod media_store;
mod names;
mod owned;
mod packages;
mod pool;
mod process;
mod proxy;
mod read;
mod seats;
mod secrets;
mod select;
mod site;
mod synapse;
mod units;
mod unsupported;

use indexmap::IndexMap;
use serde_json::Value;

use crate::diagnostic::{Span, Spanned};

pub use lock::Lock;
pub use owned::derived;
pub use read::parse;
pub use secrets::CLUSTER_SECRETS;

/// A whole inventory file.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Hosts by the name that the rest of the file uses for them.
    pub hosts: IndexMap<String, Host>,
    /// The homeserver.
    pub synapse: Synapse,
    /// Where PostgreSQL runs.
    pub postgresql: Spanned<Datastore>,
    /// Where Redis runs. `None` only when there are no workers.
    pub redis: Option<Spanned<Datastore>>,
    /// Host of the main process.
    pub main: Main,
    /// Matrix Authentication Service. `None`: Synapse logs people in itself.
    pub mas: Option<Mas>,
    /// Reverse proxy. `None`: the admin routes by other means.
    pub proxy: Option<Proxy>,
    /// Values for every worker that does not say otherwise.
    pub defaults: Defaults,
    /// Worker pools by name, in the order written.
    pub workers: IndexMap<String, Pool>,
}

/// One machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where the name stands.
    pub span: Span,
    /// Name or IP address for SSH, or `local` for the machine synprov runs on.
    pub address: Spanned<String>,
    /// SSH port; what ssh's configuration says, or 22, by default.
    pub port: Option<u16>,
    /// SSH user; what ssh's configuration says, or the current user, by default.
    pub user: Option<String>,
    /// How the user becomes root; not needed for root.
    pub r#become: Become,
    /// Address (IP literal) under which the other hosts of the topology reach this one.
    pub internal_address: Option<Spanned<String>>,
    /// Private key files to try, before the agent's keys.
    pub identity_files: Vec<String>,
    /// Pinned host key, as in a known_hosts line: `ssh-ed25519 AAAA…`.
    pub host_key: Option<Spanned<String>>,
    /// `true`: an unknown (never a changed) host key is recorded on first contact.
    pub accept_new: bool,
    /// Jump hosts on the way, the first one first: `[USER@]HOST[:PORT]`.
    pub jump: Vec<Spanned<String>>,
    /// Who speaks SSH.
    pub transport: Means,
    /// Host leaves the topology: stop and clean up what synprov owns there.
    pub retired: bool,
    /// The operator swears that this machine is off for good.
    pub lost: bool,
}

/// `become:` of a host: how the log-in user becomes root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Become {
    /// It is root.
    #[default]
    No,
    /// By sudo.
    Sudo,
    /// By doas.
    Doas,
}

/// `transport:` of a host: which implementation of SSH speaks with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Means {
    /// libssh2, or OpenSSH's client where that is needed.
    #[default]
    Auto,
    /// libssh2.
    Ssh2,
    /// OpenSSH's client.
    OpenSsh,
}

/// `synapse:`.
#[derive(Debug, Clone)]
pub struct Synapse {
    /// Where the section stands.
    pub span: Span,
    /// Name after the colon in Matrix ids.
    pub server_name: Spanned<String>,
    /// PyPI version, e.g. `1.163.2`.
    pub version: Spanned<String>,
    /// How Synapse gets onto the hosts.
    pub install: Install,
    /// Extras of the PyPI package besides `postgres` and `redis`, e.g. `oidc`, `url-preview`.
    pub extras: Vec<Spanned<String>>,
    /// URL clients use; `https://SERVER_NAME/` by default.
    pub public_baseurl: Option<Spanned<String>>,
    /// Base directory; `/opt/matrix` by default.
    pub root: Option<Spanned<String>>,
    /// Unprivileged user and group that runs Synapse; `matrix` by default.
    pub user: Option<Spanned<String>>,
    /// Prefix of unit, nginx and Redis instance names; `matrix` by default.
    pub prefix: Option<Spanned<String>>,
    /// Names of units that were there before.
    pub units: Units,
    /// Keys of homeserver.yaml. `{secret: NAME}` may stand for any scalar; see [`ConfigMap`].
    pub config: ConfigMap,
    /// Where the values of `{secret: NAME}` come from.
    pub secrets: IndexMap<String, Spanned<SecretSource>>,
    /// Application services by name.
    pub appservices: IndexMap<String, Spanned<Appservice>>,
    /// Further requirements for pip: `NAME==VERSION`.
    pub packages: Vec<Spanned<String>>,
    /// Files for every host with Synapse by their path below ROOT/modules.
    pub files: IndexMap<String, Spanned<DeliveredFile>>,
    /// Where media are kept, if not in ROOT/data/media_store.
    pub media_store: Option<Spanned<MediaStore>>,
    /// Each process has a listener for Prometheus.
    pub metrics: Option<Spanned<Metrics>>,
}

/// Free YAML meant for Synapse, with the place of every key (dotted path from its root) for diagnostics.
#[derive(Debug, Clone, Default)]
pub struct ConfigMap {
    /// The keys. A secret is `{"secret": NAME}` as a one-key mapping, just as written.
    pub values: serde_json::Map<String, Value>,
    /// Place of each key by dotted path: `email`, `email.smtp_pass`.
    pub spans: IndexMap<String, Span>,
    /// Names used in `{secret: NAME}` with the place.
    pub secrets: Vec<Spanned<String>>,
}

/// `install:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Install {
    /// synprov builds an immutable venv.
    Managed,
    /// An existing venv at this path, adopted and never changed.
    Venv(Spanned<String>),
    /// Debian's package `matrix-synapse-py3` (`/opt/venvs/matrix-synapse`), adopted and never changed.
    Debian,
}

/// Names of units, without `.service`; `None`: as they follow from the prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// The main process.
    pub main: Option<Spanned<String>>,
    /// Workers: a template, which ends in `@`.
    pub worker: Option<Spanned<String>>,
    /// The first media worker, if it has a unit without a number.
    pub media: Option<Spanned<String>>,
}

/// Where a secret's value originates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Made once, at random, on the main process' host, and kept there.
    Generate,
    /// An environment variable of the controller.
    Env(String),
    /// A file on the controller, relative to the inventory.
    File(String),
    /// The text behind a key of a YAML file on the controller.
    Field {
        /// Relative to the inventory.
        file: String,
        /// Of the outermost mapping.
        key: String,
    },
    /// Standard output of a command on the controller, without its last newline.
    Command(Vec<String>),
    /// Taken over once from a file that is on the main process' host, then kept like a generated one.
    Found(FoundSecret),
}

/// A secret that was on a host before synprov came there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSecret {
    /// Absolute path of its file.
    pub path: String,
    /// `redis.password`: where in that file, which is YAML then; `None`: the whole file is the value.
    pub key: Option<String>,
}

impl SecretSource {
    /// Its value is on hosts, and the first place to have it is the main process' host.
    pub fn is_on_hosts(&self) -> bool {
        matches!(self, Self::Generate | Self::Found(_))
    }
}

/// One entry of `appservices:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appservice {
    /// Registration file on the controller, relative to the inventory.
    pub file: String,
}

/// One entry of `files:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredFile {
    /// File on the controller, relative to the inventory.
    pub source: Spanned<String>,
    /// What stands in it. Parsing leaves this empty: whoever may read files fills it in.
    pub text: Option<String>,
}

/// `media_store:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaStore {
    /// Absolute path, the same on every host.
    pub path: Spanned<String>,
    /// systemd mount unit that has to be active.
    pub mount_unit: Option<Spanned<String>>,
    /// Several hosts see the same files there.
    pub shared: bool,
}

/// `metrics:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Networks (CIDR) that Prometheus asks from: for the firewall.
    pub networks: Vec<Spanned<String>>,
}

/// One entry of `main.listeners:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraListener {
    /// What it serves.
    pub kind: ListenerKind,
    /// TCP port.
    pub port: u16,
    /// IP address it binds; 127.0.0.1 by default.
    pub address: String,
}

/// What a listener serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    /// HTTP resources.
    Http {
        /// `client`, `federation`, …
        resources: Vec<String>,
        /// `X-Forwarded-For` is believed.
        x_forwarded: bool,
    },
    /// Synapse's Python prompt, on loopback only.
    Manhole,
}

/// PostgreSQL or Redis: ours on a host, or somebody else's.
#[derive(Debug, Clone)]
pub enum Datastore {
    /// Installed and configured by synprov on this host.
    Host(Spanned<String>),
    /// Exists already; synprov only checks it.
    External(External),
}

/// `external:` of `postgresql:` or `redis:`.
#[derive(Debug, Clone)]
pub struct External {
    /// Name or address.
    pub host: Spanned<String>,
    /// TCP port; the product's default when absent.
    pub port: Option<u16>,
    /// PostgreSQL: database name.
    pub database: Option<String>,
    /// PostgreSQL: role name.
    pub user: Option<String>,
    /// Name of the secret with the password.
    pub password: Option<Spanned<String>>,
    /// PostgreSQL: libpq sslmode.
    pub sslmode: Option<String>,
    /// PostgreSQL: further psycopg2 arguments. Redis: further keys of `redis:`.
    pub args: serde_json::Map<String, Value>,
}

/// `main:`.
#[derive(Debug, Clone)]
pub struct Main {
    /// Host name in `hosts`.
    pub host: Spanned<String>,
    /// Wins over `defaults`.
    pub overrides: Defaults,
    /// Listeners besides those for clients, replication and metrics.
    pub listeners: IndexMap<String, Spanned<ExtraListener>>,
}

/// `mas:`, a service that exists already.
#[derive(Debug, Clone)]
pub struct Mas {
    /// Where the section stands.
    pub span: Span,
    /// `http[s]://HOST[:PORT][/]` as Synapse and the proxy reach it.
    pub endpoint: Spanned<String>,
    /// Name of the secret that both sides know (`matrix.secret` of MAS).
    pub secret: Spanned<String>,
    /// HTTP/2 without TLS for introspection (Synapse's `force_http2`).
    pub force_http2: bool,
    /// Networks (CIDR) that may ask `/_synapse/mas`; empty: the endpoint's own address.
    pub networks: Vec<Spanned<String>>,
}

impl Mas {
    /// Whether it is TLS, the host (IPv6 in brackets), and the port of an endpoint; `None` if it is
    /// anything but a scheme, a host and perhaps a port.
    pub fn parts(endpoint: &str) -> Option<(bool, &str, u16)> {
        let (tls, rest) = match endpoint.split_once("://")? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return None,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port > 0)?
            }
            Some(_) => return None,
        };
        let plain =
            !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
        plain.then_some((tls, host, port))
    }
}

/// `proxy:`.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where the section stands.
    pub span: Span,
    /// Host names in `hosts`, at least one.
    pub hosts: Vec<Spanned<String>>,
    /// Which proxy, and how much of it is ours.
    pub kind: Spanned<ProxyKind>,
    /// TLS at the proxy.
    pub tls: Tls,
    /// Networks (CIDR) whose `X-Forwarded-For` is believed, for a proxy behind a proxy.
    pub trusted_proxies: Vec<Spanned<String>>,
    /// Networks (CIDR) that may ask the admin API; empty: nobody.
    pub admin: Vec<Spanned<String>>,
    /// Host names the site answers to besides its own.
    pub server_names: Vec<Spanned<String>>,
    /// Where challenge files of ACME are put.
    pub acme_root: Option<Spanned<String>>,
    /// What stands under `/.well-known/matrix/`.
    pub well_known: WellKnown,
    /// Further locations.
    pub routes: Vec<ExtraRoute>,
    /// How HTTP/2 is asked for.
    pub http2: Http2,
}

/// `proxy.well_known`.
#[derive(Debug, Clone, Default)]
pub struct WellKnown {
    /// What clients are told besides where the server is; `None`: Synapse answers them.
    pub client: Option<serde_json::Map<String, Value>>,
    /// Where other servers shall go: `matrix.example.org:443`.
    pub server: Option<Spanned<String>>,
}

/// One of `proxy.routes`: a location for something that is not Synapse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraRoute {
    /// Prefix of the path.
    pub path: Spanned<String>,
    /// What is there.
    pub target: ExtraTarget,
}

/// What is at an extra route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtraTarget {
    /// Files below this directory of the proxy's host.
    Root(String),
    /// Another server: `http://127.0.0.1:8090`.
    Pass(String),
    /// A redirection to this URL.
    Redirect(String),
    /// An empty answer with this status.
    Status(u16),
}

/// `proxy.http2`: nginx has two ways to say it, and no version reads both without a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http2 {
    /// `listen … http2`: every nginx; 1.25.1 and later warn that it is deprecated.
    #[default]
    Listen,
    /// `http2 on`: nginx 1.25.1 and later.
    Directive,
    /// HTTP/1.1 only.
    Off,
}

/// `proxy.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// A complete nginx site.
    Nginx,
    /// Only snippets, for a vhost of the admin's own.
    Includes,
    /// An instance of HAProxy of its own.
    Haproxy,
}

/// `proxy.tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP on port 80 behind another proxy.
    None,
    /// Files on the proxy's host, never written by synprov.
    Files {
        /// Certificate chain, PEM.
        certificate: Spanned<String>,
        /// Private key, PEM.
        key: Spanned<String>,
    },
}

/// `defaults:`: what every process runs with, main too. Every field is also a key of `main:` and of a
/// pool, where it wins.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// `SYNAPSE_CACHE_FACTOR` of each process, > 0.
    pub cache_factor: Option<Spanned<f64>>,
    /// Connections of each process to PostgreSQL.
    pub db_pool: Option<Spanned<DbPool>>,
    /// What systemd keeps each process to.
    pub limits: Limits,
    /// Environment of each process; merged by name.
    pub environment: IndexMap<String, Spanned<String>>,
    /// `true`: memory is allocated by jemalloc.
    pub jemalloc: Option<Spanned<bool>>,
    /// What requests and replication arrive through.
    pub listen: Option<Spanned<Listen>>,
    /// Where each process logs; merged by key.
    pub logging: Logging,
}

/// `listen:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// TCP ports.
    Tcp,
    /// Unix sockets, where all who connect are on the host.
    Unix,
}

/// Limits of a process, as systemd.resource-control(5) and systemd.exec(5) know them.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// `MemoryMax=`: the process is killed above it. `512M`, `2G`.
    pub memory_max: Option<Spanned<String>>,
    /// `MemoryHigh=`: the process is slowed down above it.
    pub memory_high: Option<Spanned<String>>,
    /// `CPUQuota=`, percent of one CPU.
    pub cpu_quota: Option<Spanned<u32>>,
    /// `Nice=`, -20 to 19.
    pub nice: Option<Spanned<i8>>,
}

/// `logging:`.
#[derive(Debug, Clone, Default)]
pub struct Logging {
    /// The journal, if nothing is said.
    pub to: Option<Spanned<LogTo>>,
    /// Days that a file is kept; 14 by default.
    pub keep: Option<Spanned<u32>>,
    /// Lowest level that is logged; INFO by default.
    pub level: Option<Spanned<String>>,
    /// Level by logger.
    pub loggers: IndexMap<String, Spanned<String>>,
}

/// `logging.to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error, hence the journal.
    Journal,
    /// `NAME.log` in this directory, a new one each day.
    Directory(String),
}

/// `db_pool:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbPool {
    /// `cp_min`, at least 1.
    pub min: u32,
    /// `cp_max`, at least `min`.
    pub max: u32,
}

/// One entry of `workers:`: a pool of equal processes.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Where the name stands.
    pub span: Span,
    /// How many instances on which host, in the order written. `host:` + `count:` is one entry.
    pub hosts: Vec<(Spanned<String>, u32)>,
    /// Share of the requests of each process, 1 by default.
    pub weight: Option<u32>,
    /// Shares of the processes on single hosts, where they differ from `weight`.
    pub weights: IndexMap<String, u32>,
    /// Classes of endpoints.
    pub handles: Vec<Spanned<String>>,
    /// Which requests of these classes; `None`: those that no other pool selects.
    pub select: Option<Select>,
    /// Streams written.
    pub writes: Vec<Spanned<String>>,
    /// Jobs run.
    pub runs: Vec<Spanned<String>>,
    /// Former name of this pool: rename on purpose.
    pub was: Option<Spanned<String>>,
    /// Wins over `defaults`.
    pub overrides: Defaults,
    /// Keys for the worker's own YAML, deep-merged over the shared configuration by synprov.
    pub config: ConfigMap,
}

/// `select:` of a pool. A request is selected that fits one entry of every list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Select {
    /// Where the key stands.
    pub span: Span,
    /// Names of application services.
    pub appservices: Vec<Spanned<String>>,
    /// Regular expressions on `User-Agent`.
    pub user_agents: Vec<Spanned<String>>,
    /// CIDRs of the client.
    pub sources: Vec<Spanned<String>>,
    /// Room ids and aliases.
    pub rooms: Vec<Spanned<String>>,
    /// Matrix ids.
    pub users: Vec<Spanned<String>>,
}

impl Select {
    /// Whether there is nothing to select by.
    pub fn is_empty(&self) -> bool {
        [&self.appservices, &self.user_agents, &self.sources, &self.rooms, &self.users]
            .into_iter()
            .all(Vec::is_empty)
    }
}
