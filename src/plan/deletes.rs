//! Many processes leave at once: more than a `--yes` says yes to.
//!
//! A mistyped inventory (a pool commented out, the wrong file, the wrong branch) looks like this. At a
//! terminal the question says so; a script has to say `--allow-deletes`.

use serde::{Deserialize, Serialize};

use super::Input;
use super::leave::{Left, recorded_instances};
use super::order::datastores::REDIS;
use super::remember::recorded;
use crate::facts::record::RecordedInstance;

/// As many go without saying.
const FEW: usize = 3;

/// Of fewer processes than this there is no quarter to speak of.
const QUARTERED: usize = 4;

/// Processes of this deployment that leave for good, where they are many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletes {
    /// Their names, in order.
    pub names: Vec<String>,
    /// How many processes there are now on the hosts of this plan.
    pub of: usize,
}

impl Deletes {
    /// `5 of 7 processes leave for good: client, sender, …`
    pub fn sentence(&self) -> String {
        format!("{} of {} processes leave for good: {}", self.names.len(), self.of, self.names.join(", "))
    }
}

/// What needs a word of its own; `None`: it was said, or they are few.
pub(super) fn deletes(input: &Input<'_>, left: &Left) -> Option<Deletes> {
    if input.allow.deletes {
        return None;
    }
    // What main's host remembers; if it takes no part, units that leave tell. On a lost host nothing is deleted.
    let here = recorded_instances(input).filter(|(_, was)| input.facts.contains_key(&was.host));
    let mut names: Vec<String> = here
        .filter(|(name, was)| {
            !input.topology.instances.iter().any(|now| now.name == **name || takes_over(&recorded(now), was))
        })
        .map(|(name, _)| name.clone())
        .collect();
    let unknown = |unit: &str| {
        !recorded_instances(input).any(|(_, was)| was.unit == unit)
            && !input.topology.instances.iter().any(|now| now.unit == unit)
    };
    let units = left.units.iter().filter(|unit| is_process(left, unit)).map(|(_, unit, _)| unit);
    names.extend(units.filter(|unit| unknown(unit)).cloned());
    names.sort();
    names.dedup();
    let services = input.facts.values().flat_map(|facts| &facts.record.entries).filter(|(address, entry)| {
        let owned = entry.meta.get("owned").is_some_and(|owned| owned == "true");
        let proxy = entry.meta.get("stage").is_some_and(|stage| stage == "proxy");
        let unit = address.split_once("/service:").map(|(_, unit)| unit);
        owned && !proxy && unit.is_some_and(of_synapse)
    });
    let of = services.count();
    (are_many(names.len(), of)).then_some(Deletes { names, of })
}

/// More than a few, or more than a quarter where there is one.
fn are_many(gone: usize, of: usize) -> bool {
    gone > FEW || (of >= QUARTERED && gone * 4 > of)
}

fn is_process(left: &Left, (host, unit, _): &(String, String, Vec<u16>)) -> bool {
    let proxy = left.proxies.iter().any(|(of, proxy)| (of, proxy) == (host, unit));
    !proxy && of_synapse(unit)
}

/// Not a target, a mount or a Redis.
fn of_synapse(unit: &str) -> bool {
    unit.ends_with(".service") && !unit.starts_with(REDIS)
}

/// What a pool is renamed to (`was:`) keeps the ports.
fn takes_over(now: &RecordedInstance, was: &RecordedInstance) -> bool {
    !was.ports.is_empty() && now.host == was.host && now.ports == was.ports
}

#[cfg(test)]
mod tests {
    use super::are_many;

    #[test]
    fn more_than_a_few_or_than_a_quarter() {
        for (gone, of, many) in [
            (0, 0, false),
            (1, 1, false),
            (2, 3, false),
            (1, 4, false),
            (2, 5, true),
            (2, 8, false),
            (3, 11, true),
            (3, 12, false),
            (4, 100, true),
        ] {
            assert_eq!(are_many(gone, of), many, "{gone} of {of}");
        }
    }
}
