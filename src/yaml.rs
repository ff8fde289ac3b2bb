//! STAND-IN until the real YAML emitter is merged: JSON text, which YAML readers accept.

use serde_json::Value;

use crate::resource::{Content, Piece, Quote};

/// Text of `value`; `{"secret": NAME}` becomes a secret piece.
pub fn emit(value: &Value) -> Content {
    let mut pieces = Vec::new();
    let mut text = String::new();
    write(value, &mut text, &mut pieces);
    text.push('\n');
    pieces.push(Piece::Text(text));
    Content(pieces)
}

fn write(value: &Value, text: &mut String, pieces: &mut Vec<Piece>) {
    match value {
        Value::Object(map) => {
            if map.len() == 1
                && let Some(Value::String(name)) = map.get("secret")
            {
                pieces.push(Piece::Text(std::mem::take(text)));
                pieces.push(Piece::Secret { name: name.clone(), quote: Quote::Yaml });
                return;
            }
            text.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push_str(": ");
                write(value, text, pieces);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, value) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write(value, text, pieces);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
