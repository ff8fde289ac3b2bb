//! Releases as the tables write them: `"1.135"`.

use serde::Deserialize;

use crate::version::Version;

/// A release as `major.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Minor(pub u64, pub u64);

impl TryFrom<String> for Minor {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let version = Version::parse(&text).ok_or_else(|| format!("not a release: {text:?}"))?;
        let (major, minor) = version.minor();
        Ok(Self(major, minor))
    }
}

/// Whether a release lies between the first and the last, both included; pre-releases count as theirs.
pub fn within(version: &Version, since: Option<Minor>, until: Option<Minor>) -> bool {
    let (major, minor) = version.minor();
    let this = Minor(major, minor);
    since.is_none_or(|since| this >= since) && until.is_none_or(|until| this <= until)
}

impl std::fmt::Display for Minor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}
