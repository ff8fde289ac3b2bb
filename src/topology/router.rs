//! Routing one request in plain Rust, as the proxy is meant to do it: for `verify` and `explain`.
//!
//! Never in it: a proxy's configuration, or anything that asks a host.

use regex::Regex;

use super::request::Request;
use super::routes::MAIN;
use super::types::{Condition, Route, Topology};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// Endpoint class; `main` for what no route takes.
    pub class: String,
    /// Key in [`Topology::upstreams`].
    pub upstream: String,
    /// Names of the processes that may serve it.
    pub instances: Vec<String>,
    /// Place in [`Topology::routes`]; `None` for what no route takes.
    pub route: Option<usize>,
}

/// A topology's routes with their patterns compiled, for many questions.
#[derive(Debug)]
pub struct Router<'a> {
    topology: &'a Topology,
    routes: Vec<(Regex, usize, &'a Route)>,
}

impl Topology {
    /// Where a request with this method and target (`/path?query`, as on the wire) goes when it has
    /// no headers and comes from nowhere.
    pub fn route(&self, method: &str, target: &str) -> RouteMatch {
        self.router().route(&Request::new(method, target))
    }

    /// Compiles the routes once. Patterns come from the built-in catalogue, which is tested to
    /// compile; one that does not would match nothing.
    pub fn router(&self) -> Router<'_> {
        let routes = self.routes.iter().enumerate();
        let compiled = routes.filter_map(|(at, route)| Some((Regex::new(&route.regex).ok()?, at, route)));
        Router { topology: self, routes: compiled.collect() }
    }
}

impl Router<'_> {
    /// Where a request goes.
    pub fn route(&self, request: &Request) -> RouteMatch {
        let path = request.path();
        let found = self.routes.iter().find(|(regex, _, route)| {
            (route.methods.is_empty() || route.methods.contains(&request.method))
                && route.conditions.iter().all(|condition| holds(condition, request))
                && regex.is_match(&path)
        });
        let (class, upstream) = found.map_or((MAIN, MAIN), |(_, _, route)| (&route.class, &route.upstream));
        let servers = self.topology.upstreams.get(upstream).map_or(&[] as &[_], |upstream| &upstream.servers);
        RouteMatch {
            class: class.to_owned(),
            upstream: upstream.to_owned(),
            instances: servers.iter().map(|server| server.instance.clone()).collect(),
            route: found.map(|(_, at, _)| *at),
        }
    }
}

fn holds(condition: &Condition, request: &Request) -> bool {
    match condition {
        Condition::WithoutQuery(name) => request.parameter(name).is_none(),
        Condition::Query { name, value } => request.parameter(name) == Some(value),
        Condition::Selected(_) => false,
    }
}
