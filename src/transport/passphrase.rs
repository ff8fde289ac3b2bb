//! Passphrases of key files: each asked for at most once in a run, kept in memory, and good for every host.
//!
//! Must never be here: the terminal; whoever has one says how it is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::secret::Secret;

/// Asks a person for the passphrase of a key file; `None`: there is nobody to ask, or no answer.
pub type Ask = fn(&Path) -> Option<Secret>;

/// What is known of them.
#[derive(Debug)]
pub struct Passphrases {
    ask: Ask,
    known: Mutex<BTreeMap<PathBuf, Option<Secret>>>,
}

impl Passphrases {
    /// Nothing is known yet.
    pub const fn asked_by(ask: Ask) -> Self {
        Self { ask, known: Mutex::new(BTreeMap::new()) }
    }

    /// What was said of this file, without asking.
    pub(super) fn known(&self, file: &Path) -> Option<Secret> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(file).cloned().flatten()
    }

    /// The same; asks if nobody was asked yet. Others wait for the answer.
    pub(super) fn of(&self, file: &Path) -> Option<Secret> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(file.to_owned()).or_insert_with(|| (self.ask)(file)).clone()
    }
}
