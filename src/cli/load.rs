//! From the inventory's files to desired state: read, parse, resolve, expand; every finding at once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Exit, InventoryArgs, Output};
use crate::diagnostic::{Diagnostic, Severity};
use crate::inventory::{self, Inventory, Lock};
use crate::lab::stand_in::Substitution;
use crate::lab::{self, Lab};
use crate::modules::{self, Modules};
use crate::render::diagnostic;
use crate::resource::Resource;
use crate::secret::sha256_hex;
use crate::topology::{self, Topology};

/// An inventory as far as it means anything.
pub struct Loaded {
    /// As given on the command line.
    pub path: PathBuf,
    /// What was written.
    pub inventory: Inventory,
    /// What it means.
    pub topology: Topology,
    /// Desired state of all hosts.
    pub resources: Vec<Resource>,
    /// The lock, extended.
    pub lock: Lock,
    /// Digest of all module files.
    pub modules: String,
    /// Warnings, and, for `check --json`, everything.
    pub diagnostics: Vec<Diagnostic>,
    /// The inventory's text.
    pub source: String,
    /// What is not as in the real inventory; empty outside of a lab.
    pub substitutions: Vec<Substitution>,
    lock_path: PathBuf,
    lock_text: String,
}

/// Everything there is to say about files that could not be loaded.
pub struct Unloadable {
    /// Findings in the inventory.
    pub diagnostics: Vec<Diagnostic>,
    /// The inventory's text, if it could be read.
    pub source: String,
    /// Errors of files: summary, help.
    pub errors: Vec<(String, Option<String>)>,
}

impl Unloadable {
    fn error(summary: String, help: Option<String>) -> Self {
        Self { diagnostics: Vec::new(), source: String::new(), errors: vec![(summary, help)] }
    }

    /// Tells the person.
    pub fn tell(&self, path: &Path, output: &Output) {
        if !self.diagnostics.is_empty() {
            let name = path.display().to_string();
            output.talk(&diagnostic::text(&self.diagnostics, &name, &self.source, output.color_talk));
        }
        for (summary, help) in &self.errors {
            output.error(summary, help.as_deref());
        }
    }
}

/// What stands in for the real world in a rehearsal.
pub struct StandIn {
    /// The lab's hosts.
    pub lab: Lab,
    /// The lab's own lock, begun as a copy of the real one, which a rehearsal never touches.
    pub lock_path: PathBuf,
}

/// Reads and parses the inventory alone.
pub fn read_inventory(arguments: &InventoryArgs) -> Result<Inventory, Unloadable> {
    let source = read(&arguments.inventory).map_err(|(summary, help)| Unloadable::error(summary, help))?;
    let (inventory, diagnostics) = inventory::parse(&source);
    inventory.ok_or(Unloadable { diagnostics, source, errors: Vec::new() })
}

/// Loads the inventory of `arguments`, with stand-ins for everything real if given. Warnings are part of the result.
pub fn load(arguments: &InventoryArgs, stand_in: Option<&StandIn>) -> Result<Loaded, Unloadable> {
    let path = arguments.inventory.clone();
    let source = read(&path).map_err(|(summary, help)| Unloadable::error(summary, help))?;
    let (inventory, mut diagnostics) = inventory::parse(&source);
    let real_lock = path.with_extension("lock");
    let lock_path = stand_in.map_or_else(|| real_lock.clone(), |stand_in| stand_in.lock_path.clone());
    let begun = if lock_path.exists() { &lock_path } else { &real_lock };
    let (lock, lock_text) = match read_lock(begun) {
        Ok(lock) => lock,
        Err(mut unloadable) => {
            unloadable.diagnostics = diagnostics;
            unloadable.source = source;
            return Err(unloadable);
        }
    };
    let Some(inventory) = inventory else {
        return Err(Unloadable { diagnostics, source, errors: Vec::new() });
    };
    let (inventory, substitutions) = match stand_in {
        None => (inventory, Vec::new()),
        Some(stand_in) => lab::stand_in::stand_in(&inventory, stand_in.lab.hosts()),
    };
    let resolved = topology::resolve(&inventory, &lock);
    diagnostics.extend(resolved.diagnostics);
    diagnostics.sort_by_key(|found| (found.span.line, found.span.column));
    diagnostics.dedup();
    let failed = diagnostics.iter().any(|found| found.severity == Severity::Error);
    let Some(topology) = resolved.topology.filter(|_| !failed) else {
        return Err(Unloadable { diagnostics, source, errors: Vec::new() });
    };
    let (modules, digest) = match read_modules(arguments, &path) {
        Ok(modules) => modules,
        Err(errors) => return Err(Unloadable { diagnostics, source, errors }),
    };
    let resources = match modules::expand(&modules, &topology) {
        Ok(resources) => resources,
        Err(errors) => {
            let errors =
                errors.iter().map(|error| (error.to_string(), error.help().map(str::to_owned))).collect();
            return Err(Unloadable { diagnostics, source, errors });
        }
    };
    Ok(Loaded {
        path,
        inventory,
        topology,
        resources,
        lock: resolved.lock,
        modules: digest,
        diagnostics,
        source,
        lock_path,
        lock_text,
        substitutions,
    })
}

