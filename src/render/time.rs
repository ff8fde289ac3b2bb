//! Points in time as people and programs read them. UTC, because hosts and readers are anywhere.

/// Year, month, day, and seconds of that day, of microseconds since the epoch.
fn civil(at: i64) -> (i64, i64, i64, i64) {
    let seconds = at.div_euclid(1_000_000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let part = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * part + 2) / 5 + 1;
    let month = if part < 10 { part + 3 } else { part - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day, rest)
}

/// `2026-11-26 18:01 UTC`.
pub fn minute(at: i64) -> String {
    let (year, month, day, rest) = civil(at);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest / 60 % 60)
}

/// `2026-11-26T18:01:07Z` (RFC 3339).
pub fn second(at: i64) -> String {
    let (year, month, day, rest) = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// `2026-11-22 04:33:46 UTC`, from seconds since the epoch.
pub fn utc(seconds: u64) -> String {
    let (year, month, day, rest) =
        civil(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000));
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
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
    }
}
