//! All nginx files of the proxy: upstreams and maps, the server, a file of locations for each pool.
//!
//! Everything must hold on nginx 1.18 to 1.26 (Ubuntu 22.04 to Debian 13). `conf.d/PREFIX.conf` is
//! read by all of them.
//! Never in this file: which process serves what (`Topology::routes`).

use super::location::{Locations, headers};
use super::routing::{Routing, closed};
use super::{Directive, balance, block, comment, gate, line, server};
use crate::inventory::{ProxyKind, Tls};
use crate::topology::{MAIN, ProxyNode, Server, Topology, Upstream};

/// Path and directives of every file, in the order in which a reader wants them.
///
/// Errors: a route or a path that nginx would read as something else.
pub(in crate::modules) fn files(
    topology: &Topology,
    proxy: &ProxyNode,
) -> Result<Vec<(String, Vec<Directive>)>, String> {
    let prefix = variable(&topology.prefix);
    let folder = format!("{}/nginx", literal(&topology.root)?);
    let main = main(topology)?;
    let routing = Routing::new(topology, &closed(topology), &prefix)?;
    let locations =
        Locations { topology, proxy, prefix: &prefix, headers: format!("{folder}/proxy.conf"), main: &main };
    let fallback = topology.routes.iter().any(|route| route.fallback);
    let tokens = format!("{folder}/appservices.conf");
    let appservices = routing.conditions.appservices();

    let mut http = Vec::new();
    if routing.conditions.asks_token() || topology.upstreams.values().any(balance::asks_token) {
        http.push(balance::token(&prefix));
    }
    http.extend(balance::keys(topology.upstreams.values(), &prefix));
    http.extend(forwarded(proxy, &prefix));
    http.extend(gate::maps(topology, proxy, &prefix));
    if appservices.is_some() {
        http.push(line("include", &[&tokens]));
    }
    http.extend(routing.table(&locations));
    if fallback {
        http.extend(locations.unserved());
    }
    if !topology.upstreams.values().any(|upstream| upstream.name == main.name) {
        http.push(balance::upstream(&main, &prefix));
    }
    // nginx refuses an upstream without servers.
    let alive = topology.upstreams.values().filter(|upstream| !upstream.servers.is_empty());
    http.extend(alive.map(|upstream| balance::upstream(upstream, &prefix)));

    let mut inside = server::settings(proxy);
    inside.extend(gate::refused(topology, proxy, &prefix));
    let include = |pool: &&str| line("include", &[&format!("{folder}/worker/{pool}.conf")]);
    inside.extend(routing.pools.iter().map(include));
    inside.extend(gate::locations(&locations)?);
    if routing.asks_table() {
        inside.push(locations.named(&main, false));
    }
    if fallback {
        inside.extend(locations.stand_in());
    }

    let mut files = Vec::new();
    match proxy.kind {
        ProxyKind::Nginx => {
            http.extend(server::servers(topology, proxy, inside)?);
            files.push((format!("/etc/nginx/conf.d/{}.conf", topology.prefix), http));
        }
        ProxyKind::Includes => {
            http.insert(0, comment("Include this file in the http block."));
            files.push((format!("{folder}/http.conf"), http));
            inside.insert(0, comment("Include this file in the server block for Matrix."));
            files.push((format!("{folder}/locations.conf"), inside));
        }
        ProxyKind::Haproxy => return Ok(files),
    }
    files.extend(appservices.map(|tree| (tokens, tree)));
    files.push((locations.headers.clone(), headers(proxy, &prefix, "$host")));
    for pool in &routing.pools {
        files.push((format!("{folder}/worker/{pool}.conf"), routing.locations(pool, &locations)));
    }
    Ok(files)
}

/// nginx variables are letters, digits and underscores.
fn variable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A text in which nginx would see a variable cannot be written: nginx has no escape for `$`.
pub(super) fn literal(text: &str) -> Result<&str, String> {
    if text.contains('$') { Err(format!("nginx cannot hold the $ in {text:?}")) } else { Ok(text) }
}

/// The main process as an upstream: what matches no route goes there.
pub(in crate::modules) fn main(topology: &Topology) -> Result<Upstream, String> {
    if let Some(upstream) = topology.upstreams.get(MAIN).filter(|upstream| !upstream.servers.is_empty()) {
        return Ok(upstream.clone());
    }
    let instance = topology.instances.iter().find(|instance| instance.pool == MAIN);
    let Some((instance, address)) = instance.and_then(|one| Some((one, one.client.clone()?))) else {
        return Err("the main process has no listener for clients".to_owned());
    };
    Ok(Upstream {
        name: format!("{}_main", topology.prefix),
        pool: MAIN.to_owned(),
        balance: crate::topology::Balance::RoundRobin,
        servers: vec![Server { instance: instance.name.clone(), address, weight: 1 }],
        read_timeout: 600,
    })
}

/// Which scheme the client used, when another proxy may know better. If that says nothing and we have no
/// certificate, it has: Synapse, too, takes a request without X-Forwarded-Proto for https (http/site.py).
fn forwarded(proxy: &ProxyNode, prefix: &str) -> Vec<Directive> {
    if proxy.trusted_proxies.is_empty() {
        return Vec::new();
    }
    let mut trusted = vec![line("default", &["0"])];
    trusted.extend(proxy.trusted_proxies.iter().map(|network| line(network, &["1"])));
    let mut schemes =
        vec![line("default", &["$scheme"]), line("1:https", &["https"]), line("1:http", &["http"])];
    if proxy.tls == Tls::None {
        schemes.push(line("1:", &["https"]));
    }
    vec![
        block("geo", &["$realip_remote_addr", &format!("${prefix}_trusted")], trusted),
        block(
            "map",
            &[&format!("${prefix}_trusted:$http_x_forwarded_proto"), &format!("${prefix}_scheme")],
            schemes,
        ),
    ]
}
