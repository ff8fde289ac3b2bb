//! All nginx files of the proxy: upstreams and maps, the server, a file of locations for each pool.
//!
//! Choices that must hold on nginx 1.18 to 1.26 (Ubuntu 22.04 to Debian 13):
//! `conf.d/PREFIX.conf` is read by all of them and is nobody's default server, so that other sites
//! answer as before. HTTP/2 is asked for at `listen`, which 1.25.1 and later still take (with a
//! warning), and `http2 on` is unknown before; on 8448 nobody speaks it.
//! Never in this file: which process serves what (`Topology::routes`).

use super::routing::Routing;
use super::{Directive, balance, block, comment, line};
use crate::inventory::{ProxyKind, Tls};
use crate::topology::{ProxyNode, Server, Topology, Upstream};

/// Where certbot and others put challenge files by default on Debian and Ubuntu.
const ACME_ROOT: &str = "/var/www/html";

/// Path and directives of every file, in the order in which a reader wants them.
///
/// Errors: a route or a path that nginx would read as something else.
pub(in crate::modules) fn files(
    topology: &Topology,
    proxy: &ProxyNode,
) -> Result<Vec<(String, Vec<Directive>)>, String> {
    let prefix = variable(&topology.prefix);
    let folder = format!("{}/nginx", literal(&topology.root)?);
    let headers = format!("{folder}/proxy.conf");
    let main = main(topology)?;
    let routing = Routing::new(topology, &prefix)?;

    let mut http = balance::keys(topology.upstreams.values(), &prefix);
    http.extend(forwarded(proxy, &prefix));
    http.extend(routing.table(&main.name));
    if !topology.upstreams.values().any(|upstream| upstream.name == main.name) {
        http.push(balance::upstream(&main, &prefix));
    }
    // nginx refuses an upstream without servers.
    let alive = topology.upstreams.values().filter(|upstream| !upstream.servers.is_empty());
    http.extend(alive.map(|upstream| balance::upstream(upstream, &prefix)));

    let mut locations: Vec<Directive> = routing
        .pools
        .iter()
        .map(|pool| line("include", &[&format!("{folder}/worker/{pool}.conf")]))
        .collect();
    locations.extend(fixed(topology, &main, &headers)?);

    let mut files = Vec::new();
    match proxy.kind {
        ProxyKind::Nginx => {
            http.extend(servers(topology, proxy, locations)?);
            files.push((format!("/etc/nginx/conf.d/{}.conf", topology.prefix), http));
        }
        ProxyKind::Includes => {
            http.insert(0, comment("Include this file in the http block."));
            files.push((format!("{folder}/http.conf"), http));
            let mut snippet = vec![comment("Include this file in the server block for Matrix.")];
            snippet.extend(server_settings(proxy));
            snippet.extend(locations);
            files.push((format!("{folder}/locations.conf"), snippet));
        }
        ProxyKind::Haproxy => return Ok(files),
    }
    files.push((headers.clone(), proxying(proxy, &prefix)));
    for pool in &routing.pools {
        files.push((format!("{folder}/worker/{pool}.conf"), routing.locations(pool, &headers)));
    }
    Ok(files)
}

/// nginx variables are letters, digits and underscores.
fn variable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A text in which nginx would see a variable cannot be written: nginx has no escape for `$`.
fn literal(text: &str) -> Result<&str, String> {
    if text.contains('$') { Err(format!("nginx cannot hold the $ in {text:?}")) } else { Ok(text) }
}

/// The main process as an upstream: what matches no route goes there.
pub(in crate::modules) fn main(topology: &Topology) -> Result<Upstream, String> {
    if let Some(upstream) =
        topology.upstreams.values().find(|one| one.pool == "main" && !one.servers.is_empty())
    {
        return Ok(upstream.clone());
    }
    let instance = topology.instances.iter().find(|instance| instance.pool == "main");
    let Some((instance, port)) = instance.and_then(|one| Some((one, one.client_port?))) else {
        return Err("the main process has no listener for clients".to_owned());
    };
    let address = crate::modules::context::host_port(&instance.address, port);
    Ok(Upstream {
        name: format!("{}_main", topology.prefix),
        pool: "main".to_owned(),
        balance: crate::topology::Balance::RoundRobin,
        servers: vec![Server { instance: instance.name.clone(), address, weight: 1 }],
        read_timeout: 600,
    })
}

/// Which scheme the client used, when another proxy may know better.
fn forwarded(proxy: &ProxyNode, prefix: &str) -> Vec<Directive> {
    if proxy.trusted_proxies.is_empty() {
        return Vec::new();
    }
    let mut trusted = vec![line("default", &["0"])];
    trusted.extend(proxy.trusted_proxies.iter().map(|network| line(network, &["1"])));
    vec![
        block("geo", &["$realip_remote_addr", &format!("${prefix}_trusted")], trusted),
        block(
            "map",
            &[&format!("${prefix}_trusted:$http_x_forwarded_proto"), &format!("${prefix}_scheme")],
            vec![line("default", &["$scheme"]), line("1:https", &["https"]), line("1:http", &["http"])],
        ),
    ]
}

/// What every location needs. It stands inside each of them, because one `proxy_set_header` of
/// its own would make a location drop all it inherits. `proxy_pass` has no path, so that the
/// bytes of the request's path arrive as they were signed.
fn proxying(proxy: &ProxyNode, prefix: &str) -> Vec<Directive> {
    let scheme =
        if proxy.trusted_proxies.is_empty() { "$scheme".to_owned() } else { format!("${prefix}_scheme") };
    vec![
        line("proxy_http_version", &["1.1"]),
        line("proxy_set_header", &["Connection", ""]),
        line("proxy_set_header", &["Host", "$host"]),
        line("proxy_set_header", &["X-Forwarded-For", "$remote_addr"]),
        line("proxy_set_header", &["X-Forwarded-Proto", &scheme]),
        line("proxy_connect_timeout", &["5s"]),
        // A dead host is passed over; a long poll that timed out is not asked again elsewhere.
        line("proxy_next_upstream_timeout", &["30s"]),
        line("proxy_redirect", &["off"]),
    ]
}

