//! The server blocks: where nginx listens, under which names, with which certificate.
//!
//! HTTP/2 is asked for on 443 alone: on 8448 nobody speaks it. The site is nobody's default server,
//! so that other sites answer as before.
//! Never in this file: locations.

use super::site::literal;
use super::{Directive, block, gate, line};
use crate::inventory::{Http2, Tls};
use crate::topology::site::split_port;
use crate::topology::{ProxyNode, Topology};

/// The site's server block around `inside`, and with TLS one that redirects to it.
pub(super) fn servers(
    topology: &Topology,
    proxy: &ProxyNode,
    inside: Vec<Directive>,
) -> Result<Vec<Directive>, String> {
    let mut name = line("server_name", &[]);
    name.args = names(topology)?;
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
            plain.push(gate::acme(proxy));
            let redirect = line("return", &["301", "https://$host$request_uri"]);
            plain.push(block("location", &["/"], vec![redirect]));
            servers.push(block("server", &[], plain));
            match proxy.http2 {
                Http2::Listen => site.extend(listen("443", &["ssl", "http2"])),
                Http2::Directive | Http2::Off => site.extend(listen("443", &["ssl"])),
            }
            site.extend(listen("8448", &["ssl"]));
            if proxy.http2 == Http2::Directive {
                site.push(line("http2", &["on"]));
            }
            site.push(line("ssl_certificate", &[literal(&certificate.value)?]));
            site.push(line("ssl_certificate_key", &[literal(&key.value)?]));
            site.push(line("ssl_protocols", &["TLSv1.2", "TLSv1.3"]));
        }
    }
    site.push(name);
    site.extend(inside);
    servers.push(block("server", &[], site));
    Ok(servers)
}

/// Settings that hold for all locations.
pub(super) fn settings(proxy: &ProxyNode) -> Vec<Directive> {
    let mut tree = vec![line("client_max_body_size", &[&proxy.max_body.to_string()])];
    if !proxy.trusted_proxies.is_empty() {
        tree.extend(proxy.trusted_proxies.iter().map(|network| line("set_real_ip_from", &[network])));
        tree.push(line("real_ip_header", &["X-Forwarded-For"]));
        tree.push(line("real_ip_recursive", &["on"]));
    }
    tree
}

/// Host names this site answers to: that of Matrix ids, that of `public_baseurl`, and the inventory's.
fn names(topology: &Topology) -> Result<Vec<String>, String> {
    let names = topology.site_names();
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
    if let Some(server) = topology.proxy.as_ref().and_then(|proxy| proxy.well_known_server.as_ref()) {
        return Some(server.clone());
    }
    let (host, port) = split_port(&topology.server_name);
    let address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    if port.is_some() || address {
        return None;
    }
    let (host, port) = topology.public_host().unwrap_or_else(|| (host.to_owned(), 443));
    Some(format!("{host}:{port}"))
}
