//! What each process reads of the shared configuration, as digests: why it restarts, or does not.
//!
//! The table is modules/homeserver/readers.yaml. Digests cover names of secrets, never values.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::catalogue::{Catalogue, Reader};
use crate::secret::sha256_hex;

/// Top-level key → digest of its value, for the keys that this process reads. Keys that its own
/// file has are not read from the shared one.
pub(super) fn shared_inputs(
    catalogue: &Catalogue,
    shared: &Map<String, Value>,
    instance: &str,
    media: bool,
    own: Option<&Map<String, Value>>,
) -> IndexMap<String, String> {
    shared
        .iter()
        .filter(|(key, _)| own.is_none_or(|own| !own.contains_key(*key)))
        .filter(|(key, value)| match catalogue.readers.get(*key) {
            None => true,
            Some(readers) => readers.iter().any(|reader| match reader {
                Reader::Main => own.is_none(),
                Reader::Media => media,
                Reader::Holder => value.as_str() == Some(instance),
                Reader::Member => value
                    .as_array()
                    .is_some_and(|list| list.iter().any(|member| member.as_str() == Some(instance))),
            }),
        })
        .map(|(key, value)| (key.clone(), sha256_hex(value.to_string().as_bytes())))
        .collect()
}
