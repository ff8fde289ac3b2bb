//! Several inventories in one run: each its own topology, hosts and exit status, told in the order they were named.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use clap::Args;

use super::output::Said;
use super::signals::interrupted;
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

/// How one ended, and what it said; `None`: it was not begun.
type Told = Option<(Exit, Vec<Said>)>;

/// What happens to those that were not begun yet when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They have nothing to do with it.
    GoOn,
    /// They are left as they are.
    Stay,
}

/// How many inventories side by side, and how many hosts of each, if so many hosts may be spoken with.
pub fn shares(forks: u16, inventories: usize) -> (usize, u16) {
    let at_once = usize::from(forks).min(inventories).max(1);
    (at_once, forks.div_ceil(u16::try_from(at_once).unwrap_or(u16::MAX)))
}

/// Runs `one` for each, side by side, at most `at_once` of them. The exit status is the worst.
pub fn side_by_side(
    all: &[InventoryArgs],
    at_once: usize,
    others: Others,
    output: &Output,
    one: impl Fn(&InventoryArgs, &Output) -> Exit + Sync,
) -> Exit {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..all.len()).collect());
    let told: Mutex<Vec<Option<Told>>> = Mutex::new(all.iter().map(|_| None).collect());
    let more = Condvar::new();
    let settings = output.settings();
    let next = || lock(&queue).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, all.len()) {
            scope.spawn(|| {
                while let Some(at) = next() {
                    if interrupted().is_some() {
                        lock(&told)[at] = Some(None);
                        more.notify_one();
                        continue;
                    }
                    let captured = Output::captured(settings);
                    // A panic is told of by its hook; the others go on.
                    let exit =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(&all[at], &captured)))
                            .unwrap_or(Exit::Error);
                    let mut left = VecDeque::new();
                    if exit != Exit::Done && others == Others::Stay {
                        left = std::mem::take(&mut *lock(&queue));
                    }
                    let mut told = lock(&told);
                    told[at] = Some(Some((exit, captured.into_said())));
                    left.into_iter().for_each(|at| told[at] = Some(None));
                    more.notify_one();
                }
            });
        }
        let mut worst = Exit::Done;
        let mut left = Vec::new();
        for (at, inventory) in all.iter().enumerate() {
            let mut told = lock(&told);
            let done = loop {
                match told[at].take() {
                    Some(done) => break done,
                    None => told = more.wait(told).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(told);
            if let Some((exit, said)) = done {
                worst = worst.worse(exit);
                output.replay(&heading(&inventory.inventory), &said);
            } else {
                left.push(inventory);
            }
        }
        not_begun(&left, output);
        interrupted().filter(|_| !left.is_empty()).map_or(worst, |exit| worst.worse(exit))
    })
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `one` for each, one after the other, until one fails.
pub fn one_by_one(
    all: &[InventoryArgs],
    output: &Output,
    one: impl Fn(&InventoryArgs, &Output) -> Exit,
) -> Exit {
    for (at, inventory) in all.iter().enumerate() {
        // It arrived when the one before had nothing left to do.
        if let Some(exit) = interrupted() {
            not_begun(&all[at..].iter().collect::<Vec<_>>(), output);
            return exit;
        }
        output.talk(&heading(&inventory.inventory));
        let exit = one(inventory, output);
        if exit != Exit::Done {
            not_begun(&all[at + 1..].iter().collect::<Vec<_>>(), output);
            return exit;
        }
    }
    Exit::Done
}

fn not_begun(left: &[&InventoryArgs], output: &Output) {
    if !left.is_empty() {
        let names: Vec<String> = left.iter().map(|one| one.inventory.display().to_string()).collect();
        output.talk(&format!("Not begun: {}\n", names.join(", ")));
    }
}

fn heading(path: &Path) -> String {
    format!("== {} ==\n", path.display())
}
