//! Routing one request in plain Rust, as every proxy is meant to do it: for `verify`, `route` and tests.
//!
//! This is the specification that the writers for nginx and HAProxy follow.
//! Never in it: a proxy's configuration, or anything that asks a host.

use indexmap::IndexMap;
use regex::Regex;

use super::gate::{self, Gate};
use super::request::Request;
use super::routes::MAIN;
use super::selector::Matcher;
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
    /// What the proxy does with it before it is routed; the other fields say where it would go.
    pub gate: Gate,
}

/// A topology's routes with their patterns compiled, for many questions.
#[derive(Debug)]
pub struct Router<'a> {
    topology: &'a Topology,
    routes: Vec<(Regex, usize, &'a Route)>,
    selectors: IndexMap<&'a str, Matcher<'a>>,
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
        let selectors = self.selectors.iter();
        let selectors = selectors.map(|(pool, selector)| (pool.as_str(), Matcher::new(selector)));
        Router { topology: self, routes: compiled.collect(), selectors: selectors.collect() }
    }
}

impl Router<'_> {
    /// Where a request goes: the first route that takes its method, fits all its conditions and
    /// matches its path; else main.
    pub fn route(&self, request: &Request) -> RouteMatch {
        let path = request.path();
        let found = self.routes.iter().find(|(regex, _, route)| {
            route.takes(&request.method)
                && regex.is_match(&path)
                && route.conditions.iter().all(|condition| self.holds(condition, request, &path))
        });
        let (class, upstream) = found.map_or((MAIN, MAIN), |(_, _, route)| (&route.class, &route.upstream));
        let servers = self.topology.upstreams.get(upstream).map_or(&[] as &[_], |upstream| &upstream.servers);
        RouteMatch {
            class: class.to_owned(),
            upstream: upstream.to_owned(),
            instances: servers.iter().map(|server| server.instance.clone()).collect(),
            route: found.map(|(_, at, _)| *at),
            gate: gate::of(self.topology, &path, request.source),
        }
    }

    fn holds(&self, condition: &Condition, request: &Request, path: &str) -> bool {
        match condition {
            Condition::WithoutQuery(name) => request.parameter(name).is_none(),
            Condition::Query { name, value } => request.parameter(name) == Some(value),
            Condition::Selected(pool) => {
                self.selectors.get(pool.as_str()).is_some_and(|selector| selector.takes(request, path))
            }
        }
    }
}
