//! Saved plans on disk: written whole and private, read with everything that is wrong said, held
//! against today's inventory and hosts.

use std::path::{Path, PathBuf};

use super::hosts::Surveyed;
use super::load::{Loaded, Unloadable};
use super::whole_file::{PRIVATE, replace};
use super::{Exit, HostArgs, InventoryArgs, Output, TargetArgs, clock};
use crate::facts::loader::random_token;
use crate::plan::saved::{self, Made, Saved, SavedError, Source, check_value, is_saved, stands};
use crate::plan::{Plan, Rolling, stale};
use crate::secret::sha256_hex;

/// Largest file that is taken for a saved plan, bytes.
const MOST: u64 = 256 << 20;

/// `--adopt`, in [`Made::allowed`].
const ADOPT: &str = "--adopt";
const KEEP: &str = "--keep-running";
/// `--allow-datastore-restart`, in [`Made::allowed`].
const DATASTORE: &str = "--allow-datastore-restart";
/// `--allow-deletes`, in [`Made::allowed`].
pub const DELETES: &str = "--allow-deletes";

/// Writes `plan` to `path`: whole or not at all, readable by nobody else.
pub fn write(
    path: &Path,
    (loaded, surveyed, plan): (&Loaded, &Surveyed, &Plan),
    (inventory, hosts, targets): (&InventoryArgs, &HostArgs, &TargetArgs),
    output: &Output,
) -> Result<(), Exit> {
    let failed = |error: String| {
        let help = "name a file in a directory that exists and may be written";
        output.error(&format!("cannot write {}: {error}", path.display()), Some(help));
        Exit::Error
    };
    let made =
        made(loaded, surveyed, (inventory, hosts, targets)).map_err(|error| failed(error.to_string()))?;
    let saved = Saved { made, plan: plan.clone() };
    let text = saved.text().map_err(failed)?;
    replace(path, text.as_bytes(), PRIVATE).map_err(|error| failed(error.to_string()))
}

fn made(
    loaded: &Loaded,
    surveyed: &Surveyed,
    (inventory, hosts, targets): (&InventoryArgs, &HostArgs, &TargetArgs),
) -> std::io::Result<Made> {
    let absolute = |path: &Path| std::path::absolute(path).map(|path| path.display().to_string());
    let salt = random_token();
    let secrets = surveyed
        .secrets
        .iter()
        .map(|(name, secret)| (name.clone(), check_value(&salt, name, secret)))
        .collect();
    let allowed = [
        (hosts.adopt, ADOPT),
        (hosts.keep_running, KEEP),
        (hosts.allow_datastore_restart, DATASTORE),
        (hosts.allow_deletes, DELETES),
    ];
    Ok(Made {
        at: clock::utc_now(),
        by: clock::who(),
        synprov: env!("CARGO_PKG_VERSION").to_owned(),
        inventory: Source { path: absolute(&loaded.path)?, sha256: sha256_hex(loaded.source.as_bytes()) },
        lock: Source {
            path: absolute(loaded.lock.path())?,
            sha256: sha256_hex(&std::fs::read(loaded.lock.path())?),
        },
        modules_directory: inventory.modules.as_deref().map(absolute).transpose()?,
        modules: loaded.modules.clone(),
        lab: inventory.lab,
        limit: hosts.reach.limit.clone(),
        target: targets.target.clone(),
        rolling: Rolling { batch: hosts.batch, drain_seconds: hosts.drain_timeout },
        backup: hosts.backup.clone(),
        allowed: allowed.iter().filter(|(given, _)| *given).map(|(_, flag)| (*flag).to_owned()).collect(),
        salt,
        secrets,
        hosts: stands(&loaded.topology, &surveyed.facts),
    })
}

/// What a file named on the command line is.
pub enum Named {
    /// A saved plan.
    Plan(Box<Saved>),
    /// A saved plan that cannot be used.
    Unusable(SavedError),
    /// Something else, or nothing: whoever reads inventories will say.
    Other,
}

