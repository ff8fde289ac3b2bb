//! What time it is, and who asks: for records of what people do.

use jiff::Timestamp;

use crate::render::time::{millisecond, utc};

/// `2026-11-22 04:33:46 UTC`, now.
pub fn utc_now() -> String {
    utc(seconds())
}

/// Seconds since the epoch, now; 0 for a clock that is before it.
pub fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// `2026-11-22T04:33:46.123Z`, now: RFC 3339, for machines.
pub fn rfc3339_now() -> String {
    millisecond(Timestamp::now().as_microsecond())
}

/// `root@machine`.
pub fn who() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim()).chars().filter(|c| !c.is_control()).collect()
}
