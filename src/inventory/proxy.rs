//! `proxy:`: where clients and other homeservers come in.

use super::decode::{Found, Section, choose, wrong};
use super::{ExtraRoute, ExtraTarget, Http2, WellKnown, names, site};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// `proxy:`.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where the section stands.
    pub span: Span,
    /// Host names in `hosts`, at least one.
    pub hosts: Vec<Spanned<String>>,
    /// Which proxy, and how much of it is ours.
    pub kind: Spanned<ProxyKind>,
    /// TLS at the proxy.
    pub tls: Tls,
    /// Where `tls:` stands, if it does.
    pub tls_at: Option<Span>,
    /// Networks (CIDR) whose `X-Forwarded-For` is believed, for a proxy behind a proxy.
    pub trusted_proxies: Vec<Spanned<String>>,
    /// Networks (CIDR) that may ask the admin API; empty: nobody.
    pub admin: Vec<Spanned<String>>,
    /// Host names the site answers to besides its own.
    pub server_names: Vec<Spanned<String>>,
    /// Where challenge files of ACME are put.
    pub acme_root: Option<Spanned<String>>,
    /// What stands under `/.well-known/matrix/`.
    pub well_known: WellKnown,
    /// Further locations.
    pub routes: Vec<ExtraRoute>,
    /// How HTTP/2 is asked for.
    pub http2: Http2,
}

/// `proxy.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// A complete nginx site.
    Nginx,
    /// Only snippets, for a vhost of the admin's own.
    Includes,
    /// An instance of HAProxy of its own.
    Haproxy,
}

/// `proxy.tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP on port 80 behind another proxy.
    None,
    /// Files on the proxy's host, never written by synprov.
    Files {
        /// Certificate chain, PEM.
        certificate: Spanned<String>,
        /// Private key, PEM.
        key: Spanned<String>,
    },
}

/// Kinds that people will ask for.
const OTHERS: &[&str] = &["caddy", "traefik", "apache", "envoy"];

/// Reads the section.
pub(super) fn proxy(node: &Node, at: Span, found: &mut Found) -> Option<Proxy> {
    let keys = &[
        "host",
        "hosts",
        "kind",
        "tls",
        "trusted_proxies",
        "admin",
        "server_names",
        "acme_root",
        "well_known",
        "routes",
        "http2",
    ];
    let section = Section::open(node, "proxy", "proxy", at, keys, found)?;
    let hosts = match (section.entry("host"), section.entry("hosts")) {
        (Some((first, _)), Some((second, _))) => {
            found.push(
                Diagnostic::error(second, "proxy has both \"host\" and \"hosts\"")
                    .related(first, "the other one")
                    .help("keep one of them: hosts: [hs1, hs2]"),
            );
            Vec::new()
        }
        (None, None) => {
            section.missing("host", "host: NAME", found);
            Vec::new()
        }
        (Some(_), None) => section.text("host", found).into_iter().collect(),
        (None, Some((span, node))) => {
            let hosts = section.texts("hosts", found);
            if matches!(&node.kind, Kind::Seq(items) if items.is_empty()) {
                found.push(Diagnostic::error(span, "proxy has no hosts").help("write hosts: [hs1]"));
            }
            hosts
        }
    };
    let kind = kind(&section, found);
    let tls = tls(&section, kind.as_ref().is_some_and(|kind| kind.value == ProxyKind::Includes), found);
    let trusted_proxies = section
        .texts("trusted_proxies", found)
        .into_iter()
        .filter_map(|value| {
            let shown = format!("trusted proxy \"{}\"", value.value);
            let network = names::cidr(&value, &shown, found)?;
            if network.ends_with("/0") {
                found.push(
                    Diagnostic::warning(value.span, format!("{shown} believes X-Forwarded-For of everybody"))
                        .help("name only the networks of your own proxies"),
                );
            }
            Some(Spanned::new(network, value.span))
        })
        .collect();
    let (admin, server_names) = (site::admin(&section, found), site::server_names(&section, found));
    let (acme_root, well_known) = (site::acme_root(&section, found), site::well_known(&section, found));
    let (routes, http2) = (site::routes(&section, found), site::http2(&section, found));
    if kind.as_ref().is_some_and(|kind| kind.value == ProxyKind::Haproxy) {
        no_files(&routes, acme_root.as_ref(), found);
    }
    (!hosts.is_empty()).then_some(Proxy {
        span: at,
        hosts,
        kind: kind?,
        tls: tls?,
        tls_at: section.entry("tls").map(|(span, _)| span),
        trusted_proxies,
        admin,
        server_names,
        acme_root,
        well_known,
        routes,
        http2,
    })
}

