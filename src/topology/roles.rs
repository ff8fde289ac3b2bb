//! What each pool is for, as Synapse sees it: derived once, read by everything after.
//!
//! Names, hosts, ports and addresses are not known here.

use indexmap::IndexMap;

use super::catalogue::Catalogue;
use crate::inventory::{Inventory, Pool};
use crate::version::Version;

/// What the processes of one pool do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    /// Words of `handles:`.
    pub handles: Vec<String>,
    /// Streams, also those that follow from what it handles; in the catalogue's order.
    pub writes: Vec<String>,
    /// Jobs.
    pub runs: Vec<String>,
    /// Handles media.
    pub media: bool,
    /// Serves requests from the proxy.
    pub serves: bool,
}

impl Role {
    /// Whether other processes reach it over HTTP replication.
    pub fn replicates(&self) -> bool {
        !self.writes.is_empty()
    }
}

/// Roles of all pools by name, in inventory order. Unknown words are kept: `checks` reports them.
pub(super) fn roles(
    inventory: &Inventory,
    catalogue: &Catalogue,
    version: &Version,
) -> IndexMap<String, Role> {
    inventory
        .workers
        .iter()
        .map(|(name, pool)| (name.clone(), role(inventory, catalogue, version, pool)))
        .collect()
}

fn role(inventory: &Inventory, catalogue: &Catalogue, version: &Version, pool: &Pool) -> Role {
    let handles = words(&pool.handles);
    let media = handles.iter().any(|word| word == "media");
    let said = words(&pool.writes);
    let writes: Vec<String> = catalogue
        .streams
        .iter()
        .filter(|stream| {
            let implied = media
                && stream.with_media
                && stream.known(version)
                && !inventory.workers.values().any(|pool| says(&pool.writes, &stream.name));
            implied || said.contains(&stream.name)
        })
        .map(|stream| stream.name.clone())
        .collect();
    let serves = !handles.is_empty()
        || catalogue.classes.iter().any(|class| {
            class.stream.as_ref().is_some_and(|stream| writes.contains(stream))
                && class.endpoints.iter().any(|endpoint| endpoint.active(version))
        });
    Role { handles, writes, runs: words(&pool.runs), media, serves }
}

fn words(said: &[crate::diagnostic::Spanned<String>]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in said {
        if !words.contains(&word.value) {
            words.push(word.value.clone());
        }
    }
    words
}

fn says(said: &[crate::diagnostic::Spanned<String>], word: &str) -> bool {
    said.iter().any(|spanned| spanned.value == word)
}
