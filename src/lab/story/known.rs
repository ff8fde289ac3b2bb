//! What a homeserver says about itself: its release, and what is switched on that is no standard yet.

use serde_json::Value;

use super::super::teller::Story;

/// Answers of the homeserver under test.
pub(super) struct Known {
    release: (u32, u32),
    unstable: Value,
}

impl Known {
    /// Asks it. `None`: it does not answer.
    pub(super) fn ask(story: &mut Story<'_>) -> Option<Self> {
        let versions = story.get(None, "ask for versions", "/_matrix/client/versions")?;
        let server = story.get(None, "ask for the federation version", "/_matrix/federation/v1/version")?;
        let release = server["server"]["version"].as_str().and_then(release);
        story.expect(release.is_some(), "it does not say which release it is");
        Some(Self { release: release?, unstable: versions["unstable_features"].clone() })
    }

    /// Whether it is this release of Synapse or a later one.
    pub(super) fn since(&self, major: u32, minor: u32) -> bool {
        self.release >= (major, minor)
    }

    /// Whether a feature that is no standard yet is on.
    pub(super) fn unstable(&self, name: &str) -> bool {
        self.unstable[name] == true
    }
}

/// `1.163.2 (b=…)` → `(1, 163)`.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn a_release_is_read_from_what_a_homeserver_says() {
        assert_eq!(release("1.163.2"), Some((1, 163)));
        assert_eq!(release("1.90.0 (b=release,abc)"), Some((1, 90)));
        assert_eq!(release("unknown"), None);
    }
}
