//! The tables of facts about Synapse: endpoint classes, streams, jobs, who reads which key, what
//! keys there are, and what changed with releases.
//!
//! They are data in `modules/` (each with its sources) and are compiled in. This file only gives
//! them types and answers questions by version. Never in it: a regex, a key, a version number.

mod keys;
mod range;
mod releases;

use std::sync::OnceLock;

use indexmap::IndexMap;
use serde::Deserialize;

use super::types::{Balance, Condition};
use crate::version::Version;

pub use keys::{Key, Keys, Type};
pub use range::Minor;
use range::within;
pub use releases::{Extra, Note, Releases, Schema};

const ENDPOINTS: &str = include_str!("../../modules/worker/endpoints.yaml");
const READERS: &str = include_str!("../../modules/homeserver/readers.yaml");
const RELEASES: &str = include_str!("../../modules/homeserver/versions.yaml");
const KEYS: &str = include_str!("../../modules/homeserver/keys.yaml");
const CONSTRAINTS: &str = include_str!("../../modules/venv/constraints.yaml");

/// All tables together.
#[derive(Debug)]
pub struct Catalogue {
    /// Streams in the order in which `stream_writers` is written.
    pub streams: Vec<Stream>,
    /// What `runs:` may say.
    pub jobs: Vec<Job>,
    /// Endpoint classes in matching order.
    pub classes: Vec<Class>,
    /// Top-level key of the shared configuration → who reads it; absent: all.
    pub readers: IndexMap<String, Vec<Reader>>,
    /// Key of the configuration to those of its parts that a running process reads again on SIGHUP.
    pub rereads: IndexMap<String, Vec<String>>,
    /// What releases need and do to the database.
    pub releases: Releases,
    /// Keys of homeserver.yaml.
    pub keys: Keys,
    /// pip constraints by version.
    pub constraints: Vec<Constraint>,
}

/// A replication stream that a worker can write (`stream_writers`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Key in `stream_writers`.
    pub name: String,
    writers: Many,
    many_since: Option<Minor>,
    since: Option<Minor>,
    /// Only media processes can write it, and the first of them does unless a pool says that it does.
    #[serde(default)]
    pub with_media: bool,
    /// Main writes it as well, whoever else does.
    #[serde(default)]
    pub with_main: bool,
}

/// A job of `runs:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Word in `runs:`.
    pub name: String,
    /// Key of the shared configuration.
    pub key: String,
    processes: Many,
    /// Only media processes can run it, and the first of them does unless another is named.
    #[serde(default)]
    pub with_media: bool,
    /// Other processes ask it over HTTP replication.
    #[serde(default)]
    pub replication: bool,
}

/// A group of endpoints that are served together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name in routes.
    pub name: String,
    /// Words of `handles:` that bring it, the most special first.
    pub words: Vec<String>,
    /// Stream whose writers serve it.
    pub stream: Option<String>,
    /// Only writers of `stream` can serve it.
    #[serde(default)]
    pub writer_only: bool,
    /// How one of several processes is chosen.
    pub balance: Balance,
    /// Only the first process serves it.
    #[serde(default)]
    pub single: bool,
    /// Main can stand in.
    #[serde(default = "yes")]
    pub fallback: bool,
    /// Seconds.
    #[serde(default = "read_timeout")]
    pub timeout: u32,
    /// Its paths.
    pub endpoints: Vec<EndpointPattern>,
}

/// One path pattern.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointPattern {
    /// Regular expression on the decoded path.
    pub path: String,
    /// What workers serve; documentation unless `split`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Other methods go to main.
    #[serde(default)]
    pub split: bool,
    /// Only without this query parameter.
    pub without: Option<String>,
    /// Only with these values of query parameters.
    #[serde(default)]
    pub with: IndexMap<String, String>,
    since: Option<Minor>,
    until: Option<Minor>,
}

/// Who reads a key; see readers.yaml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// The main process.
    Main,
    /// Processes that handle media.
    Media,
    /// Workers that serve clients.
    Client,
    /// The process that the value names.
    Holder,
    /// The processes that the value lists.
    Member,
}

/// A pip constraint for some versions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// As in a constraints file.
    pub line: String,
    since: Option<Minor>,
    until: Option<Minor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Many {
    One,
    Many,
}

fn yes() -> bool {
    true
}

fn read_timeout() -> u32 {
    180
}

impl Stream {
    /// Whether this Synapse knows the stream. An unknown name in `stream_writers` stops Synapse.
    pub fn known(&self, version: &Version) -> bool {
        within(version, self.since, None)
    }

    /// Whether several workers may write it.
    pub fn shared(&self, version: &Version) -> bool {
        self.writers == Many::Many && within(version, self.many_since, None)
    }

    /// First release that knows it, for messages.
    pub fn since(&self) -> String {
        self.since.map_or_else(String::new, |since| since.to_string())
    }
}

