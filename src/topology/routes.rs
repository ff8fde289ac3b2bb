//! Which requests go to which processes: the catalogue's classes turned into routes and upstreams.
//!
//! Matching order: what goes to Matrix Authentication Service, then the catalogue's; within a class
//! the pools that select requests, in inventory order, before the common ones. A class without a
//! pool has no route, so main serves it.
//! Never here: how a proxy writes this down.

use indexmap::IndexMap;

use super::Draft;
use super::catalogue::{Class, EndpointPattern};
use super::instances::Seat;
use super::types::{Balance, Condition, Route, Server, Upstream};

/// Key of main's upstream.
pub const MAIN: &str = "main";

/// Key of the upstream of Matrix Authentication Service. No pool's upstream is called so: behind
/// the dot stands a word of a balance.
pub const MAS: &str = "mas.service";

/// The only server of [`MAS`]. No instance is called so: their names have no capitals.
pub const MAS_SERVER: &str = "MAS";

/// Paths that Synapse leaves to Matrix Authentication Service ("Configure a reverse proxy" in its
/// documentation): `login`, `logout`, `logout/all`, `refresh`, `login/sso/redirect`.
const MAS_PATHS: &str = "^/_matrix/client/[^/]+/(login|logout|refresh)(/|$)";

/// Seconds: main may serve long polls.
const MAIN_TIMEOUT: u32 = 600;

/// Routes in matching order, and what they point to. `main` is always among the upstreams.
pub(super) fn build(draft: &Draft<'_>) -> (Vec<Route>, IndexMap<String, Upstream>) {
    let mut upstreams = IndexMap::new();
    let main: Vec<&Seat> = draft.seats.iter().filter(|seat| seat.pool == MAIN).collect();
    upstreams.insert(MAIN.to_owned(), upstream(draft, MAIN, MAIN, Balance::RoundRobin, &main, MAIN_TIMEOUT));
    let mut routes = Vec::new();
    if let Some(mas) = &draft.mas {
        upstreams.insert(MAS.to_owned(), authentication(draft, &mas.address));
        routes.push(Route {
            class: MAS.to_owned(),
            regex: MAS_PATHS.to_owned(),
            methods: Vec::new(),
            upstream: MAS.to_owned(),
            pool: MAIN.to_owned(),
            conditions: Vec::new(),
            fallback: false,
        });
    }
    for class in &draft.catalogue.classes {
        let endpoints: Vec<&EndpointPattern> =
            class.endpoints.iter().filter(|endpoint| endpoint.active(&draft.version)).collect();
        if endpoints.is_empty() {
            continue;
        }
        for target in targets(draft, class) {
            let key = point_to(draft, class, &target.seats, &mut upstreams);
            for endpoint in &endpoints {
                // A writer serves every method of its stream.
                let split = endpoint.split && !target.writer;
                let selected = target.selected.map(|pool| Condition::Selected(pool.to_owned()));
                routes.push(Route {
                    class: target.class.clone(),
                    regex: endpoint.path.clone(),
                    methods: if split { endpoint.methods.clone() } else { Vec::new() },
                    upstream: key.clone(),
                    pool: target.seats[0].pool.clone(),
                    conditions: endpoint.conditions().chain(selected).collect(),
                    fallback: class.fallback && !target.writer,
                });
            }
        }
    }
    (complete(routes), upstreams)
}

struct Target<'a> {
    class: String,
    /// At least one process, by pool in inventory order.
    seats: Vec<&'a Seat>,
    /// They serve it because they write its stream.
    writer: bool,
    /// Pool whose selector the requests must fit.
    selected: Option<&'a str>,
}

/// Who serves a class, first match first; who is not named leaves it to main.
fn targets<'a>(draft: &'a Draft<'_>, class: &Class) -> Vec<Target<'a>> {
    if let Some(stream) = &class.stream {
        let seats: Vec<&Seat> = draft.seats.iter().filter(|seat| seat.writes.contains(stream)).collect();
        if !seats.is_empty() {
            return vec![Target { class: format!("stream:{stream}"), seats, writer: true, selected: None }];
        }
    }
    if class.writer_only {
        return Vec::new();
    }
    let handles =
        |pool: &str, word: &String| draft.roles.get(pool).is_some_and(|role| role.handles.contains(word));
    let target = |seats: Vec<&'a Seat>, selected: Option<&'a str>| {
        (!seats.is_empty()).then(|| Target { class: class.name.clone(), seats, writer: false, selected })
    };
    let dedicated = draft.selectors.keys().filter_map(|pool| {
        let takes = class.words.iter().any(|word| handles(pool, word));
        let seats = draft.seats.iter().filter(|seat| takes && seat.pool == *pool);
        target(seats.collect(), Some(pool))
    });
    let common = |word: &String| -> Vec<&'a Seat> {
        let shares = |seat: &&Seat| handles(&seat.pool, word) && !draft.selectors.contains_key(&seat.pool);
        draft.seats.iter().filter(shares).collect()
    };
    let common = class.words.iter().map(common).find(|seats| !seats.is_empty());
    dedicated.chain(common.and_then(|seats| target(seats, None))).collect()
}

