//! What makes entries a mapping: keys are text, each once, and `<<` is resolved.

use std::collections::HashMap;

use super::{Kind, Node};
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// What stands in the place of a key.
pub(super) enum Key {
    Name(Spanned<String>),
    Merge,
    Unusable,
}

/// Reports every duplicate, then resolves `<<`: own keys win, then earlier merges.
pub(super) fn finish(
    found: &mut Vec<Diagnostic>,
    entries: Vec<(Spanned<String>, Node)>,
    merges: Vec<Node>,
) -> Vec<(Spanned<String>, Node)> {
    let mut first: HashMap<String, Span> = HashMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        if let Some(before) = first.get(&key.value) {
            found.push(
                Diagnostic::error(key.span, format!("duplicate key \"{}\"", key.value))
                    .related(*before, "first written here")
                    .help("keep one of them"),
            );
            continue;
        }
        first.insert(key.value.clone(), key.span);
        kept.push((key, node));
    }
    let mut sources = Vec::new();
    for merge in merges {
        match merge.kind {
            Kind::Seq(items) => sources.extend(items),
            _ => sources.push(merge),
        }
    }
    for source in sources {
        let Kind::Map(merged) = source.kind else {
            let summary = format!("`<<` merges mappings, this is {}", source.describe());
            found.push(Diagnostic::error(source.span, summary).help("write <<: *name, or <<: [*one, *two]"));
            continue;
        };
        for (key, node) in merged {
            if !first.contains_key(&key.value) {
                first.insert(key.value.clone(), key.span);
                kept.push((key, node));
            }
        }
    }
    kept
}

/// A key: text as it is, other scalars reported and taken as text, the rest unusable.
pub(super) fn read_key(node: Node, template: bool, found: &mut Vec<Diagnostic>) -> Key {
    let Node { kind, span, written } = node;
    match (kind, written) {
        (Kind::String(text), Some(_)) if text == "<<" => Key::Merge,
        (Kind::String(text), _) => Key::Name(Spanned::new(text, span)),
        (_, Some(text)) => {
            found.push(
                Diagnostic::error(span, format!("key `{text}` is not text"))
                    .help(format!("quote it: \"{text}\"")),
            );
            Key::Name(Spanned::new(text, span))
        }
        _ => {
            found.push(if template {
                Diagnostic::error(span, "templates are not evaluated here")
                    .help("write the value itself, or put it in quotes if the braces are meant")
            } else {
                Diagnostic::error(span, "a list or mapping as a key").help("keys are text")
            });
            Key::Unusable
        }
    }
}
