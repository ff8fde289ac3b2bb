//! What each process reads of its configuration, as digests: why it restarts, reads again, or does neither.
//!
//! The table is modules/homeserver/readers.yaml. Digests cover names of secrets, never values.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::catalogue::{Catalogue, Reader};
use super::types::Logging;
use crate::secret::sha256_hex;

/// Top-level key → digest of its value, for the keys that this process reads. Keys that its own
/// file has are not read from the shared one, whose digests are given.
pub(super) fn shared_inputs(
    catalogue: &Catalogue,
    shared: &Map<String, Value>,
    digests: &IndexMap<String, String>,
    instance: &str,
    media: bool,
    serves: bool,
    own: Option<&Map<String, Value>>,
) -> IndexMap<String, String> {
    let is_read = |key: &str, value: &Value| match catalogue.readers.get(key) {
        None => true,
        Some(readers) => readers.iter().any(|reader| match reader {
            Reader::Main => own.is_none(),
            Reader::Media => media,
            Reader::Client => serves && !media,
            Reader::Holder => value.as_str() == Some(instance),
            Reader::Member => value
                .as_array()
                .is_some_and(|list| list.iter().any(|member| member.as_str() == Some(instance))),
        }),
    };
    let read = digests.iter().filter(|(key, _)| {
        own.is_none_or(|own| !own.contains_key(*key))
            && shared.get(*key).is_some_and(|value| is_read(key, value))
    });
    read.map(|(key, digest)| (key.clone(), digest.clone())).collect()
}

/// Digests of what is read at start alone: without the parts that [`rereads`] has.
pub(super) fn digests(catalogue: &Catalogue, config: &Map<String, Value>) -> IndexMap<String, String> {
    config
        .iter()
        .filter_map(|(key, value)| {
            let text = match (catalogue.rereads.get(key), value.as_object()) {
                (Some(parts), Some(map)) => {
                    let kept: Map<String, Value> = map
                        .iter()
                        .filter(|(part, _)| !parts.contains(part))
                        .map(|(part, value)| (part.clone(), value.clone()))
                        .collect();
                    if kept.is_empty() {
                        return None;
                    }
                    Value::Object(kept).to_string()
                }
                _ => value.to_string(),
            };
            Some((key.clone(), sha256_hex(text.as_bytes())))
        })
        .collect()
}

/// What a running process takes over without a restart: label to digest. Of a key that stands in its own
/// file the shared one counts for nothing.
///
/// A logger that is named no more keeps the level that it had (Python, `logging.config.dictConfig`), so each
/// has a label of its own, whose going is seen.
pub(super) fn rereads(
    catalogue: &Catalogue,
    shared: &Map<String, Value>,
    own: Option<&Map<String, Value>>,
    logging: &Logging,
) -> IndexMap<String, String> {
    let parts = catalogue.rereads.iter().flat_map(|(key, parts)| {
        let value = own.and_then(|own| own.get(key)).or_else(|| shared.get(key));
        parts.iter().map(move |part| {
            // What is not there is at its default, to which a process goes back too.
            let value = value.and_then(|value| value.get(part));
            let digest = value.map_or_else(|| "-".to_owned(), |it| sha256_hex(it.to_string().as_bytes()));
            (format!("{key}.{part}"), digest)
        })
    });
    let loggers = logging.loggers.iter().map(|(name, level)| (format!("logger {name}"), level.clone()));
    parts.chain(loggers).collect()
}
