//! Routes as nginx locations, so that the topology's order holds although each pool has one file.
//!
//! nginx takes the first `location ~` that matches, in the order of the files; it cannot look at
//! the method or the query there. The topology's order is first match over path, method and, for
//! initial sync, query. Both agree in this way: a location that looks at the path alone, and before
//! which no route of the topology stands in a *later* file, passes its requests straight to its
//! upstream: whatever should have won, has been asked before. Every other location asks the table
//! `$PREFIX_route`, a `map` of all routes in the topology's order over `METHOD MISSING PATH`, where
//! MISSING lists the query parameters that are not there: `,since,`. So an answer depends only on
//! the path having matched some location, never on which one, and no proof about overlapping
//! expressions is needed.

use std::collections::BTreeSet;

use super::{Directive, block, comment, line};
use crate::topology::{Condition, Route, Topology};

/// Routes with what decides where they stand.
pub(super) struct Routing<'a> {
    topology: &'a Topology,
    routes: Vec<&'a Route>,
    /// Pools in the order of their first route.
    pub pools: Vec<&'a str>,
    prefix: String,
}

impl<'a> Routing<'a> {
    /// Takes the routes that a proxy may expose. Errors: an expression that cannot stand in the table.
    pub fn new(topology: &'a Topology, prefix: &str) -> Result<Self, String> {
        // The admin API and replication are never public, whatever a route says.
        let public = |route: &&Route| {
            !route.regex.starts_with("^/_synapse/admin") && !route.regex.starts_with("^/_synapse/replication")
        };
        let routes: Vec<&Route> = topology.routes.iter().filter(public).collect();
        let mut pools: Vec<&str> = Vec::new();
        for route in &routes {
            anchored(&route.regex)?;
            if route.conditions.iter().any(|condition| parameter(condition).is_none()) {
                return Err(format!("route {:?}: its conditions are not written for nginx yet", route.class));
            }
            let parameter = route.conditions.iter().filter_map(parameter);
            let words = route.methods.iter().chain(parameter);
            if let Some(word) = words.into_iter().find(|word| !is_word(word)) {
                return Err(format!("route {:?}: {word:?} is no method or parameter", route.class));
            }
            if topology.upstreams.get(&route.upstream).is_none_or(|upstream| upstream.servers.is_empty()) {
                let text = "has no process that listens";
                return Err(format!("route {:?}: upstream {:?} {text}", route.class, route.upstream));
            }
            if !pools.contains(&route.pool.as_str()) {
                pools.push(&route.pool);
            }
        }
        Ok(Self { topology, routes, pools, prefix: prefix.to_owned() })
    }

    /// The pool's file: its locations, in the topology's order.
    pub fn locations(&self, pool: &str, headers: &str) -> Vec<Directive> {
        let mut classes: Vec<&str> = Vec::new();
        let mut paths: Vec<&str> = Vec::new();
        let mut locations = Vec::new();
        for (index, route) in self.routes.iter().enumerate().filter(|(_, route)| route.pool == pool) {
            if !classes.contains(&route.class.as_str()) {
                classes.push(&route.class);
            }
            // nginx would never reach a second location for one path; the table knows both routes.
            if paths.contains(&route.regex.as_str()) {
                continue;
            }
            paths.push(&route.regex);
            let (upstream, timeout) = self.target(index);
            locations.push(block(
                "location",
                &["~", &route.regex],
                vec![
                    line("include", &[headers]),
                    line("proxy_read_timeout", &[&format!("{timeout}s")]),
                    line("proxy_pass", &[&format!("http://{upstream}")]),
                ],
            ));
        }
        let mut tree = vec![comment(&format!("Pool {pool}: {}.", classes.join(", ")))];
        tree.extend(locations);
        tree
    }

    /// The maps that the locations ask; empty when none does.
    pub fn table(&self, main: &str) -> Vec<Directive> {
        if (0..self.routes.len()).all(|index| self.direct(index)) {
            return Vec::new();
        }
        let prefix = &self.prefix;
        let mut rows = vec![line("default", &[main])];
        rows.extend(self.routes.iter().map(|route| {
            let upstream = &self.topology.upstreams[&route.upstream].name;
            line(&format!("~{}", row(route)), &[upstream])
        }));
        let mut tree = Vec::new();
        let mut missing = String::from(",");
        for parameter in self.parameters() {
            let variable = format!("${prefix}_no_{parameter}");
            missing.push_str(&format!("{variable},"));
            let rows = vec![line("default", &["-"]), line("", &[parameter])];
            tree.push(block("map", &[&format!("$arg_{parameter}"), &variable], rows));
        }
        tree.push(comment("All routes, first match wins: method, query parameters that are missing, path."));
        let source = format!("$request_method {missing} $uri");
        tree.push(block("map", &[&source, &format!("${prefix}_route")], rows));
        tree
    }

    /// Query parameters that routes look at.
    fn parameters(&self) -> BTreeSet<&str> {
        let conditions = self.routes.iter().flat_map(|route| &route.conditions);
        conditions.filter_map(parameter).map(String::as_str).collect()
    }

    /// Where a location sends its requests, and how long they may be silent, in seconds.
    fn target(&self, index: usize) -> (String, u32) {
        let upstream = &self.topology.upstreams[&self.routes[index].upstream];
        if self.direct(index) {
            return (upstream.name.clone(), upstream.read_timeout);
        }
        // The request may end at any upstream; nginx takes no variable for a time.
        let longest = self.topology.upstreams.values().map(|upstream| upstream.read_timeout).max();
        (format!("${}_route", self.prefix), longest.unwrap_or(upstream.read_timeout))
    }

    /// Whether a location may decide by the path alone; see the head of this file.
    fn direct(&self, index: usize) -> bool {
        let file = |route: &Route| self.pools.iter().position(|pool| *pool == route.pool);
        let route = self.routes[index];
        !guarded(route) && self.routes[..index].iter().all(|earlier| file(earlier) <= file(route))
    }
}

/// Letters, digits and underscores: what nginx takes in a variable's name.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The query parameter that must be missing.
fn parameter(condition: &Condition) -> Option<&String> {
    match condition {
        Condition::WithoutQuery(parameter) => Some(parameter),
        Condition::Query { .. } | Condition::Selected(_) => None,
    }
}

/// Whether a route looks at more than the path.
fn guarded(route: &Route) -> bool {
    !route.methods.is_empty() || !route.conditions.is_empty()
}

/// A row of the table. Preflight requests go with the methods they ask about: every process
/// answers them, and main has better to do.
fn row(route: &Route) -> String {
    let methods = match route.methods.as_slice() {
        [] => "[^ ]+".to_owned(),
        methods => format!("(?:{}|OPTIONS)", methods.join("|")),
    };
    let missing = match route.conditions.iter().find_map(parameter) {
        None => "[^ ]+".to_owned(),
        Some(parameter) => format!("[^ ]*,{parameter},[^ ]*"),
    };
    let path = route.regex.strip_prefix('^').unwrap_or(&route.regex);
    format!("^{methods} {missing} {path}")
}

/// An expression can only be put behind method and kind if it starts at the path's start and has
/// no alternative outside of brackets.
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
