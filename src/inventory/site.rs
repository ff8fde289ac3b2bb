//! The keys of `proxy:` that say what the site shows besides Synapse, and to whom.
//!
//! Never here: hosts, kind and certificates of the proxy.

use serde_json::Value;

use super::config::json_map;
use super::decode::{Found, Section, choose, wrong};
use super::names;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// `proxy.well_known`.
#[derive(Debug, Clone, Default)]
pub struct WellKnown {
    /// What clients are told besides where the server is; `None`: Synapse answers them.
    pub client: Option<serde_json::Map<String, Value>>,
    /// Where other servers shall go: `matrix.example.org:443`.
    pub server: Option<Spanned<String>>,
}

/// One of `proxy.routes`: a location for something that is not Synapse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraRoute {
    /// Prefix of the path.
    pub path: Spanned<String>,
    /// What is there.
    pub target: ExtraTarget,
}

/// What is at an extra route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtraTarget {
    /// Files below this directory of the proxy's host.
    Root(String),
    /// Another server: `http://127.0.0.1:8090`.
    Pass(String),
    /// A redirection to this URL.
    Redirect(String),
    /// An empty answer with this status.
    Status(u16),
}

/// `proxy.http2`: nginx has two ways to say it, and no version reads both without a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http2 {
    /// `listen … http2`: every nginx; 1.25.1 and later warn that it is deprecated.
    #[default]
    Listen,
    /// `http2 on`: nginx 1.25.1 and later.
    Directive,
    /// HTTP/1.1 only.
    Off,
}

/// `admin: {from: [CIDR]}`.
pub(super) fn admin(section: &Section<'_>, found: &mut Found) -> Vec<Spanned<String>> {
    let Some((at, node)) = section.entry("admin") else { return Vec::new() };
    let Some(admin) = Section::open(node, "admin of proxy", "proxy.admin", at, &["from"], found) else {
        return Vec::new();
    };
    if admin.entry("from").is_none() {
        admin.missing("from", "from: [10.8.0.0/24]: the networks that may ask the admin API", found);
    }
    let networks = admin.texts("from", found).into_iter().filter_map(|value| {
        let shown = format!("network \"{}\" of admin", value.value);
        let network = names::cidr(&value, &shown, found)?;
        if network.ends_with("/0") {
            found.push(
                Diagnostic::error(value.span, format!("{shown} lets everybody at the admin API"))
                    .help("name only networks of your own: it deletes rooms and takes over accounts"),
            );
        }
        Some(Spanned::new(network, value.span))
    });
    networks.collect()
}

/// `server_names: [NAME]`.
pub(super) fn server_names(section: &Section<'_>, found: &mut Found) -> Vec<Spanned<String>> {
    let mut names = section.texts("server_names", found);
    names.retain(|name| {
        let good = names::is_dns_name(&name.value);
        if !good {
            found.push(
                Diagnostic::error(name.span, format!("\"{}\" in server_names is no DNS name", name.value))
                    .help("write names without scheme, port and wildcard: chat.example.org"),
            );
        }
        good
    });
    names
}

/// `acme_root: PATH`.
pub(super) fn acme_root(section: &Section<'_>, found: &mut Found) -> Option<Spanned<String>> {
    section.text("acme_root", found).filter(|path| names::path(path, "\"acme_root\" in proxy", found))
}

