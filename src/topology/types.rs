//! The nouns of a topology.

mod route;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use crate::inventory::{ExtraRoute, Http2, Install, Installer, ProxyKind, SecretSource, Tls};
use crate::resource::{Ready, Stage};
pub use route::{Balance, Condition, Route, Selector, Server, Upstream};

/// The meaning of an inventory with its lock. Everything decided, nothing looked up on a host.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Name after the colon in Matrix ids.
    pub server_name: String,
    /// PyPI version.
    pub version: crate::version::Version,
    /// `/opt/matrix`.
    pub root: String,
    /// Unprivileged user and group.
    pub user: String,
    /// Prefix of units, nginx files, the Redis instance: `matrix`.
    pub prefix: String,
    /// How Synapse gets onto hosts.
    pub install: Install,
    /// Absolute path of the venv that units start from.
    pub venv: Venv,
    /// Hosts in inventory order (without lost ones).
    pub hosts: IndexMap<String, HostNode>,
    /// Main first, then workers in inventory order.
    pub instances: Vec<Instance>,
    /// PostgreSQL as seen from Synapse.
    pub postgresql: Endpoint,
    /// Redis as seen from Synapse.
    pub redis: Option<Endpoint>,
    /// The proxy.
    pub proxy: Option<ProxyNode>,
    /// Matrix Authentication Service, which logins are left to.
    pub mas: Option<MasNode>,
    /// Routes in matching order: first match wins; what matches none goes to main.
    pub routes: Vec<Route>,
    /// Selectors of dedicated pools, by pool, in matching order.
    pub selectors: IndexMap<String, Selector>,
    /// Upstreams by name: what routes point to.
    pub upstreams: IndexMap<String, Upstream>,
    /// Every secret of the topology: where it comes from and which hosts need it.
    pub secrets: IndexMap<String, SecretNode>,
    /// conf/config.yaml, the same bytes on every host. Secrets as `{"secret": NAME}`.
    pub shared_config: serde_json::Map<String, Value>,
    /// Files for every host with Synapse: absolute path to text.
    pub files: IndexMap<String, String>,
    /// Networks (CIDR) that Prometheus asks from; `None`: no process has a metrics listener.
    pub metrics: Option<Vec<String>>,
    /// Where media are kept.
    pub media: MediaNode,
    /// Hosts marked `retired: true`.
    pub retired: Vec<String>,
    /// Hosts marked `lost: true`.
    pub lost: Vec<String>,
}

/// Where media are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediaNode {
    /// Absolute path, the same on every host.
    pub path: String,
    /// systemd mount unit that has to be active.
    pub mount_unit: Option<String>,
    /// Hosts whose processes read and write there, in the topology's order.
    pub hosts: Vec<String>,
}

/// The Python environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Venv {
    /// Absolute path.
    pub path: String,
    /// What pip is asked for.
    pub requirements: Vec<String>,
    /// pip constraints for this version (data of the venv module).
    pub constraints: Vec<String>,
    /// Resolved sets by Python tag, from the lock.
    pub locked: Option<IndexMap<String, Vec<String>>>,
    /// Built by synprov.
    pub managed: bool,
    /// Which program fills it.
    pub installer: Installer,
    /// Its packages come from the wheelhouse alone.
    pub offline: bool,
    /// File names in the wheelhouse, sorted; `None`: there is none, or nobody has looked.
    #[serde(skip)]
    pub wheels: Option<Vec<String>>,
}

/// A host with what runs on it.
#[derive(Debug, Clone)]
pub struct HostNode {
    /// Name.
    pub name: String,
    /// Literal address under which other hosts reach it; `127.0.0.1` when everything is on one host.
    pub internal_address: String,
    /// Runs PostgreSQL of ours.
    pub postgresql: bool,
    /// Runs Redis of ours.
    pub redis: bool,
    /// Runs any Synapse process.
    pub synapse: bool,
    /// Runs the proxy.
    pub proxy: bool,
    /// Marked `retired: true`: owns nothing any more.
    pub retired: bool,
}

