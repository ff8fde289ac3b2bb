//! The full log of one run, in the user's state directory: what a person wants after a failure at night.
//!
//! What is written are words that were, or might have been, on the screen: no secret is among them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::clock;

/// Logs that are kept, besides those of this process.
const KEPT: usize = 50;

/// Logs that this process began: several deployments have one each, perhaps in the same millisecond.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

/// An open log. What cannot be written is left out: no apply stops for its log.
pub struct RunLog {
    file: File,
    /// Where it lies.
    pub path: PathBuf,
}

impl RunLog {
    /// Begins the log of a run of `command` and removes the oldest beyond the last fifty.
    ///
    /// Errors: the directory with what the operating system says.
    pub fn begin(command: &str) -> Result<Self, String> {
        let directory = directory().ok_or("there is neither XDG_STATE_HOME nor HOME")?;
        Self::begin_in(&directory, command).map_err(|error| format!("{}: {error}", directory.display()))
    }

    fn begin_in(directory: &Path, command: &str) -> std::io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        std::fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        let time = clock::rfc3339_now().replace([':', '-'], "");
        let number = BEGUN.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{time}-{command}{}{number}.log", mark()));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        prune(directory)?;
        Ok(Self { file, path })
    }

    /// A line, with the time.
    pub fn line(&mut self, text: &str) {
        let lines: String = text.lines().map(|line| format!("{} {line}\n", clock::rfc3339_now())).collect();
        drop(self.file.write_all(lines.as_bytes()));
    }
}

/// `$XDG_STATE_HOME/synprov/logs`, or the same below `~/.local/state`.
fn directory() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    Some(state.join("synprov/logs"))
}

/// In the names of this process' logs.
fn mark() -> String {
    format!("-{}-", std::process::id())
}

/// Names begin with the time: the first are the oldest. A run of many deployments keeps what it said of each.
fn prune(directory: &Path) -> std::io::Result<()> {
    let mut logs: Vec<PathBuf> = std::fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter(|path| path.file_name().is_none_or(|name| !name.to_string_lossy().contains(&mark())))
        .collect();
    logs.sort();
    for old in logs.iter().take(logs.len().saturating_sub(KEPT)) {
        // Another run may have removed it already.
        drop(std::fs::remove_file(old));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fifty_are_kept_and_nobody_else_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("state/logs");
        std::fs::create_dir_all(&logs).unwrap();
        for n in 0..60 {
            std::fs::write(logs.join(format!("20200101T0000{n}.000Z-apply-1.log")), "").unwrap();
        }
        std::fs::write(logs.join("mine.txt"), "").unwrap();
        let mut log = RunLog::begin_in(&logs, "apply").unwrap();
        log.line("one\ntwo");
        let text = std::fs::read_to_string(&log.path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&logs), mode(&log.path)), (0o700, 0o600));
        let more: Vec<RunLog> = (0..KEPT).map(|_| RunLog::begin_in(&logs, "apply").unwrap()).collect();
        assert!(more.iter().chain([&log]).all(|one| one.path.exists()), "all of this run");
        let count = std::fs::read_dir(&logs).unwrap().count();
        assert_eq!(count, 2 * KEPT + 2, "and the file that is no log");
        assert!(logs.join("20200101T000059.000Z-apply-1.log").exists());
        assert!(!logs.join("20200101T000010.000Z-apply-1.log").exists());
    }
}
