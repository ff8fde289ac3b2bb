//! `workers:`: pools of equal processes.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::config::{Owner, config};
use super::decode::{Found, Section, choose, entries, suggest};
use super::seats::{WEIGHTS, hosts};
use super::select::select;
use super::words::{HANDLES, RUNS, WRITES};
use super::{ConfigMap, Defaults, Select, names, process};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// One entry of `workers:`: a pool of equal processes.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Where the name stands.
    pub span: Span,
    /// How many instances on which host, in the order written. `host:` + `count:` is one entry.
    pub hosts: Vec<(Spanned<String>, u32)>,
    /// Share of the requests of each process, 1 by default.
    pub weight: Option<u32>,
    /// Shares of the processes on single hosts, where they differ from `weight`.
    pub weights: IndexMap<String, u32>,
    /// Classes of endpoints.
    pub handles: Vec<Spanned<String>>,
    /// Which requests of these classes; `None`: those that no other pool selects.
    pub select: Option<Select>,
    /// Streams written.
    pub writes: Vec<Spanned<String>>,
    /// Jobs run.
    pub runs: Vec<Spanned<String>>,
    /// Former name of this pool: rename on purpose.
    pub was: Option<Spanned<String>>,
    /// Wins over `defaults`.
    pub overrides: Defaults,
    /// Keys for the worker's own YAML, deep-merged over the shared configuration by synprov.
    pub config: ConfigMap,
}

const KEYS: &[&str] =
    &["host", "count", "hosts", "handles", "select", "weight", "writes", "runs", "was", "config"];

/// Reads all pools; one that is not understood is reported and left out.
pub(super) fn workers(node: &Node, found: &mut Found) -> IndexMap<String, Pool> {
    let mut pools = IndexMap::new();
    let entries = entries(node, "workers", "workers", found).unwrap_or(&[]);
    for (key, node) in entries {
        let mut named = names::name(key, "worker", found);
        if matches!(key.value.as_str(), "main" | "master") {
            named = false;
            found.push(
                Diagnostic::error(key.span, format!("a worker cannot be called \"{}\"", key.value))
                    .help("Synapse calls the main process so; it has a section of its own, main"),
            );
        }
        if let Some(pool) = pool(key, node, found)
            && named
        {
            pools.insert(key.value.clone(), pool);
        }
    }
    former_names(&pools, entries, found);
    pools
}

fn pool(name: &Spanned<String>, node: &Node, found: &mut Found) -> Option<Pool> {
    let what = format!("worker \"{}\"", name.value);
    let section = Section::open(node, &what, "workers.*", name.span, &[KEYS, process::KEYS].concat(), found)?;
    let (hosts, weights) = hosts(&section, found);
    let weight =
        section.integer("weight", WEIGHTS, found).and_then(|weight| u32::try_from(weight.value).ok());
    let handles = words(&section, "handles", found);
    let select = section.entry("select").and_then(|(at, node)| select(node, &section.what, at, found));
    let writes = words(&section, "writes", found);
    let runs = words(&section, "runs", found);
    let idle = |key: &str| match section.entry(key) {
        Some((_, node)) => is_empty(node),
        None => !section.has(key),
    };
    if ["handles", "writes", "runs"].into_iter().all(idle) {
        found.push(
            Diagnostic::error(name.span, format!("{what} has nothing to do"))
                .help("add handles: [endpoint class], writes: [stream] or runs: [job]"),
        );
    }
    let was = section.text("was", found).filter(|was| {
        names::name(was, "former worker", found) && {
            let other = was.value != name.value;
            if !other {
                found.push(
                    Diagnostic::error(was.span, format!("{what} was always called so"))
                        .help("write the former name, or delete was"),
                );
            }
            other
        }
    });
    let config = match section.entry("config") {
        Some((_, node)) => config(node, &format!("config of {what}"), Owner::Worker, found),
        None => ConfigMap::default(),
    };
    let overrides = process::values(&section, found);
    (!hosts.is_empty()).then_some(Pool {
        span: name.span,
        hosts,
        weight,
        weights,
        handles,
        select,
        writes,
        runs,
        was,
        overrides,
        config,
    })
}

fn is_empty(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => true,
        Kind::Seq(items) => items.is_empty(),
        _ => false,
    }
}

/// The three lists and what each holds.
const LISTS: &[(&str, &[&str], &str)] =
    &[("handles", HANDLES, "class of endpoints"), ("writes", WRITES, "stream"), ("runs", RUNS, "job")];

/// One of the three lists, checked against its closed set.
fn words(section: &Section<'_>, key: &str, found: &mut Found) -> Vec<Spanned<String>> {
    let Some((_, known, noun)) = LISTS.iter().find(|(list, ..)| *list == key) else { return Vec::new() };
    let mut kept: Vec<Spanned<String>> = Vec::new();
    for word in section.texts(key, found) {
        if let Some(before) = kept.iter().find(|before| before.value == word.value) {
            found.push(
                Diagnostic::error(
                    word.span,
                    format!("\"{}\" twice in {key} of {}", word.value, section.what),
                )
                .related(before.span, "first written here")
                .help("delete one of them"),
            );
        } else if known.contains(&word.value.as_str()) {
            kept.push(word);
        } else {
            let elsewhere =
                LISTS.iter().find(|(list, known, _)| *list != key && known.contains(&word.value.as_str()));
            let help = match (suggest(&word.value, known), elsewhere) {
                (_, Some((list, _, noun))) => {
                    format!("it is a {noun}: write {list}: [{}]", word.value)
                }
                _ => choose(&word.value, known),
            };
            found.push(
                Diagnostic::error(
                    word.span,
                    format!("unknown {noun} \"{}\" in {}", word.value, section.what),
                )
                .help(help),
            );
        }
    }
    kept
}

/// `was:` must name a pool that is gone, and each only once.
fn former_names(pools: &IndexMap<String, Pool>, entries: &[(Spanned<String>, Node)], found: &mut Found) {
    let names: HashMap<&str, Span> = entries.iter().map(|(key, _)| (key.value.as_str(), key.span)).collect();
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for (name, pool) in pools {
        let Some(was) = &pool.was else { continue };
        if let Some(there) = names.get(was.value.as_str()) {
            found.push(
                Diagnostic::error(
                    was.span,
                    format!("worker \"{name}\" was \"{}\", which still exists", was.value),
                )
                .related(*there, "it stands here")
                .help("a renamed pool loses its old entry: delete was, or the old entry"),
            );
        }
        if let Some(there) = seen.insert(&was.value, was.span) {
            found.push(
                Diagnostic::error(was.span, format!("two workers were \"{}\"", was.value))
                    .related(there, "the other one")
                    .help("only one can take over its instances: delete was in the other"),
            );
        }
    }
}
