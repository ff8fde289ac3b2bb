//! `--target`: some processes or things alone, with what they need, and nothing that is only right
//! when the others follow.
//!
//! What is not chosen is hidden from the plan: it is neither compared nor called gone, and the records
//! go on saying of it what they said. Never here: how a plan is made of the rest.

mod alone;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::facts::HostFacts;
use crate::facts::record::{RecordedInstance, RecordedTopology};
use crate::resource::{Body, FileSet, Resource};
use crate::topology::{Instance, Topology};

/// What was chosen, and what a plan of it stands on.
#[derive(Debug, Clone)]
pub struct Targeted {
    /// Addresses that take part.
    pub chosen: BTreeSet<String>,
    /// Desired state of these alone.
    pub resources: Vec<Resource>,
    /// The topology as it will be: what is not chosen as main's host remembers it.
    pub topology: Topology,
    before: RecordedTopology,
}

/// Why there is nothing to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoTarget {
    /// Nothing has this name: the name, and what names there are.
    Unknown(String, Vec<String>),
    /// Main's host was not asked or remembers nothing: there is no deployment to change a part of.
    NothingApplied,
}

/// Chooses what `patterns` name, and what that needs. A pattern is the name of a process or pool, of a
/// unit, a path or another resource's name or address, with `*` and `?` as in a shell.
pub fn choose(
    topology: &Topology,
    resources: &[Resource],
    facts: &IndexMap<String, HostFacts>,
    patterns: &[String],
) -> Result<Targeted, NoTarget> {
    let before =
        facts.values().find_map(|facts| facts.record.topology.clone()).ok_or(NoTarget::NothingApplied)?;
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    for pattern in patterns {
        let hit: Vec<usize> =
            (0..resources.len()).filter(|at| named(pattern, &resources[*at], topology)).collect();
        if hit.is_empty() {
            let mut known: Vec<String> = topology.instances.iter().map(|one| one.pool.clone()).collect();
            known.dedup();
            return Err(NoTarget::Unknown(pattern.clone(), known));
        }
        chosen.extend(hit);
    }
    // A file that was named changes nothing for those who read it until they start again.
    for at in chosen.clone() {
        if let Body::File { inputs_of, .. } | Body::Directive { inputs_of, .. } = &resources[at].body {
            let host = &resources[at].address.host;
            chosen.extend((0..resources.len()).filter(|other| {
                let other = &resources[*other];
                other.address.host == *host
                    && matches!(&other.body, Body::Service { unit, .. } if inputs_of.contains_key(unit))
            }));
        }
    }
    // What is needed needs things in its turn: a file its secrets, a secret the directories above it.
    loop {
        let needed: Vec<usize> = (0..resources.len())
            .filter(|at| !chosen.contains(at))
            .filter(|at| chosen.iter().any(|of| needs(&resources[*of], &resources[*at], topology)))
            .collect();
        if needed.is_empty() {
            break;
        }
        chosen.extend(needed);
    }
    let resources: Vec<Resource> = chosen.iter().map(|at| resources[*at].clone()).collect();
    let chosen: BTreeSet<String> = resources.iter().map(|one| one.address.to_string()).collect();
    let topology = half(topology, &resources, &before);
    Ok(Targeted { chosen, resources, topology, before })
}

fn named(pattern: &str, resource: &Resource, topology: &Topology) -> bool {
    if matches(pattern, &resource.address.name) || matches(pattern, &resource.address.to_string()) {
        return true;
    }
    let Body::Service { unit, .. } = &resource.body else { return false };
    if unit.strip_suffix(".service").is_some_and(|name| matches(pattern, name)) {
        return true;
    }
    let mut instances = topology.instances.iter();
    instances.any(|one| {
        (&one.host, &one.unit) == (&resource.address.host, unit)
            && (matches(pattern, &one.name) || matches(pattern, &one.pool))
    })
}

