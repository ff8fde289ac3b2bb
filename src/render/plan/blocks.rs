//! Many hosts that do the same one after another, told once.

use super::fold::{FEW, Run};

/// Runs of steps with those of hosts that follow each other and do the same in the same order laid together; a few
/// such hosts stay as they are.
pub fn merged(runs: Vec<Run<'_>>) -> Vec<Run<'_>> {
    let mut alike: Vec<Vec<Vec<Run<'_>>>> = Vec::new();
    for block in by_host(runs) {
        match alike.last_mut() {
            Some(blocks) if same(&blocks[0], &block) => blocks.push(block),
            _ => alike.push(vec![block]),
        }
    }
    alike
        .into_iter()
        .flat_map(|blocks| if blocks.len() > FEW { laid(blocks) } else { blocks.concat() })
        .collect()
}

/// Consecutive runs of one host.
fn by_host(runs: Vec<Run<'_>>) -> Vec<Vec<Run<'_>>> {
    let mut blocks: Vec<Vec<Run<'_>>> = Vec::new();
    for run in runs {
        match blocks.last_mut() {
            Some(block) if run.host().is_some() && block[0].host() == run.host() => block.push(run),
            _ => blocks.push(vec![run]),
        }
    }
    blocks
}

fn same(one: &[Run<'_>], other: &[Run<'_>]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.key == other.key && one.steps.len() == other.steps.len())
}

fn laid(blocks: Vec<Vec<Run<'_>>>) -> Vec<Run<'_>> {
    let mut blocks = blocks.into_iter();
    let mut first = blocks.next().unwrap_or_default();
    for block in blocks {
        for (run, more) in first.iter_mut().zip(block) {
            run.steps.extend(more.steps);
        }
    }
    first
}
