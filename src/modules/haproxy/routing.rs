//! Routes as `use_backend` rules in the topology's order: HAProxy, too, takes the first that matches.
//!
//! Routes that follow each other and differ in the path alone share a rule: their paths are the
//! patterns of one named ACL.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::backend::backend;
use super::beside::authentication;
use super::{Section, select, words};
use crate::topology::{Condition, MAS, Route, Topology, Upstream};

/// The rules of the frontend, and the backends they name.
pub(super) struct Routing {
    /// `acl` and `use_backend` lines.
    pub rules: Vec<Vec<String>>,
    /// In the order of first use.
    pub backends: Vec<Section>,
}

impl Routing {
    /// `main`: the upstream of what no route takes. Errors: a route without a process.
    pub fn new(topology: &Topology, main: &Upstream) -> Result<Self, String> {
        let mut rules = Vec::new();
        let mut backends: IndexMap<String, Section> = IndexMap::new();
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for group in topology.routes.chunk_by(same_rule) {
            let route = &group[0];
            let upstream = topology.upstreams.get(&route.upstream).filter(|one| !one.servers.is_empty());
            let Some(upstream) = upstream else {
                let text = "has no process that listens";
                return Err(format!("route {:?}: upstream {:?} {text}", route.class, route.upstream));
            };
            let target = name(topology, route, upstream, main);
            let mas = topology.mas.as_ref().filter(|_| route.upstream == MAS);
            if let Some(mas) = mas {
                let made = authentication(&target, mas, upstream.read_timeout);
                backends.entry(target.clone()).or_insert(made);
            } else if upstream.name != main.name && !backends.contains_key(&target) {
                let stand_in = route.fallback.then(|| main.servers.first()).flatten();
                let made = backend(&target, upstream, stand_in.map(|server| server.address.as_str()));
                backends.insert(target.clone(), made);
            }
            let count = names.entry(route.class.clone()).or_default();
            *count += 1;
            // An ACL's name may hold letters, digits and `_-.:`, as a class does.
            let acl = if *count == 1 { route.class.clone() } else { format!("{}.{count}", route.class) };
            rules.push(words(&["#", &format!("{acl}: {}", described(route))]));
            for route in group {
                rules.push(words(&["acl", &acl, "var(txn.path)", "-m", "reg", "--", &route.regex]));
            }
            let mut rule = words(&["use_backend", &target, "if", &acl]);
            rule.extend(conditions(topology, route));
            rules.push(rule);
        }
        Ok(Self { rules, backends: backends.into_values().collect() })
    }
}

/// Whether two routes differ in the path alone.
fn same_rule(one: &Route, other: &Route) -> bool {
    let without_path = |route: &Route| Route { regex: String::new(), ..route.clone() };
    without_path(one) == without_path(other)
}

/// A backend has the upstream's name. Where routes to one upstream differ in whether main may stand
/// in, those for which it may not have a backend of their own.
fn name(topology: &Topology, route: &Route, upstream: &Upstream, main: &Upstream) -> String {
    if upstream.name == main.name {
        return main.name.clone();
    }
    let mut same = topology.routes.iter().filter(|other| other.upstream == route.upstream);
    let shared = !route.fallback && same.any(|other| other.fallback);
    if shared { format!("{}.alone", upstream.name) } else { upstream.name.clone() }
}

fn described(route: &Route) -> String {
    let methods = if route.methods.is_empty() { "all methods".to_owned() } else { route.methods.join(", ") };
    format!("{methods}, pool {}", route.pool)
}

/// What a rule asks besides the path: anonymous ACLs, all of which must hold. Preflight requests go
/// with the methods they ask about: every process answers them, and main has better to do.
fn conditions(topology: &Topology, route: &Route) -> Vec<String> {
    let mut out = Vec::new();
    if !route.methods.is_empty() {
        out.extend(words(&["{", "method"]));
        out.extend(route.methods.iter().cloned());
        if route.takes("HEAD") {
            out.push("HEAD".to_owned());
        }
        out.extend(words(&["OPTIONS", "}"]));
    }
    for condition in &route.conditions {
        match condition {
            // The first parameter of that name counts, as in nginx' $arg_NAME.
            Condition::WithoutQuery(name) => {
                let pattern = format!("{}[^&]", first(name));
                out.extend(words(&["!{", "query", "-m", "reg", "-i", "--", &pattern, "}"]));
            }
            Condition::Query { name, value } => {
                let pattern = format!("{}(?-i:{})(&|$)", first(name), regex::escape(value));
                out.extend(words(&["{", "query", "-m", "reg", "-i", "--", &pattern, "}"]));
            }
            Condition::Selected(pool) => {
                let selector = topology.selectors.get(pool);
                out.extend(selector.map_or_else(
                    || words(&["{", "always_false", "}"]),
                    |selector| select::names(pool, selector),
                ));
            }
        }
    }
    out
}

/// An expression for a query up to and with the first `NAME=`.
fn first(name: &str) -> String {
    let name = regex::escape(name);
    format!("^(?:(?!{name}=)[^&]*&)*{name}=")
}
