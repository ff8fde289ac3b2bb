//! Several inventories in one run: each its own topology, hosts and exit status, told in the order they were named.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use clap::Args;

use super::output::Said;
use super::{Exit, InventoryArgs, Output};

/// More inventories.
#[derive(Debug, Clone, Default, Args)]
pub struct MoreArgs {
    /// More inventories, each a deployment of its own
    #[arg(value_name = "INVENTORY")]
    pub more: Vec<PathBuf>,
}

impl MoreArgs {
    /// All that were named, if they are several.
    pub fn all(&self, first: &InventoryArgs) -> Option<Vec<InventoryArgs>> {
        if self.more.is_empty() {
            return None;
        }
        let paths = std::iter::once(&first.inventory).chain(&self.more);
        Some(paths.map(|path| InventoryArgs { inventory: path.clone(), ..first.clone() }).collect())
    }
}

/// Which flags make no sense for several inventories, because each would overwrite the other's file.
pub fn refuse(flags: &[(&str, bool)], output: &Output) -> Result<(), Exit> {
    match flags.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            output.error(
                &format!("{flag} names one file, and there are several inventories"),
                Some("run it for each by itself"),
            );
            Err(Exit::Usage)
        }
    }
}

/// How one ended, and what it said.
type Told = (Exit, Vec<Said>);

/// How many inventories side by side, and how many hosts of each, if so many hosts may be spoken with.
pub fn shares(forks: u16, inventories: usize) -> (usize, u16) {
    let at_once = usize::from(forks).min(inventories).max(1);
    (at_once, forks.div_ceil(u16::try_from(at_once).unwrap_or(u16::MAX)))
}

/// Runs `one` for each, side by side, at most `at_once` of them. The exit status is the worst.
pub fn side_by_side(
    all: &[InventoryArgs],
    at_once: usize,
    output: &Output,
    one: impl Fn(&InventoryArgs, &Output) -> Exit + Sync,
) -> Exit {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..all.len()).collect());
    let told: Mutex<Vec<Option<Told>>> = Mutex::new(all.iter().map(|_| None).collect());
    let more = Condvar::new();
    let settings = output.settings();
    std::thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, all.len()) {
            scope.spawn(|| {
                while let Some(at) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                    let captured = Output::captured(settings);
                    // A panic is told of by its hook; the others go on.
                    let exit =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(&all[at], &captured)))
                            .unwrap_or(Exit::Error);
                    let said = captured.into_said();
                    told.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some((exit, said));
                    more.notify_one();
                }
            });
        }
        let mut worst = Exit::Done;
        for (at, inventory) in all.iter().enumerate() {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let (exit, said) = loop {
                match told[at].take() {
                    Some(done) => break done,
                    None => told = more.wait(told).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(told);
            worst = worst.worse(exit);
            output.replay(&heading(&inventory.inventory), &said);
        }
        worst
    })
}

/// Runs `one` for each, one after the other, until one fails.
pub fn one_by_one(
    all: &[InventoryArgs],
    output: &Output,
    one: impl Fn(&InventoryArgs, &Output) -> Exit,
) -> Exit {
    for (at, inventory) in all.iter().enumerate() {
        output.talk(&heading(&inventory.inventory));
        let exit = one(inventory, output);
        if exit != Exit::Done {
            let left: Vec<String> =
                all[at + 1..].iter().map(|inventory| inventory.inventory.display().to_string()).collect();
            if !left.is_empty() {
                output.talk(&format!("Not begun: {}\n", left.join(", ")));
            }
            return exit;
        }
    }
    Exit::Done
}

fn heading(path: &Path) -> String {
    format!("== {} ==\n", path.display())
}
