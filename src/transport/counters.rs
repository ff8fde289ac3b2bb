//! What a session has cost: log-ins, commands, bytes. For `-v` and the benches.
//!
//! Bytes are those of stdin, stdout and stderr, before encryption and without SSH's own packets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A handle on one session's numbers; clones read the same numbers, from any thread.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    logins: AtomicU64,
    execs: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Counters {
    /// SSH log-ins; 0 for the local machine.
    pub fn logins(&self) -> u64 {
        self.0.logins.load(Relaxed)
    }

    /// Commands started.
    pub fn execs(&self) -> u64 {
        self.0.execs.load(Relaxed)
    }

    /// Bytes received: stdout and stderr.
    pub fn bytes_in(&self) -> u64 {
        self.0.bytes_in.load(Relaxed)
    }

    /// Bytes sent: stdin.
    pub fn bytes_out(&self) -> u64 {
        self.0.bytes_out.load(Relaxed)
    }

    pub(super) fn login(&self) {
        self.0.logins.fetch_add(1, Relaxed);
    }

    pub(super) fn exec(&self) {
        self.0.execs.fetch_add(1, Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.0.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.bytes_out.fetch_add(bytes as u64, Relaxed);
    }
}
