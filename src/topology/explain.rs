//! Why a request goes where it goes, in terms of the inventory: for `synprov route`.
//!
//! Never here: where a request goes (`router`), files of a proxy, wording.

use serde::Serialize;

use super::Gate;
use super::catalogue::{Catalogue, Class, EndpointPattern};
use super::request::Request;
use super::router::RouteMatch;
use super::routes::MAIN;
use super::types::{Balance, Route, Topology};
use crate::diagnostic::Span;
use crate::inventory::Inventory;

/// What there is to say about one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The path as it is matched: decoded, slashes merged, dot segments resolved.
    pub path: String,
    /// What the proxy does with it before it is routed; unless it is open, the rest says where it
    /// would go.
    pub gate: Gate,
    /// Endpoint class; `main` for what no route takes.
    pub class: String,
    /// Expression that the path matched; `None`: no route took it.
    pub regex: Option<String>,
    /// Methods the route is for; empty: all.
    pub methods: Vec<String>,
    /// What in the inventory brings the requests of this class to the pool.
    pub because: Because,
    /// First and last release of Synapse whose workers serve that path, as `1.135`; `None`: no limit
    /// among the supported ones.
    pub since: Option<String>,
    /// See `since`.
    pub until: Option<String>,
    /// Pool.
    pub pool: String,
    /// Upstream's name in the proxy.
    pub upstream: String,
    /// How one of several processes is chosen.
    pub balance: Balance,
    /// By what this request is hashed; `None` if it is not.
    pub key: Option<Key>,
    /// Processes that may serve it. With one of them the choice is made.
    pub processes: Vec<Process>,
    /// Seconds that the answer may take between two bytes.
    pub timeout: u32,
    /// Whether main would serve it.
    pub main: Main,
}

/// What brings a class to a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The pool has this word in `handles:`.
    Handles {
        /// The word.
        word: String,
        /// Where it stands in the inventory.
        #[serde(skip)]
        span: Span,
    },
    /// The pool has this stream in `writes:`.
    Writes {
        /// The stream.
        stream: String,
        /// Where it stands in the inventory; none if synprov gave it to the pool.
        #[serde(skip)]
        span: Option<Span>,
    },
    /// Synapse's workers serve the path, and no pool handles one of these words.
    NoPool {
        /// Words that would bring it, the most special first.
        words: Vec<String>,
    },
    /// Only main serves it.
    MainOnly,
}

/// By what a request is hashed. Requests with equal keys have one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
pub enum Key {
    /// Name of the user in one of Synapse's own tokens, as it stands there: unpadded base64.
    User(String),
    /// The access token as a whole, which is not shown.
    Token,
    /// Address and `User-Agent` of a client whose token is one of Matrix Authentication Service's,
    /// which change every five minutes.
    Device,
    /// Room id or alias in the path.
    Room(String),
    /// Address of the client, if it was given.
    Source(Option<String>),
}

/// A process that may serve a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Instance name.
    pub name: String,
    /// Host it runs on; `None`: not one of ours.
    pub host: Option<String>,
    /// As the proxy reaches it.
    pub address: String,
    /// Its share of the requests.
    pub weight: u32,
}

/// What main would do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Main {
    /// It is where the request goes.
    Serves,
    /// It would serve it, and does while no process of the pool answers.
    StandsIn,
    /// It does not write the stream.
    NotTheWriter,
    /// The session of a login is in one process' memory.
    NotTheSession,
    /// It has no media repository while there are media workers.
    NoMedia,
    /// It would not serve it.
    Refuses,
}

/// Explains where `found`, the router's answer to `request`, comes from.
pub fn explain(
    topology: &Topology,
    inventory: &Inventory,
    request: &Request,
    found: &RouteMatch,
) -> Result<Explanation, String> {
    let catalogue = Catalogue::builtin()?;
    let route = found.route.and_then(|at| topology.routes.get(at));
    let path = request.path();
    let known = known(catalogue, topology, route, request, &path);
    let Some(upstream) = topology.upstreams.get(&found.upstream) else {
        return Err(format!("there is no upstream {:?}", found.upstream));
    };
    let host =
        |name: &str| topology.instances.iter().find(|one| one.name == name).map(|one| one.host.clone());
    let processes: Vec<Process> = upstream
        .servers
        .iter()
        .map(|server| Process {
            name: server.instance.clone(),
            host: host(&server.instance),
            address: server.address.clone(),
            weight: server.weight,
        })
        .collect();
    let key = if processes.len() > 1 { key(upstream.balance, request, &path) } else { None };
    let (since, until) = known.map_or((None, None), |(_, endpoint)| endpoint.releases());
    Ok(Explanation {
        gate: found.gate,
        class: found.class.clone(),
        regex: route.map(|route| route.regex.clone()),
        methods: route.map(|route| route.methods.clone()).unwrap_or_default(),
        because: because(inventory, route, known.map(|(class, _)| class), &upstream.pool),
        since,
        until,
        pool: upstream.pool.clone(),
        upstream: upstream.name.clone(),
        balance: upstream.balance,
        key,
        processes,
        timeout: upstream.read_timeout,
        main: main(route, known.map(|(class, _)| class), &found.upstream),
        path,
    })
}

