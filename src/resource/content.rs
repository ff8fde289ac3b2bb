//! What stands in a file: text, and secrets by name. Values never enter here.

use serde::{Deserialize, Serialize};

/// A file's content: text with secrets in it by name.
///
/// Two contents with equal digests are equal. The digest covers the names of secrets, not their values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
pub struct Content(pub Vec<Piece>);

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// The value of a secret, written in a way that the file's format needs.
    Secret {
        /// Name in the topology's table.
        name: String,
        /// How it is quoted.
        quote: Quote,
    },
}

/// How a secret's value is written into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quote {
    /// A double-quoted YAML scalar.
    Yaml,
    /// A double-quoted string of redis.conf.
    Redis,
    /// A field of libpq's passfile.
    Pgpass,
    /// Inside a quoted regular expression of nginx: matches the value and nothing else.
    NginxPattern,
}

impl Content {
    /// Content without secrets.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// Names of the secrets in it, in order of appearance, each once.
    pub fn secrets(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for piece in &self.0 {
            if let Piece::Secret { name, .. } = piece
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        }
        names
    }

    /// The text with `<secret NAME>` in place of values: for diffs and digests.
    pub fn redacted(&self) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Secret { name, .. } => format!("<secret {name}>"),
            })
            .collect()
    }

    /// SHA-256 of [`Content::redacted`], hex. For content without secrets: the file's own digest.
    pub fn digest(&self) -> String {
        crate::secret::sha256_hex(self.redacted().as_bytes())
    }
}
