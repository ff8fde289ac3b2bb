//! `mas:`: a Matrix Authentication Service that exists already, which Synapse leaves logins to.
//!
//! Never here: installing it, or what may not stand beside it in `config:` (the topology's business).

use super::decode::{Found, Section};
use super::names;
use super::secrets::only_reference;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::Node;

/// `mas:`, a service that exists already.
#[derive(Debug, Clone)]
pub struct Mas {
    /// Where the section stands.
    pub span: Span,
    /// `http[s]://HOST[:PORT][/]` as Synapse and the proxy reach it.
    pub endpoint: Spanned<String>,
    /// Name of the secret that both sides know (`matrix.secret` of MAS).
    pub secret: Spanned<String>,
    /// HTTP/2 without TLS for introspection (Synapse's `force_http2`).
    pub force_http2: bool,
    /// Networks (CIDR) that may ask `/_synapse/mas`; empty: the endpoint's own address.
    pub networks: Vec<Spanned<String>>,
}

impl Mas {
    /// Whether it is TLS, the host (IPv6 in brackets), and the port of an endpoint; `None` if it is
    /// anything but a scheme, a host and perhaps a port.
    pub fn parts(endpoint: &str) -> Option<(bool, &str, u16)> {
        let (tls, rest) = match endpoint.split_once("://")? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return None,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port > 0)?
            }
            Some(_) => return None,
        };
        let plain =
            !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
        plain.then_some((tls, host, port))
    }
}

/// Keys of the section.
pub(super) const KEYS: &[&str] = &["endpoint", "secret", "force_http2", "networks"];

/// Reads the section.
pub(super) fn mas(node: &Node, at: Span, found: &mut Found) -> Option<Mas> {
    let section = Section::open(node, "mas", "mas", at, KEYS, found)?;
    let endpoint =
        section.required("endpoint", "endpoint: http://10.8.0.5:8080/", found).filter(|url| base(url, found));
    section.missing("secret", "secret: {secret: mas}: what MAS has as matrix.secret", found);
    let secret = only_reference(&section, "secret", found);
    let force_http2 = section.boolean("force_http2", found).unwrap_or(false);
    let networks = section.texts("networks", found).into_iter().filter_map(|value| {
        let network = names::cidr(&value, &format!("network \"{}\" of mas", value.value), found)?;
        if network.ends_with("/0") {
            found.push(Diagnostic::error(value.span, "networks of mas let everybody in").help(
                "name only the addresses that MAS calls from: /_synapse/mas creates and deletes accounts",
            ));
        }
        Some(Spanned::new(network, value.span))
    });
    let networks = networks.collect();
    Some(Mas { span: at, endpoint: endpoint?, secret: secret?, force_http2, networks })
}

/// `http://HOST[:PORT][/]`: Synapse asks it, and the proxy hands logins to the same place.
fn base(url: &Spanned<String>, found: &mut Found) -> bool {
    let good = super::Mas::parts(&url.value).is_some_and(|(_, host, _)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host.parse::<std::net::IpAddr>().is_ok() || names::is_dns_name(host)
    });
    if !good {
        found.push(
            Diagnostic::error(url.span, "endpoint of mas is no URL of a server")
                .help("write scheme, host and port and no path: http://10.8.0.5:8080/"),
        );
    }
    good
}
