//! One line of a plan: what happens to one resource, and why. The three-value table lives here.

use serde::{Deserialize, Serialize};

use crate::facts::record::{Attributes, Entry};

/// What an apply does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// It is not there.
    Create,
    /// It is there and differs.
    Update,
    /// It left the inventory and goes.
    Delete,
    /// It left the inventory and stays; only the record forgets it.
    Forget,
}

/// Who made the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// actual = applied ≠ desired: the inventory, its lock, a module or synprov itself changed.
    Intended,
    /// actual ≠ applied = desired: somebody changed the host.
    Drift,
    /// All three differ.
    DriftAndChange,
    /// There is no record of it, and it is not as desired.
    Unmanaged,
}

/// A resource that an apply would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `hs1/worker/file:/opt/matrix/conf/workers/sync.yaml`.
    pub address: String,
    /// Host name.
    pub host: String,
    /// Module that declares it.
    pub module: String,
    /// Its kind.
    pub kind: String,
    /// The kind's own key.
    pub name: String,
    /// What happens.
    pub operation: Operation,
    /// Who made the difference.
    pub cause: Cause,
    /// One clause for people.
    pub reason: String,
    /// Attributes that differ: name, as found, as it will be.
    pub attributes: Vec<(String, Option<String>, Option<String>)>,
    /// Unified diff of a file's content, secrets as `<secret NAME>`.
    pub diff: Option<String>,
}

/// Applies the three-value table to a desired resource. `None`: nothing to do.
pub fn compare(
    desired: &Attributes,
    actual: Option<&Attributes>,
    entry: Option<&Entry>,
) -> Option<(Operation, Cause)> {
    let Some(actual) = actual else {
        // With something pending it was us who took it away: it has been on its way out.
        let was_there = entry.is_some_and(|entry| entry.applied.is_some() && entry.pending.is_none());
        return Some((Operation::Create, if was_there { Cause::Drift } else { Cause::Intended }));
    };
    if actual == desired {
        return None;
    }
    let Some(entry) = entry else { return Some((Operation::Update, Cause::Unmanaged)) };
    let Some(applied) = &entry.applied else {
        let unfinished = entry.pending.is_some();
        return Some((Operation::Update, if unfinished { Cause::Intended } else { Cause::Unmanaged }));
    };
    // An apply that died may have got as far as its pending values, wholly or, attribute by
    // attribute, in part: that is our own unfinished work and nobody else's.
    let pending = |key: &String| entry.pending.as_ref().and_then(|pending| pending.get(key));
    let ours = |key: &String, value: &String| match applied.get(key) {
        // What was none of our business when we last finished (one more setting, one more package)
        // is nobody's drift, also if an apply died before it came to it.
        None => true,
        Some(known) => [Some(known), pending(key)]
            .into_iter()
            .flatten()
            .any(|known| known == value || known.contains(super::values::UNKNOWN)),
    };
    let untouched = actual.iter().all(|(key, value)| ours(key, value))
        && applied.keys().all(|key| {
            // What is no longer our business is not asked about.
            actual.contains_key(key) || !desired.contains_key(key) || entry.pending.is_some()
        });
    let cause = if untouched {
        Cause::Intended
    } else if applied == desired {
        Cause::Drift
    } else {
        Cause::DriftAndChange
    };
    Some((Operation::Update, cause))
}

/// What differs, attribute by attribute, in order of name.
pub fn differences(
    before: Option<&Attributes>,
    after: Option<&Attributes>,
) -> Vec<(String, Option<String>, Option<String>)> {
    let empty = Attributes::new();
    let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name.clone(), before.get(name).cloned(), after.get(name).cloned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(content: &str) -> Attributes {
        Attributes::from([("content".to_owned(), content.to_owned()), ("mode".to_owned(), "0640".to_owned())])
    }

    /// desired, actual, applied, pending → outcome, each a word for the content; `-` is absent.
    fn check(
        desired: &str,
        actual: &str,
        applied: &str,
        pending: &str,
        expected: Option<(Operation, Cause)>,
    ) {
        let some = |word: &str| (word != "-").then(|| values(word));
        let entry = (applied != "-" || pending != "-").then(|| Entry {
            applied: some(applied),
            pending: some(pending),
            ..Entry::default()
        });
        let found = compare(&values(desired), some(actual).as_ref(), entry.as_ref());
        assert_eq!(
            found, expected,
            "desired {desired}, actual {actual}, applied {applied}, pending {pending}"
        );
    }

    #[test]
    fn the_three_value_table() {
        use Cause::{Drift, DriftAndChange, Intended, Unmanaged};
        use Operation::{Create, Update};
        check("a", "a", "a", "-", None);
        check("a", "a", "b", "-", None);
        check("a", "a", "-", "-", None);
        check("b", "a", "a", "-", Some((Update, Intended)));
        check("a", "b", "a", "-", Some((Update, Drift)));
        check("c", "b", "a", "-", Some((Update, DriftAndChange)));
        check("a", "b", "-", "-", Some((Update, Unmanaged)));
        check("a", "-", "-", "-", Some((Create, Intended)));
        check("a", "-", "a", "-", Some((Create, Drift)));
        check("b", "-", "a", "-", Some((Create, Drift)));
    }

    #[test]
    fn an_attribute_that_is_not_asked_for_any_more_is_no_drift() {
        let with = |key: &str, mut values: Attributes| {
            values.insert(key.to_owned(), "1".to_owned());
            values
        };
        let entry = Entry { applied: Some(with("setting", values("a"))), ..Entry::default() };
        let found = compare(&values("b"), Some(&values("a")), Some(&entry));
        assert_eq!(found, Some((Operation::Update, Cause::Intended)));
        let found = compare(&with("setting", values("a")), Some(&values("a")), Some(&entry));
        assert_eq!(found, Some((Operation::Update, Cause::Drift)), "still asked for, and gone");
    }

    #[test]
    fn an_attribute_that_a_killed_apply_did_not_come_to_is_no_drift() {
        let with = |value: &str| {
            let mut values = values("a");
            values.insert("setting".to_owned(), value.to_owned());
            values
        };
        let entry = Entry { applied: Some(values("a")), pending: Some(with("new")), ..Entry::default() };
        let found = compare(&with("new"), Some(&with("the distribution's")), Some(&entry));
        assert_eq!(found, Some((Operation::Update, Cause::Intended)));
    }

    #[test]
    fn what_a_killed_apply_left_behind_is_its_own_and_not_drift() {
        use Cause::{DriftAndChange, Intended};
        use Operation::{Create, Update};
        check("b", "b", "a", "b", None);
        check("c", "b", "a", "b", Some((Update, Intended)));
        check("b", "a", "a", "b", Some((Update, Intended)));
        check("b", "x", "a", "b", Some((Update, DriftAndChange)));
        check("b", "-", "-", "b", Some((Create, Intended)));
        check("c", "b", "-", "b", Some((Update, Intended)));
    }
}
