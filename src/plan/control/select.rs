//! Which services a person's words stand for.

use crate::resource::{Body, Ready, Resource, Stage};
use crate::topology::{Instance, Topology};

/// A service of the deployment that can be named.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// What is desired.
    pub resource: &'a Resource,
    /// Full unit name.
    pub unit: &'a str,
    /// `sync2`, `main`, `postgresql`, `redis`, `nginx`.
    pub name: &'a str,
    /// The Synapse process; `None`: it is none.
    pub instance: Option<&'a Instance>,
    /// Place in the global order.
    pub stage: Stage,
    /// When it counts as ready.
    pub ready: &'a Ready,
}

/// A word that stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no process of this inventory")]
pub struct Unknown {
    /// As it was given.
    pub word: String,
    /// What could have been meant.
    pub help: String,
}

/// The word that stands for the whole deployment, datastores and proxy with it.
pub const ALL: &str = "all";

/// Every service of the deployment, in the order in which they start; within a stage as in the inventory.
pub fn services<'a>(topology: &'a Topology, resources: &'a [Resource]) -> Vec<Service<'a>> {
    let mut services: Vec<Service<'a>> =
        resources.iter().filter_map(|resource| service(topology, resource)).collect();
    let position = |service: &Service<'_>| topology.hosts.get_index_of(&service.resource.address.host);
    services.sort_by_key(|service| (rank(service.stage), position(service)));
    services
}

fn service<'a>(topology: &'a Topology, resource: &'a Resource) -> Option<Service<'a>> {
    let Body::Service { unit, stage, ready, .. } = &resource.body else { return None };
    let instance =
        topology.instances.iter().find(|one| one.unit == *unit && one.host == resource.address.host);
    let name = match stage {
        // Groups of others, and file systems that somebody else mounts.
        Stage::Target | Stage::Mount => return None,
        Stage::Datastore if unit.starts_with("redis") => "redis",
        _ => instance.map_or_else(|| unit.strip_suffix(".service").unwrap_or(unit), |one| &one.name),
    };
    Some(Service { resource, unit, name, instance, stage: *stage, ready })
}

fn rank(stage: Stage) -> u8 {
    match stage {
        Stage::Mount => 0,
        Stage::Datastore => 1,
        Stage::Main => 2,
        Stage::Writer => 3,
        Stage::Worker => 4,
        Stage::Target => 5,
        Stage::Proxy => 6,
    }
}

/// The services that `words` stand for, each once, in starting order. A word is a process, a pool, `main`,
/// `postgresql`, `redis`, `proxy`, [`ALL`], a unit with or without `.service`, or a pattern with `*` and `?` for
/// names of processes. No words: what `otherwise` says.
pub fn select<'a>(
    words: &[String],
    services: &[Service<'a>],
    otherwise: impl Fn(&Service<'a>) -> bool,
) -> Result<Vec<Service<'a>>, Unknown> {
    for word in words {
        if !services.iter().any(|service| meant(word, service)) {
            return Err(Unknown { word: word.clone(), help: help(word, services) });
        }
    }
    let wanted = |service: &&Service<'a>| match words {
        [] => otherwise(service),
        words => words.iter().any(|word| meant(word, service)),
    };
    Ok(services.iter().filter(wanted).copied().collect())
}

fn meant(word: &str, service: &Service<'_>) -> bool {
    let pool = service.instance.map(|one| one.pool.as_str());
    let bare = service.unit.strip_suffix(".service").unwrap_or(service.unit);
    word == ALL
        || word == service.name
        || Some(word) == pool
        || word == service.unit
        || word == bare
        || (word == "proxy" && service.stage == Stage::Proxy)
        || (word.contains(['*', '?']) && service.instance.is_some() && fits(word, service.name))
}

/// Whether a name fits a pattern: `*` any characters, `?` one.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where the last star was, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[of] => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((back, taken)) => {
                    (at, of) = (back + 1, taken + 1);
                    star = Some((back, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

fn help(word: &str, services: &[Service<'_>]) -> String {
    let mut known: Vec<&str> = Vec::new();
    for service in services {
        let pool = service.instance.map(|one| one.pool.as_str());
        for name in [Some(service.name), pool].into_iter().flatten() {
            if !known.contains(&name) {
                known.push(name);
            }
        }
    }
    let near = known.iter().find(|name| strsim::damerau_levenshtein(word, name) <= 2);
    match near {
        Some(near) => format!("did you mean {near:?}? Known: {}, proxy, all", known.join(", ")),
        None => format!("known: {}, proxy, all; a pattern such as 'sync*' works too", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "sync", true),
            ("sync*", "sync", true),
            ("sync?", "sync", false),
            ("sync?", "sync2", true),
            ("*sync", "initial_sync", true),
            ("*sync", "sync2", false),
            ("*a*b*", "xxaybz", true),
            ("*a*b*", "xxbya", false),
            ("fed*er", "federation_reader", true),
            ("fed*er", "federation_readers", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
