//! Changes and steps that are the same but for the process they are about, told once.
//!
//! Thirty workers of a pool that all change the same line are one thing to a reader. Nothing is left
//! out: the names of all are told, and `-v` shows each by itself.

use crate::plan::change::{Change, Operation};
use crate::plan::diff::body;
use crate::plan::step::{Action, Step};

/// So many hosts are told each by name.
pub(super) const FEW: usize = 6;

/// Stands where the process' name stood.
pub const NAME: &str = "{name}";

/// Changes that are told as one.
pub struct Entry<'a> {
    /// At least one, in the plan's order.
    pub changes: Vec<&'a Change>,
    key: String,
}

impl<'a> Entry<'a> {
    /// Hosts they are on, in order.
    pub fn hosts(&self) -> Vec<&'a str> {
        let mut hosts: Vec<&str> = Vec::new();
        for change in &self.changes {
            if !hosts.contains(&change.host.as_str()) {
                hosts.push(&change.host);
            }
        }
        hosts
    }

    /// The name of the first, with [`NAME`] in it if they are several of a host.
    pub fn name(&self) -> String {
        let first = self.changes[0];
        if self.changes.iter().all(|change| change.name == first.name) {
            return first.name.clone();
        }
        general(&first.name, own(&first.kind, &first.name))
    }

    /// Which they are, by host if there are several; `None`: the name says it.
    pub fn names(&self) -> Option<String> {
        let first = self.changes[0];
        if self.changes.iter().all(|change| change.name == first.name) {
            return None;
        }
        let hosts = self.hosts();
        let of = |host: &str| {
            let here = self.changes.iter().filter(|change| change.host == host);
            listed(&here.map(|change| own(&change.kind, &change.name)).collect::<Vec<_>>())
        };
        Some(match hosts.as_slice() {
            [host] => of(host),
            many if many.len() > FEW => {
                listed(&self.changes.iter().map(|change| own(&change.kind, &change.name)).collect::<Vec<_>>())
            }
            hosts => hosts.iter().map(|host| format!("{host}: {}", of(host))).collect::<Vec<_>>().join("; "),
        })
    }
}

/// Folds changes. `each`: every one stays by itself.
pub fn changes(all: &[Change], each: bool) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for change in all {
        let key = key(change);
        match entries.iter_mut().find(|entry| !each && entry.key == key) {
            Some(entry) => entry.changes.push(change),
            None => entries.push(Entry { changes: vec![change], key }),
        }
    }
    entries
}

/// Sets of hosts under which entries are told: what is the same on several comes first, then each
/// host's own. `hosts`: in the plan's order.
pub fn sections<'a>(entries: &[Entry<'a>], hosts: &[String]) -> Vec<Vec<&'a str>> {
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for of in entries.iter().map(Entry::hosts) {
        if !sections.contains(&of) {
            sections.push(of);
        }
    }
    let place = |host: &str| hosts.iter().position(|known| known == host);
    sections.sort_by_key(|of| {
        (std::cmp::Reverse(of.len()), of.iter().map(|host| place(host)).collect::<Vec<_>>())
    });
    sections
}

/// The entries of these hosts, those of a module together, modules in the order of their first.
pub fn of<'e, 'a>(entries: &'e [Entry<'a>], hosts: &[&str]) -> Vec<&'e Entry<'a>> {
    let mut here: Vec<&Entry<'_>> = entries.iter().filter(|entry| entry.hosts() == hosts).collect();
    let modules: Vec<&str> = here.iter().map(|entry| entry.changes[0].module.as_str()).collect();
    here.sort_by_key(|entry| modules.iter().position(|module| *module == entry.changes[0].module));
    here
}

/// What two changes must have in common to be told as one.
fn key(change: &Change) -> String {
    let own = own(&change.kind, &change.name);
    let attributes = change.attributes.iter().filter(|(name, ..)| !digest_of(name));
    // Two new files of a pool differ in ports besides.
    let lines = change.diff.as_deref().map(|diff| match change.operation {
        Operation::Create => numberless(&general(diff, own)),
        _ => edits(&general(diff, own)),
    });
    let parts = (&change.module, &change.kind, general(&change.name, own), general(&change.reason, own));
    format!(
        "{parts:?} {:?} {:?} {lines:?} {:?}",
        change.operation,
        change.cause,
        attributes.collect::<Vec<_>>()
    )
}

/// Attributes that are digests of what the diff, or the reason, says in words.
pub fn digest_of(attribute: &str) -> bool {
    matches!(attribute, "content" | "configuration" | "secrets" | "value")
}

/// Added and removed lines of a diff.
pub fn edits(diff: &str) -> String {
    body(diff).lines().filter(|line| line.starts_with(['+', '-'])).map(|line| format!("{line}\n")).collect()
}

fn numberless(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}

/// The process that a path or unit is named after; empty: none.
pub fn own<'a>(kind: &str, name: &'a str) -> &'a str {
    match kind {
        "service" => unit(name),
        // Of a unit: `…/matrix_generic_worker@sync.service.d/matrix.conf`.
        "file" | "directory" if name.contains(".service.d") => name
            .split_once(".service.d")
            .map_or("", |(path, _)| path.rsplit_once('@').map_or("", |(_, own)| own)),
        "file" => {
            let last = name.rsplit('/').next().unwrap_or_default();
            last.split('.').next().unwrap_or_default()
        }
        _ => "",
    }
}

