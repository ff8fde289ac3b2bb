//! YAML for Synapse: block style that YAML 1.1 and 1.2 readers take for the same values.

use serde_json::Value;

use crate::resource::{Content, Piece, Quote};

/// Writes `value` as a YAML document.
///
/// An object whose only key is `secret` with text under it, `{"secret": NAME}`, becomes
/// [`Piece::Secret`]; everything else is text. Keys keep their order, long strings stay on one
/// line, equal values give equal bytes.
pub fn emit(value: &Value) -> Content {
    let mut names = Vec::new();
    collect(value, &mut names);
    if names.is_empty() {
        return Content::text(emit_text(value));
    }
    // Secrets are put in as words that occur nowhere else, and the text is cut at these words.
    let plain = emit_text(value);
    let mut mark = "SynprovSecret".to_owned();
    while plain.contains(&mark) {
        mark.push('X');
    }
    let text = emit_text(&marked(value, &mark));
    let mut pieces = Vec::new();
    let mut parts = text.split(&mark);
    pieces.extend(parts.next().map(|part| Piece::Text(part.to_owned())));
    for (name, part) in names.into_iter().zip(parts) {
        pieces.push(Piece::Secret { name, quote: Quote::Yaml });
        pieces.push(Piece::Text(part.to_owned()));
    }
    Content(pieces)
}

/// Writes `value` as a YAML document, `{"secret": NAME}` like any other mapping.
pub fn emit_text(value: &Value) -> String {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: false,
        compact_list_indent: false,
        yaml_12: false,
    };
    // Values of JSON always serialise: keys are text and numbers finite. If ever not: JSON is YAML.
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|_| format!("{value}\n"))
}

/// A value in YAML: as it is if it is plain in every context, else in quotes (JSON's are YAML's).
pub fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-@".contains(&b))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
        );
    let address = text.parse::<std::net::Ipv4Addr>().is_ok();
    if plain || address { text.to_owned() } else { Value::from(text).to_string() }
}

/// NAME of `{"secret": NAME}`.
fn secret(value: &Value) -> Option<&str> {
    match value {
        Value::Object(map) if map.len() == 1 => map.get("secret")?.as_str(),
        _ => None,
    }
}

fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        _ if secret(value).is_some() => names.extend(secret(value).map(str::to_owned)),
        Value::Object(map) => map.values().for_each(|value| collect(value, names)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

fn marked(value: &Value, mark: &str) -> Value {
    match value {
        _ if secret(value).is_some() => mark.into(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), marked(value, mark))).collect())
        }
        Value::Array(items) => items.iter().map(|value| marked(value, mark)).collect(),
        other => other.clone(),
    }
}
