//! What time it is, and who asks: for records of what people do.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-11-22 04:33:46 UTC`, now.
pub fn utc_now() -> String {
    utc(since_epoch().as_secs())
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

/// `2026-11-22 04:33:46 UTC`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, counted in eras of 400 years that begin on 1 March.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year_of_era + era * 400, month + 3)
    } else {
        (year_of_era + era * 400 + 1, month - 9)
    };
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_civil() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(1_795_322_026), "2026-11-22 04:33:46 UTC");
    }
}
