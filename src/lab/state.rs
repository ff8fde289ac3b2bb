//! What a lab leaves on this machine: `$XDG_STATE_HOME/synprov/lab/NAME/` (0700) with `lab.json`, keys and CA.
//!
//! The folder is locked while a lab starts or goes, so that two processes never work on one lab.
//! Containers, networks and the packet filter are found by label and name, not by this folder.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Flavour, LabError, Outward};

/// Label that every container and network of a lab carries; its value is the lab's name.
pub(super) const LABEL: &str = "synprov.lab";
const FILE: &str = "lab.json";
const FORMAT: u32 = 1;

/// `lab.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    /// Version of this file; a newer one is refused.
    pub format: u32,
    /// Lab name.
    pub name: String,
    /// What is installed beforehand.
    pub flavour: Flavour,
    /// What the hosts may reach outside.
    pub outward: Outward,
    /// Podman's name of the public network, for containers that look at the hosts from outside.
    pub public_network: String,
    /// Certificate of the lab's own CA, PEM.
    pub ca: PathBuf,
    /// The hosts in the order of the spec.
    pub hosts: Vec<LabHost>,
}

/// A throwaway host as others reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabHost {
    /// Name.
    pub name: String,
    /// Address on the public network.
    pub address: String,
    /// Address on the internal network.
    pub internal_address: String,
    /// User that the key logs in as.
    pub user: String,
    /// Private key file, ed25519.
    pub key: PathBuf,
    /// File in OpenSSH's known_hosts format with the keys of all hosts of the lab.
    pub known_hosts: PathBuf,
    /// Public host key as in a known_hosts line: `ssh-ed25519 AAAA…`.
    pub host_key: String,
    /// Podman's name of the container.
    pub container: String,
    /// Image it was started from.
    pub image: String,
}

/// Folder of all labs. Created if missing.
pub(super) fn root() -> Result<PathBuf, LabError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"));
    let root = base.join("synprov/lab");
    make(&root)?;
    Ok(root)
}

/// `mkdir -p` with mode 0700.
fn make(path: &Path) -> Result<(), LabError> {
    let what = format!("create {}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(LabError::io(what))
}

/// The folder of one lab, locked until dropped.
pub(super) struct Claim {
    /// `…/lab/NAME`.
    pub(super) folder: PathBuf,
    _lock: File,
}

impl Claim {
    /// Creates the folder if missing and locks it. [`LabError::Busy`] if somebody else has.
    pub(super) fn take(lab: &str) -> Result<Self, LabError> {
        let folder = root()?.join(lab);
        let busy = || LabError::Busy { lab: lab.to_owned() };
        make(&folder)?;
        let what = || format!("lock {}", folder.display());
        let lock = File::open(&folder).map_err(LabError::io(what()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(source)) => return Err(LabError::Io { what: what(), source }),
        }
        // Whoever held it may just have removed it: then this lock is on a folder nobody sees.
        let ours = lock.metadata().map_err(LabError::io(what()))?.ino();
        match std::fs::metadata(&folder) {
            Ok(seen) if seen.ino() == ours => Ok(Self { folder, _lock: lock }),
            _ => Err(busy()),
        }
    }

    /// Removes what a killed start left in the folder. The folder itself stays: the lock is on it.
    pub(super) fn empty(&self) -> Result<(), LabError> {
        let what = || format!("empty {}", self.folder.display());
        for entry in std::fs::read_dir(&self.folder).map_err(LabError::io(what()))? {
            let path = entry.map_err(LabError::io(what()))?.path();
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.map_err(LabError::io(what()))?;
        }
        Ok(())
    }

    /// Removes the folder with everything in it.
    pub(super) fn remove(self) -> Result<(), LabError> {
        let what = format!("remove {}", self.folder.display());
        std::fs::remove_dir_all(&self.folder).map_err(LabError::io(what))
    }
}

/// Whether a lab of this name was started to the end.
pub(super) fn exists(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

/// Writes `lab.json`, whole or not at all.
pub(super) fn write(folder: &Path, state: &LabState) -> Result<(), LabError> {
    let what = || format!("write {}", folder.join(FILE).display());
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(LabError::io(what()))?;
    serde_json::to_writer_pretty(&mut file, state).map_err(|error| LabError::io(what())(error.into()))?;
    file.persist(folder.join(FILE)).map_err(|error| LabError::io(what())(error.error))?;
    Ok(())
}

/// Reads one lab; `None` if there is none of this name.
pub(super) fn read(lab: &str) -> Result<Option<LabState>, LabError> {
    let path = root()?.join(lab).join(FILE);
    let what = || format!("read {}", path.display());
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LabError::Io { what: what(), source }),
    };
    let state: LabState =
        serde_json::from_slice(&text).map_err(|error| LabError::io(what())(error.into()))?;
    if state.format > FORMAT {
        let reason = format!("it was started by a newer synprov (format {})", state.format);
        return Err(LabError::Invalid { lab: lab.to_owned(), reason });
    }
    Ok(Some(state))
}

/// Names of all labs that have a folder, also of those that were not started to the end. Sorted.
pub(super) fn traces() -> Result<Vec<String>, LabError> {
    let root = root()?;
    let what = || format!("read {}", root.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&root).map_err(LabError::io(what()))? {
        let entry = entry.map_err(LabError::io(what()))?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

impl LabState {
    /// The format that is written.
    pub(super) const FORMAT: u32 = FORMAT;
}
