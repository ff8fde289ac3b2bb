//! SIGINT, SIGTERM and SIGHUP: while hosts are being changed the first lets running steps finish, and the second
//! leaves at once; at any other time each ends the program, as it would without us.
//!
//! They are the whole process', so there is one count for all inventories of a run.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Exit, Output};
use crate::apply::Interrupts;

static INTERRUPTS: Interrupts = Interrupts { count: AtomicUsize::new(0), signal: AtomicUsize::new(0) };
/// How many inventories' hosts are being changed.
static CHANGING: AtomicUsize = AtomicUsize::new(0);
static LISTENS: Once = Once::new();

/// While it lives, signals are counted.
pub struct Heed(());

impl Heed {
    /// Errors: one arrived while another inventory's hosts were being changed. That was told.
    pub fn begin(output: &Output) -> Result<Self, Exit> {
        LISTENS.call_once(listen);
        CHANGING.fetch_add(1, Ordering::SeqCst);
        let heed = Self(());
        if let Some(exit) = interrupted() {
            output.talk("Interrupted. Nothing was changed.\n");
            return Err(exit);
        }
        Ok(heed)
    }

    /// What arrived.
    pub fn interrupts(&self) -> &'static Interrupts {
        &INTERRUPTS
    }
}

impl Drop for Heed {
    fn drop(&mut self) {
        CHANGING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How the program ends if a signal arrived that was counted.
pub fn interrupted() -> Option<Exit> {
    match INTERRUPTS.signal.load(Ordering::SeqCst) {
        0 => None,
        number => Some(Exit::Interrupted(u8::try_from(number).unwrap_or(2))),
    }
}

fn listen() {
    // nohup says with it that the terminal may go.
    let all = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| *signal != SIGHUP || !is_ignored(SIGHUP));
    let Ok(mut signals) = Signals::new(all) else { return };
    std::thread::spawn(move || signals.forever().for_each(arrived));
}

/// Whether our parent had this signal ignored (proc_pid_status(5)); where there is no `/proc`, it had not.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn arrived(signal: i32) {
    if CHANGING.load(Ordering::SeqCst) == 0 {
        drop(signal_hook::low_level::emulate_default_handler(signal));
        return;
    }
    // When a terminal goes, the shell says so and then the kernel: that is no second word.
    if signal == SIGHUP && INTERRUPTS.count.load(Ordering::SeqCst) > 0 {
        return;
    }
    let number = usize::try_from(signal).unwrap_or(2);
    // Only the first signal's number is kept.
    let _ = INTERRUPTS.signal.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
    INTERRUPTS.count.fetch_add(1, Ordering::SeqCst);
}
