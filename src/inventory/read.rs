//! The whole file: sections in any order, every error of every section in one answer.

use super::datastore::{Store, datastore};
use super::decode::{Found, Section};
use super::host::hosts;
use super::listeners::listeners;
use super::mas::mas;
use super::pool::workers;
use super::process::{self, defaults};
use super::proxy::proxy;
use super::secrets::check_references;
use super::synapse::{Read, synapse};
use super::{Datastore, Inventory, Main};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node, parse_lenient};

const KEYS: &[&str] =
    &["hosts", "synapse", "postgresql", "redis", "main", "mas", "proxy", "defaults", "workers"];

/// Longest inventory, in bytes; a thousand hosts with ten pools each need a tenth of it.
pub const MAX_BYTES: usize = 1 << 20;
/// Most findings that are handed on.
const MAX_FOUND: usize = 1000;

/// Reads an inventory.
///
/// The inventory is there whenever enough was understood to go on checking it, also beside
/// errors; nothing may be planned with it while there are errors. Diagnostics are in file order.
pub fn parse(text: &str) -> (Option<Inventory>, Vec<Diagnostic>) {
    if text.len() > MAX_BYTES {
        let summary = format!("the inventory is larger than {} MB", MAX_BYTES >> 20);
        return (None, vec![Diagnostic::error(Span::default(), summary)]);
    }
    let (root, mut found) = parse_lenient(text);
    let inventory = root.and_then(|root| inventory(&root, &mut found));
    found.sort_by_key(|diagnostic| (diagnostic.span.line, diagnostic.span.column));
    if found.len() > MAX_FOUND {
        let summary = format!("{} more findings are not shown", found.len() - MAX_FOUND);
        found.truncate(MAX_FOUND);
        found.push(Diagnostic::error(Span::default(), summary));
    }
    (inventory, found)
}

fn inventory(root: &Node, found: &mut Found) -> Option<Inventory> {
    let top = Span { line: 1, column: 1, length: 1 };
    if root.kind == Kind::Null {
        found.push(
            Diagnostic::error(Span::default(), "the inventory is empty")
                .help("`synprov init` writes one to begin with"),
        );
        return None;
    }
    let file = Section::open(root, "the inventory", "", top, KEYS, found)?;
    let mut section = |key: &str, example: &str| {
        if !file.has(key) {
            found.push(
                Diagnostic::error(Span::default(), format!("the inventory has no \"{key}\""))
                    .help(format!("add {example}")),
            );
        }
        file.entry(key)
    };
    let hosts_at = section("hosts", "hosts: {hs1: {address: 192.0.2.10}}");
    let synapse_at = section("synapse", "synapse: {server_name: example.org, version: 1.163.2}");
    let postgresql_at =
        section("postgresql", "postgresql: {host: hs1}, or postgresql: {external: {host: …}}");
    let main_at = section("main", "main: {host: hs1}");

    let hosts = hosts_at.and_then(|(at, node)| hosts(node, at, found));
    let synapse = synapse_at.and_then(|(at, node)| synapse(node, at, found));
    let postgresql = postgresql_at.and_then(|(at, node)| datastore(node, at, Store::Postgresql, found));
    let redis = file.entry("redis").and_then(|(at, node)| datastore(node, at, Store::Redis, found));
    let main = main_at.and_then(|(at, node)| main(node, at, found));
    let mas = file.entry("mas").and_then(|(at, node)| mas(node, at, found));
    let proxy = file.entry("proxy").and_then(|(at, node)| proxy(node, at, found));
    let defaults = file.entry("defaults").map(|(at, node)| defaults(node, at, found)).unwrap_or_default();
    let workers_at = file.entry("workers");
    let workers = workers_at.map(|(_, node)| workers(node, found)).unwrap_or_default();
    if let (false, Some((at, _)), false) = (file.has("redis"), workers_at, workers.is_empty()) {
        let host = main.as_ref().map_or("NAME", |main| main.host.value.as_str());
        found.push(
            Diagnostic::error(at, "workers need Redis, and the inventory has no \"redis\"")
                .help(format!("add redis: {{host: {host}}}: the processes talk to each other through it")),
        );
    }

    let password = |store: &Option<Spanned<Datastore>>| match store {
        Some(Spanned { value: Datastore::External(external), .. }) => external.password.clone(),
        _ => None,
    };
    let passwords = [password(&postgresql), password(&redis), mas.as_ref().map(|mas| mas.secret.clone())];
    if let Some(Read { declared_at, declared, used, .. }) = &synapse {
        let of_workers = workers.values().flat_map(|pool| &pool.config.secrets);
        check_references(
            declared,
            *declared_at,
            used.iter().chain(of_workers).chain(passwords.iter().flatten()),
            found,
        );
    }
    let synapse = synapse.and_then(|read| read.synapse);

    Some(Inventory {
        hosts: hosts?,
        synapse: synapse?,
        postgresql: postgresql?,
        redis,
        main: main?,
        mas,
        proxy,
        defaults,
        workers,
    })
}

fn main(node: &Node, at: Span, found: &mut Found) -> Option<Main> {
    let section =
        Section::open(node, "main", "main", at, &[&["host", "listeners"], process::KEYS].concat(), found)?;
    let overrides = process::values(&section, found);
    let listeners = listeners(&section, found);
    Some(Main { host: section.required("host", "host: NAME", found)?, overrides, listeners })
}