/// The catalogue's entry behind a route, or for what no route takes the one that would take it.
fn known<'a>(
    catalogue: &'a Catalogue,
    topology: &Topology,
    route: Option<&Route>,
    request: &Request,
    path: &str,
) -> Option<(&'a Class, &'a EndpointPattern)> {
    let entries = catalogue
        .classes
        .iter()
        .flat_map(|class| class.endpoints.iter().map(move |endpoint| (class, endpoint)))
        .filter(|(_, endpoint)| endpoint.active(&topology.version));
    let serves = |endpoint: &EndpointPattern| !endpoint.split || endpoint.methods.contains(&request.method);
    match route {
        Some(route) if route.class != MAIN => {
            let mut same = entries.filter(|(_, endpoint)| endpoint.path == route.regex);
            same.find(|(class, _)| {
                class.name == route.class
                    || class.stream.as_ref().is_some_and(|stream| route.class == format!("stream:{stream}"))
            })
        }
        _ => entries
            .filter(|(_, endpoint)| serves(endpoint))
            .find(|(_, endpoint)| regex::Regex::new(&endpoint.path).is_ok_and(|regex| regex.is_match(path))),
    }
}

fn because(inventory: &Inventory, route: Option<&Route>, class: Option<&Class>, pool: &str) -> Because {
    let Some(class) = class else { return Because::MainOnly };
    let pool = inventory.workers.get(pool).filter(|_| route.is_some_and(|route| route.class != MAIN));
    let Some(pool) = pool else { return Because::NoPool { words: class.words.clone() } };
    let stream = class
        .stream
        .as_ref()
        .filter(|stream| route.is_some_and(|route| route.class == format!("stream:{stream}")));
    if let Some(stream) = stream {
        let span = pool.writes.iter().find(|word| word.value == *stream).map(|word| word.span);
        return Because::Writes { stream: stream.clone(), span };
    }
    let written = class.words.iter().find_map(|word| pool.handles.iter().find(|one| one.value == *word));
    match written {
        Some(word) => Because::Handles { word: word.value.clone(), span: word.span },
        None => Because::NoPool { words: class.words.clone() },
    }
}

fn main(route: Option<&Route>, class: Option<&Class>, upstream: &str) -> Main {
    let Some(route) = route.filter(|_| upstream != MAIN) else { return Main::Serves };
    if route.fallback {
        return Main::StandsIn;
    }
    match class {
        _ if route.class.starts_with("stream:") => Main::NotTheWriter,
        Some(class) if class.single => Main::NotTheSession,
        Some(class) if class.words.iter().any(|word| word == "media") => Main::NoMedia,
        _ => Main::Refuses,
    }
}

/// What a proxy hashes by. A room's requests without a room, and a user's without a token, fall back
/// to the next wider thing, so that none of them crowd on one process.
fn key(balance: Balance, request: &Request, path: &str) -> Option<Key> {
    let source = || Key::Source(request.source.map(|source| source.to_string()));
    let user = || match request.token() {
        None => source(),
        Some(token) => match token.strip_prefix("syt_").and_then(|rest| rest.split_once('_')) {
            Some((name, _)) if !name.is_empty() => Key::User(name.to_owned()),
            _ if ["mat_", "mct_"].iter().any(|maker| token.starts_with(maker)) => Key::Device,
            _ => Key::Token,
        },
    };
    match balance {
        Balance::RoundRobin | Balance::LeastConn => None,
        Balance::Source => Some(source()),
        Balance::User => Some(user()),
        Balance::Room => {
            let words = ["/rooms/", "/join/", "/knock/"];
            let at = words.iter().filter_map(|word| Some(path.find(word)? + word.len())).min();
            let room = at.and_then(|at| path[at..].split('/').next()).filter(|room| !room.is_empty());
            Some(room.map_or_else(user, |room| Key::Room(room.to_owned())))
        }
    }
}
