//! One finding: what, whose, since when, and what to do about it.

use serde::Serialize;

/// Whose doing a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody or something else than synprov changed the host.
    Drift,
    /// The inventory (or its lock, a module, synprov) intends it, and nobody has applied it.
    Pending,
    /// Worth knowing, nothing to do: a renewed package or certificate.
    Information,
}

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Other content.
    Content,
    /// Other mode, owner or group.
    Rights,
    /// A link, a directory, … in its place.
    Replaced,
    /// It is gone.
    Removed,
    /// It does not run.
    Stopped,
    /// It failed, or fails again and again.
    Failed,
    /// It died and systemd started it again.
    Crashed,
    /// It runs, and would not at the next boot.
    Disabled,
    /// It cannot be started.
    Masked,
    /// systemd has not read its files since they changed.
    NotReloaded,
    /// It runs with an older configuration, program or certificate than is on disk.
    Outdated,
    /// Somebody's file is laid over ours.
    Overridden,
    /// A setting has another value.
    Setting,
    /// It runs, and nobody owns it.
    Unowned,
    /// It ends soon, or has ended.
    Expiring,
    /// The clock is wrong.
    Skewed,
    /// The distribution renewed it.
    Renewed,
    /// Not applied yet.
    NotApplied,
}

/// An attribute that is not as it should be. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `mode`, `owner`, a setting's name, …
    pub name: String,
    /// As it should be; `None`: it should not be there.
    pub expected: Option<String>,
    /// As found; `None`: it is not there.
    pub found: Option<String>,
}

/// One thing that is not as it was left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Host name.
    pub host: String,
    /// Whose doing.
    pub class: Class,
    /// Kind of resource, or `drop_in`, `process`, `program`, `configuration`, `redis`, `certificate`, `clock`.
    pub kind: String,
    /// The kind's own key: a path, a unit, a package.
    pub name: String,
    /// Module that owns it; `None`: nobody does.
    pub module: Option<String>,
    /// What kind of change.
    pub change: What,
    /// One clause for people.
    pub summary: String,
    /// When, microseconds since the epoch; `None`: nothing on the host tells.
    pub since: Option<i64>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Unified diff from what should be there to what is.
    pub diff: Option<String>,
    /// Units that may have taken it over.
    pub affects: Vec<String>,
    /// `apply` puts it right.
    pub healed_by_apply: bool,
    /// Command line for root on the host that puts it right (or makes that `apply` does).
    pub command: Option<String>,
    /// What a person should look at first.
    pub advice: Option<String>,
}

impl Finding {
    /// Drift that nobody owns, with no remedy yet.
    pub(super) fn new(host: &str, kind: &str, name: &str, change: What, summary: String) -> Self {
        Self {
            host: host.to_owned(),
            class: Class::Drift,
            kind: kind.to_owned(),
            name: name.to_owned(),
            module: None,
            change,
            summary,
            since: None,
            differences: Vec::new(),
            diff: None,
            affects: Vec::new(),
            healed_by_apply: false,
            command: None,
            advice: None,
        }
    }

    pub(super) fn since(self, since: impl Into<Option<i64>>) -> Self {
        Self { since: since.into().filter(|at| *at > 0), ..self }
    }

    pub(super) fn module(self, module: &str) -> Self {
        Self { module: Some(module.to_owned()), ..self }
    }

    pub(super) fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    pub(super) fn affects(self, affects: Vec<String>) -> Self {
        Self { affects, ..self }
    }

    pub(super) fn remedy(self, command: impl Into<String>, advice: &str) -> Self {
        let advice = (!advice.is_empty()).then(|| advice.to_owned());
        Self { command: Some(command.into()), advice, ..self }
    }

    pub(super) fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    pub(super) fn differs(mut self, name: &str, expected: Option<&str>, found: Option<&str>) -> Self {
        let owned = |value: Option<&str>| value.map(str::to_owned);
        self.differences.push(Difference {
            name: name.to_owned(),
            expected: owned(expected),
            found: owned(found),
        });
        self
    }
}

/// A word of a shell command that stands for itself.
pub(super) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@:+=".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
