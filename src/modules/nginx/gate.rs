//! What the site shows besides the workers' routes: Matrix as a whole, `.well-known`, ACME, extra
//! routes, and the two APIs that are for networks only.
//!
//! The rules are those of `topology::gate`. Never in this file: which process serves what.

use super::location::Locations;
use super::routing::closed;
use super::site::literal;
use super::{Directive, block, comment, line, server};
use crate::inventory::{ExtraRoute, ExtraTarget};
use crate::topology::{ProxyNode, Topology, gate};

/// Maps behind [`refused`]; empty when nothing is for networks only.
pub(super) fn maps(topology: &Topology, proxy: &ProxyNode, prefix: &str) -> Vec<Directive> {
    let mut tree = Vec::new();
    let mut rows = vec![line("default", &["0"])];
    let mut source = String::new();
    let apis = [("admin", gate::ADMIN, proxy.admin.as_slice()), ("mas", gate::MAS, topology.mas_networks())];
    let open = apis.iter().filter(|(_, _, networks)| !networks.is_empty());
    for (at, (name, path, networks)) in open.enumerate() {
        let variable = format!("${prefix}_from_{name}");
        let mut from = vec![line("default", &["0"])];
        from.extend(networks.iter().map(|network| line(network, &["1"])));
        tree.push(block("geo", &["$remote_addr", &variable], from));
        source.push_str(&variable);
        let others = ".".repeat(at);
        rows.push(line(&format!("~^{others}0[01]* {path}"), &["1"]));
    }
    if !tree.is_empty() {
        tree.push(comment("1: an API for networks that the client is not in."));
        tree.push(block("map", &[&format!("{source} $uri"), &format!("${prefix}_refused")], rows));
    }
    tree
}

/// The question before every location, where an API is open to some.
pub(super) fn refused(topology: &Topology, proxy: &ProxyNode, prefix: &str) -> Option<Directive> {
    let asks = !proxy.admin.is_empty() || !topology.mas_networks().is_empty();
    asks.then(|| block("if", &[&format!("(${prefix}_refused)")], not_found()))
}

/// Locations that do not depend on the workers.
pub(super) fn locations(locations: &Locations<'_>) -> Result<Vec<Directive>, String> {
    let (topology, proxy) = (locations.topology, locations.proxy);
    let mut tree: Vec<Directive> =
        gate::PUBLIC.iter().map(|prefix| block("location", &[prefix], locations.to_main())).collect();
    let closed = closed(topology);
    for path in [gate::ADMIN, gate::MAS] {
        if !closed.contains(&path) {
            tree.push(block("location", &[path], locations.to_main()));
        }
    }
    // `^~` wins over every expression of a route.
    tree.extend(closed.iter().map(|path| block("location", &["^~", path], not_found())));
    tree.push(acme(proxy));
    let client = match &proxy.well_known_client {
        // Synapse knows what clients must be told (identity server, `extra_well_known_client_content`).
        None => locations.to_main(),
        Some(document) => {
            let mut inside = answer(&document.to_string())?;
            inside.insert(0, line("add_header", &["Access-Control-Allow-Origin", "*", "always"]));
            inside
        }
    };
    tree.push(block("location", &["=", gate::WELL_KNOWN_CLIENT], client));
    if gate::serves_well_known_server(topology, proxy) {
        tree.push(block("location", &["=", gate::WELL_KNOWN_SERVER], locations.to_main()));
    } else if let Some(target) = server::delegate(topology) {
        let body = serde_json::json!({"m.server": target}).to_string();
        tree.push(block("location", &["=", gate::WELL_KNOWN_SERVER], answer(&body)?));
    }
    for route in &proxy.routes {
        tree.push(block("location", &[literal(&route.path.value)?], extra(route, &locations.headers)?));
    }
    if !proxy.routes.iter().any(|route| route.path.value == "/") {
        tree.push(block("location", &["/"], not_found()));
    }
    Ok(tree)
}

/// Where certbot and the like prove who asks.
pub(super) fn acme(proxy: &ProxyNode) -> Directive {
    block(
        "location",
        &["^~", "/.well-known/acme-challenge/"],
        vec![
            line("root", &[&proxy.acme_root]),
            line("default_type", &["text/plain"]),
            line("try_files", &["$uri", "=404"]),
        ],
    )
}

fn not_found() -> Vec<Directive> {
    vec![line("return", &["404"])]
}

fn answer(json: &str) -> Result<Vec<Directive>, String> {
    Ok(vec![line("default_type", &["application/json"]), line("return", &["200", literal(json)?])])
}

fn extra(route: &ExtraRoute, headers: &str) -> Result<Vec<Directive>, String> {
    Ok(match &route.target {
        // The path ends with a slash, else `/a../` would lead out of the directory.
        ExtraTarget::Root(directory) => {
            vec![
                line("alias", &[&format!("{}/", literal(directory)?.trim_end_matches('/'))]),
                line("index", &["index.html"]),
            ]
        }
        ExtraTarget::Pass(server) => {
            vec![line("include", &[headers]), line("proxy_pass", &[literal(server)?])]
        }
        ExtraTarget::Redirect(url) => vec![line("return", &["302", literal(url)?])],
        ExtraTarget::Status(status) => vec![line("return", &[&status.to_string()])],
    })
}