/// `well_known: {client: {…}, server: HOST:PORT}`.
pub(super) fn well_known(section: &Section<'_>, found: &mut Found) -> WellKnown {
    let Some((at, node)) = section.entry("well_known") else { return WellKnown::default() };
    let what = "well_known of proxy";
    let Some(section) = Section::open(node, what, "proxy.well_known", at, &["client", "server"], found)
    else {
        return WellKnown::default();
    };
    let client = section.node("client", found).and_then(|node| match &node.kind {
        Kind::Map(entries) => Some(json_map(entries, found)),
        _ => {
            let help = "write client: {m.identity_server: {base_url: https://id.example.org}}, or {}";
            found.push(wrong(node, "\"client\" in well_known", "a mapping").help(help));
            None
        }
    });
    let server = section.text("server", found).filter(|server| {
        let (host, port) = server.value.rsplit_once(':').unwrap_or((&server.value, "443"));
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host =
            inner.map_or_else(|| names::is_dns_name(host), |ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
        let good = host && port.parse::<u16>().is_ok_and(|port| port > 0);
        if !good {
            found.push(
                Diagnostic::error(server.span, "\"server\" in well_known is no name with a port")
                    .help("write what other servers shall connect to: matrix.example.org:443"),
            );
        }
        good
    });
    WellKnown { client, server }
}

/// `http2: listen`, `directive` or `off`.
pub(super) fn http2(section: &Section<'_>, found: &mut Found) -> Http2 {
    let Some(node) = section.node("http2", found) else { return Http2::default() };
    match (&node.kind, node.as_str()) {
        (_, Some("listen")) => Http2::Listen,
        (_, Some("directive")) => Http2::Directive,
        (Kind::Bool(false), _) | (_, Some("off")) => Http2::Off,
        (_, Some(other)) => {
            let summary = format!("unknown way \"{other}\" of asking for HTTP/2");
            let help = choose(other, &["listen", "directive", "off"]);
            found.push(Diagnostic::error(node.span, summary).help(help));
            Http2::default()
        }
        _ => {
            let help = "listen suits every nginx; directive is for 1.25.1 and later, which warn about listen";
            found.push(wrong(node, "\"http2\" in proxy", "listen, directive or off").help(help));
            Http2::default()
        }
    }
}

/// Prefixes that are Synapse's, whatever a route says.
const TAKEN: [&str; 4] = ["/_matrix", "/_synapse", "/.well-known/matrix", "/.well-known/acme-challenge"];

/// `routes: [{path: /, root: /var/www/element}, …]`.
pub(super) fn routes(section: &Section<'_>, found: &mut Found) -> Vec<ExtraRoute> {
    let Some(node) = section.node("routes", found) else { return Vec::new() };
    let Kind::Seq(items) = &node.kind else {
        let help = "write routes: [{path: /, root: /var/www/element}]";
        found.push(wrong(node, "\"routes\" in proxy", "a list").help(help));
        return Vec::new();
    };
    let mut routes: Vec<ExtraRoute> = Vec::new();
    for item in items.iter().take(100) {
        let Some(route) = route(item, found) else { continue };
        if let Some(first) = routes.iter().find(|other| other.path.value == route.path.value) {
            found.push(
                Diagnostic::error(route.path.span, format!("two routes for {}", route.path.value))
                    .related(first.path.span, "the other one")
                    .help("delete one of them"),
            );
            continue;
        }
        routes.push(route);
    }
    routes
}

fn route(node: &Node, found: &mut Found) -> Option<ExtraRoute> {
    const TARGETS: [&str; 3] = ["root", "proxy_pass", "return"];
    let keys = &["path", "root", "proxy_pass", "return"];
    let section = Section::open(node, "a route of proxy", "proxy.routes.*", node.span, keys, found)?;
    let path = section.required("path", "path: /element/", found).filter(|path| prefix(path, found))?;
    let said: Vec<(&str, Span)> =
        TARGETS.iter().filter_map(|key| Some((*key, section.entry(key)?.0))).collect();
    let (key, at) = match said[..] {
        [one] => one,
        [] => {
            let summary = format!("route {} of proxy does not say what it serves", path.value);
            found
                .push(Diagnostic::error(path.span, summary).help(
                    "add root: DIRECTORY, proxy_pass: http://127.0.0.1:8090, or return: URL or status",
                ));
            return None;
        }
        [(_, first), (_, second), ..] => {
            let summary = format!("route {} of proxy says two things", path.value);
            found.push(
                Diagnostic::error(second, summary)
                    .related(first, "the other one")
                    .help("keep one of root, proxy_pass and return"),
            );
            return None;
        }
    };
    let target = match key {
        "root" => {
            let root = section.text("root", found)?;
            if !path.value.ends_with('/') {
                let summary = format!("path \"{}\" of a route with root has no slash at its end", path.value);
                let help = format!("write path: {}/: files are below it", path.value);
                found.push(Diagnostic::error(path.span, summary).help(help));
                return None;
            }
            names::path(&root, "\"root\" of a route", found).then_some(ExtraTarget::Root(root.value))
        }
        "proxy_pass" => section
            .text("proxy_pass", found)
            .filter(|url| server(url, found))
            .map(|url| ExtraTarget::Pass(url.value)),
        _ => returned(&section, at, found),
    };
    Some(ExtraRoute { path, target: target? })
}

fn prefix(path: &Spanned<String>, found: &mut Found) -> bool {
    let text = &path.value;
    let plain = text.starts_with('/')
        && !text.contains("//")
        && !text.split('/').any(|part| part == "." || part == "..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._~-+@=".contains(&byte));
    if !plain {
        found.push(
            Diagnostic::error(
                path.span,
                format!("path \"{text}\" of a route must begin with / and hold no pattern"),
            )
            .help("write the beginning of paths, as they are decoded: /element/"),
        );
        return false;
    }
    // Also a shorter prefix, since Synapse's own locations are longer; but never one of them.
    if let Some(taken) = TAKEN.iter().find(|taken| text.starts_with(*taken)) {
        found.push(
            Diagnostic::error(path.span, format!("path \"{text}\" of a route is Synapse's ({taken})"))
                .help("what is there follows from workers, admin, well_known and acme_root"),
        );
        return false;
    }
    true
}

/// `http://HOST[:PORT]` without a path: with one, nginx would decode what it passes on.
fn server(url: &Spanned<String>, found: &mut Found) -> bool {
    let rest = url.value.strip_prefix("http://").or_else(|| url.value.strip_prefix("https://"));
    let good = rest.is_some_and(|rest| {
        let socket =
            rest.parse::<std::net::SocketAddr>().is_ok() || rest.parse::<std::net::Ipv4Addr>().is_ok();
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "80"));
        socket || (names::is_dns_name(host) && port.parse::<u16>().is_ok_and(|port| port > 0))
    });
    if !good {
        found.push(
            Diagnostic::error(url.span, "\"proxy_pass\" of a route is no server")
                .help("write scheme, address and port and no path: http://127.0.0.1:8090"),
        );
    }
    good
}

fn returned(section: &Section<'_>, at: Span, found: &mut Found) -> Option<ExtraTarget> {
    let node = section.node("return", found)?;
    if let Kind::Int(status) = node.kind {
        // 444 of nginx would be no answer at all; redirections need a URL.
        let fine = (200..600).contains(&status) && !(300..400).contains(&status) && status != 444;
        if let Some(status) = u16::try_from(status).ok().filter(|_| fine) {
            return Some(ExtraTarget::Status(status));
        }
    }
    let url = node.as_str().filter(|url| {
        (url.starts_with("https://") || url.starts_with("http://"))
            && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"$\"'\\{};".contains(&byte))
    });
    if url.is_none() {
        found.push(
            Diagnostic::error(at, "\"return\" of a route is neither a status nor a URL")
                .help("write return: 404, or return: https://element.example.org/"),
        );
    }
    url.map(|url| ExtraTarget::Redirect(url.to_owned()))
}
