//! YAML in and out, in one place: the only user of the YAML library.
//!
//! [`parse`] makes a tree in which everything has its place; [`emit`] makes files for Synapse's
//! PyYAML. Strict YAML 1.2 on the way in; what YAML 1.1 (PyYAML) would read as another value is
//! refused instead of guessed, and on the way out nothing is written that the two read differently.
//! Never in this room: what keys mean, files, knowledge of the inventory.

mod mapping;
mod read;
mod scalar;
mod trouble;
mod write;

use serde_json::Value;

use crate::diagnostic::{Span, Spanned};

pub use read::{decode, parse, parse_lenient};
pub use write::{emit, emit_text, scalar};

/// One YAML value with the place it was written at.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Where it stands. A value that came through an alias has the place of its anchor.
    pub span: Span,
    /// The characters as written, for unquoted scalars only: `1.120` of a version is not `1.12`.
    pub written: Option<String>,
}

/// What a [`Node`] can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`, nothing else.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A finite number with a fraction or an exponent.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in the order written, merge keys resolved, keys unique.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// The value under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, with its article, for messages: `a list`, `the integer 5`.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("the boolean {value}"),
            Kind::Int(value) => format!("the integer {value}"),
            Kind::Float(value) => {
                format!("the number {}", self.written.clone().unwrap_or_else(|| value.to_string()))
            }
            Kind::String(_) => "text".to_owned(),
            Kind::Seq(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The same value as JSON, without places.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Int(value) => (*value).into(),
            Kind::Float(value) => (*value).into(),
            Kind::String(text) => text.clone().into(),
            Kind::Seq(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.value.clone(), node.to_json())).collect())
            }
        }
    }
}
