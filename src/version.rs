//! Versions of Python packages (PEP 440 release segments), compared as PyPI does.

/// `1.163.2`, optionally with a pre-release suffix, as Synapse publishes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    text: String,
    release: Vec<u64>,
    /// `Some((kind, n))` for `a`, `b`, `rc`; `None` sorts after all of these.
    pre: Option<(u8, u64)>,
}

impl Version {
    /// Reads `MAJOR.MINOR[.PATCH][rcN]`; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (release_text, pre) = match text.find(|c: char| c.is_ascii_alphabetic()) {
            None => (text, None),
            Some(at) => {
                let (release, suffix) = text.split_at(at);
                let (kind, number) = [("rc", 2), ("a", 0), ("b", 1)]
                    .into_iter()
                    .find_map(|(word, kind)| suffix.strip_prefix(word).map(|number| (kind, number)))?;
                (release, Some((kind, number.parse().ok()?)))
            }
        };
        let release: Vec<u64> = release_text
            .split('.')
            .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
            .collect::<Option<_>>()?;
        (release.len() >= 2).then(|| Self { text: text.to_owned(), release, pre })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is `major.minor` or later. Pre-releases count as their release.
    pub fn at_least(&self, major: u64, minor: u64) -> bool {
        (self.release[0], self.release[1]) >= (major, minor)
    }

    /// `(major, minor)`.
    pub fn minor(&self) -> (u64, u64) {
        (self.release[0], self.release[1])
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let width = self.release.len().max(other.release.len());
        let padded =
            |v: &Self| v.release.iter().copied().chain(std::iter::repeat(0)).take(width).collect::<Vec<_>>();
        let pre = |v: &Self| v.pre.unwrap_or((u8::MAX, 0));
        padded(self)
            .cmp(&padded(other))
            .then(pre(self).cmp(&pre(other)))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