/// Settings that hold for all locations.
fn server_settings(proxy: &ProxyNode) -> Vec<Directive> {
    let mut tree = vec![line("client_max_body_size", &[&proxy.max_body.to_string()])];
    if !proxy.trusted_proxies.is_empty() {
        tree.extend(proxy.trusted_proxies.iter().map(|network| line("set_real_ip_from", &[network])));
        tree.push(line("real_ip_header", &["X-Forwarded-For"]));
        tree.push(line("real_ip_recursive", &["on"]));
    }
    tree
}

/// Locations that do not depend on the workers.
fn fixed(topology: &Topology, main: &Upstream, headers: &str) -> Result<Vec<Directive>, String> {
    let to_main = || {
        vec![
            line("include", &[headers]),
            line("proxy_read_timeout", &[&format!("{}s", main.read_timeout)]),
            line("proxy_pass", &[&format!("http://{}", main.name)]),
        ]
    };
    let not_found = || vec![line("return", &["404"])];
    let mut tree = vec![
        block("location", &["/_matrix/"], to_main()),
        block("location", &["/_synapse/client/"], to_main()),
        // `^~` wins over every expression of a route.
        block("location", &["^~", "/_synapse/admin"], not_found()),
        block("location", &["^~", "/_synapse/replication"], not_found()),
        acme(),
        // Synapse knows what clients must be told (identity server, `extra_well_known_client_content`).
        block("location", &["=", "/.well-known/matrix/client"], to_main()),
    ];
    if topology.shared_config.get("serve_server_wellknown") == Some(&serde_json::Value::Bool(true)) {
        tree.push(block("location", &["=", "/.well-known/matrix/server"], to_main()));
    } else if let Some(target) = delegate(topology) {
        let body = serde_json::json!({"m.server": target}).to_string();
        tree.push(block(
            "location",
            &["=", "/.well-known/matrix/server"],
            vec![line("default_type", &["application/json"]), line("return", &["200", literal(&body)?])],
        ));
    }
    tree.push(block("location", &["/"], not_found()));
    Ok(tree)
}

fn acme() -> Directive {
    block(
        "location",
        &["^~", "/.well-known/acme-challenge/"],
        vec![
            line("root", &[ACME_ROOT]),
            line("default_type", &["text/plain"]),
            line("try_files", &["$uri", "=404"]),
        ],
    )
}

/// The server blocks.
fn servers(
    topology: &Topology,
    proxy: &ProxyNode,
    locations: Vec<Directive>,
) -> Result<Vec<Directive>, String> {
    let names = names(topology)?;
    let mut name = line("server_name", &[]);
    name.args = names;
    let listen = |port: &str, more: &[&str]| {
        ["", "[::]:"].map(|address| {
            let socket = format!("{address}{port}");
            let mut args = vec![socket.as_str()];
            args.extend(more);
            line("listen", &args)
        })
    };
    let mut site: Vec<Directive> = Vec::new();
    let mut servers = Vec::new();
    match &proxy.tls {
        Tls::None => site.extend(listen("80", &[])),
        Tls::Files { certificate, key } => {
            let mut plain: Vec<Directive> = listen("80", &[]).into();
            plain.push(name.clone());
            plain.push(acme());
            plain.push(block(
                "location",
                &["/"],
                vec![line("return", &["301", "https://$host$request_uri"])],
            ));
            servers.push(block("server", &[], plain));
            site.extend(listen("443", &["ssl", "http2"]));
            site.extend(listen("8448", &["ssl"]));
            site.push(line("ssl_certificate", &[literal(&certificate.value)?]));
            site.push(line("ssl_certificate_key", &[literal(&key.value)?]));
            site.push(line("ssl_protocols", &["TLSv1.2", "TLSv1.3"]));
        }
    }
    site.push(name);
    site.extend(server_settings(proxy));
    site.extend(locations);
    servers.push(block("server", &[], site));
    Ok(servers)
}

/// Host names this site answers to: that of Matrix ids, and that of `public_baseurl`.
fn names(topology: &Topology) -> Result<Vec<String>, String> {
    let mut names = vec![split_port(&topology.server_name).0.to_owned()];
    if let Some((host, _)) = public(topology)
        && !names.contains(&host)
    {
        names.push(host);
    }
    for name in &names {
        // Also a wildcard, an expression or a second word would mean something here.
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if name.is_empty() || !name.chars().all(fine) {
            return Err(format!("{name:?} is no host name"));
        }
    }
    Ok(names)
}

/// Where other servers shall go, unless the server's name says it itself: a name with a port and an
/// address are never looked up (Matrix specification, "Resolving server names").
pub(in crate::modules) fn delegate(topology: &Topology) -> Option<String> {
    let (host, port) = split_port(&topology.server_name);
    let address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    if port.is_some() || address {
        return None;
    }
    let (host, port) = public(topology).unwrap_or_else(|| (host.to_owned(), 443));
    Some(format!("{host}:{port}"))
}

/// Host and port of an `https` `public_baseurl`.
fn public(topology: &Topology) -> Option<(String, u16)> {
    let url = topology.shared_config.get("public_baseurl")?.as_str()?;
    let authority = url.strip_prefix("https://")?.split('/').next()?;
    let (host, port) = split_port(authority);
    Some((host.to_ascii_lowercase(), port.unwrap_or(443)))
}

/// `example.org:8448`, `[::1]:8448` → host and port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}
