//! Which requests go to which processes: the catalogue's classes turned into routes and upstreams.
//!
//! Matching order is the catalogue's. A class without a pool has no route, so main serves it.
//! Never here: how a proxy writes this down.

use indexmap::IndexMap;

use super::Draft;
use super::catalogue::{Class, EndpointPattern};
use super::instances::Seat;
use super::placement::socket;
use super::types::{Balance, Condition, Route, Server, Upstream};

/// Key of main's upstream.
pub const MAIN: &str = "main";

/// Seconds: main may serve long polls.
const MAIN_TIMEOUT: u32 = 600;

/// Routes in matching order, and what they point to. `main` is always among the upstreams.
pub(super) fn build(draft: &Draft<'_>) -> (Vec<Route>, IndexMap<String, Upstream>) {
    let mut upstreams = IndexMap::new();
    let main: Vec<&Seat> = draft.seats.iter().filter(|seat| seat.pool == MAIN).collect();
    upstreams.insert(MAIN.to_owned(), upstream(draft, MAIN, MAIN, Balance::RoundRobin, &main, MAIN_TIMEOUT));
    let mut routes = Vec::new();
    for class in &draft.catalogue.classes {
        let Some(target) = target(draft, class) else { continue };
        let endpoints: Vec<&EndpointPattern> =
            class.endpoints.iter().filter(|endpoint| endpoint.active(&draft.version)).collect();
        if endpoints.is_empty() {
            continue;
        }
        let key = point_to(draft, class, &target.seats, &mut upstreams);
        for endpoint in endpoints {
            // A writer serves every method of its stream.
            let split = endpoint.split && !target.writer;
            routes.push(Route {
                class: target.class.clone(),
                regex: endpoint.path.clone(),
                methods: if split { endpoint.methods.clone() } else { Vec::new() },
                upstream: key.clone(),
                pool: target.seats[0].pool.clone(),
                conditions: endpoint.without.clone().map(Condition::WithoutQuery).into_iter().collect(),
                fallback: class.fallback && !target.writer,
            });
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
}

/// Who serves a class; `None`: main.
fn target<'a>(draft: &'a Draft<'_>, class: &Class) -> Option<Target<'a>> {
    if let Some(stream) = &class.stream {
        let seats: Vec<&Seat> = draft.seats.iter().filter(|seat| seat.writes.contains(stream)).collect();
        if !seats.is_empty() {
            return Some(Target { class: format!("stream:{stream}"), seats, writer: true });
        }
    }
    if class.writer_only {
        return None;
    }
    let handling = |word: &String| -> Vec<&'a Seat> {
        let handles =
            |seat: &&Seat| draft.roles.get(&seat.pool).is_some_and(|role| role.handles.contains(word));
        draft.seats.iter().filter(handles).collect()
    };
    let seats = class.words.iter().map(handling).find(|seats| !seats.is_empty())?;
    Some(Target { class: class.name.clone(), seats, writer: false })
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
        let port = draft.port(&seat.name, "client")?;
        Some(Server {
            instance: seat.name.clone(),
            address: socket(&draft.placement.client(&seat.host), port),
            weight: 1,
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
        match routes[at + 1..].iter().find(|later| later.regex == route.regex) {
            Some(rest) if !restricted(rest) && rest.upstream == route.upstream => {}
            Some(_) => complete.push(route.clone()),
            None => {
                complete.push(route.clone());
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
    }
    complete
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
