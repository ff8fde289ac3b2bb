//! A wheelhouse that lacks what is to be built from it: pip would say so only on the host, after many other steps.

use std::collections::BTreeSet;

use super::refuse::refusal;
use super::step::{Action, Step};
use super::{Input, Refusal};
use crate::inventory::{WheelName, normal};

/// Packages that are named in a message; of more, the number.
const NAMED: usize = 5;

pub(super) fn refusals(input: &Input<'_>, steps: &[Step]) -> Vec<Refusal> {
    let Some(wheels) = &input.topology.venv.wheels else { return Vec::new() };
    let there: BTreeSet<(String, &str)> = wheels
        .iter()
        .filter_map(|file| WheelName::parse(file))
        .map(|wheel| (wheel.name, wheel.version))
        .collect();
    let mut refusals = Vec::new();
    for step in steps {
        let Action::BuildVenv { offline: true, requirements, locked, .. } = &step.action else { continue };
        let tag = input.facts.get(&step.host).and_then(|facts| facts.python_tag());
        let (demanded, by) = match tag.and_then(|tag| locked.get_key_value(&tag)) {
            Some((tag, set)) => (set, format!("which the lock demands for {tag}")),
            None => (requirements, "which is asked for".to_owned()),
        };
        let lacking: Vec<String> = demanded
            .iter()
            .filter_map(|line| exact(line))
            .filter(|one| !there.contains(one))
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        if !lacking.is_empty() {
            let more = lacking.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named = lacking[..lacking.len().min(NAMED)].join(", ");
            refusals.push(refusal(
                &step.host,
                format!("the wheelhouse lacks {named}{more}, {by}"),
                "put the wheels there; docs/offline.md tells how they are fetched",
            ));
        }
    }
    refusals
}

/// Name and version of `NAME[EXTRAS]==VERSION …`.
fn exact(line: &str) -> Option<(String, &str)> {
    let (name, rest) = line.split_once("==")?;
    let name = name.split('[').next().unwrap_or(name);
    Some((normal(name), rest.split_whitespace().next().unwrap_or_default()))
}
