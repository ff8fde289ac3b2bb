//! `select:` of pools: what it means for the topology, and what cannot be selected.
//!
//! Never here: what fits a selector (`selector`), routes.

use indexmap::IndexMap;

use super::catalogue::Catalogue;
use super::roles::Role;
use super::types::Selector;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::inventory::{Inventory, Select};

/// Selectors by pool, in inventory order.
pub(super) fn selectors(inventory: &Inventory) -> IndexMap<String, Selector> {
    let plain = |texts: &[Spanned<String>]| texts.iter().map(|text| text.value.clone()).collect();
    let selecting = inventory.workers.iter().filter_map(|(name, pool)| Some((name, pool.select.as_ref()?)));
    selecting
        .map(|(name, select)| {
            let selector = Selector {
                appservices: plain(&select.appservices),
                user_agents: plain(&select.user_agents),
                sources: plain(&select.sources),
                rooms: plain(&select.rooms),
                users: plain(&select.users),
            };
            (name.clone(), selector)
        })
        .collect()
}

/// Names of the application services whose tokens a proxy must know.
pub(super) fn appservices(inventory: &Inventory) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for select in inventory.workers.values().filter_map(|pool| pool.select.as_ref()) {
        for name in &select.appservices {
            if !names.contains(&name.value) && inventory.synapse.appservices.contains_key(&name.value) {
                names.push(name.value.clone());
            }
        }
    }
    names
}

/// Checks of everything that a pool's parser does not see.
pub(super) fn check(
    inventory: &Inventory,
    catalogue: &Catalogue,
    roles: &IndexMap<String, Role>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, pool) in &inventory.workers {
        let Some(select) = &pool.select else { continue };
        references(inventory, name, select, diagnostics);
        if pool.handles.is_empty() {
            let summary = format!("worker {name:?} selects requests but handles none");
            diagnostics.push(Diagnostic::error(select.span, summary).help(
                "say of which classes: handles: [event_sending]; streams' requests go to their writers",
            ));
        }
        for word in &pool.handles {
            let classes = catalogue.classes.iter().filter(|class| class.words.contains(&word.value));
            if classes.into_iter().any(|class| class.single) {
                let summary = format!("worker {name:?} handles {:?} of some requests only", word.value);
                diagnostics.push(Diagnostic::error(word.span, summary).help(
                    "a login belongs to one process from beginning to end: take it from this pool, or take select",
                ));
            }
        }
    }
    // Once there is a media worker, main has no media.
    let mut media = inventory.workers.iter().filter(|(name, _)| roles.get(*name).is_some_and(|r| r.media));
    if let Some((name, pool)) = media.next()
        && let Some(select) = &pool.select
        && media.all(|(_, pool)| pool.select.is_some())
    {
        let summary = format!("worker {name:?} handles media of some requests only, and nobody the rest");
        diagnostics.push(
            Diagnostic::error(select.span, summary)
                .help("add a pool with `handles: [media]` and without select: main has no media then"),
        );
    }
}

fn references(inventory: &Inventory, pool: &str, select: &Select, diagnostics: &mut Vec<Diagnostic>) {
    for name in
        select.appservices.iter().filter(|name| !inventory.synapse.appservices.contains_key(&name.value))
    {
        let summary =
            format!("worker {pool:?} selects appservice {:?}, which the inventory does not have", name.value);
        let known: Vec<&str> = inventory.synapse.appservices.keys().map(String::as_str).collect();
        let help = match known.as_slice() {
            [] => format!("add it under synapse: appservices: {{{}: {{file: …}}}}", name.value),
            known => format!("known: {}", known.join(", ")),
        };
        diagnostics.push(Diagnostic::error(name.span, summary).help(help));
    }
    let server = &inventory.synapse.server_name.value;
    for user in &select.users {
        if user.value.split_once(':').is_some_and(|(_, of)| of != server) {
            let summary = format!("worker {pool:?} selects {:?}, who is not of {server}", user.value);
            diagnostics.push(
                Diagnostic::error(user.span, summary).help("only users of this server bear tokens here"),
            );
        }
    }
    if let (Some(mas), Some(user)) = (&inventory.mas, select.users.first()) {
        let summary = format!("worker {pool:?} selects users, whom tokens of MAS do not name");
        diagnostics.push(
            Diagnostic::warning(user.span, summary)
                .help("only requests of application services for them (?user_id=) are selected")
                .related(mas.span, "MAS is here"),
        );
    }
}
