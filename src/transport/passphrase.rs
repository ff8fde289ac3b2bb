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
    /// Held while somebody types; what is known can be looked up meanwhile, since connections wait for that.
    asking: Mutex<()>,
    known: Mutex<BTreeMap<PathBuf, Option<Secret>>>,
}

impl Passphrases {
    /// Nothing is known yet.
    pub const fn asked_by(ask: Ask) -> Self {
        Self { ask, asking: Mutex::new(()), known: Mutex::new(BTreeMap::new()) }
    }

    /// What was said of this file, without asking or waiting.
    pub(super) fn known(&self, file: &Path) -> Option<Secret> {
        self.answer(file).flatten()
    }

    /// The same; asks if nobody was asked yet. Others wait for the answer.
    pub(super) fn of(&self, file: &Path) -> Option<Secret> {
        let _typing = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = self.answer(file) {
            return answer;
        }
        let answer = (self.ask)(file);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(file.to_owned(), answer.clone());
        answer
    }

    /// `None`: nobody was asked yet.
    fn answer(&self, file: &Path) -> Option<Option<Secret>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(file).cloned()
    }
}
