//! A small decoder over the YAML tree that never stops at the first error.
//!
//! A [`Section`] is a mapping with a closed set of keys; its getters report what is missing or of
//! the wrong type and answer `None`. Never here: what a key of the inventory means.

use std::ops::RangeInclusive;

use super::unsupported;
use crate::diagnostic::{Diagnostic, Severity, Span, Spanned};
use crate::yaml::{Kind, Node};

/// Longest list that is looked at, and most unknown keys of one mapping that are reported.
const MOST: usize = 1000;

/// Everything wrong so far.
pub(super) type Found = Vec<Diagnostic>;

/// A mapping of known keys.
pub(super) struct Section<'a> {
    /// As messages call it: `host "hs1"`, `synapse`.
    pub what: String,
    /// Where the key stands that it is the value of.
    pub span: Span,
    entries: &'a [(Spanned<String>, Node)],
    /// Keys that an unknown key was probably meant to be: not missing, only misspelt.
    guessed: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Opens `node` as a mapping and reports keys that are not in `keys`. `path` names the kind of
    /// section in the table of what is not supported yet: `hosts.*`.
    pub fn open(
        node: &'a Node,
        what: impl Into<String>,
        path: &str,
        span: Span,
        keys: &[&'static str],
        found: &mut Found,
    ) -> Option<Self> {
        let what = what.into();
        let entries = entries(node, &what, path, found)?;
        let mut guessed = Vec::new();
        for (key, _) in entries.iter().filter(|(key, _)| !keys.contains(&key.value.as_str())).take(MOST) {
            let (diagnostic, guess) = unknown(key, &what, path, keys);
            guessed.extend(guess);
            // A mapping that others merge is looked at once for each of them.
            if !reported(key.span, found) {
                found.push(diagnostic);
            }
        }
        Some(Self { what, span, entries, guessed })
    }

    /// The key and its value, whatever it is.
    pub fn entry(&self, key: &str) -> Option<(Span, &'a Node)> {
        self.entries.iter().find(|(name, _)| name.value == key).map(|(name, node)| (name.span, node))
    }

    /// The value of a key; a key with nothing behind it is reported.
    pub fn node(&self, key: &str, found: &mut Found) -> Option<&'a Node> {
        let (span, node) = self.entry(key)?;
        if reported(node.span, found) {
            return None;
        }
        if node.kind == Kind::Null {
            found.push(
                Diagnostic::error(span, format!("\"{key}\" in {} is empty", self.what))
                    .help("write a value or delete the key"),
            );
            return None;
        }
        Some(node)
    }

    /// Whether `key` is there, perhaps misspelt.
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some() || self.guessed.contains(&key)
    }

    /// Reports that `key` is missing, unless it is only misspelt; `example` shows how it is written.
    pub fn missing(&self, key: &str, example: &str, found: &mut Found) {
        if self.has(key) {
            return;
        }
        found.push(
            Diagnostic::error(self.span, format!("{} has no \"{key}\"", self.what))
                .help(format!("add {example}")),
        );
    }

    /// Text.
    pub fn text(&self, key: &str, found: &mut Found) -> Option<Spanned<String>> {
        let node = self.node(key, found)?;
        text(node, &format!("\"{key}\" in {}", self.what), found)
    }

    /// Text that must be there.
    pub fn required(&self, key: &str, example: &str, found: &mut Found) -> Option<Spanned<String>> {
        if self.entry(key).is_none() {
            self.missing(key, example, found);
        }
        self.text(key, found)
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str, found: &mut Found) -> Option<bool> {
        let node = self.node(key, found)?;
        match node.kind {
            Kind::Bool(value) => Some(value),
            _ => {
                let mut diagnostic = wrong(node, &format!("\"{key}\" in {}", self.what), "true or false");
                if let Some(text @ ("true" | "false")) = node.as_str() {
                    diagnostic = diagnostic.help(format!("write it without quotes: {text}"));
                }
                found.push(diagnostic);
                None
            }
        }
    }

    /// An integer within `range`.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>, found: &mut Found) -> Option<Spanned<i64>> {
        let node = self.node(key, found)?;
        integer(node, &format!("\"{key}\" in {}", self.what), range, found)
    }

    /// A list of texts; with each its place.
    pub fn texts(&self, key: &str, found: &mut Found) -> Vec<Spanned<String>> {
        let Some(node) = self.node(key, found) else { return Vec::new() };
        let what = format!("\"{key}\" in {}", self.what);
        match &node.kind {
            Kind::Seq(items) => {
                if items.len() > MOST {
                    found.push(Diagnostic::error(node.span, format!("{what} has more than {MOST} entries")));
                }
                let item = format!("an entry of {what}");
                items.iter().take(MOST).filter_map(|node| text(node, &item, found)).collect()
            }
            _ => {
                let mut diagnostic = wrong(node, &what, "a list");
                if let Some(text) = node.as_str() {
                    diagnostic = diagnostic.help(format!("write {key}: [{text}]"));
                }
                found.push(diagnostic);
                Vec::new()
            }
        }
    }
}