/// The upstream of these processes with this class' balance; made on first use.
///
/// Its key is the pool's name, or pool names and a word joined by dots, which no pool's name has.
fn point_to(
    draft: &Draft<'_>,
    class: &Class,
    seats: &[&Seat],
    upstreams: &mut IndexMap<String, Upstream>,
) -> String {
    let mut seats = seats.to_vec();
    let mut parts: Vec<&str> = Vec::new();
    for seat in &seats {
        if !parts.contains(&seat.pool.as_str()) {
            parts.push(&seat.pool);
        }
    }
    let pool = parts[0];
    if class.single {
        seats.truncate(1);
    }
    let whole = draft.seats.iter().filter(|seat| parts.contains(&seat.pool.as_str())).count() == seats.len();
    match class.balance {
        _ if class.single => parts.push("single"),
        _ if !whole => parts.push("writer"),
        Balance::RoundRobin if parts.len() == 1 => {}
        balance => parts.push(balance.word()),
    }
    let key = parts.join(".");
    let made = upstreams
        .entry(key.clone())
        .or_insert_with(|| upstream(draft, &key, pool, class.balance, &seats, class.timeout));
    made.read_timeout = made.read_timeout.max(class.timeout);
    key
}

fn upstream(
    draft: &Draft<'_>,
    key: &str,
    pool: &str,
    balance: Balance,
    seats: &[&Seat],
    read_timeout: u32,
) -> Upstream {
    let servers = seats.iter().filter_map(|seat| {
        Some(Server {
            instance: seat.name.clone(),
            address: draft.client(seat, true)?,
            weight: weight(draft, seat),
        })
    });
    Upstream {
        name: format!("{}_{key}", draft.prefix),
        pool: pool.to_owned(),
        balance,
        servers: servers.collect(),
        read_timeout,
    }
}

/// A process' share: that of its host, else that of its pool, else 1.
fn weight(draft: &Draft<'_>, seat: &Seat) -> u32 {
    let pool = draft.inventory.workers.get(&seat.pool);
    pool.and_then(|pool| pool.weights.get(&seat.host).copied().or(pool.weight)).unwrap_or(1)
}

fn authentication(draft: &Draft<'_>, address: &str) -> Upstream {
    Upstream {
        name: format!("{}_{MAS}", draft.prefix),
        pool: MAIN.to_owned(),
        balance: Balance::RoundRobin,
        servers: vec![Server { instance: MAS_SERVER.to_owned(), address: address.to_owned(), weight: 1 }],
        read_timeout: 180,
    }
}

/// Makes every path's routes complete: a route for some requests only is followed by one for the
/// rest, so that a proxy that matches by path alone (an nginx location) finds all it needs under
/// that path. Restrictions that change nothing are dropped.
fn complete(routes: Vec<Route>) -> Vec<Route> {
    let restricted = |route: &Route| !route.methods.is_empty() || !route.conditions.is_empty();
    let mut complete: Vec<Route> = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        if !restricted(route) {
            complete.push(route.clone());
            continue;
        }
        let same: Vec<&Route> = routes[at + 1..].iter().filter(|later| later.regex == route.regex).collect();
        let rest = same.iter().position(|later| !restricted(later));
        let alike = |later: &&Route| later.upstream == route.upstream && later.fallback == route.fallback;
        if rest.is_some_and(|rest| same[..=rest].iter().all(alike)) {
            continue;
        }
        complete.push(route.clone());
        if same.is_empty() {
            complete.push(Route {
                class: MAIN.to_owned(),
                methods: Vec::new(),
                upstream: MAIN.to_owned(),
                conditions: Vec::new(),
                fallback: false,
                ..route.clone()
            });
        }
    }
    complete
}

impl Route {
    /// Whether it is for requests of this method. Every process answers OPTIONS, so it goes with any
    /// method; Synapse treats HEAD as GET.
    pub fn takes(&self, method: &str) -> bool {
        let method = if method == "HEAD" { "GET" } else { method };
        self.methods.is_empty() || method == "OPTIONS" || self.methods.iter().any(|known| known == method)
    }
}

impl Balance {
    fn word(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::User => "user",
            Self::Room => "room",
            Self::Source => "source",
            Self::LeastConn => "least_conn",
        }
    }
}
