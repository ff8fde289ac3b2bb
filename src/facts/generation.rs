//! Generations: what an apply made of a host, kept by that host so that one can go back to it.
//!
//! `/var/lib/synprov/SERVER_NAME/generations/N/` has four files: `meta.json` (who, when, what),
//! `inventory.yaml` and `inventory.lock` as they were read, and `resources.json`, the desired state of
//! this host. Secrets stand in it by name, never by value. The generation that a host is in is the one
//! its record names; a directory with a higher number is what an apply left that died while it wrote.
//!
//! A host speaks for itself only: see `apply::former` for what is believed of all this.

use serde::{Deserialize, Serialize};

use super::host::HostFacts;
use super::packed::unpacked;
use crate::resource::{Body, Resource};

/// Format of what this program keeps; newer ones are refused.
pub const FORMAT: u32 = 1;
/// How many a host keeps.
pub const KEPT: usize = 10;
/// The most that is taken of one file of a generation, bytes: as it comes, and as it is.
const MOST: usize = 64 << 20;

/// Who made a generation, when, and what of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Counts applies of the deployment that changed something.
    pub number: u64,
    /// Seconds since the epoch.
    pub at: u64,
    /// `anna@laptop`.
    pub who: String,
    /// Version of synprov.
    pub synprov: String,
    /// Digest of the modules.
    pub modules: String,
    /// Version of Synapse.
    pub synapse: String,
    /// Set if it is a return to an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// Hosts that took part.
    pub hosts: Vec<String>,
    /// What changed, a line each.
    pub changes: Vec<String>,
    /// How many more lines there would be.
    #[serde(default)]
    pub more: usize,
}

/// What a host is asked about its generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Who, when and what of each.
    List,
    /// All of the one that it is in.
    Current,
    /// All of the latest one up to this number.
    UpTo(u64),
}

/// All of one generation, as a host sent it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Its number.
    pub number: u64,
    files: [String; 4],
}

/// Names of the files, without their endings, in the order of [`Stored::files`].
const FILES: [&str; 4] = ["meta", "inventory", "lock", "resources"];

/// One resource as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    module: String,
    body: Body,
}

/// Why a kept generation is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A newer synprov wrote it.
    #[error("a newer synprov kept it (format {0}; this one knows up to {FORMAT})")]
    Newer(u32),
    /// It is not what synprov writes.
    #[error("its {file} cannot be read: {reason}")]
    Damaged {
        /// Which file.
        file: &'static str,
        /// What the parser said.
        reason: String,
    },
}

impl Wanted {
    /// As a request says it.
    pub(super) fn word(self) -> String {
        match self {
            Self::List => "list".to_owned(),
            Self::Current => "current".to_owned(),
            Self::UpTo(number) => number.to_string(),
        }
    }
}

impl Stored {
    /// The generation of this number, of which nothing came yet.
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Takes a part of a file, compressed by gzip and in base64; `None`: it is no part of a generation.
    pub(super) fn take(&mut self, file: &str, base64: &str) -> Option<()> {
        let index = FILES.iter().position(|name| *name == file)?;
        let text = &mut self.files[index];
        (text.len() + base64.len() <= MOST).then(|| text.push_str(base64))
    }

    fn text(&self, index: usize) -> Result<String, Unusable> {
        use base64::Engine as _;
        let damaged = |reason: String| Unusable::Damaged { file: FILES[index], reason };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(&self.files[index])
            .map_err(|error| damaged(error.to_string()))?;
        unpacked(&bytes, MOST).map_err(damaged)
    }

    /// Who, when and what.
    pub fn meta(&self) -> Result<Meta, Unusable> {
        parse_meta(&self.text(0)?)
    }

    /// The inventory's text.
    pub fn inventory(&self) -> Result<String, Unusable> {
        self.text(1)
    }

    /// The lock's text.
    pub fn lock(&self) -> Result<String, Unusable> {
        self.text(2)
    }

