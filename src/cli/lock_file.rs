//! `inventory.lock` on disk: read once, written whole, and only when this run extended it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{Exit, Output};
use crate::inventory::{self, Lock};
use crate::render::diagnostic;

/// The lock and what stands on disk.
#[derive(Debug, Clone, Default)]
pub struct LockFile {
    /// As this run knows it.
    pub lock: Lock,
    path: PathBuf,
    text: String,
}

impl LockFile {
    /// Reads `path`, or, if that does not exist yet, begins with a copy of `first`.
    ///
    /// Errors: summary and help for a lock that cannot be read or understood.
    pub fn read(path: PathBuf, first: &Path) -> Result<Self, (String, Option<String>)> {
        let begun = if path.exists() { path.clone() } else { first.to_owned() };
        let name = begun.display();
        let text = match std::fs::read_to_string(&begun) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, ..Self::default() });
            }
            Err(error) => return Err((format!("cannot read {name}: {error}"), None)),
        };
        let lock = inventory::lock::parse(&text).map_err(|found| {
            let rendered = diagnostic::text(&found, &name.to_string(), &text, false);
            // Where a finding says itself what to do, that is it.
            let help = found.iter().all(|finding| finding.help.is_none()).then(|| {
                "restore it from version control; without it ports and shards would move".to_owned()
            });
            (format!("{name} cannot be used:\n{rendered}"), help)
        })?;
        // A copy has to be written even if nothing is added to it.
        let text = if begun == path { text } else { String::new() };
        Ok(Self { lock, path, text })
    }

    /// The lock of a generation that hosts keep: nothing is read from disk, and nothing written.
    pub fn apart(text: &str) -> Result<Self, (String, Option<String>)> {
        let lock = inventory::lock::parse(text).map_err(|found| {
            let first = found.first().map(|found| found.summary.clone()).unwrap_or_default();
            (format!("the lock that hosts keep cannot be used: {first}"), None)
        })?;
        let text = inventory::lock::emit(&lock);
        Ok(Self { lock, path: PathBuf::new(), text })
    }

    /// Whether the lock on disk is not the lock that this run stands on.
    pub fn is_extended(&self) -> bool {
        inventory::lock::emit(&self.lock) != self.text
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text with what pip resolved for a venv.
    pub fn text_with(&self, venv: &str, resolved: &IndexMap<String, Vec<String>>) -> String {
        let mut lock = self.lock.clone();
        if !resolved.is_empty() {
            lock.packages.entry(venv.to_owned()).or_default().extend(resolved.clone());
        }
        inventory::lock::emit(&lock)
    }

    /// Takes over what pip resolved for a venv: Python tag to requirement lines.
    pub fn remember(&mut self, venv: &str, resolved: &IndexMap<String, Vec<String>>) {
        let sets = self.lock.packages.entry(venv.to_owned()).or_default();
        for (tag, lines) in resolved {
            sets.insert(tag.clone(), lines.clone());
        }
    }

    /// Writes it if this run extended it: whole or not at all. `locked` forbids that. Tells why it could not.
    pub fn save(&mut self, locked: bool, output: &Output) -> Result<(), Exit> {
        self.keep(locked).map_err(|unkept| unkept.tell(&self.path, output))
    }

    /// The same, and tells nobody.
    pub fn keep(&mut self, locked: bool) -> Result<(), Unkept> {
        let text = inventory::lock::emit(&self.lock);
        if text == self.text || self.path.as_os_str().is_empty() {
            return Ok(());
        }
        if locked {
            return Err(Unkept::Forbidden);
        }
        // Its own words have the name of a file that only existed for a moment.
        self.write(&text).map_err(|error| Unkept::Unwritable(error.kind().into()))?;
        self.text = text;
        Ok(())
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        make_readable(file.path())?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Why an extended lock was not written.
#[derive(Debug)]
pub enum Unkept {
    /// `--locked`.
    Forbidden,
    /// Its directory does not take it.
    Unwritable(std::io::Error),
}

impl Unkept {
    /// Tells the person; what that means for the run.
    pub fn tell(&self, path: &Path, output: &Output) -> Exit {
        let name = path.display();
        let (summary, help) = match self {
            Self::Forbidden => (
                format!("{name} would have to be extended, and --locked forbids it"),
                "run without --locked where people work, and commit the file",
            ),
            Self::Unwritable(error) => (
                format!("cannot write {name}: {error}"),
                "the lock lies beside the inventory; make its directory writable",
            ),
        };
        output.error(&summary, Some(help));
        Exit::Error
    }
}

/// Temporary files are private; a lock is for everybody who may read the inventory.
fn make_readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}
