//! Routes as nginx locations, so that the topology's order holds although each pool has one file.
//!
//! nginx takes the first `location ~` that matches, in the order of the files; it cannot look at
//! the method or the query there. The topology's order is first match over path, method and
//! conditions. Both agree in this way: a location that looks at the path alone, and before which no
//! route of the topology stands in a *later* file, passes its requests straight to its upstream:
//! whatever should have won, has been asked before. Every other location asks the table
//! `$PREFIX_route`, a `map` of all routes in the topology's order over `METHOD CONDITIONS PATH`,
//! which answers with the name of a location: `error_page` is nginx' way to go to one that is not
//! known before. So an answer depends only on the path having matched some location, never on which
//! one, and no proof about overlapping expressions is needed.

use super::condition::{Conditions, is_word};
use super::location::Locations;
use super::{Directive, block, comment, line};
use crate::topology::{Route, Topology, Upstream, gate};

/// Routes with what decides where they stand.
pub(super) struct Routing<'a> {
    topology: &'a Topology,
    routes: Vec<&'a Route>,
    /// Pools in the order of their first route.
    pub pools: Vec<&'a str>,
    /// What routes ask besides method and path.
    pub conditions: Conditions<'a>,
    prefix: String,
}

impl<'a> Routing<'a> {
    /// Takes the routes that the site lets in. Errors: an expression that cannot stand in the table.
    pub fn new(topology: &'a Topology, closed: &[&str], prefix: &str) -> Result<Self, String> {
        let open = |route: &&Route| {
            let path = route.regex.strip_prefix('^').unwrap_or(&route.regex);
            !closed.iter().any(|closed| path.starts_with(closed))
        };
        let routes: Vec<&Route> = topology.routes.iter().filter(open).collect();
        let mut pools: Vec<&str> = Vec::new();
        for route in &routes {
            anchored(&route.regex)?;
            if let Some(word) = route.methods.iter().find(|word| !is_word(word)) {
                return Err(format!("route {:?}: {word:?} is no method", route.class));
            }
            if topology.upstreams.get(&route.upstream).is_none_or(|upstream| upstream.servers.is_empty()) {
                let text = "has no process that listens";
                return Err(format!("route {:?}: upstream {:?} {text}", route.class, route.upstream));
            }
            if !pools.contains(&route.pool.as_str()) {
                pools.push(&route.pool);
            }
        }
        let conditions = Conditions::new(topology, &routes, prefix)?;
        Ok(Self { topology, routes, pools, conditions, prefix: prefix.to_owned() })
    }

    /// The pool's file: its locations, in the topology's order, then those that the table names.
    pub fn locations(&self, pool: &str, locations: &Locations<'_>) -> Vec<Directive> {
        let mut classes: Vec<&str> = Vec::new();
        let mut paths: Vec<&str> = Vec::new();
        let mut tree = Vec::new();
        for (index, route) in self.routes.iter().enumerate().filter(|(_, route)| route.pool == pool) {
            if !classes.contains(&route.class.as_str()) {
                classes.push(&route.class);
            }
            // nginx would never reach a second location for one path; the table knows both routes.
            if paths.contains(&route.regex.as_str()) {
                continue;
            }
            paths.push(&route.regex);
            let inside = if self.direct(index) {
                locations.to(self.upstream(route), route.fallback)
            } else {
                vec![
                    // The location that the table names has an error_page of its own.
                    line("recursive_error_pages", &["on"]),
                    line("error_page", &["418", "=", &format!("${}_route", self.prefix)]),
                    line("return", &["418"]),
                ]
            };
            tree.push(block("location", &["~", &route.regex], inside));
        }
        if self.asks_table() {
            let mut named: Vec<(&str, bool)> = Vec::new();
            for route in &self.routes {
                let target = (route.upstream.as_str(), route.fallback);
                if named.contains(&target) {
                    continue;
                }
                named.push(target);
                let upstream = self.upstream(route);
                if route.pool == pool && upstream.name != locations.main.name {
                    tree.push(locations.named(upstream, route.fallback));
                }
            }
        }
        tree.insert(0, comment(&format!("Pool {pool}: {}.", classes.join(", "))));
        tree
    }

    /// The table that locations ask, and the maps it asks; empty when none does.
    pub fn table(&self, locations: &Locations<'_>) -> Vec<Directive> {
        if !self.asks_table() {
            return Vec::new();
        }
        let mut rows = vec![line("default", &[&locations.target(locations.main, false)])];
        rows.extend(self.routes.iter().map(|route| {
            let target = locations.target(self.upstream(route), route.fallback);
            line(&format!("~{}", self.row(route)), &[&target])
        }));
        let mut tree = self.conditions.maps();
        tree.push(comment("All routes, first match wins: method, conditions that hold, path."));
        let source = format!("$request_method {} $uri", self.conditions.source());
        tree.push(block("map", &[&source, &format!("${}_route", self.prefix)], rows));
        tree
    }

    /// Whether any location asks the table.
    pub fn asks_table(&self) -> bool {
        (0..self.routes.len()).any(|index| !self.direct(index))
    }

    fn upstream(&self, route: &Route) -> &'a Upstream {
        &self.topology.upstreams[&route.upstream]
    }

    /// Whether a location may decide by the path alone; see the head of this file.
    fn direct(&self, index: usize) -> bool {
        let file = |route: &Route| self.pools.iter().position(|pool| *pool == route.pool);
        let route = self.routes[index];
        let guarded = !route.methods.is_empty() || !route.conditions.is_empty();
        !guarded && self.routes[..index].iter().all(|earlier| file(earlier) <= file(route))
    }

    /// A row of the table; methods as [`Route::takes`] has it.
    fn row(&self, route: &Route) -> String {
        let methods = match route.methods.as_slice() {
            [] => "[^ ]+".to_owned(),
            methods => {
                let head = methods.iter().any(|method| method == "GET").then_some("HEAD");
                let all: Vec<&str> =
                    methods.iter().map(String::as_str).chain(head).chain(["OPTIONS"]).collect();
                format!("(?:{})", all.join("|"))
            }
        };
        let path = route.regex.strip_prefix('^').unwrap_or(&route.regex);
        format!("^{methods} {} {path}", self.conditions.pattern(route))
    }
}

/// Prefixes that the site does not show to anybody.
pub(super) fn closed(topology: &Topology) -> Vec<&'static str> {
    let mut closed = vec![gate::REPLICATION];
    if topology.proxy.as_ref().is_none_or(|proxy| proxy.admin.is_empty()) {
        closed.push(gate::ADMIN);
    }
    if topology.mas_networks().is_empty() {
        closed.push(gate::MAS);
    }
    closed
}

/// An expression can only be put behind method and conditions if it starts at the path's start and
/// has no alternative outside of brackets.
fn anchored(regex: &str) -> Result<(), String> {
    if !regex.starts_with("^/") {
        return Err(format!("route {regex:?} does not start with ^/"));
    }
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for c in regex.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                return Err(format!("route {regex:?} has an alternative outside of brackets"));
            }
            _ => {}
        }
    }
    Ok(())
}
