//! Ports of loopback for tests that give them to a program or want nobody there.
//!
//! A port that was bound once and let go is anybody's: the next listener on port 0, of this test or of the
//! one beside it, may draw it. These stand below what the kernel draws from, and each is given once.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the kernel's own range (`ip_local_port_range`, from 32768).
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The first of `count` ports in a row on which nobody listens, never given twice in this process.
pub fn free(count: u16) -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run side by side begin at different places.
    let begin = (std::process::id() % 100) as u16 * 120;
    loop {
        let first =
            RANGE.start + (begin + GIVEN.fetch_add(count, Ordering::Relaxed)) % (RANGE.end - RANGE.start);
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}