/// The entries of a mapping; nothing at all counts as no entries. `path` names the kind of section.
pub(super) fn entries<'a>(
    node: &'a Node,
    what: &str,
    path: &str,
    found: &mut Found,
) -> Option<&'a [(Spanned<String>, Node)]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Null => Some(&[]),
        _ if reported(node.span, found) => None,
        _ => {
            let mut diagnostic = wrong(node, what, "a mapping");
            if let Some(example) = example(path, node.as_str().unwrap_or("hs1")) {
                diagnostic = diagnostic.help(format!("write {example}"));
            }
            found.push(diagnostic);
            None
        }
    }
}

/// How a section is written, with `text` in its place if text stands there instead of a mapping.
fn example(path: &str, text: &str) -> Option<String> {
    Some(match path {
        "hosts" => "hosts: {hs1: {address: 192.0.2.10}}".to_owned(),
        "hosts.*" => format!("{{address: {text}}}"),
        "postgresql" | "redis" | "main" => format!("{path}: {{host: {text}}}"),
        "proxy" => "proxy: {host: hs1, kind: nginx, tls: {…}}".to_owned(),
        "synapse" => "synapse: {server_name: example.org, version: 1.163.2}".to_owned(),
        "defaults" => "defaults: {cache_factor: 0.5}".to_owned(),
        "workers" => "workers: {sync: {host: hs1, handles: [sync]}}".to_owned(),
        "workers.*" => "{host: hs1, handles: [sync]}".to_owned(),
        "appservices.*" => format!("{{file: {text}}}"),
        "db_pool" => "db_pool: {min: 2, max: 10}".to_owned(),
        _ => return None,
    })
}

/// Whether an error about this very place was found already: one is enough.
pub(super) fn reported(span: Span, found: &Found) -> bool {
    // Beyond so many findings only the first ones matter, and looking through all takes its time.
    found.iter().take(1000).any(|other| other.span == span && other.severity == Severity::Error)
}

/// Text.
pub(super) fn text(node: &Node, what: &str, found: &mut Found) -> Option<Spanned<String>> {
    if reported(node.span, found) {
        return None;
    }
    if let Some(text) = node.as_str() {
        return Some(Spanned::new(text.to_owned(), node.span));
    }
    let mut diagnostic = wrong(node, what, "text");
    if let Some(written) = node.written.as_deref().filter(|written| !written.is_empty()) {
        diagnostic = diagnostic.help(format!("put it in quotes: \"{written}\""));
    }
    if let Kind::Seq(items) = &node.kind
        && let [Some(only)] = items.iter().map(Node::as_str).collect::<Vec<_>>()[..]
    {
        diagnostic = diagnostic.help(format!("write it without brackets: {only}"));
    }
    found.push(diagnostic);
    None
}

/// An integer within `range`.
pub(super) fn integer(
    node: &Node,
    what: &str,
    range: RangeInclusive<i64>,
    found: &mut Found,
) -> Option<Spanned<i64>> {
    match node.kind {
        Kind::Int(value) if range.contains(&value) => Some(Spanned::new(value, node.span)),
        Kind::Int(value) => {
            found.push(Diagnostic::error(node.span, format!("{what} is {value}")).help(format!(
                "write a number from {} to {}",
                range.start(),
                range.end()
            )));
            None
        }
        _ => {
            let mut diagnostic = wrong(node, what, "an integer");
            if node.as_str().is_some_and(|text| text.parse::<i64>().is_ok()) {
                diagnostic = diagnostic.help("write it without quotes");
            }
            found.push(diagnostic);
            None
        }
    }
}

/// `WHAT must be EXPECTED, this is a list`.
pub(super) fn wrong(node: &Node, what: &str, expected: &str) -> Diagnostic {
    Diagnostic::error(node.span, format!("{what} must be {expected}, this is {}", node.describe()))
}

/// The one of `known` that `word` was probably meant to be.
pub(super) fn suggest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = word.to_ascii_lowercase().replace('-', "_");
    let limit = (plain.chars().count() / 3).max(1);
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&plain, known), *known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
        .or_else(|| {
            // `federation` for `federation_reader`, when only one begins like that.
            let mut alike = known
                .iter()
                .filter(|known| plain.len() > 2 && (known.starts_with(&plain) || plain.starts_with(*known)));
            alike.next().filter(|_| alike.next().is_none()).copied()
        })
}

/// `did you mean "X"?`, or the list to choose from.
pub(super) fn choose(word: &str, known: &[&str]) -> String {
    match suggest(word, known) {
        Some(known) => format!("did you mean \"{known}\"?"),
        None => format!("known: {}", known.join(", ")),
    }
}

/// What is said about an unknown key, and the key it was probably meant to be.
fn unknown(
    key: &Spanned<String>,
    what: &str,
    path: &str,
    keys: &[&'static str],
) -> (Diagnostic, Option<&'static str>) {
    if let Some((thing, instead)) = unsupported::key(path, &key.value) {
        return (Diagnostic::error(key.span, format!("{thing} not supported yet")).help(instead), None);
    }
    let diagnostic = Diagnostic::error(key.span, format!("unknown key \"{}\" in {what}", key.value));
    if let Some(instead) = unsupported::elsewhere(path, &key.value) {
        let guess = keys.iter().find(|known| instead.starts_with(&format!("did you mean \"{known}\"")));
        return (diagnostic.help(instead), guess.copied());
    }
    match suggest(&key.value, keys) {
        Some(meant) => (diagnostic.meant(meant), Some(meant)),
        None => (diagnostic.help(choose(&key.value, keys)), None),
    }
}
