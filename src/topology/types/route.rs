//! Which requests go to which processes.

use serde::{Deserialize, Serialize};

/// One group of paths that go to one upstream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Route {
    /// Endpoint class of the catalogue, e.g. `sync`, `stream:typing`.
    pub class: String,
    /// Regular expression on the path, as nginx matches it (PCRE on the decoded URI).
    pub regex: String,
    /// HTTP methods it is for; empty: all. See [`Route::takes`].
    pub methods: Vec<String>,
    /// Key in [`super::Topology::upstreams`].
    pub upstream: String,
    /// Pool whose file under `nginx/worker/` holds it; `main` for overrides that go to main.
    pub pool: String,
    /// What else must be true of the request, all of it; one that fails tries the next route.
    pub conditions: Vec<Condition>,
    /// Whether main may stand in while none of the upstream's processes answers. Never for
    /// stream writers, SSO and media: main would refuse or lose the request.
    pub fallback: bool,
}

/// What a route asks of a request besides path and method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The query string has no such parameter, or an empty one (nginx: `$arg_NAME` is empty).
    WithoutQuery(String),
    /// The query string has this parameter with this value.
    Query {
        /// Its name.
        name: String,
        /// Its value, as on the wire.
        value: String,
    },
    /// The request is one of those that the selector of this pool (key in [`super::Topology::selectors`]) takes.
    Selected(String),
}

/// Which requests a dedicated pool takes (`select:`): those that fit one entry of every list that
/// is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Selector {
    /// Names of application services: requests with their `as_token`.
    pub appservices: Vec<String>,
    /// Regular expressions, one of which the `User-Agent` matches.
    pub user_agents: Vec<String>,
    /// Networks (CIDR) that the client's address is in.
    pub sources: Vec<String>,
    /// Room ids in the path.
    pub rooms: Vec<String>,
    /// Matrix ids of users.
    pub users: Vec<String>,
}

/// Processes that share the requests of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upstream {
    /// Name in nginx: `PREFIX_NAME`.
    pub name: String,
    /// Pool it belongs to.
    pub pool: String,
    /// How a process is chosen.
    pub balance: Balance,
    /// Processes, in order.
    pub servers: Vec<Server>,
    /// Seconds a proxied request may stay silent.
    pub read_timeout: u32,
}

/// One process of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Instance name.
    pub instance: String,
    /// `ADDRESS:PORT`, or `unix:/PATH`.
    pub address: String,
    /// Share of the requests, 1 by default.
    pub weight: u32,
}

/// How an upstream chooses a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// Same user, same process.
    User,
    /// Same room, same process.
    Room,
    /// Same client address, same process.
    Source,
    /// Fewest connections.
    LeastConn,
}
