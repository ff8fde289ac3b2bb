//! `inventory.lock`: what synprov remembers for the people who write the inventory.
//!
//! Extended, never reshuffled, and committed beside the inventory. Its text depends on its
//! contents alone. Never in it: secrets, what a host looks like, dates, names of people.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::decode::{Found, Section, entries, integer, text, wrong};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{self, Kind, Node};

/// The format that this synprov reads and writes.
pub const FORMAT: i64 = 1;

const HEADER: &str = "\
# Made by synprov; commit it beside the inventory.
# Ports, hosts of instances, lists whose order is state, Python packages with hashes.
# synprov extends it. Edit it only if you know that nothing runs on what you change.
";

/// Decisions made once and kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lock {
    /// Instance to listener (`client`, `replication`) to TCP port.
    pub ports: IndexMap<String, IndexMap<String, u16>>,
    /// Pool to the host of each of its instances, by number from 1. An empty host is a number that was
    /// given up while a higher one stayed; the next instance of that pool takes it.
    pub instances: IndexMap<String, Vec<String>>,
    /// Name of a list whose order is state (`federation_sender_instances`, `stream_writers.events`)
    /// to its instances.
    pub lists: IndexMap<String, Vec<String>>,
    /// What pip was asked for (`VERSION-HASH`, the last part of the venv's path) to Python tag (`cp311-x86_64`) to lines of a requirements file with hashes.
    pub packages: IndexMap<String, IndexMap<String, Vec<String>>>,
}

/// Reads a lock. Anything not understood is an error, also an empty text, because a guess would move ports or
/// reshuffle shards.
pub fn parse(text: &str) -> Result<Lock, Vec<Diagnostic>> {
    let root = yaml::parse(text)?;
    if root.kind == Kind::Null {
        return Err(vec![Diagnostic::error(Span::default(), "the lock is empty").help(
            "restore the file from version control, or delete it if nothing runs yet: without it ports and shards move",
        )]);
    }
    let mut found = Vec::new();
    let lock = lock(&root, &mut found);
    found.sort_by_key(|diagnostic| (diagnostic.span.line, diagnostic.span.column));
    match lock {
        Some(lock) if found.is_empty() => Ok(lock),
        _ => Err(found),
    }
}

/// Writes a lock; equal locks give equal bytes, and [`parse`] gives the same lock back.
pub fn emit(lock: &Lock) -> String {
    format!("{HEADER}{}", yaml::emit_text(&lock.to_json()))
}

fn lock(root: &Node, found: &mut Found) -> Option<Lock> {
    let top = Span { line: 1, column: 1, length: 1 };
    // A newer format first: whatever else is unknown then follows from it.
    match root.get("format").map(|node| (&node.kind, node.span)) {
        Some((Kind::Int(FORMAT), _)) => {}
        Some((Kind::Int(number), span)) if *number > FORMAT => {
            found.push(
                Diagnostic::error(span, format!("format {number} of the lock is newer than {FORMAT}"))
                    .help("it was written by a newer synprov: use that one"),
            );
            return None;
        }
        Some((_, span)) => {
            found.push(Diagnostic::error(span, format!("the lock's format must be {FORMAT}")));
            return None;
        }
        None => {
            found.push(
                Diagnostic::error(top, "the lock has no \"format\"")
                    .help("restore the file from version control: without it ports and shards would move"),
            );
            return None;
        }
    }
    let keys = &["format", "instances", "ports", "lists", "packages"];
    let section = Section::open(root, "the lock", "lock", top, keys, found)?;
    let mut lock = Lock::default();
    for (instance, node) in group(&section, "ports", found) {
        let what = format!("ports of \"{}\"", instance.value);
        let ports =
            entries(node, &what, "lock", found).unwrap_or(&[]).iter().filter_map(|(listener, node)| {
                let what = format!("port \"{}\" of \"{}\"", listener.value, instance.value);
                let port = integer(node, &what, 1..=65535, found)?;
                Some((listener.value.clone(), u16::try_from(port.value).ok()?))
            });
        lock.ports.insert(instance.value.clone(), ports.collect());
    }
    for (pool, node) in group(&section, "instances", found) {
        lock.instances.insert(pool.value.clone(), list(node, &format!("hosts of \"{}\"", pool.value), found));
    }
    for (name, node) in group(&section, "lists", found) {
        let items = list(node, &format!("list \"{}\"", name.value), found);
        if let Some(twice) = items.iter().enumerate().find(|(at, item)| items[..*at].contains(item)) {
            found.push(Diagnostic::error(
                node.span,
                format!("\"{}\" stands twice in list \"{}\"", twice.1, name.value),
            ));
        }
        lock.lists.insert(name.value.clone(), items);
    }
    for (request, node) in group(&section, "packages", found) {
        let sets = entries(node, &format!("packages of \"{}\"", request.value), "lock", found).unwrap_or(&[]);
        let sets = sets
            .iter()
            .map(|(tag, node)| (tag.value.clone(), list(node, &format!("packages for {}", tag.value), found)))
            .collect();
        lock.packages.insert(request.value.clone(), sets);
    }
    same_port_twice(&section, found);
    Some(lock)
}

fn group<'a>(section: &Section<'a>, key: &str, found: &mut Found) -> &'a [(Spanned<String>, Node)] {
    section.entry(key).and_then(|(_, node)| entries(node, key, "lock", found)).unwrap_or(&[])
}

fn list(node: &Node, what: &str, found: &mut Found) -> Vec<String> {
    match &node.kind {
        Kind::Seq(items) => items
            .iter()
            .filter_map(|node| text(node, &format!("an entry of {what}"), found))
            .map(|item| item.value)
            .collect(),
        _ => {
            found.push(wrong(node, what, "a list"));
            Vec::new()
        }
    }
}

/// Ports are unique over the topology, so that an instance can move between hosts; a merge of two
/// branches can break that.
fn same_port_twice(section: &Section<'_>, found: &mut Found) {
    let mut seen: IndexMap<i64, (Span, String)> = IndexMap::new();
    let Some((_, Node { kind: Kind::Map(instances), .. })) = section.entry("ports") else { return };
    for (instance, node) in instances {
        let Kind::Map(listeners) = &node.kind else { continue };
        for (_, node) in listeners {
            let Kind::Int(port) = node.kind else { continue };
            match seen.get(&port) {
                Some((before, other)) => found.push(
                    Diagnostic::error(
                        node.span,
                        format!("port {port} belongs to \"{other}\" and \"{}\"", instance.value),
                    )
                    .related(*before, "first written here")
                    .help("if a merge brought this about, keep the one that runs and delete the other entry"),
                ),
                None => {
                    seen.insert(port, (node.span, instance.value.clone()));
                }
            }
        }
    }
}

impl Lock {
    /// The lock as JSON, as [`emit`] writes it.
    pub fn to_json(&self) -> Value {
        json!({
            "format": FORMAT,
            "instances": self.instances,
            "ports": self.ports,
            "lists": self.lists,
            "packages": self.packages,
        })
    }
}
