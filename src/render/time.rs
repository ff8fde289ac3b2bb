//! Points in time as people and programs read them. UTC, because hosts and readers are anywhere.

use jiff::Timestamp;

/// `2026-11-26 18:01 UTC`, from microseconds since the epoch.
pub fn minute(at: i64) -> String {
    printed("%Y-%m-%d %H:%M UTC", at)
}

/// `2026-11-26T18:01:07Z` (RFC 3339), from microseconds since the epoch.
pub fn second(at: i64) -> String {
    printed("%Y-%m-%dT%H:%M:%SZ", at)
}

/// `2026-11-26T18:01:07.123Z` (RFC 3339), from microseconds since the epoch.
pub fn millisecond(at: i64) -> String {
    printed("%Y-%m-%dT%H:%M:%S%.3fZ", at)
}

/// `2026-11-22 04:33:46 UTC`, from seconds since the epoch.
pub fn utc(seconds: u64) -> String {
    printed("%Y-%m-%d %H:%M:%S UTC", i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

/// Microseconds since the epoch by a format of strftime(3); what lies beyond the calendar's end is its last moment.
pub fn printed(format: &str, at: i64) -> String {
    let end = if at < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(at).unwrap_or(end).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(second(0), "1970-01-01T00:00:00Z");
        assert_eq!(second(1_709_251_199_000_001), "2024-02-29T23:59:59Z");
        assert_eq!(second(1_709_251_200_000_000), "2024-03-01T00:00:00Z");
        assert_eq!(second(-1), "1969-12-31T23:59:59Z");
        assert_eq!(minute(1_795_322_026_123_456), "2026-11-22 04:33 UTC");
        assert_eq!(millisecond(1_795_322_026_123_956), "2026-11-22T04:33:46.123Z");
        assert_eq!(utc(1_795_322_026), "2026-11-22 04:33:46 UTC");
    }

    #[test]
    fn times_without_end_are_printed_all_the_same() {
        assert_eq!(
            (utc(u64::MAX), minute(i64::MAX)),
            ("9999-12-30 22:00:00 UTC".to_owned(), "9999-12-30 22:00 UTC".to_owned())
        );
        assert!(second(i64::MIN).starts_with("-9999-01-0"), "{}", second(i64::MIN));
    }
}
