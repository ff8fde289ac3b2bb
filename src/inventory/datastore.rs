//! `postgresql:` and `redis:`: ours on a host, or somebody else's.

use serde_json::Value;

use super::decode::{Found, Section, choose, wrong};
use super::secrets::only_reference;
use super::{config, names};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// PostgreSQL or Redis: ours on a host, or somebody else's.
#[derive(Debug, Clone)]
pub enum Datastore {
    /// Installed and configured by synprov on this host.
    Host(Spanned<String>),
    /// Exists already; synprov only checks it.
    External(External),
}

/// `external:` of `postgresql:` or `redis:`.
#[derive(Debug, Clone)]
pub struct External {
    /// Name or address.
    pub host: Spanned<String>,
    /// TCP port; the product's default when absent.
    pub port: Option<u16>,
    /// PostgreSQL: database name.
    pub database: Option<String>,
    /// PostgreSQL: role name.
    pub user: Option<String>,
    /// Name of the secret with the password.
    pub password: Option<Spanned<String>>,
    /// PostgreSQL: libpq sslmode.
    pub sslmode: Option<String>,
    /// PostgreSQL: further psycopg2 arguments. Redis: further keys of `redis:`.
    pub args: serde_json::Map<String, Value>,
}

/// libpq's values of `sslmode`.
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Postgresql,
    Redis,
}

/// Reads one of the two sections.
pub(super) fn datastore(
    node: &Node,
    at: Span,
    store: Store,
    found: &mut Found,
) -> Option<Spanned<Datastore>> {
    let name = match store {
        Store::Postgresql => "postgresql",
        Store::Redis => "redis",
    };
    let section = Section::open(node, name, name, at, &["host", "external"], found)?;
    let value = match (section.entry("host"), section.entry("external")) {
        (Some((first, _)), Some((second, _))) => {
            found.push(
                Diagnostic::error(second, format!("{name} has both \"host\" and \"external\""))
                    .related(first, "the other one")
                    .help("host: synprov installs it there; external: it exists already. keep one of them"),
            );
            return None;
        }
        (None, None) => {
            section.missing(
                "host",
                "host: NAME to install it there, or external: {host: …} if it exists already",
                found,
            );
            return None;
        }
        (Some(_), None) => Datastore::Host(section.text("host", found)?),
        (None, Some((span, node))) => Datastore::External(external(node, span, name, store, found)?),
    };
    Some(Spanned::new(value, at))
}

fn external(node: &Node, at: Span, name: &str, store: Store, found: &mut Found) -> Option<External> {
    let what = format!("{name}.external");
    let keys: &[&'static str] = match store {
        Store::Postgresql => &["host", "port", "database", "user", "password", "sslmode", "args"],
        Store::Redis => &["host", "port", "password", "args"],
    };
    let section = Section::open(node, &what, &what, at, keys, found)?;
    let host = section
        .required("host", "host: its name or address", found)
        .filter(|value| names::host_or_ip(value, &format!("\"host\" in {what}"), found));
    let sslmode = section.text("sslmode", found).filter(|mode| {
        let known = SSL_MODES.contains(&mode.value.as_str());
        if !known {
            found.push(
                Diagnostic::error(mode.span, format!("unknown sslmode \"{}\"", mode.value))
                    .help(choose(&mode.value, SSL_MODES)),
            );
        }
        known
    });
    let identifier = |key: &'static str, found: &mut Found| {
        if !keys.contains(&key) {
            return None;
        }
        section.text(key, found).filter(|value| identifier(value, key, &what, found)).map(|value| value.value)
    };
    Some(External {
        port: section.integer("port", 1..=65535, found).and_then(|port| u16::try_from(port.value).ok()),
        database: identifier("database", found),
        user: identifier("user", found),
        password: only_reference(&section, "password", found),
        sslmode: sslmode.map(|mode| mode.value),
        args: args(&section, store, found),
        host: host?,
    })
}

/// A plain SQL identifier, which also needs no escaping in URLs and passfiles.
fn identifier(value: &Spanned<String>, key: &str, what: &str, found: &mut Found) -> bool {
    let text = value.value.as_str();
    let good = (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !good {
        found.push(
            Diagnostic::error(value.span, format!("\"{key}\" in {what} is no plain PostgreSQL name"))
                .help("letters, digits, _ and -, at most 63, beginning with a letter"),
        );
    }
    good
}

fn args(
    section: &Section<'_>,
    store: Store,
    found: &mut Found,
) -> serde_json::Map<String, serde_json::Value> {
    let Some(node) = section.node("args", found) else { return serde_json::Map::new() };
    let Kind::Map(entries) = &node.kind else {
        found.push(wrong(node, &format!("\"args\" in {}", section.what), "a mapping"));
        return serde_json::Map::new();
    };
    let owned: &[(&str, &str)] = match store {
        Store::Postgresql => &[
            ("host", "host"),
            ("port", "port"),
            ("database", "database"),
            ("dbname", "database"),
            ("user", "user"),
            ("password", "password: {secret: NAME}"),
            ("passfile", "password: {secret: NAME}"),
            ("sslmode", "sslmode"),
            ("cp_min", "db_pool: {min: …} under defaults"),
            ("cp_max", "db_pool: {max: …} under defaults"),
        ],
        Store::Redis => &[
            ("enabled", "nothing: Redis is on whenever there are workers"),
            ("host", "host"),
            ("port", "port"),
            ("password", "password: {secret: NAME}"),
            ("password_path", "password: {secret: NAME}"),
        ],
    };
    for (key, _) in entries {
        if let Some((_, instead)) = owned.iter().find(|(name, _)| *name == key.value) {
            found.push(
                Diagnostic::error(
                    key.span,
                    format!("\"{}\" does not belong in args of {}", key.value, section.what),
                )
                .help(format!("write {instead}")),
            );
        }
    }
    config::json_map(entries, found)
}
