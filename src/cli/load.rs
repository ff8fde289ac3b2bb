//! From the inventory's files to desired state: read, parse, resolve, expand; every finding at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::beside::{deliver, look_for_wheels, registrations};
use super::lock_file::LockFile;
use super::{Exit, InventoryArgs, Output};
use crate::apply::Wheelhouse;
use crate::apply::former::Meaning;
use crate::diagnostic::{self, Diagnostic, Severity};
use crate::inventory::{self, Inventory};
use crate::lab::stand_in::Substitution;
use crate::lab::{self, Lab};
use crate::modules::{self, Modules};
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
    pub lock: LockFile,
    /// Digest of all module files.
    pub modules: String,
    /// Warnings, and, for `check --json`, everything.
    pub diagnostics: Vec<Diagnostic>,
    /// The inventory's text.
    pub source: String,
    /// Hosts that are neither retired nor lost, with where they are reached: for the record.
    pub addresses: BTreeMap<String, String>,
    /// The generation that all of this is of, if it is one that hosts keep instead of the inventory.
    pub back_to: Option<u64>,
    /// What is not as in the real inventory; empty outside of a lab.
    pub substitutions: Vec<Substitution>,
}

impl Loaded {
    /// Where hosts have Python packages from, if not from an index.
    pub fn wheelhouse(&self) -> Option<Wheelhouse<'_>> {
        let house = self.inventory.synapse.wheelhouse.as_ref()?;
        Some(Wheelhouse {
            directory: Path::new(house.directory.as_deref()?),
            names: house.wheels.as_deref()?,
        })
    }
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
        output.findings(&self.diagnostics, &path.display().to_string(), &self.source);
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
    let mut lock = match LockFile::read(lock_path, &real_lock) {
        Ok(lock) => lock,
        Err(error) => return Err(Unloadable { diagnostics, source, errors: vec![error] }),
    };
    let Some(mut inventory) = inventory else {
        return Err(Unloadable { diagnostics, source, errors: Vec::new() });
    };
    deliver(&mut inventory, &path, &mut diagnostics);
    look_for_wheels(&mut inventory, &path, &mut diagnostics);
    let (inventory, substitutions) = match stand_in {
        None => (inventory, Vec::new()),
        Some(stand_in) => lab::stand_in::stand_in(&inventory, stand_in.lab.hosts()),
    };
    let resolved = topology::resolve(&inventory, &lock.lock);
    let mut meant = resolved.diagnostics;
    meant.extend(registrations(&inventory, &path));
    let diagnostics = diagnostic::joined(diagnostics, meant);
    let failed = diagnostics.iter().any(|found| found.severity == Severity::Error);
    lock.lock = resolved.lock;
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
        addresses: addresses(&inventory),
        back_to: None,
        path,
        inventory,
        topology,
        resources,
        lock,
        modules: digest,
        diagnostics,
        source,
        substitutions,
    })
}

/// What a former inventory with its lock means. Nothing else of this machine is read: files that it
/// delivers are in the desired state that hosts keep.
pub fn understand(inventory: &str, lock: &str, stand_in: Option<&StandIn>) -> Result<Meaning, String> {
    let first = |found: &[Diagnostic]| {
        let error = found.iter().find(|found| found.severity == Severity::Error);
        error.map_or_else(|| "it cannot be read".to_owned(), |error| error.summary.clone())
    };
    let (parsed, found) = inventory::parse(inventory);
    let parsed = parsed.ok_or_else(|| format!("its inventory: {}", first(&found)))?;
    let lock = inventory::lock::parse(lock).map_err(|found| format!("its lock: {}", first(&found)))?;
    let parsed = match stand_in {
        None => parsed,
        Some(stand_in) => lab::stand_in::stand_in(&parsed, stand_in.lab.hosts()).0,
    };
    let resolved = topology::resolve(&parsed, &lock);
    let topology =
        resolved.topology.ok_or_else(|| format!("its inventory: {}", first(&resolved.diagnostics)))?;
    Ok(Meaning { topology, addresses: addresses(&parsed) })
}

/// Hosts that are neither retired nor lost, with the address they are reached at.
fn addresses(inventory: &Inventory) -> BTreeMap<String, String> {
    let there = inventory.hosts.iter().filter(|(_, host)| !host.lost && !host.retired);
    there.map(|(name, host)| (name.clone(), host.address.value.clone())).collect()
}

/// Loads or tells the person why not.
pub fn load_or_tell(
    arguments: &InventoryArgs,
    stand_in: Option<&StandIn>,
    output: &Output,
) -> Result<Loaded, Exit> {
    told(load(arguments, stand_in), arguments, output)
}

/// Tells the person what was found, and that it cannot be used if so.
pub fn told(
    loaded: Result<Loaded, Unloadable>,
    arguments: &InventoryArgs,
    output: &Output,
) -> Result<Loaded, Exit> {
    match loaded {
        Ok(loaded) => {
            output.findings(&loaded.diagnostics, &loaded.path.display().to_string(), &loaded.source);
            Ok(loaded)
        }
        Err(unloadable) => {
            unloadable.tell(&arguments.inventory, output);
            Err(Exit::Error)
        }
    }
}

fn read(path: &Path) -> Result<String, (String, Option<String>)> {
    let name = path.display();
    let mut bytes = Vec::new();
    // What is longer is refused for its length, and need not be had whole.
    let most = u64::try_from(inventory::MAX_BYTES).unwrap_or(u64::MAX) + 1;
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(|error| {
        let help = match error.kind() {
            ErrorKind::NotFound => "name the inventory, or set SYNPROV_INVENTORY; `synprov init` writes one",
            ErrorKind::IsADirectory => "name the file in it",
            ErrorKind::PermissionDenied => "see who may read it, and the directories above it",
            _ => "see whether it is a file, and whole",
        };
        (format!("cannot read {name}: {error}"), Some(help.to_owned()))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        (format!("{name} is not UTF-8 text, first in line {line}"), Some("save it as UTF-8".to_owned()))
    })
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
