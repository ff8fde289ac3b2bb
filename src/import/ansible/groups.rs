//! Groups of hosts and what their variables come to for one host.

use indexmap::{IndexMap, IndexSet};

/// A group as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Hosts with their own variables, in the order written.
    pub hosts: IndexMap<String, IndexMap<String, String>>,
    /// Variables of the group.
    pub variables: IndexMap<String, String>,
    /// Groups in it.
    pub children: IndexSet<String>,
}

/// All groups by name; `all` and `ungrouped` are among them if they were named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// By name, in the order written.
    pub groups: IndexMap<String, Group>,
}

/// Everybody's group, and that of hosts without one.
const IMPLICIT: [&str; 2] = ["all", "ungrouped"];

impl Groups {
    /// The group, which from now on is there.
    pub fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// Every host once, in the order written.
    pub fn hosts(&self) -> Vec<String> {
        let all: IndexSet<&String> = self.groups.values().flat_map(|group| group.hosts.keys()).collect();
        all.into_iter().cloned().collect()
    }

    /// Names of the groups that a host is in, directly or not, in the order written.
    pub fn of(&self, host: &str) -> Vec<&str> {
        let above = self.above(host);
        let named = self.groups.keys().map(String::as_str);
        named.filter(|name| above.contains_key(*name) && !IMPLICIT.contains(name)).collect()
    }

    /// The groups that a host is in, with how far each is below `all`.
    fn above(&self, host: &str) -> IndexMap<&str, usize> {
        let mut found: IndexSet<&str> = self
            .groups
            .iter()
            .filter(|(_, group)| group.hosts.contains_key(host))
            .map(|(name, _)| name.as_str())
            .collect();
        let mut at = 0;
        while let Some(child) = found.get_index(at).copied() {
            let parents = self.groups.iter().filter(|(_, group)| group.children.contains(child));
            found.extend(parents.map(|(name, _)| name.as_str()));
            at += 1;
        }
        found.into_iter().map(|name| (name, self.depth(name, self.groups.len()))).collect()
    }

    /// Longest way from a group that nobody contains; `left` ends circles.
    fn depth(&self, name: &str, left: usize) -> usize {
        if left == 0 || name == "all" {
            return 0;
        }
        let parents = self.groups.iter().filter(|(_, group)| group.children.contains(name));
        parents.map(|(parent, _)| 1 + self.depth(parent, left / 2)).max().unwrap_or(1)
    }

    /// A host's variables: of `all`, of its groups from the outermost on (by name where they are equally
    /// far), and its own; the last word wins.
    pub fn variables(&self, host: &str) -> IndexMap<String, String> {
        let mut above: Vec<(&str, usize)> = self.above(host).into_iter().collect();
        above.sort_by_key(|(name, depth)| (*depth, *name));
        let mut variables = IndexMap::new();
        let all = self.groups.get("all").into_iter();
        let groups =
            above.iter().filter(|(name, _)| *name != "all").filter_map(|(name, _)| self.groups.get(*name));
        for group in all.chain(groups) {
            variables.extend(group.variables.clone());
        }
        for own in self.groups.values().filter_map(|group| group.hosts.get(host)) {
            variables.extend(own.clone());
        }
        variables
    }
}

/// Most hosts that one name with ranges may stand for.
const MOST: usize = 10_000;

/// Hosts that a name with ranges stands for: `db[01:03]`, `w-[a:c]`, `h[0:8:2]`. `None`: it is no such name.
pub fn expand(pattern: &str) -> Option<Vec<String>> {
    let Some((head, rest)) = pattern.split_once('[') else { return Some(vec![pattern.to_owned()]) };
    let (range, tail) = rest.split_once(']')?;
    let tails = expand(tail)?;
    let words = words(range)?;
    if words.len().checked_mul(tails.len())? > MOST {
        return None;
    }
    let both = words.iter().flat_map(|word| tails.iter().map(move |tail| format!("{head}{word}{tail}")));
    Some(both.collect())
}

fn words(range: &str) -> Option<Vec<String>> {
    let mut parts = range.split(':');
    let (from, to, step) = (parts.next()?, parts.next()?, parts.next().unwrap_or("1"));
    let step: usize = step.parse().ok().filter(|step| *step > 0)?;
    if parts.next().is_some() {
        return None;
    }
    if let (Ok(first), Ok(last)) = (from.parse::<usize>(), to.parse::<usize>()) {
        let width = if from.starts_with('0') { from.len() } else { 0 };
        if last < first || (last - first) / step >= MOST {
            return None;
        }
        return Some((first..=last).step_by(step).map(|number| format!("{number:0width$}")).collect());
    }
    let letter = |text: &str| match text.as_bytes() {
        [one] if one.is_ascii_alphabetic() => Some(*one),
        _ => None,
    };
    let (first, last) = (letter(from)?, letter(to)?);
    (first <= last).then(|| (first..=last).step_by(step).map(|byte| char::from(byte).to_string()).collect())
}
