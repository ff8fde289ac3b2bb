//! `config:`: free YAML for Synapse, minus the keys that synprov owns.

use indexmap::IndexMap;
use serde_json::Value;

use super::decode::{Found, entries, wrong};
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
        let mut path = key.value.clone();
        secret_value(&path, key, node, found);
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
        secret_value(&key.value, key, node, found);
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
                let length = path.len();
                path.push('.');
                path.push_str(&key.value);
                secret_value(path, key, node, found);
                spans.insert(path.clone(), key.span);
                collect(node, path, spans, secrets, found);
                path.truncate(length);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|node| collect(node, path, spans, secrets, found)),
        _ => {}
    }
}

/// Warns about a password that stands in the inventory, which people commit, and refuses what was meant for a
/// reference and is none: Synapse would take the mapping itself for the password.
fn secret_value(path: &str, key: &Spanned<String>, node: &Node, found: &mut Found) {
    if !names_a_secret(&key.value) {
        return;
    }
    let name = &key.value;
    let diagnostic = match &node.kind {
        Kind::String(text) if text.is_empty() => return,
        Kind::String(_) | Kind::Int(_) | Kind::Float(_) => {
            Diagnostic::warning(node.span, format!("\"{name}\" is written out in the inventory"))
        }
        Kind::Map(_) | Kind::Seq(_) if reference(node).is_none() && !is_of_a_module(path) => {
            wrong(node, &format!("\"{name}\""), "{secret: NAME}")
        }
        _ => return,
    };
    found.push(
        diagnostic.sensitive().help("write {secret: NAME}, and under synapse.secrets where NAME comes from"),
    );
}

/// Whether a key stands below the `config` of a module or provider, which alone knows what its keys hold.
fn is_of_a_module(path: &str) -> bool {
    path.split('.').any(|part| part == "config")
}
