//! What time it is, and who asks: for records of what people do.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::render::time::utc;

/// `2026-11-22 04:33:46 UTC`, now.
pub fn utc_now() -> String {
    utc(since_epoch().as_secs())
}

/// Seconds since the epoch, now.
pub fn seconds() -> u64 {
    since_epoch().as_secs()
}

/// `2026-11-22T04:33:46.123Z`, now: RFC 3339, for machines.
pub fn rfc3339_now() -> String {
    let now = since_epoch();
    let text = utc(now.as_secs());
    format!("{}.{:03}Z", text.trim_end_matches(" UTC").replace(' ', "T"), now.subsec_millis())
}

fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `root@machine`.
pub fn who() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim()).chars().filter(|c| !c.is_control()).collect()
}
