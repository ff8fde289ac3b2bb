//! `select:` of a pool: which requests of its classes are its own.
//!
//! Never here: whether the application service exists, or who takes what is left (the topology's business).

use regex::Regex;

use super::decode::{Found, Section, text};
use super::names;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// `select:` of a pool. A request is selected that fits one entry of every list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Select {
    /// Where the key stands.
    pub span: Span,
    /// Names of application services.
    pub appservices: Vec<Spanned<String>>,
    /// Regular expressions on `User-Agent`.
    pub user_agents: Vec<Spanned<String>>,
    /// CIDRs of the client.
    pub sources: Vec<Spanned<String>>,
    /// Room ids and aliases.
    pub rooms: Vec<Spanned<String>>,
    /// Matrix ids.
    pub users: Vec<Spanned<String>>,
}

impl Select {
    /// Whether there is nothing to select by.
    pub fn is_empty(&self) -> bool {
        [&self.appservices, &self.user_agents, &self.sources, &self.rooms, &self.users]
            .into_iter()
            .all(Vec::is_empty)
    }
}

/// Keys of the section.
const KEYS: &[&str] = &["appservice", "user_agent", "source", "rooms", "users"];

/// Reads the section. `None` if nothing of it is left to select by.
pub(super) fn select(node: &Node, pool: &str, at: Span, found: &mut Found) -> Option<Select> {
    let what = format!("select of {pool}");
    let section = Section::open(node, &what, "select", at, KEYS, found)?;
    let select = Select {
        span: at,
        appservices: list(&section, "appservice", found),
        user_agents: keep(&section, "user_agent", found, expression),
        sources: keep(&section, "source", found, |value, what, found| {
            let value_at = value.span;
            names::cidr(&value, what, found).map(|network| Spanned::new(network, value_at))
        }),
        rooms: keep(&section, "rooms", found, |value, what, found| {
            identifier(value, what, &['!', '#'], "!abcdef:example.org, or #alias:example.org", found)
        }),
        users: keep(&section, "users", found, |value, what, found| {
            identifier(value, what, &['@'], "\"@alice:example.org\"", found)
        }),
    };
    if !KEYS.iter().any(|key| section.has(key)) {
        found.push(
            Diagnostic::error(at, format!("{what} selects by nothing"))
                .help("write for example select: {appservice: NAME}, or delete it"),
        );
    }
    (!select.is_empty()).then_some(select)
}

/// One text or a list of them.
fn list(section: &Section<'_>, key: &str, found: &mut Found) -> Vec<Spanned<String>> {
    match section.entry(key).map(|(_, node)| &node.kind) {
        None => Vec::new(),
        Some(Kind::Seq(items)) if items.is_empty() => {
            let at = section.entry(key).map_or(section.span, |(at, _)| at);
            let summary = format!("\"{key}\" in {} is empty", section.what);
            found.push(Diagnostic::error(at, summary).help("write a value or delete the key"));
            Vec::new()
        }
        Some(Kind::Seq(_)) => section.texts(key, found),
        Some(_) => section
            .node(key, found)
            .and_then(|node| text(node, &format!("\"{key}\" in {}", section.what), found))
            .into_iter()
            .collect(),
    }
}

fn keep(
    section: &Section<'_>,
    key: &str,
    found: &mut Found,
    check: impl Fn(Spanned<String>, &str, &mut Found) -> Option<Spanned<String>>,
) -> Vec<Spanned<String>> {
    let what = format!("\"{key}\" in {}", section.what);
    list(section, key, found).into_iter().filter_map(|value| check(value, &what, found)).collect()
}

/// An expression that Rust, nginx (PCRE) and HAProxy (PCRE) read alike.
fn expression(value: Spanned<String>, what: &str, found: &mut Found) -> Option<Spanned<String>> {
    let mut refuse = |problem: String, help: &str| {
        found.push(Diagnostic::error(value.span, format!("{what} {problem}")).help(help));
        None
    };
    if value.value.chars().any(char::is_control) || value.value.len() > 1000 {
        return refuse(
            "is too long or has control characters".to_owned(),
            "write an expression like ^mautrix-",
        );
    }
    match Regex::new(&value.value) {
        _ if value.value.is_empty() => {
            refuse("is empty and would match everything".to_owned(), "write an expression like ^mautrix-")
        }
        Err(error) => {
            let reason = error.to_string().lines().last().unwrap_or_default().replace("error: ", "");
            refuse(format!("is no regular expression: {reason}"), "write an expression like ^mautrix-")
        }
        Ok(regex) if regex.capture_names().flatten().next().is_some() => {
            refuse("names a group".to_owned(), "write (?:…) instead: nginx would make a variable of it")
        }
        Ok(_) => Some(value),
    }
}

fn identifier(
    value: Spanned<String>,
    what: &str,
    sigils: &[char],
    example: &str,
    found: &mut Found,
) -> Option<Spanned<String>> {
    let text = &value.value;
    // Since room version 12 a room's id has no server.
    let server = text.contains(':') || text.starts_with('!');
    let plain = text.chars().all(|c| !c.is_control() && !c.is_whitespace()) && text.len() <= 255;
    if text.starts_with(sigils) && text.chars().count() > 1 && server && plain {
        return Some(value);
    }
    let summary =
        format!("{what} is no Matrix identifier: \"{}\"", text.chars().take(60).collect::<String>());
    found.push(Diagnostic::error(value.span, summary).help(format!("write it in full: {example}")));
    None
}