/// `*` is any text, `?` any character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stood, and how much of the text it takes so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether `of` is not right without `other`.
fn needs(of: &Resource, other: &Resource, topology: &Topology) -> bool {
    if of.address.host != other.address.host {
        return false;
    }
    let below =
        |path: &str, directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    let path = match &of.body {
        Body::File { path, .. } | Body::Directory { path, .. } | Body::Secret { path, .. } => {
            Some(path.as_str())
        }
        _ => None,
    };
    match (&of.body, &other.body) {
        (_, Body::Directory { path: directory, .. }) => {
            let runs = matches!(of.body, Body::Service { .. }) && other.address.module == "homeserver";
            runs || path.is_some_and(|path| below(path, directory))
        }
        (Body::Service { unit, .. }, Body::File { path, inputs_of, reread_by, set, .. }) => {
            let file =
                |name: &str| path.ends_with(&format!("/{name}")) || path.contains(&format!("/{name}.d/"));
            let template = unit.split_once('@').map(|(before, _)| format!("{before}@.service"));
            inputs_of.contains_key(unit)
                || reread_by.contains_key(unit)
                || (*set == FileSet::Systemd && (file(unit) || template.is_some_and(|name| file(&name))))
        }
        (Body::Service { unit, .. }, Body::Directive { inputs_of, .. }) => inputs_of.contains_key(unit),
        (Body::Service { secrets, .. }, Body::Secret { name, .. }) => secrets.contains(name),
        (Body::File { content, .. }, Body::Secret { name, .. }) => content.secrets().contains(&name.as_str()),
        (Body::Service { unit, .. }, Body::Venv { .. } | Body::User { .. } | Body::Postgresql { .. }) => {
            topology.instances.iter().any(|one| one.unit == *unit)
        }
        (_, Body::Packages { .. }) => of.address.module == other.address.module,
        _ => false,
    }
}

/// The topology with what is not chosen as it is remembered.
fn half(topology: &Topology, chosen: &[Resource], before: &RecordedTopology) -> Topology {
    let mut half = topology.clone();
    half.instances = topology
        .instances
        .iter()
        .filter_map(|one| {
            if takes_part(one, chosen) {
                return Some(one.clone());
            }
            let was = before.instances.get(&one.name)?;
            let held = |word: &str| {
                let of = was.holds.iter().filter_map(|held| held.strip_prefix(word));
                of.map(str::to_owned).collect::<Vec<_>>()
            };
            Some(Instance {
                host: was.host.clone(),
                unit: was.unit.clone(),
                writes: held("writes:"),
                runs: held("runs:"),
                ..one.clone()
            })
        })
        .collect();
    half
}

fn takes_part(instance: &Instance, chosen: &[Resource]) -> bool {
    chosen.iter().any(|one| {
        one.address.host == instance.host
            && matches!(&one.body, Body::Service { unit, .. } if *unit == instance.unit)
    })
}

impl Targeted {
    /// Facts in which only what is chosen was ever applied.
    pub fn seen(&self, facts: &IndexMap<String, HostFacts>) -> IndexMap<String, HostFacts> {
        let mut seen = facts.clone();
        for facts in seen.values_mut() {
            facts.record.entries.retain(|address, _| self.chosen.contains(address));
            if let Some(topology) = &mut facts.record.topology {
                topology.instances.retain(|name, was| {
                    let known = |one: &&Instance| {
                        one.name == *name || (&one.host, &one.unit) == (&was.host, &was.unit)
                    };
                    self.topology.instances.iter().any(|one| known(&one))
                });
            }
        }
        seen
    }

    /// Instances that main's host goes on remembering as they were.
    pub fn remembered(&self) -> BTreeMap<String, RecordedInstance> {
        let part = |name: &String| {
            let now = self.topology.instances.iter().find(|one| one.name == *name);
            now.is_some_and(|one| takes_part(one, &self.resources))
        };
        let others = self.before.instances.iter().filter(|(name, _)| !part(name));
        others.map(|(name, was)| (name.clone(), was.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_a_shells() {
        for (pattern, text) in [
            ("sync*", "sync12"),
            ("*", ""),
            ("s?nc", "sync"),
            ("/etc/*/x*", "/etc/a/b/xy"),
            ("a*b*c", "aXbYbc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("sync", "sync2"), ("?", ""), ("s*d", "sync"), ("", "x")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
