//! The whole file: sections in any order, every error of every section in one answer.

use super::datastore::{Store, datastore};
use super::decode::{Found, Section};
use super::host::hosts;
use super::pool::{defaults, workers};
use super::proxy::proxy;
use super::secrets::check_references;
use super::synapse::synapse;
use super::{Datastore, Inventory, Main};
use crate::diagnostic::{Diagnostic, Span};
use crate::yaml::{Kind, Node, parse_lenient};

const KEYS: &[&str] = &["hosts", "synapse", "postgresql", "redis", "main", "proxy", "defaults", "workers"];

/// Reads an inventory.
///
/// The inventory is there whenever enough was understood to go on checking it, also beside
/// errors; nothing may be planned with it while there are errors. Diagnostics are in file order.
pub fn parse(text: &str) -> (Option<Inventory>, Vec<Diagnostic>) {
    let (root, mut found) = parse_lenient(text);
    let inventory = root.and_then(|root| inventory(&root, &mut found));
    found.sort_by_key(|diagnostic| (diagnostic.span.line, diagnostic.span.column));
    (inventory, found)
}

fn inventory(root: &Node, found: &mut Found) -> Option<Inventory> {
    let top = Span { line: 1, column: 1, length: 1 };
    if root.kind == Kind::Null {
        found.push(
            Diagnostic::error(Span::default(), "the inventory is empty")
                .help("begin with a copy of inventories/single-host.yaml"),
        );
        return None;
    }
    let file = Section::open(root, "the inventory", "", top, KEYS, found)?;
    let mut section = |key: &str, example: &str| {
        let entry = file.entry(key);
        if entry.is_none() {
            found.push(
                Diagnostic::error(Span::default(), format!("the inventory has no \"{key}\""))
                    .help(format!("add {example}")),
            );
        }
        entry
    };
    let hosts_at = section("hosts", "hosts: {hs1: {address: 192.0.2.10}}");
    let synapse_at = section("synapse", "synapse: {server_name: example.org, version: 1.163.2}");
    let postgresql_at =
        section("postgresql", "postgresql: {host: hs1}, or postgresql: {external: {host: …}}");
    let main_at = section("main", "main: {host: hs1}");

    let hosts = hosts_at.and_then(|(at, node)| hosts(node, at, found));
    let synapse = synapse_at.and_then(|(at, node)| synapse(node, at, found));
    let postgresql = postgresql_at.and_then(|(at, node)| datastore(node, at, Store::Postgresql, found));
    let redis_at = file.entry("redis");
    let redis = redis_at.and_then(|(at, node)| datastore(node, at, Store::Redis, found));
    let main = main_at.and_then(|(at, node)| main(node, at, found));
    let proxy = file.entry("proxy").and_then(|(at, node)| proxy(node, at, found));
    let defaults = file.entry("defaults").map(|(at, node)| defaults(node, at, found)).unwrap_or_default();
    let workers_at = file.entry("workers");
    let workers = workers_at.map(|(_, node)| workers(node, found)).unwrap_or_default();
    if let (None, Some((at, _)), false) = (redis_at, workers_at, workers.is_empty()) {
        found.push(
            Diagnostic::error(at, "workers need Redis, and the inventory has no \"redis\"")
                .help("add redis: {host: hs1}: the processes talk to each other through it"),
        );
    }

    let synapse = synapse?;
    let secrets_at =
        synapse_at.and_then(|(_, node)| node.get("secrets")).map_or_else(Span::default, |node| node.span);
    let passwords =
        [postgresql.as_ref(), redis.as_ref()].into_iter().flatten().filter_map(|store| match &store.value {
            Datastore::External(external) => external.password.as_ref(),
            Datastore::Host(_) => None,
        });
    let used = synapse.config.secrets.iter().chain(workers.values().flat_map(|pool| &pool.config.secrets));
    check_references(&synapse.secrets, secrets_at, used.chain(passwords), found);

    Some(Inventory {
        hosts: hosts?,
        synapse,
        postgresql: postgresql?,
        redis,
        main: main?,
        proxy,
        defaults,
        workers,
    })
}

fn main(node: &Node, at: Span, found: &mut Found) -> Option<Main> {
    let section = Section::open(node, "main", "main", at, &["host"], found)?;
    Some(Main { host: section.required("host", "host: NAME", found)? })
}
