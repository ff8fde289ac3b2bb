//! `main.listeners:`: listeners of main besides those that follow from the topology, and `metrics:`.
//!
//! Never in this file: which ports are taken by others (the topology knows).

use std::net::IpAddr;

use indexmap::IndexMap;

use super::decode::{Found, Section, choose, entries, text, wrong};
use super::names;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::yaml::{Kind, Node};

/// `metrics:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Networks (CIDR) that Prometheus asks from: for the firewall.
    pub networks: Vec<Spanned<String>>,
}

/// One entry of `main.listeners:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraListener {
    /// What it serves.
    pub kind: ListenerKind,
    /// TCP port.
    pub port: u16,
    /// IP address it binds; 127.0.0.1 by default.
    pub address: String,
}

/// What a listener serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    /// HTTP resources.
    Http {
        /// `client`, `federation`, …
        resources: Vec<String>,
        /// `X-Forwarded-For` is believed.
        x_forwarded: bool,
    },
    /// Synapse's Python prompt, on loopback only.
    Manhole,
}

/// HTTP resources that a listener of the admin's own may have (synapse/config/server.py, KNOWN_RESOURCES).
const RESOURCES: &[&str] =
    &["client", "federation", "media", "keys", "openid", "consent", "static", "health"];

/// `listeners:` of main.
pub(super) fn listeners(
    section: &Section<'_>,
    found: &mut Found,
) -> IndexMap<String, Spanned<ExtraListener>> {
    let mut listeners = IndexMap::new();
    let Some(node) = section.node("listeners", found) else { return listeners };
    for (key, node) in entries(node, "main.listeners", "main.listeners", found).unwrap_or(&[]) {
        let mut named = names::name(key, "listener", found);
        if matches!(key.value.as_str(), "client" | "replication" | "metrics") {
            named = false;
            found.push(
                Diagnostic::error(key.span, format!("main has a listener \"{}\" already", key.value))
                    .help("choose another name: this is for listeners besides synprov's own"),
            );
        }
        if let Some(listener) = listener(key, node, found).filter(|_| named) {
            listeners.insert(key.value.clone(), Spanned::new(listener, key.span));
        }
    }
    listeners
}

fn listener(key: &Spanned<String>, node: &Node, found: &mut Found) -> Option<ExtraListener> {
    let what = format!("listener \"{}\"", key.value);
    let keys = &["type", "port", "address", "resources", "x_forwarded"];
    let section = Section::open(node, &what, "main.listeners.*", key.span, keys, found)?;
    if section.entry("port").is_none() {
        section.missing("port", "port: 9000", found);
    }
    let port = section.integer("port", 1..=65535, found);
    let address = match section.text("address", found) {
        None => Some("127.0.0.1".to_owned()),
        Some(address) => match address.value.parse::<IpAddr>() {
            Ok(ip) => Some(ip.to_string()),
            Err(_) => {
                found.push(
                    Diagnostic::error(address.span, format!("\"address\" in {what} is no IP address"))
                        .help("write 127.0.0.1, or an address of main's host in a private network"),
                );
                None
            }
        },
    };
    let resources = resources(&section, found);
    let x_forwarded = section.boolean("x_forwarded", found).unwrap_or(false);
    let kind =
        match section.text("type", found) {
            Some(kind) if kind.value == "manhole" => {
                let loopback = |address: &String| address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
                if let (false, Some((span, _))) =
                    (address.as_ref().is_none_or(loopback), section.entry("address"))
                {
                    found
                    .push(Diagnostic::error(span, format!("{what} is a manhole that others can reach")).help(
                    "a manhole is a Python prompt inside of Synapse: leave address out, it is then 127.0.0.1",
                ));
                }
                ListenerKind::Manhole
            }
            Some(kind) if kind.value != "http" => {
                found.push(Diagnostic::error(kind.span, format!("\"type\" in {what} is unknown")).help(
                    "write http (the default) or manhole; for metrics write metrics: true under synapse",
                ));
                return None;
            }
            _ => {
                if resources.is_empty() {
                    section.missing("resources", "resources: [client]", found);
                }
                ListenerKind::Http { resources, x_forwarded }
            }
        };
    Some(ExtraListener { kind, port: u16::try_from(port?.value).ok()?, address: address? })
}

fn resources(section: &Section<'_>, found: &mut Found) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for resource in section.texts("resources", found) {
        let name = resource.value.as_str();
        if RESOURCES.contains(&name) {
            if !kept.contains(&resource.value) {
                kept.push(resource.value);
            }
            continue;
        }
        let help = match name {
            "replication" => "leave it out: main has a replication listener of its own".to_owned(),
            "metrics" => "write metrics: true under synapse".to_owned(),
            name => choose(name, RESOURCES),
        };
        let summary = format!("\"{name}\" in {} is no resource for it", section.what);
        found.push(Diagnostic::error(resource.span, summary).help(help));
    }
    kept
}

/// `metrics:` of synapse.
pub(super) fn metrics(section: &Section<'_>, found: &mut Found) -> Option<Spanned<Metrics>> {
    let (span, _) = section.entry("metrics")?;
    let node = section.node("metrics", found)?;
    match &node.kind {
        Kind::Bool(on) => on.then(|| Spanned::new(Metrics { networks: Vec::new() }, span)),
        Kind::Map(_) => {
            let section =
                Section::open(node, "synapse.metrics", "synapse.metrics", span, &["networks"], found)?;
            let networks =
                section.node("networks", found).map(|node| networks(node, found)).unwrap_or_default();
            Some(Spanned::new(Metrics { networks }, span))
        }
        _ => {
            found.push(
                wrong(node, "\"metrics\" in synapse", "true or a mapping").help(
                    "write metrics: true, or metrics: {networks: [10.9.0.0/24]} with Prometheus' network",
                ),
            );
            None
        }
    }
}

fn networks(node: &Node, found: &mut Found) -> Vec<Spanned<String>> {
    let what = "\"networks\" in synapse.metrics";
    let Kind::Seq(items) = &node.kind else {
        found.push(wrong(node, what, "a list").help("write networks: [10.9.0.0/24]"));
        return Vec::new();
    };
    let mut kept = Vec::new();
    for item in items.iter().take(100) {
        let Some(written) = text(item, &format!("an entry of {what}"), found) else { continue };
        if let Some(cidr) = names::cidr(&written, &format!("\"{}\" in {what}", written.value), found) {
            kept.push(Spanned::new(cidr, written.span));
        }
    }
    kept
}
