//! Routing one request in plain Rust, as the proxy is meant to do it: for `verify` and `explain`.
//!
//! Never in it: a proxy's configuration, or anything that asks a host.

use regex::Regex;

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
}

/// A topology's routes with their patterns compiled, for many questions.
#[derive(Debug)]
pub struct Router<'a> {
    topology: &'a Topology,
    routes: Vec<(Regex, &'a Route)>,
}

impl Topology {
    /// Where a request with this method and target (`/path?query`, as on the wire) goes.
    pub fn route(&self, method: &str, path_and_query: &str) -> RouteMatch {
        self.router().route(method, path_and_query)
    }

    /// Compiles the routes once. Patterns come from the built-in catalogue, which is tested to
    /// compile; one that does not would match nothing.
    pub fn router(&self) -> Router<'_> {
        let compiled = self.routes.iter().filter_map(|route| Some((Regex::new(&route.regex).ok()?, route)));
        Router { topology: self, routes: compiled.collect() }
    }
}

impl Router<'_> {
    /// See [`Topology::route`].
    pub fn route(&self, method: &str, path_and_query: &str) -> RouteMatch {
        let (raw, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let path = normalised(raw);
        let found = self.routes.iter().find(|(regex, route)| {
            (route.methods.is_empty() || route.methods.iter().any(|known| known == method))
                && route.conditions.iter().all(|condition| holds(condition, query))
                && regex.is_match(&path)
        });
        let (class, upstream) = found.map_or((MAIN, MAIN), |(_, route)| (&route.class, &route.upstream));
        let servers = self.topology.upstreams.get(upstream).map_or(&[] as &[_], |upstream| &upstream.servers);
        RouteMatch {
            class: class.to_owned(),
            upstream: upstream.to_owned(),
            instances: servers.iter().map(|server| server.instance.clone()).collect(),
        }
    }
}

fn holds(condition: &Condition, query: &str) -> bool {
    match condition {
        Condition::WithoutQuery(name) => !query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .any(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty()),
        Condition::Query { name, value } => query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .any(|(key, found)| key.eq_ignore_ascii_case(name) && found == value),
        // Who asks is not part of a path.
        Condition::Selected(_) => false,
    }
}

/// The path as nginx matches it: percent-decoded, slashes merged, `.` and `..` resolved.
fn normalised(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let ends_open = decoded.ends_with('/') || decoded.ends_with("/.") || decoded.ends_with("/..");
    let mut parts: Vec<&str> = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if ends_open && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn a_path_is_read_as_nginx_reads_it() {
        for (raw, path) in [
            ("/_matrix/client/v3/sync", "/_matrix/client/v3/sync"),
            ("/a%2Fb", "/a/b"),
            ("//a///b/", "/a/b/"),
            ("/v3/../v3/./x", "/v3/x"),
            ("/%21r%3Ahs", "/!r:hs"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/../..", "/"),
            ("", "/"),
        ] {
            assert_eq!(normalised(raw), path, "{raw}");
        }
    }
}
