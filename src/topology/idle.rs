//! Words of `handles:` that bring a pool no request: what nobody can ask for, or what another process
//! answers. It runs and costs memory for nothing, which is no error.
//!
//! Never here: words that nobody knows, or that need a stream (`checks`).

use super::catalogue::{Catalogue, Class};
use crate::diagnostic::Diagnostic;
use crate::inventory::{Inventory, Pool};
use crate::version::Version;

/// A warning for each such word.
pub(super) fn check(
    inventory: &Inventory,
    catalogue: &Catalogue,
    version: &Version,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, pool) in inventory.workers.iter().filter(|(_, pool)| processes(pool) > 0) {
        for word in &pool.handles {
            // A writer's class is asked for as long as there is its stream.
            let has = |class: &&Class| class.words.contains(&word.value) && !class.writer_only;
            let classes: Vec<&Class> = catalogue.classes.iter().filter(has).collect();
            if let Some((why, help)) = unasked(&word.value, &classes, inventory, version)
                .or_else(|| answered(name, pool, &classes, inventory))
            {
                let summary = format!("worker {name:?} handles {:?}, {why}", word.value);
                diagnostics.push(Diagnostic::warning(word.span, summary).help(help));
            }
        }
    }
}

/// Nobody can ask for it: why, and what to do.
fn unasked(
    word: &str,
    classes: &[&Class],
    inventory: &Inventory,
    version: &Version,
) -> Option<(String, String)> {
    if !classes.is_empty() && !classes.iter().any(|class| class.active(version)) {
        let since = classes.iter().filter_map(|class| class.next(version)).min();
        let help = match since {
            Some(since) => format!("install Synapse {since} or later, or delete the word"),
            None => "delete the word".to_owned(),
        };
        return Some((format!("which workers of Synapse {version} do not serve"), help));
    }
    match word {
        "mas" if inventory.mas.is_none() => Some((
            "and there is no Matrix Authentication Service to ask for it".to_owned(),
            "add mas: {endpoint: http://10.8.0.5:8080/, secret: {secret: mas}}, or delete the word"
                .to_owned(),
        )),
        // Without a proxy of ours, somebody else's decides what is open.
        "admin" if inventory.proxy.as_ref().is_some_and(|proxy| proxy.admin.is_empty()) => Some((
            "and the proxy lets nobody at the admin API".to_owned(),
            "add admin: {from: [10.8.0.0/24]} under proxy: the networks that may ask it, or delete the word"
                .to_owned(),
        )),
        _ => None,
    }
}

/// Sessions live in memory, so that the first process alone is asked (`routes::point_to`).
fn answered(name: &str, pool: &Pool, classes: &[&Class], inventory: &Inventory) -> Option<(String, String)> {
    let class = classes.iter().find(|class| class.single)?;
    // A pool that selects requests has a first process of its own.
    let shares = |other: &Pool| {
        other.select.is_none()
            && other.handles.iter().any(|word| class.words.contains(&word.value))
            && processes(other) > 0
    };
    let first = inventory.workers.iter().find(|(_, other)| pool.select.is_none() && shares(other));
    if let Some((first, _)) = first.filter(|(first, _)| *first != name) {
        return Some((
            format!("and only one process can serve that: the first of {first:?}"),
            "delete the word, or take it from the other pool".to_owned(),
        ));
    }
    // Where the pool handles more than that, its other processes have something to do.
    let alone = pool.handles.iter().all(|word| class.words.contains(&word.value));
    let count = processes(pool);
    (alone && count > 1).then(|| {
        (
            format!("and of its {count} processes only the first is asked for that"),
            "write count: 1".to_owned(),
        )
    })
}

fn processes(pool: &Pool) -> u32 {
    pool.hosts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
}
