//! What the last drift run found, as far as `--notify` needs it: one small file an inventory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::whole_file::{PRIVATE, replace};
use crate::plan::drift::Class;
use crate::render::drift::Report;
use crate::secret::sha256_hex;

/// Version of the file's layout; another one is taken for no file.
const FORMAT: u32 = 1;

/// The outcome of a run, without what changes from run to run by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    format: u32,
    /// `clean`, `drift`, `incomplete`.
    pub word: String,
    /// Digest of what was found where.
    findings: String,
}

impl State {
    /// Nothing found.
    fn clean() -> Self {
        Self { format: FORMAT, word: "clean".to_owned(), findings: String::new() }
    }

    /// The outcome of this run. Counts, dates and values are left out: the same finding is told once.
    pub fn of(report: &Report<'_>, pending: bool) -> Self {
        let counts = |class: Class| class == Class::Drift || (pending && class == Class::Pending);
        let mut lines: Vec<String> = report
            .drift
            .findings
            .iter()
            .filter(|one| counts(one.class))
            .map(|one| format!("{}\0{}\0{}\0{:?}\n", one.host, one.kind, one.name, one.change))
            .collect();
        let drift = !lines.is_empty();
        lines.extend(report.errors.iter().map(|(host, _)| format!("{host}\0unreachable\n")));
        if lines.is_empty() {
            return Self::clean();
        }
        let word = match (report.errors.is_empty(), drift) {
            (false, _) => "incomplete",
            (true, _) => "drift",
        };
        Self { format: FORMAT, word: word.to_owned(), findings: sha256_hex(lines.concat().as_bytes()) }
    }
}

/// Where the state of this inventory with these hosts lies.
pub fn path(inventory: &Path, limit: &[String], lab: bool) -> Result<PathBuf, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| {
            "neither XDG_STATE_HOME nor HOME is set: there is no place for the state".to_owned()
        })?;
    let whole = std::fs::canonicalize(inventory)
        .map_err(|error| format!("cannot find {}: {error}", inventory.display()))?;
    let mut hosts = limit.to_vec();
    hosts.sort();
    let key = sha256_hex(format!("{}\0{}\0{lab}", whole.display(), hosts.join(",")).as_bytes());
    Ok(base.join("synprov/drift").join(format!("{}.json", &key[..16])))
}

/// What the last run found; a first run, or an unreadable file, counts as nothing found.
pub fn read(path: &Path) -> State {
    let state = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok());
    state.filter(|state| state.format == FORMAT).unwrap_or_else(State::clean)
}

/// Remembers what this run found.
pub fn write(path: &Path, state: &State) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    replace(path, serde_json::to_string(state).unwrap_or_default().as_bytes(), PRIVATE)
}
