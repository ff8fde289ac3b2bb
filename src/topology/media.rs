//! Where media are kept and who uses it.
//!
//! Never here: how a store is mounted or probed.

use indexmap::IndexMap;

use super::Draft;
use super::roles::Role;
use super::types::MediaNode;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::inventory::Inventory;

/// Absolute path of the store.
pub(super) fn path(draft: &Draft<'_>) -> String {
    let written = draft.inventory.synapse.media_store.as_ref();
    written.map_or_else(|| format!("{}/data/media_store", draft.root), |store| store.path.value.clone())
}

/// The store. Without media workers main uses it.
pub(super) fn node(draft: &Draft<'_>) -> MediaNode {
    let mut hosts: Vec<String> = Vec::new();
    let media = |pool: &String| draft.roles.get(pool).is_some_and(|role| role.media);
    for seat in draft.seats.iter().filter(|seat| media(&seat.pool)) {
        if !hosts.contains(&seat.host) {
            hosts.push(seat.host.clone());
        }
    }
    if hosts.is_empty() {
        hosts.push(draft.inventory.main.host.value.clone());
    }
    let written = draft.inventory.synapse.media_store.as_ref();
    let mount_unit = written.and_then(|store| store.mount_unit.as_ref()).map(|unit| unit.value.clone());
    MediaNode { path: path(draft), mount_unit, hosts }
}

/// Synapse docs/workers.md, media_repository: several of them "must be on the same server", unless they
/// share what they store.
pub(super) fn check(
    inventory: &Inventory,
    roles: &IndexMap<String, Role>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let pools = inventory.workers.iter().filter(|(name, _)| roles.get(*name).is_some_and(|role| role.media));
    let hosts = pools.flat_map(|(_, pool)| pool.hosts.iter().filter(|(_, count)| *count > 0));
    let hosts: Vec<&Spanned<String>> = hosts.map(|(host, _)| host).collect();
    let Some(first) = hosts.first() else { return };
    let Some(other) = hosts.iter().find(|host| host.value != first.value) else { return };
    let store = inventory.synapse.media_store.as_ref();
    if store.is_some_and(|store| store.shared) {
        return;
    }
    let summary = format!("media processes are on hosts {:?} and {:?}", first.value, other.value);
    let help = match store {
        None => format!(
            "put all of them on {:?}, or write media_store: {{path: /srv/media, mount_unit: srv-media.mount}} under synapse for a store that both hosts mount",
            first.value
        ),
        Some(_) => format!(
            "put all of them on {:?}, or write mount_unit or shared: true in media_store if both hosts see the same files there",
            first.value
        ),
    };
    let mut diagnostic =
        Diagnostic::error(other.span, summary).help(help).related(first.span, "the others are here");
    if let Some(store) = store {
        diagnostic = diagnostic.related(store.span, "the store is here");
    }
    diagnostics.push(diagnostic);
}
