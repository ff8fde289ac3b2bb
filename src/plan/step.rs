//! What an apply does, as data: never a closure, so that a plan can be shown, compared and saved.

use serde::{Deserialize, Serialize};

pub use super::action::{Action, MediaProbe};
use crate::resource::{Content, Ready};
pub use crate::topology::SynapseCheck;

/// One atomic act on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Position in [`super::Plan::steps`], from 0.
    pub id: usize,
    /// Host it happens on.
    pub host: String,
    /// What is done.
    pub action: Action,
    /// Why, for people.
    pub why: String,
    /// Addresses of the resources that are as desired once it is done.
    pub completes: Vec<String>,
    /// Steps that must have succeeded before.
    pub after: Vec<usize>,
}

/// A file to be put in place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Absolute path.
    pub path: String,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// Octal.
    pub mode: String,
    /// Digest of the redacted content.
    pub digest: String,
    /// What goes into it; never serialised, the diff of the change shows it.
    #[serde(skip)]
    pub content: Content,
}

/// A directory to be made or put right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeDirectory {
    /// Absolute path.
    pub path: String,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// Octal.
    pub mode: String,
}

/// Where a secret lies before synprov has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFrom {
    /// Absolute path of the file.
    pub path: String,
    /// Where in it, if it is YAML.
    pub key: Option<String>,
    /// Python that has a reader of YAML, and the user that runs it.
    pub python: String,
    /// That user.
    pub user: String,
}

/// A secret's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Name of the secret.
    pub name: String,
    /// Absolute path.
    pub path: String,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// Octal.
    pub mode: String,
}

/// A service to be started or restarted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Startable {
    /// Full unit name.
    pub unit: String,
    /// When it counts as ready.
    pub ready: Ready,
}
