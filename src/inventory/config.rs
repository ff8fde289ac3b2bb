//! `config:`: free YAML for Synapse, minus the keys that synprov owns.

use indexmap::IndexMap;
use serde_json::Value;

use super::decode::{Found, entries};
use super::owned;
use super::secrets::reference;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::secret::names_a_secret;
use crate::yaml::{Kind, Node};

/// Free YAML meant for Synapse, with the place of every key (dotted path from its root) for diagnostics.
#[derive(Debug, Clone, Default)]
pub struct ConfigMap {
    /// The keys. A secret is `{"secret": NAME}` as a one-key mapping, just as written.
    pub values: serde_json::Map<String, Value>,
    /// Place of each key by dotted path: `email`, `email.smtp_pass`.
    pub spans: IndexMap<String, Span>,
    /// Names used in `{secret: NAME}` with the place.
    pub secrets: Vec<Spanned<String>>,
}

/// Whose `config:` it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Shared,
    Worker,
}

/// Reads a `config:`; owned keys are reported and left out.
pub(super) fn config(node: &Node, what: &str, owner: Owner, found: &mut Found) -> ConfigMap {
    let mut config = ConfigMap::default();
    for (key, node) in entries(node, what, "config", found).unwrap_or(&[]) {
        if let Some(instead) = owned::instead(&key.value, owner) {
            found.push(
                Diagnostic::error(key.span, format!("\"{}\" in {what} is written by synprov", key.value))
                    .help(instead),
            );
            continue;
        }
        literal_secret(key, node, found);
        let mut path = key.value.clone();
        config.spans.insert(path.clone(), key.span);
        collect(node, &mut path, &mut config.spans, &mut config.secrets, found);
        config.values.insert(key.value.clone(), node.to_json());
    }
    config
}

/// A free mapping in which nothing is looked for.
pub(super) fn json_map(
    entries: &[(Spanned<String>, Node)],
    found: &mut Found,
) -> serde_json::Map<String, Value> {
    for (key, node) in entries {
        literal_secret(key, node, found);
    }
    entries.iter().map(|(key, node)| (key.value.clone(), node.to_json())).collect()
}

/// Notes places and references below `path`.
fn collect(
    node: &Node,
    path: &mut String,
    spans: &mut IndexMap<String, Span>,
    secrets: &mut Vec<Spanned<String>>,
    found: &mut Found,
) {
    if let Some(name) = reference(node) {
        secrets.push(name);
        return;
    }
    match &node.kind {
        Kind::Map(entries) => {
            for (key, node) in entries {
                literal_secret(key, node, found);
                let length = path.len();
                path.push('.');
                path.push_str(&key.value);
                spans.insert(path.clone(), key.span);
                collect(node, path, spans, secrets, found);
                path.truncate(length);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|node| collect(node, path, spans, secrets, found)),
        _ => {}
    }
}

/// Warns about a password that stands in the inventory, which people commit.
fn literal_secret(key: &Spanned<String>, node: &Node, found: &mut Found) {
    if names_a_secret(&key.value) && node.as_str().is_some_and(|text| !text.is_empty()) {
        found.push(
            Diagnostic::warning(node.span, format!("\"{}\" is written out in the inventory", key.value))
                .sensitive()
                .help("write {secret: NAME}, and under synapse.secrets where NAME comes from"),
        );
    }
}
