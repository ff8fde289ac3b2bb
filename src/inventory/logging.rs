//! `logging:`: where a process writes its log and how much of it.
//!
//! Never in this file: Python's form of it (modules/documents/log_yaml.rs).

use indexmap::IndexMap;

use super::decode::{Found, Section, choose, entries, wrong};
use super::names;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::yaml::{Kind, Node};

/// `logging:`.
#[derive(Debug, Clone, Default)]
pub struct Logging {
    /// The journal, if nothing is said.
    pub to: Option<Spanned<LogTo>>,
    /// Days that a file is kept; 14 by default.
    pub keep: Option<Spanned<u32>>,
    /// Lowest level that is logged; INFO by default.
    pub level: Option<Spanned<String>>,
    /// Level by logger.
    pub loggers: IndexMap<String, Spanned<String>>,
}

/// `logging.to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error, hence the journal.
    Journal,
    /// `NAME.log` in this directory, a new one each day.
    Directory(String),
}

const LEVELS: &[&str] = &["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const HELP: &str =
    "write logging: journald, logging: /opt/matrix/log (a directory), or logging: {to: …, level: INFO}";

/// `logging:` of a section; nothing written, nothing said.
pub(super) fn logging(section: &Section<'_>, found: &mut Found) -> Logging {
    let Some(node) = section.node("logging", found) else { return Logging::default() };
    let what = format!("logging in {}", section.what);
    if node.as_str().is_some() {
        return Logging { to: to(node, &what, found), ..Logging::default() };
    }
    if !matches!(node.kind, Kind::Map(_)) {
        found.push(wrong(node, &what, "a mapping or text").help(HELP));
        return Logging::default();
    }
    let keys = &["to", "keep", "level", "loggers"];
    let Some(section) = Section::open(node, &what, "logging", node.span, keys, found) else {
        return Logging::default();
    };
    Logging {
        to: section.node("to", found).and_then(|node| to(node, &format!("\"to\" in {what}"), found)),
        keep: section
            .integer("keep", 1..=3650, found)
            .and_then(|keep| Some(Spanned::new(u32::try_from(keep.value).ok()?, keep.span))),
        level: section
            .node("level", found)
            .and_then(|node| level(node, &format!("\"level\" in {what}"), found)),
        loggers: loggers(&section, &what, found),
    }
}

fn to(node: &Node, what: &str, found: &mut Found) -> Option<Spanned<LogTo>> {
    let text = super::decode::text(node, what, found)?;
    if text.value == "journald" {
        return Some(Spanned::new(LogTo::Journal, text.span));
    }
    if !text.value.starts_with('/') {
        found.push(
            Diagnostic::error(text.span, format!("{what} is neither journald nor a directory")).help(HELP),
        );
        return None;
    }
    names::path(&text, what, found).then(|| Spanned::new(LogTo::Directory(text.value), text.span))
}

fn level(node: &Node, what: &str, found: &mut Found) -> Option<Spanned<String>> {
    let level = super::decode::text(node, what, found)?;
    if LEVELS.contains(&level.value.as_str()) {
        return Some(level);
    }
    let upper = level.value.to_ascii_uppercase();
    found.push(Diagnostic::error(level.span, format!("{what} is no level")).help(
        if LEVELS.contains(&upper.as_str()) {
            format!("write it in capitals: {upper}")
        } else {
            choose(&upper, LEVELS)
        },
    ));
    None
}

fn loggers(section: &Section<'_>, what: &str, found: &mut Found) -> IndexMap<String, Spanned<String>> {
    let mut loggers = IndexMap::new();
    let Some(node) = section.node("loggers", found) else { return loggers };
    let what = format!("\"loggers\" in {what}");
    for (name, node) in entries(node, &what, "loggers", found).unwrap_or(&[]) {
        let dotted = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if name.value.len() > 200 || !name.value.split('.').all(dotted) {
            found.push(
                Diagnostic::error(name.span, format!("a name in {what} is no logger"))
                    .help("write a dotted Python name: synapse.http.client; for all of them write level"),
            );
            continue;
        }
        let Some(level) = level(node, &format!("\"{}\" in {what}", name.value), found) else { continue };
        if name.value == "synapse.storage.SQL" && level.value == "DEBUG" {
            found.push(
                Diagnostic::warning(
                    level.span,
                    "synapse.storage.SQL at DEBUG writes access tokens to the log",
                )
                .help("write INFO, unless nobody else reads these logs"),
            );
        }
        loggers.insert(name.value.clone(), level);
    }
    loggers
}
