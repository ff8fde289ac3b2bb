//! Which requests go to which processes: the catalogue's classes turned into routes and upstreams.
//!
//! Matching order is the catalogue's. A class without a pool has no route, so main serves it.
//! Never here: how a proxy writes this down.

use indexmap::IndexMap;

use super::Draft;
use super::catalogue::{Class, EndpointPattern};
use super::placement::socket;
use super::types::{Balance, Condition, Route, Upstream};

/// Key of main's upstream.
pub const MAIN: &str = "main";

/// Seconds: main may serve long polls.
const MAIN_TIMEOUT: u32 = 600;

/// Routes in matching order, and what they point to. `main` is always among the upstreams.
pub(super) fn build(draft: &Draft<'_>) -> (Vec<Route>, IndexMap<String, Upstream>) {
    let mut upstreams = IndexMap::new();
    let main = servers(draft, &[MAIN]);
    upstreams.insert(MAIN.to_owned(), upstream(draft, MAIN, MAIN, Balance::RoundRobin, main, MAIN_TIMEOUT));
    let mut routes = Vec::new();
    for class in &draft.catalogue.classes {
        let Some(target) = target(draft, class) else { continue };
        let endpoints: Vec<&EndpointPattern> =
            class.endpoints.iter().filter(|endpoint| endpoint.active(&draft.version)).collect();
        if endpoints.is_empty() {
            continue;
        }
        let key = point_to(draft, class, &target.pools, &mut upstreams);
        for endpoint in endpoints {
            // A writer serves every method of its stream.
            let split = endpoint.split && !target.writer;
            routes.push(Route {
                class: target.class.clone(),
                regex: endpoint.path.clone(),
                methods: if split { endpoint.methods.clone() } else { Vec::new() },
                upstream: key.clone(),
                pool: target.pools[0].to_owned(),
                condition: endpoint.without.clone().map(Condition::WithoutQuery),
                fallback: class.fallback && !target.writer,
            });
        }
    }
    (complete(routes), upstreams)
}

struct Target<'a> {
    class: String,
    /// Pools with at least one process, at least one of them.
    pools: Vec<&'a str>,
    /// They serve it because they write its stream.
    writer: bool,
}

/// Who serves a class; `None`: main.
fn target<'a>(draft: &'a Draft<'_>, class: &Class) -> Option<Target<'a>> {
    let pools = |belongs: &dyn Fn(&super::roles::Role) -> bool| -> Vec<&'a str> {
        draft
            .roles
            .iter()
            .filter(|(name, role)| belongs(role) && draft.seats.iter().any(|seat| seat.pool == **name))
            .map(|(name, _)| name.as_str())
            .collect()
    };
    if let Some(stream) = &class.stream {
        let writers = pools(&|role| role.writes.contains(stream));
        if !writers.is_empty() {
            return Some(Target { class: format!("stream:{stream}"), pools: writers, writer: true });
        }
    }
    if class.writer_only {
        return None;
    }
    class
        .words
        .iter()
        .map(|word| pools(&|role| role.handles.contains(word)))
        .find(|pools| !pools.is_empty())
        .map(|pools| Target { class: class.name.clone(), pools, writer: false })
}

/// The upstream of these pools with this balance; made on first use.
///
/// Its key is the pool's name, or pool names and the balance joined by dots, which no pool's name has.
fn point_to(
    draft: &Draft<'_>,
    class: &Class,
    pools: &[&str],
    upstreams: &mut IndexMap<String, Upstream>,
) -> String {
    let mut parts = pools.to_vec();
    match (class.single, class.balance) {
        (true, _) => parts.push("single"),
        (false, Balance::RoundRobin) if pools.len() == 1 => {}
        (false, balance) => parts.push(balance.word()),
    }
    let key = parts.join(".");
    let mut servers = servers(draft, pools);
    if class.single {
        servers.truncate(1);
    }
    let made = upstreams
        .entry(key.clone())
        .or_insert_with(|| upstream(draft, &key, pools[0], class.balance, servers, class.timeout));
    made.read_timeout = made.read_timeout.max(class.timeout);
    key
}

fn upstream(
    draft: &Draft<'_>,
    key: &str,
    pool: &str,
    balance: Balance,
    servers: Vec<(String, String)>,
    read_timeout: u32,
) -> Upstream {
    Upstream {
        name: format!("{}_{key}", draft.prefix),
        pool: pool.to_owned(),
        balance,
        servers,
        read_timeout,
    }
}

fn servers(draft: &Draft<'_>, pools: &[&str]) -> Vec<(String, String)> {
    let mut servers = Vec::new();
    for pool in pools {
        for seat in draft.seats.iter().filter(|seat| seat.pool == *pool) {
            if let Some(port) = draft.port(&seat.name, "client") {
                servers.push((seat.name.clone(), socket(&draft.placement.client(&seat.host), port)));
            }
        }
    }
    servers
}

/// Makes every path's routes complete: a route for some requests only is followed by one for the
/// rest, so that a proxy that matches by path alone (an nginx location) finds all it needs under
/// that path. Restrictions that change nothing are dropped.
fn complete(routes: Vec<Route>) -> Vec<Route> {
    let restricted = |route: &Route| !route.methods.is_empty() || route.condition.is_some();
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
                    condition: None,
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
