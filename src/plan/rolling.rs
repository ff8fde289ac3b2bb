//! How pools of several processes restart: how many at a time, how long their requests may take to end.
//!
//! Never here: which restart when (`order::roll`).

use serde::{Deserialize, Serialize};

/// How pools of several processes restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// How many of a pool are away at the same time.
    pub batch: Batch,
    /// Seconds that requests in flight may take to end before their process stops; 0: they are cut off.
    pub drain_seconds: u32,
}

impl Rolling {
    /// Above the longest long poll that clients ask for (30 s; some bots 60 s).
    pub const DRAIN_SECONDS: u32 = 120;
}

impl Default for Rolling {
    fn default() -> Self {
        Self { batch: Batch::default(), drain_seconds: Self::DRAIN_SECONDS }
    }
}

/// `--batch`: how many of a pool are away at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Batch {
    /// So many.
    Count(u32),
    /// So many of a hundred, rounded down.
    Percent(u32),
}

impl Default for Batch {
    fn default() -> Self {
        Self::Percent(50)
    }
}

impl Batch {
    /// How many of a pool of `size`: at least one, and never all.
    pub fn of(self, size: usize) -> usize {
        let wanted = match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => size.saturating_mul(percent as usize) / 100,
        };
        wanted.min(size.saturating_sub(1)).max(1)
    }
}

impl std::str::FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a number from 1, or a percentage from 1% to 100%".to_owned();
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(wrong);
        match text.strip_suffix('%') {
            Some(percent) => {
                number(percent).and_then(|it| if it <= 100 { Ok(Self::Percent(it)) } else { Err(wrong()) })
            }
            None => number(text).map(Self::Count),
        }
    }
}

impl TryFrom<String> for Batch {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Batch> for String {
    fn from(batch: Batch) -> Self {
        batch.to_string()
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Batch;

    #[test]
    fn at_least_one_and_never_all() {
        for (batch, size, many) in [
            ("50%", 2, 1),
            ("50%", 3, 1),
            ("50%", 5, 2),
            ("100%", 4, 3),
            ("1%", 4, 1),
            ("3", 8, 3),
            ("9", 4, 3),
        ] {
            assert_eq!(batch.parse::<Batch>().unwrap().of(size), many, "{batch} of {size}");
        }
        for wrong in ["", "0", "0%", "101%", "half", "-1"] {
            assert!(wrong.parse::<Batch>().is_err(), "{wrong}");
        }
    }
}