/// Loads or tells the person why not.
pub fn load_or_tell(
    arguments: &InventoryArgs,
    stand_in: Option<&StandIn>,
    output: &Output,
) -> Result<Loaded, Exit> {
    match load(arguments, stand_in) {
        Ok(loaded) => {
            if !loaded.diagnostics.is_empty() {
                let name = loaded.path.display().to_string();
                output.talk(&diagnostic::text(&loaded.diagnostics, &name, &loaded.source, output.color_talk));
            }
            Ok(loaded)
        }
        Err(unloadable) => {
            unloadable.tell(&arguments.inventory, output);
            Err(Exit::Error)
        }
    }
}

impl Loaded {
    /// Whether the lock on disk is not the lock that this run stands on.
    pub fn lock_is_extended(&self) -> bool {
        inventory::lock::emit(&self.lock) != self.lock_text
    }

    /// Where the lock lies.
    pub fn lock_path(&self) -> &Path {
        &self.lock_path
    }

    /// Writes the lock if this run extended it: whole or not at all.
    pub fn save_lock(&mut self, locked: bool, output: &Output) -> Result<(), Exit> {
        let text = inventory::lock::emit(&self.lock);
        if text == self.lock_text {
            return Ok(());
        }
        let path = self.lock_path.display().to_string();
        if locked {
            output.error(
                &format!("{path} would have to be extended, and --locked forbids it"),
                Some("run without --locked where people work, and commit the file"),
            );
            return Err(Exit::Error);
        }
        let directory = self.lock_path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let written =
            tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.as_file().sync_all()?;
                make_readable(file.path())?;
                file.persist(&self.lock_path).map_err(|error| error.error)?;
                Ok(())
            });
        if let Err(error) = written {
            output.error(
                &format!("cannot write {path}: {error}"),
                Some("the lock lies beside the inventory; make its directory writable"),
            );
            return Err(Exit::Error);
        }
        self.lock_text = text;
        Ok(())
    }
}

/// Temporary files are private; a lock is for everybody who may read the inventory.
fn make_readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

fn read(path: &Path) -> Result<String, (String, Option<String>)> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => {
                Some("name the inventory, or set SYNPROV_INVENTORY; inventories/ has some to copy".to_owned())
            }
            _ => None,
        };
        (format!("cannot read {name}: {error}"), help)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (format!("{name} is not UTF-8 text (byte {at})"), Some("save it as UTF-8".to_owned()))
    })
}

fn read_lock(path: &Path) -> Result<(Lock, String), Unloadable> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((Lock::default(), String::new()));
        }
        Err(error) => {
            return Err(Unloadable::error(format!("cannot read {}: {error}", path.display()), None));
        }
    };
    match inventory::lock::parse(&text) {
        Ok(lock) => Ok((lock, text)),
        Err(found) => {
            let rendered = diagnostic::text(&found, &path.display().to_string(), &text, false);
            let help = "restore it from version control; without it ports and shards would move".to_owned();
            Err(Unloadable::error(format!("{} cannot be used:\n{rendered}", path.display()), Some(help)))
        }
    }
}

/// Built-in modules with the user's directory over them, and the digest of all of it.
type ModulesWithDigest = (Modules, String);

fn read_modules(
    arguments: &InventoryArgs,
    inventory: &Path,
) -> Result<ModulesWithDigest, Vec<(String, Option<String>)>> {
    let beside = inventory.with_file_name("modules");
    let directory = arguments.modules.clone().or_else(|| beside.is_dir().then_some(beside));
    let mut files = BTreeMap::new();
    if let Some(directory) = &directory {
        let unreadable = |error: std::io::Error| {
            vec![(format!("cannot read modules in {}: {error}", directory.display()), None)]
        };
        collect(directory, directory, &mut files).map_err(unreadable)?;
    }
    let text: String = files.iter().map(|(path, text)| format!("{path}\0{text}\0")).collect();
    let digest = sha256_hex(format!("{} {text}", env!("CARGO_PKG_VERSION")).as_bytes());
    let modules = Modules::with_overrides(Modules::builtin(), files).map_err(|errors| {
        errors.iter().map(|error| (error.to_string(), error.help().map(str::to_owned))).collect::<Vec<_>>()
    })?;
    Ok((modules, digest))
}

/// Text files below `directory` by path relative to `root`; hidden ones and links are left alone.
fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file()
            && let Ok(relative) = path.strip_prefix(root)
        {
            files.insert(relative.to_string_lossy().into_owned(), std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
