//! What each pool is for, as Synapse sees it: derived once, read by everything after.
//!
//! Names, hosts, ports and addresses are not known here.

use indexmap::IndexMap;

use super::catalogue::Catalogue;
use crate::diagnostic::Spanned;
use crate::inventory::{Inventory, Pool};
use crate::version::Version;

/// What the processes of one pool do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    /// Words of `handles:`.
    pub handles: Vec<String>,
    /// Streams that all of them write, in the catalogue's order.
    pub writes: Vec<String>,
    /// Jobs.
    pub runs: Vec<String>,
    /// Handles media.
    pub media: bool,
    /// Serves requests from the proxy.
    pub serves: bool,
    /// Runs a job that other processes ask for over HTTP replication.
    pub asked: bool,
}

/// Roles of all pools by name, in inventory order. Unknown words are left to `checks`.
pub(super) fn roles(
    inventory: &Inventory,
    catalogue: &Catalogue,
    version: &Version,
) -> IndexMap<String, Role> {
    inventory.workers.iter().map(|(name, pool)| (name.clone(), role(catalogue, version, pool))).collect()
}

fn role(catalogue: &Catalogue, version: &Version, pool: &Pool) -> Role {
    let handles = words(&pool.handles);
    let said = words(&pool.writes);
    let streams = catalogue.streams.iter().filter(|stream| said.contains(&stream.name));
    let writes: Vec<String> = streams.map(|stream| stream.name.clone()).collect();
    let serves = !handles.is_empty()
        || catalogue.classes.iter().any(|class| {
            class.stream.as_ref().is_some_and(|stream| writes.contains(stream))
                && class.endpoints.iter().any(|endpoint| endpoint.active(version))
        });
    let media = handles.iter().any(|word| word == "media");
    let runs = words(&pool.runs);
    let asked = catalogue.jobs.iter().any(|job| job.replication && runs.contains(&job.name));
    Role { handles, writes, runs, media, serves, asked }
}

/// Streams that the first media process writes unasked: those that only media processes can write
/// and that no pool says it writes. Only the first, so that a second one is a plain worker.
pub(super) fn unasked(
    roles: &IndexMap<String, Role>,
    catalogue: &Catalogue,
    version: &Version,
) -> Vec<String> {
    let streams = catalogue.streams.iter().filter(|stream| {
        stream.with_media
            && stream.known(version)
            && !roles.values().any(|role| role.writes.contains(&stream.name))
    });
    streams.map(|stream| stream.name.clone()).collect()
}

fn words(said: &[Spanned<String>]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in said {
        if !words.contains(&word.value) {
            words.push(word.value.clone());
        }
    }
    words
}