    /// Desired state of `host`, which kept it.
    pub fn resources(&self, host: &str) -> Result<Vec<Resource>, Unusable> {
        let damaged =
            |error: serde_json::Error| Unusable::Damaged { file: "resources", reason: error.to_string() };
        let kept: Vec<Kept> = serde_json::from_str(&self.text(3)?).map_err(damaged)?;
        Ok(kept.into_iter().map(|one| Resource::new(host, &one.module, one.body)).collect())
    }
}

/// Reads `meta.json`.
pub(super) fn parse_meta(text: &str) -> Result<Meta, Unusable> {
    let damaged = |error: serde_json::Error| Unusable::Damaged { file: "meta", reason: error.to_string() };
    let value: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
    // The format comes first, so that a newer layout is refused before it is misread.
    let found = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if found > u64::from(FORMAT) {
        return Err(Unusable::Newer(found.try_into().unwrap_or(u32::MAX)));
    }
    serde_json::from_value(value).map_err(damaged)
}

/// `meta.json` as it is kept.
pub fn meta_text(meta: &Meta) -> String {
    // Plain fields cannot fail to serialise.
    serde_json::to_string(meta).unwrap_or_default()
}

/// `resources.json` as it is kept. A pass over `body` may fill in what the apply has found out.
pub fn resources_text<'r>(
    resources: impl Iterator<Item = &'r Resource>,
    complete: impl Fn(Body) -> Body,
) -> String {
    let kept: Vec<Kept> = resources
        .map(|one| Kept { module: one.address.module.clone(), body: complete(one.body.clone()) })
        .collect();
    serde_json::to_string(&kept).unwrap_or_default()
}

impl HostFacts {
    /// The number of the generation this host is in; 0: none.
    pub fn generation_number(&self) -> u64 {
        self.record.header.as_ref().map_or(0, |header| header.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::packed;
    use super::*;
    use base64::Engine as _;

    fn stored(texts: [&str; 4]) -> Stored {
        let mut stored = Stored { number: 3, ..Stored::default() };
        for (name, text) in FILES.iter().zip(texts) {
            let base64 = base64::engine::general_purpose::STANDARD.encode(packed(text));
            for part in base64.as_bytes().chunks(5) {
                stored.take(name, std::str::from_utf8(part).unwrap()).unwrap();
            }
        }
        stored
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let meta = Meta { format: FORMAT, number: 3, who: "anna@laptop".to_owned(), ..Meta::default() };
        let resource = Resource::new(
            "hs1",
            "worker",
            Body::User { name: "matrix".to_owned(), home: "/opt/matrix".to_owned() },
        );
        let resources = resources_text([&resource].into_iter(), |body| body);
        let stored = stored([&meta_text(&meta), "hosts: {}\n", "", &resources]);
        assert_eq!(stored.meta(), Ok(meta));
        assert_eq!(stored.inventory().as_deref(), Ok("hosts: {}\n"));
        assert_eq!(stored.resources("hs1"), Ok(vec![resource]));
    }

    #[test]
    fn a_newer_or_damaged_one_is_refused() {
        let stored = stored(["{\"format\": 2}", "", "", "[{\"module\": 1}]"]);
        assert_eq!(stored.meta(), Err(Unusable::Newer(2)));
        assert!(matches!(stored.resources("hs1"), Err(Unusable::Damaged { file: "resources", .. })));
        assert_eq!(Stored::default().take("../meta", ""), None);
        let mut cut = Stored::default();
        let base64 = base64::engine::general_purpose::STANDARD.encode(&packed("hosts: {}")[..20]);
        cut.take("inventory", &base64).unwrap();
        assert!(matches!(cut.inventory(), Err(Unusable::Damaged { file: "inventory", .. })));
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let stored = stored(["", &"\0".repeat(MOST + 1), "", ""]);
        assert!(stored.files[1].len() < MOST);
        assert!(matches!(stored.inventory(), Err(Unusable::Damaged { file: "inventory", .. })));
    }
}