/// HAProxy passes requests on and answers with short texts; it serves no files.
fn no_files(routes: &[ExtraRoute], acme_root: Option<&Spanned<String>>, found: &mut Found) {
    for route in routes {
        if let ExtraTarget::Root(_) = route.target {
            let summary = format!("route {} serves files, which HAProxy cannot", route.path.value);
            found.push(
                Diagnostic::error(route.path.span, summary)
                    .help("write kind: nginx, or proxy_pass: to a server that has the files"),
            );
        }
    }
    if let Some(root) = acme_root {
        found.push(
            Diagnostic::error(root.span, "acme_root with kind: haproxy, which serves no files")
                .help("delete it: challenges go to port 8888 of the host, certbot --http-01-port 8888"),
        );
    }
}

fn kind(section: &Section<'_>, found: &mut Found) -> Option<Spanned<ProxyKind>> {
    if section.entry("kind").is_none() {
        return Some(Spanned::new(ProxyKind::Nginx, section.span));
    }
    let word = section.text("kind", found)?;
    let kind = match word.value.as_str() {
        "nginx" => ProxyKind::Nginx,
        "includes" => ProxyKind::Includes,
        "haproxy" => ProxyKind::Haproxy,
        other if OTHERS.contains(&other) => {
            found.push(
                Diagnostic::error(word.span, format!("{other} as the proxy is not supported yet")).help(
                    "write kind: nginx, and put yours in front of it with tls: none and trusted_proxies",
                ),
            );
            return None;
        }
        other => {
            found.push(
                Diagnostic::error(word.span, format!("unknown kind of proxy \"{other}\""))
                    .help(choose(other, &["nginx", "haproxy", "includes"])),
            );
            return None;
        }
    };
    Some(Spanned::new(kind, word.span))
}

fn tls(section: &Section<'_>, includes: bool, found: &mut Found) -> Option<Tls> {
    const HELP: &str =
        "tls: {certificate: /path/fullchain.pem, key: /path/privkey.pem}, or tls: none behind another proxy";
    let Some((span, _)) = section.entry("tls") else {
        if includes {
            return Some(Tls::None);
        }
        section.missing("tls", HELP, found);
        return None;
    };
    let node = section.node("tls", found)?;
    match &node.kind {
        Kind::String(word) if word == "none" => return Some(Tls::None),
        Kind::String(word) if matches!(word.as_str(), "acme" | "letsencrypt" | "auto") => {
            found.push(
                Diagnostic::error(node.span, "fetching certificates is not supported yet")
                    .help("use certbot or the like and write tls: {certificate: …, key: …}"),
            );
            return None;
        }
        Kind::Map(_) => {}
        _ => {
            found.push(wrong(node, "\"tls\" in proxy", "none or a mapping").help(format!("write {HELP}")));
            return None;
        }
    }
    if includes {
        found.push(
            Diagnostic::error(span, "tls with kind: includes")
                .help("delete tls: with includes the certificate belongs to the vhost of your own"),
        );
    }
    let tls = Section::open(node, "proxy.tls", "proxy.tls", span, &["certificate", "key"], found)?;
    let path = |key: &str, found: &mut Found| {
        tls.required(key, &format!("{key}: /path/to/file.pem"), found)
            .filter(|value| names::path(value, &format!("\"{key}\" in proxy.tls"), found))
    };
    let (certificate, key) = (path("certificate", found), path("key", found));
    Some(Tls::Files { certificate: certificate?, key: key? })
}