/// One Synapse process.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its Synapse name: `main`, `sync`, `sync2`.
    pub name: String,
    /// Pool of the inventory; `main` for main.
    pub pool: String,
    /// Host name.
    pub host: String,
    /// `generic_worker`, `media_repository`, `homeserver`.
    pub app: App,
    /// Full systemd unit name.
    pub unit: String,
    /// Port of the client/federation/media listener, if it has one and it is no socket. A process that only runs jobs
    /// has a `health` listener instead, which is no client listener: see `ready.health`.
    pub client_port: Option<u16>,
    /// Port of the replication listener, if it has one and it is no socket.
    pub replication_port: Option<u16>,
    /// Where requests reach it: `ADDRESS:PORT` or `unix:/PATH`, if it has a listener for them.
    pub client: Option<String>,
    /// Where others replicate to it: `ADDRESS:PORT` or `unix:/PATH`.
    pub replication: Option<String>,
    /// Directory below /run for its sockets, e.g. `matrix/sync`; `None`: it has none.
    pub runtime_directory: Option<String>,
    /// `ADDRESS:PORT` of its metrics listener, if it has one.
    pub metrics: Option<String>,
    /// Address its client listener is reached at from the proxy (and bound to).
    pub address: String,
    /// Streams written.
    pub writes: Vec<String>,
    /// Jobs run.
    pub runs: Vec<String>,
    /// Place in the global order.
    pub stage: Stage,
    /// When it counts as ready.
    pub ready: Ready,
    /// Its own YAML (`None` for main, whose file is the shared one). Secrets as `{"secret": NAME}`.
    pub config: Option<serde_json::Map<String, Value>>,
    /// Digest of what it reads of the shared configuration: label (top-level key) to digest.
    pub shared_inputs: IndexMap<String, String>,
    /// The same of its own file.
    pub own_inputs: IndexMap<String, String>,
    /// What it reads again while it runs, when it is told to, of any file: label to digest.
    pub rereads: IndexMap<String, String>,
    /// Environment of its unit, e.g. `LD_PRELOAD`.
    pub environment: IndexMap<String, String>,
    /// What systemd keeps it to.
    pub limits: Limits,
    /// Its memory is allocated by jemalloc, which has to be installed.
    pub jemalloc: bool,
    /// Where it logs.
    pub logging: Logging,
    /// Names of secrets it reads at start.
    pub secrets: Vec<String>,
}

/// Limits of a process; `None`: systemd's own default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// `MemoryMax=`, e.g. `2G`.
    pub memory_max: Option<String>,
    /// `MemoryHigh=`.
    pub memory_high: Option<String>,
    /// `CPUQuota=`, percent of one CPU.
    pub cpu_quota: Option<u32>,
    /// `Nice=`.
    pub nice: Option<i8>,
}

/// How a process logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// Directory of its file `NAME.log`; `None`: the journal.
    pub directory: Option<String>,
    /// Days that a file is kept.
    pub keep: u32,
    /// Lowest level.
    pub level: String,
    /// Level by logger.
    pub loggers: IndexMap<String, String>,
}

/// Which Synapse application a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum App {
    /// `synapse.app.homeserver`
    Homeserver,
    /// `synapse.app.generic_worker`
    GenericWorker,
    /// `synapse.app.media_repository`
    MediaRepository,
}

/// Where a datastore is reached.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host of the topology it runs on; `None`: external.
    pub host: Option<String>,
    /// Address as written into configuration.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Addresses it listens on (ours only): loopback, and the internal address if peers need it.
    pub binds: Vec<String>,
    /// Addresses that connect to it from the network: internal addresses of the hosts with Synapse.
    /// Includes its own host's when processes there reach it by the internal address, since the
    /// kernel then gives them that address as source. Empty when all come over loopback.
    pub peers: Vec<String>,
    /// PostgreSQL: role, database, `max_connections`.
    pub database: Option<DatabaseNode>,
}

