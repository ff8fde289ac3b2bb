//! The keys of homeserver.yaml that Synapse knows, by release.
//!
//! The data is modules/homeserver/keys.yaml. Never here: what is said about a wrong one.

use indexmap::IndexMap;
use serde::Deserialize;

use super::range::{Minor, within};
use crate::version::Version;

/// modules/homeserver/keys.yaml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    #[serde(rename = "format")]
    _format: u32,
    /// Top-level keys.
    #[serde(rename = "keys")]
    pub top: IndexMap<String, Key>,
    /// Keys that no known release reads, and what to do.
    pub gone: IndexMap<String, String>,
    /// Flags of `experimental_features`.
    pub experimental: IndexMap<String, Key>,
}

/// One key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What its value must be; `None`: anything.
    #[serde(rename = "type")]
    pub kind: Option<Type>,
    /// Keys below it, where they are known.
    #[serde(default)]
    pub keys: Vec<String>,
    since: Option<Minor>,
    until: Option<Minor>,
    /// Still read, and what to write instead.
    pub old: Option<String>,
    /// Synapse does not start while it is switched on.
    #[serde(default)]
    pub refused: bool,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A list.
    List,
    /// A mapping.
    Map,
    /// Milliseconds, or a number with `s`, `m`, `h`, `d`, `w` or `y`.
    Duration,
    /// Bytes, or a number with `K`, `M`, `G` or `T`.
    Size,
}

impl Key {
    /// Whether this release reads it.
    pub fn known(&self, version: &Version) -> bool {
        within(version, self.since, self.until)
    }

    /// Why this release does not: `since 1.109`, `until 1.156`.
    pub fn lifetime(&self) -> String {
        match (self.since, self.until) {
            (Some(since), Some(until)) => format!("from {since} to {until}"),
            (Some(since), None) => format!("since {since}"),
            (None, Some(until)) => format!("until {until}"),
            (None, None) => String::new(),
        }
    }

    /// What to do where it is not known.
    pub fn advice(&self) -> &'static str {
        match self.until {
            Some(_) => "delete it: it became stable, or was given up",
            None => "delete it, or install a release that has it",
        }
    }
}
