//! What a release of Synapse needs, what it does to the database, and what to know when crossing it.
//!
//! The data is modules/homeserver/versions.yaml. Never here: a version number.

use indexmap::IndexMap;
use serde::Deserialize;

use super::range::{Minor, within};
use crate::version::Version;

/// modules/homeserver/versions.yaml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    #[serde(rename = "format")]
    _format: u32,
    python: Vec<Lowest<Minor>>,
    postgresql: Vec<Lowest<u32>>,
    schema: Vec<Schema>,
    extras: Vec<Extra>,
    replication: Vec<Change>,
    paths: IndexMap<String, Minor>,
    notes: Vec<Note>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lowest<T> {
    lowest: T,
    since: Minor,
}

/// The database schema of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    since: Minor,
    /// What main upgrades the database to.
    pub version: u32,
    /// Lowest `version` of a release that still starts on that database.
    pub compat: u32,
}

/// An extra of the PyPI package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    /// `oidc`
    pub name: String,
    /// Key of homeserver.yaml (dotted) that does not work without it while it is on.
    #[serde(rename = "for")]
    pub needed_by: Option<String>,
    until: Option<Minor>,
    /// What to do where it is gone.
    pub instead: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    since: Minor,
    what: String,
}

/// Something to know when an upgrade crosses a release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    since: Minor,
    /// Key of homeserver.yaml (dotted) that it is about.
    pub key: Option<String>,
    /// It is for those who have not written `key`.
    #[serde(default)]
    pub unset: bool,
    /// It is only for those with workers.
    #[serde(default)]
    pub workers: bool,
    /// One line.
    pub text: String,
}

impl Extra {
    /// Whether the package of this release has it.
    pub fn known(&self, version: &Version) -> bool {
        within(version, None, self.until)
    }
}

impl Note {
    /// Release that it is about, for messages: `1.120`.
    pub fn since(&self) -> String {
        self.since.to_string()
    }
}

/// The last entry that has begun by this release.
fn last<'t, T>(table: &'t [T], since: impl Fn(&T) -> Minor, version: &Version) -> Option<&'t T> {
    table.iter().rev().find(|entry| within(version, Some(since(entry)), None))
}

/// Whether an upgrade from one release to another reaches `since` for the first time.
fn crossed(since: Minor, from: &Version, to: &Version) -> bool {
    within(to, Some(since), None) && !within(from, Some(since), None)
}

impl Releases {
    /// `(3, 10)`: the lowest Python this Synapse runs with.
    pub fn lowest_python(&self, version: &Version) -> (u32, u32) {
        let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        last(&self.python, |entry| entry.since, version)
            .map_or((0, 0), |entry| (part(entry.lowest.0), part(entry.lowest.1)))
    }

    /// The lowest major release of PostgreSQL.
    pub fn lowest_postgresql(&self, version: &Version) -> u32 {
        last(&self.postgresql, |entry| entry.since, version).map_or(0, |entry| entry.lowest)
    }

    /// The schema of a release; `None` before the first that is known.
    pub fn schema(&self, version: &Version) -> Option<Schema> {
        last(&self.schema, |entry| entry.since, version).copied()
    }

    /// The first release that knows this schema, `1.98`.
    pub fn first_with_schema(&self, version: u32) -> Option<String> {
        self.schema.iter().find(|entry| entry.version >= version).map(|entry| entry.since.to_string())
    }

    /// Whether `old` starts on a database that `new` has upgraded. `true` if nothing is known.
    pub fn can_go_back(&self, new: &Version, old: &Version) -> bool {
        match (self.schema(new), self.schema(old)) {
            (Some(new), Some(old)) => old.version >= new.compat,
            _ => true,
        }
    }

    /// Why processes of the two releases do not understand each other; empty: they do.
    pub fn replication_breaks(&self, from: &Version, to: &Version) -> Vec<&str> {
        let changes = self.replication.iter().filter(|change| crossed(change.since, from, to));
        changes.map(|change| change.what.as_str()).collect()
    }

    /// What an upgrade from one release to another crosses, oldest first.
    pub fn notes(&self, from: &Version, to: &Version) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(move |note| crossed(note.since, from, to))
    }

    /// An extra by name.
    pub fn extra(&self, name: &str) -> Option<&Extra> {
        self.extras.iter().find(|extra| extra.name == name)
    }

    /// All extras.
    pub fn extras(&self) -> &[Extra] {
        &self.extras
    }

    /// Whether this release reads the secret of `key` (dotted) from a file, as `KEY_path`.
    pub fn has_path(&self, key: &str, version: &Version) -> bool {
        self.paths.get(key).is_some_and(|since| within(version, Some(*since), None))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn what_releases_need() {
        let releases = &Catalogue::builtin().unwrap().releases;
        let lowest = |text: &str| {
            let version = version(text);
            (releases.lowest_python(&version), releases.lowest_postgresql(&version))
        };
        assert_eq!(lowest("1.90.0"), ((3, 8), 11));
        assert_eq!(lowest("1.121.1"), ((3, 9), 11));
        assert_eq!(lowest("1.122.0rc1"), ((3, 9), 13));
        assert_eq!(lowest("1.163.2"), ((3, 10), 14));
    }

    #[test]
    fn the_way_back_ends_at_the_compatible_schema() {
        let releases = &Catalogue::builtin().unwrap().releases;
        let back = |new: &str, old: &str| releases.can_go_back(&version(new), &version(old));
        assert!(back("1.163.2", "1.100.0"));
        assert!(!back("1.163.2", "1.99.0"));
        assert!(back("1.97.0", "1.90.0"));
        assert!(!back("1.98.0", "1.95.1"));
        for pair in releases.schema.windows(2) {
            assert!(pair[0].since < pair[1].since && pair[0].version <= pair[1].version, "{pair:?}");
            assert!(pair[0].compat <= pair[1].compat && pair[1].compat <= pair[1].version, "{pair:?}");
        }
    }

    #[test]
    fn crossing() {
        let releases = &Catalogue::builtin().unwrap().releases;
        let crossed = |from: &str, to: &str| {
            let (from, to) = (version(from), version(to));
            let notes = releases.notes(&from, &to).map(Note::since).collect::<Vec<_>>();
            (releases.replication_breaks(&from, &to).len(), notes.join(" "))
        };
        assert_eq!(crossed("1.163.1", "1.163.2"), (0, String::new()));
        assert_eq!(crossed("1.110.0", "1.111.1"), (0, "1.111".to_owned()));
        assert_eq!(crossed("1.109.0", "1.110.0").0, 1);
        assert_eq!(crossed("1.163.2", "1.110.0"), (0, String::new()), "a way back crosses nothing");
    }

    #[test]
    fn secrets_have_files_only_where_synapse_reads_them() {
        let releases = &Catalogue::builtin().unwrap().releases;
        let has = |key: &str, text: &str| releases.has_path(key, &version(text));
        // 1.121 ignores macaroon_secret_key_path, 1.116 redis.password_path (their config/*.py).
        assert!(!has("macaroon_secret_key", "1.121.1") && has("macaroon_secret_key", "1.122.0"));
        assert!(!has("redis.password", "1.116.0") && has("redis.password", "1.117.0"));
        assert!(!has("server_name", "1.163.2"));
    }
}