/// PostgreSQL specifics.
#[derive(Debug, Clone)]
pub struct DatabaseNode {
    /// Role.
    pub role: String,
    /// Database.
    pub database: String,
    /// Name of the password secret.
    pub password: Option<String>,
    /// libpq sslmode.
    pub sslmode: Option<String>,
    /// Connections needed, rounded up in coarse steps with headroom (ours only).
    pub max_connections: u32,
}

/// The proxy.
#[derive(Debug, Clone)]
pub struct ProxyNode {
    /// Hosts.
    pub hosts: Vec<String>,
    /// Which.
    pub kind: ProxyKind,
    /// TLS.
    pub tls: Tls,
    /// CIDRs.
    pub trusted_proxies: Vec<String>,
    /// CIDRs that may ask `/_synapse/admin`; empty: nobody.
    pub admin: Vec<String>,
    /// Names the site answers to besides those of `server_name` and `public_baseurl`.
    pub server_names: Vec<String>,
    /// Where challenge files of ACME are put.
    pub acme_root: String,
    /// What `/.well-known/matrix/client` says; `None`: main knows.
    pub well_known_client: Option<Value>,
    /// What `/.well-known/matrix/server` says, `matrix.example.org:443`; `None`: it follows from `public_baseurl`.
    pub well_known_server: Option<String>,
    /// Further locations.
    pub routes: Vec<ExtraRoute>,
    /// How HTTP/2 is asked for.
    pub http2: Http2,
    /// Bytes; `client_max_body_size` on client and federation.
    pub max_body: u64,
    /// Lowest sufficient `worker_connections`.
    pub worker_connections: u64,
}

/// Matrix Authentication Service, as Synapse and the proxy see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MasNode {
    /// `http://10.8.0.5:8080/`: what Synapse asks.
    pub endpoint: String,
    /// `10.8.0.5:8080`: where the proxy hands `login`, `logout` and `refresh`.
    pub address: String,
    /// Host of the endpoint, without brackets: the name in the certificate if it is TLS.
    pub host: String,
    /// Whether that is TLS.
    pub tls: bool,
    /// CIDRs that may ask `/_synapse/mas`. Never empty where there is a proxy.
    pub networks: Vec<String>,
    /// Name of the shared secret.
    pub secret: String,
}

impl ProxyNode {
    /// HAProxy: links that its unit makes when it starts and when it reloads: to what, where. HAProxy
    /// looks for a key beside its certificate, under the certificate's name with `.key` behind it.
    pub fn links(&self, prefix: &str) -> Vec<(String, String)> {
        match &self.tls {
            Tls::None => Vec::new(),
            Tls::Files { certificate, key } => {
                let pem = format!("/run/{prefix}_haproxy/site.pem");
                vec![(certificate.value.clone(), pem.clone()), (key.value.clone(), format!("{pem}.key"))]
            }
        }
    }
}

/// One secret.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretNode {
    /// Origin.
    pub source: SecretSource,
    /// What `generate` makes.
    pub shape: SecretShape,
    /// Hosts that hold it in a file of its own.
    pub hosts: Vec<String>,
    /// Absolute path of that file, the same on every host.
    pub path: String,
}

/// What a generated secret looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretShape {
    /// 43 characters of base64url: 256 bits.
    Token,
    /// A Synapse signing key line: `ed25519 a_XXXX BASE64`.
    SigningKey,
}

impl Topology {
    /// The main process.
    pub fn main(&self) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.app == App::Homeserver)
    }

    /// Directory of the admin's own Python modules; `None` if there is no Python among the files.
    pub fn modules(&self) -> Option<String> {
        self.files.keys().any(|path| path.ends_with(".py")).then(|| super::process::modules(&self.root))
    }
}

impl Venv {
    /// Key of the resolved sets in the lock's `packages`: the last part of the path.
    pub fn key(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}