/// Looks at a file.
pub fn look(path: &Path) -> Named {
    let small = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MOST);
    let Some(bytes) = small.then(|| std::fs::read(path).ok()).flatten() else { return Named::Other };
    let begins = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
    if !is_saved(&begins) {
        return Named::Other;
    }
    match std::str::from_utf8(&bytes) {
        Err(_) => Named::Unusable(SavedError::Edited),
        Ok(text) => match Saved::parse(text) {
            Ok(saved) => Named::Plan(Box::new(saved)),
            Err(error) => Named::Unusable(error),
        },
    }
}

/// Says why a file cannot be used.
pub fn unusable(path: &Path, error: &SavedError, output: &Output) {
    output.error(&format!("{}: {error}", path.display()), Some(error.help()));
}

/// How the inventory is read again that a plan was made from.
pub fn inventory(saved: &Saved) -> InventoryArgs {
    InventoryArgs {
        inventory: PathBuf::from(&saved.made.inventory.path),
        locked: false,
        modules: saved.made.modules_directory.as_ref().map(PathBuf::from),
        lab: saved.made.lab,
    }
}

/// Permissions that the plan was made with and that are not given now: a file grants none.
pub fn lacking<'a>(saved: &'a Saved, hosts: &HostArgs) -> Vec<&'a str> {
    let given = |flag: &str| match flag {
        ADOPT => hosts.adopt,
        KEEP => hosts.keep_running,
        DATASTORE => hosts.allow_datastore_restart,
        DELETES => hosts.allow_deletes,
        _ => false,
    };
    saved.made.allowed.iter().map(String::as_str).filter(|flag| !given(flag)).collect()
}

/// What differs before any host is asked: inventory, lock, modules, synprov itself.
pub fn sources(saved: &Saved, loaded: &Result<Loaded, Unloadable>) -> Vec<String> {
    let made = &saved.made;
    let mut lines = Vec::new();
    for (what, source) in [("the inventory", &made.inventory), ("the lock", &made.lock)] {
        match std::fs::read(&source.path) {
            Err(error) => lines.push(format!("{what} {} cannot be read: {error}", source.path)),
            Ok(bytes) if sha256_hex(&bytes) != source.sha256 => {
                lines.push(format!("{what} {} was changed", source.path));
            }
            Ok(_) => {}
        }
    }
    if made.synprov != env!("CARGO_PKG_VERSION") {
        lines.push(format!(
            "this is synprov {}, the plan was made by {}",
            env!("CARGO_PKG_VERSION"),
            made.synprov
        ));
    } else if let Ok(loaded) = loaded
        && loaded.modules != made.modules
    {
        lines.push("the modules were changed".to_owned());
    }
    lines
}

/// What differs now that hosts have been asked: secrets of the controller, hosts, the plan itself.
pub fn differences(saved: &Saved, loaded: &Loaded, surveyed: &Surveyed, plan: &Plan) -> Vec<String> {
    let made = &saved.made;
    let mut lines = Vec::new();
    for (name, secret) in &surveyed.secrets {
        if made.secrets.get(name) != Some(&check_value(&made.salt, name, secret)) {
            lines.push(format!("secret {name} has another value"));
        }
    }
    lines.extend(stale::hosts(made, &saved.plan, &saved::stands(&loaded.topology, &surveyed.facts)));
    lines.extend(stale::plans(&saved.plan, plan));
    lines
}

/// Says that the plan is refused, and what for.
pub fn refuse(path: &Path, saved: &Saved, differences: &[String], done: bool, output: &Output) -> Exit {
    let (summary, help) = if done {
        (
            "nothing of this plan is left to do: it was applied, or done in another way",
            "look with `synprov plan`",
        )
    } else {
        (
            "something that this plan stands on has changed; nothing was done",
            "make a new plan, look at it and apply that",
        )
    };
    output.error(&format!("{} of {}: {summary}", path.display(), saved.made.at), Some(help));
    output.sum_up("stale", differences.to_vec().into());
    for line in differences.iter().take(SHOWN) {
        output.talk(&format!("    {}\n", crate::facts::conversation::clean(line)));
    }
    if differences.len() > SHOWN {
        output.talk(&format!("    and {} more\n", differences.len() - SHOWN));
    }
    Exit::Stale
}

/// More differences than this are counted, not shown.
const SHOWN: usize = 30;