impl Job {
    /// Whether several processes may run it; the key's value is then a list.
    pub fn shared(&self) -> bool {
        self.processes == Many::Many
    }
}

impl Class {
    /// Whether workers of this version serve anything of it.
    pub fn active(&self, version: &Version) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.active(version))
    }

    /// First release after this one whose workers do.
    pub fn next(&self, version: &Version) -> Option<Minor> {
        let since = self.endpoints.iter().filter_map(|endpoint| endpoint.since);
        since.filter(|since| !within(version, Some(*since), None)).min()
    }
}

impl EndpointPattern {
    /// Whether workers of this version serve it.
    pub fn active(&self, version: &Version) -> bool {
        within(version, self.since, self.until)
    }

    /// What it asks of the query.
    pub fn conditions(&self) -> impl Iterator<Item = Condition> + '_ {
        let without = self.without.iter().map(|name| Condition::WithoutQuery(name.clone()));
        let with = self.with.iter();
        without.chain(with.map(|(name, value)| Condition::Query { name: name.clone(), value: value.clone() }))
    }

    /// First and last release whose workers serve it, as `1.135`.
    pub fn releases(&self) -> (Option<String>, Option<String>) {
        let text = |minor: Option<Minor>| minor.map(|Minor(major, minor)| format!("{major}.{minor}"));
        (text(self.since), text(self.until))
    }
}

impl Catalogue {
    /// The compiled-in tables; an error names the broken file (tests keep it from happening).
    pub fn builtin() -> Result<&'static Self, String> {
        static BUILTIN: OnceLock<Result<Catalogue, String>> = OnceLock::new();
        BUILTIN.get_or_init(Self::load).as_ref().map_err(Clone::clone)
    }

    fn load() -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Endpoints {
            #[serde(rename = "format")]
            _format: u32,
            streams: Vec<Stream>,
            jobs: Vec<Job>,
            classes: Vec<Class>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Readers {
            #[serde(rename = "format")]
            _format: u32,
            keys: IndexMap<String, Vec<Reader>>,
            rereads: IndexMap<String, Vec<String>>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Constraints {
            #[serde(rename = "format")]
            _format: u32,
            constraints: Vec<Constraint>,
        }
        fn read<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, String> {
            serde_saphyr::from_str(text).map_err(|error| format!("built-in {file}: {error}"))
        }
        let endpoints: Endpoints = read("modules/worker/endpoints.yaml", ENDPOINTS)?;
        let readers: Readers = read("modules/homeserver/readers.yaml", READERS)?;
        let constraints: Constraints = read("modules/venv/constraints.yaml", CONSTRAINTS)?;
        Ok(Self {
            streams: endpoints.streams,
            jobs: endpoints.jobs,
            classes: endpoints.classes,
            readers: readers.keys,
            rereads: readers.rereads,
            releases: read("modules/homeserver/versions.yaml", RELEASES)?,
            keys: read("modules/homeserver/keys.yaml", KEYS)?,
            constraints: constraints.constraints,
        })
    }

    /// A stream by name.
    pub fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    /// A job by its word.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }

    /// Every word that `handles:` may say, each once, in catalogue order.
    pub fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = Vec::new();
        for word in self.classes.iter().flat_map(|class| &class.words) {
            if !words.contains(&word.as_str()) {
                words.push(word);
            }
        }
        words
    }

    /// Lines of a pip constraints file for this version.
    pub fn constraints(&self, version: &Version) -> Vec<String> {
        self.constraints
            .iter()
            .filter(|constraint| within(version, constraint.since, constraint.until))
            .map(|constraint| constraint.line.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tables_are_sound() {
        let catalogue = Catalogue::builtin().unwrap();
        for class in &catalogue.classes {
            assert!(!class.endpoints.is_empty() && !class.words.is_empty(), "{}", class.name);
            for endpoint in &class.endpoints {
                assert!(endpoint.path.starts_with("^/_"), "{} is not anchored", endpoint.path);
                regex::Regex::new(&endpoint.path).unwrap();
                assert!(!endpoint.split || !endpoint.methods.is_empty(), "{} splits nothing", endpoint.path);
            }
            if let Some(stream) = &class.stream {
                assert!(catalogue.stream(stream).is_some(), "{stream}");
            }
            assert!(!class.writer_only || class.stream.is_some(), "{}", class.name);
        }
        let versions = ["1.90.0", "1.110.0", "1.135.0", "1.163.2"].map(|v| Version::parse(v).unwrap());
        for version in versions {
            let active: Vec<_> = catalogue
                .classes
                .iter()
                .flat_map(|class| &class.endpoints)
                .filter(|endpoint| endpoint.active(&version))
                .map(|endpoint| (&endpoint.path, endpoint.conditions().collect::<Vec<_>>()))
                .collect();
            for (at, one) in active.iter().enumerate() {
                assert!(!active[..at].contains(one), "{one:?} twice in {version}");
            }
        }
    }
}