/// `sync2` of `matrix_generic_worker@sync2.service`.
fn unit(name: &str) -> &str {
    name.split_once('@').and_then(|(_, rest)| rest.rsplit_once('.')).map_or("", |(instance, _)| instance)
}

/// The text with [`NAME`] wherever `own` stands as a word.
pub fn general(text: &str, own: &str) -> String {
    if own.is_empty() {
        return text.to_owned();
    }
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut out = String::new();
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find(own) {
        let (left, after) = (&rest[..at], &rest[at + own.len()..]);
        let free =
            !left.chars().next_back().or(before).is_some_and(word) && !after.chars().next().is_some_and(word);
        out.push_str(left);
        out.push_str(if free { NAME } else { own });
        before = own.chars().next_back();
        rest = after;
    }
    out + rest
}

/// A few hosts by name, many by the ends of their runs.
pub fn places(hosts: &[&str]) -> String {
    if hosts.len() > FEW { listed(hosts) } else { hosts.join(", ") }
}

/// `sync, sync2–sync30, typing`: runs of numbered names by their ends.
pub fn listed(names: &[&str]) -> String {
    fn number(name: &str) -> (&str, Option<u32>) {
        let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
        (base, name[base.len()..].parse().ok())
    }
    let mut parts: Vec<(&str, &str)> = Vec::new();
    for name in names {
        let (base, now) = number(name);
        match parts.last_mut() {
            Some((_, last))
                if number(last).0 == base
                    && number(last)
                        .1
                        .zip(now)
                        .is_some_and(|(last, now)| last.checked_add(1) == Some(now)) =>
            {
                *last = name;
            }
            _ => parts.push((name, name)),
        }
    }
    let part = |(first, last): &(&str, &str)| {
        if first == last { (*first).to_owned() } else { format!("{first}–{last}") }
    };
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// Steps that are told as one.
#[derive(Clone)]
pub struct Run<'a> {
    /// At least one, in order.
    pub steps: Vec<&'a Step>,
    pub(super) key: (String, String),
}

impl Run<'_> {
    /// Hosts they are on, in order.
    pub fn hosts(&self) -> String {
        let mut hosts: Vec<&str> = Vec::new();
        for step in &self.steps {
            if !hosts.contains(&step.host.as_str()) {
                hosts.push(&step.host);
            }
        }
        places(&hosts)
    }

    /// The host, if it is one alone.
    pub(super) fn host(&self) -> Option<&str> {
        let first = self.steps.first()?.host.as_str();
        self.steps.iter().all(|step| step.host == first).then_some(first)
    }

    /// Whether all do the same to the same, each on its host.
    fn is_alike(&self) -> bool {
        let title = self.steps.first().map(|step| step.action.title());
        self.steps.iter().all(|step| Some(step.action.title()) == title)
    }

    /// Title and reason, with [`NAME`] in them if they are several.
    pub fn words(&self) -> (String, String) {
        match self.steps.as_slice() {
            [first, ..] if self.is_alike() => (first.action.title(), first.why.clone()),
            _ => self.key.clone(),
        }
    }

    /// Which processes, if the title does not say it.
    pub fn names(&self) -> Option<String> {
        let names: Vec<&str> = self.steps.iter().flat_map(|step| processes(&step.action)).collect();
        let told = match (self.steps.as_slice(), names.len()) {
            (_, 0) => return None,
            ([first, ..], _) => {
                self.is_alike() && names.iter().all(|name| first.action.title().contains(name))
            }
            _ => false,
        };
        (!told).then(|| listed(&names))
    }
}

/// Folds steps that follow each other. `each`: every one stays by itself.
pub fn steps(all: &[Step], each: bool) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for step in all {
        let own = match processes(&step.action).as_slice() {
            [only] => *only,
            _ => "",
        };
        let key = (general(&step.action.title(), own), general(&step.why, own));
        match runs.last_mut() {
            Some(run) if !each && run.key == key => run.steps.push(step),
            _ => runs.push(Run { steps: vec![step], key }),
        }
    }
    runs
}

/// Processes of Synapse that a step is about, by name; other services by their unit.
pub fn processes(action: &Action) -> Vec<&str> {
    let named = |name: &'_ str| -> bool { unit(name).is_empty() };
    let units = match action {
        Action::Start { services } => services.iter().map(|service| service.unit.as_str()).collect(),
        Action::Restart { service } | Action::Reread { service } => vec![service.unit.as_str()],
        Action::Stop { unit, .. } | Action::Drain { unit, .. } => vec![unit.as_str()],
        _ => return Vec::new(),
    };
    units.into_iter().map(|name| if named(name) { name } else { unit(name) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_only_where_it_is_a_word() {
        assert_eq!(
            general("workers/sync.yaml of sync2, sync", "sync"),
            "workers/{name}.yaml of sync2, {name}"
        );
        assert_eq!(general("syncsync sync-1 sync", "sync"), "syncsync sync-1 {name}");
        assert_eq!(general("nothing", ""), "nothing");
    }

    #[test]
    fn runs_of_names_are_told_by_their_ends() {
        assert_eq!(
            listed(&["sync", "sync2", "sync3", "sync5", "a", "b1"]),
            "sync, sync2–sync3, sync5, a, b1"
        );
        assert_eq!(listed(&["only"]), "only");
    }
}
