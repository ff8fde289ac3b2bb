//! What a process runs with: the keys that `defaults:`, `main:` and each pool have in common.
//!
//! Never in this file: what a process is for, where it runs.

use indexmap::IndexMap;

use super::decode::{Found, Section, choose, wrong};
use super::{ExtraListener, Limits, Logging, limits, logging};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// `main:`.
#[derive(Debug, Clone)]
pub struct Main {
    /// Host name in `hosts`.
    pub host: Spanned<String>,
    /// Wins over `defaults`.
    pub overrides: Defaults,
    /// Listeners besides those for clients, replication and metrics.
    pub listeners: IndexMap<String, Spanned<ExtraListener>>,
}

/// `defaults:`: what every process runs with, main too. Every field is also a key of `main:` and of a
/// pool, where it wins.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// `caches: {global_factor}` of each process, > 0.
    pub cache_factor: Option<Spanned<f64>>,
    /// Connections of each process to PostgreSQL.
    pub db_pool: Option<Spanned<DbPool>>,
    /// What systemd keeps each process to.
    pub limits: Limits,
    /// Environment of each process; merged by name.
    pub environment: IndexMap<String, Spanned<String>>,
    /// `true`: memory is allocated by jemalloc.
    pub jemalloc: Option<Spanned<bool>>,
    /// What requests and replication arrive through.
    pub listen: Option<Spanned<Listen>>,
    /// Where each process logs; merged by key.
    pub logging: Logging,
}

/// `listen:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// TCP ports.
    Tcp,
    /// Unix sockets, where all who connect are on the host.
    Unix,
}

/// `db_pool:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbPool {
    /// `cp_min`, at least 1.
    pub min: u32,
    /// `cp_max`, at least `min`.
    pub max: u32,
}

/// The keys.
pub(super) const KEYS: &[&str] = &[
    "cache_factor",
    "db_pool",
    "memory_max",
    "memory_high",
    "cpu_quota",
    "nice",
    "environment",
    "jemalloc",
    "logging",
    "listen",
];

/// `defaults:`.
pub(super) fn defaults(node: &Node, at: Span, found: &mut Found) -> Defaults {
    Section::open(node, "defaults", "defaults", at, KEYS, found)
        .map(|section| values(&section, found))
        .unwrap_or_default()
}

/// The keys that `defaults:`, `main:` and a pool have in common.
pub(super) fn values(section: &Section<'_>, found: &mut Found) -> Defaults {
    Defaults {
        cache_factor: cache_factor(section, found),
        db_pool: db_pool(section, found),
        limits: limits::limits(section, found),
        environment: limits::environment(section, found),
        jemalloc: section
            .boolean("jemalloc", found)
            .map(|on| Spanned::new(on, section.entry("jemalloc").map(|(span, _)| span).unwrap_or_default())),
        listen: listen(section, found),
        logging: logging::logging(section, found),
    }
}

fn listen(section: &Section<'_>, found: &mut Found) -> Option<Spanned<Listen>> {
    let word = section.text("listen", found)?;
    let listen = match word.value.as_str() {
        "tcp" => Listen::Tcp,
        "unix" => Listen::Unix,
        _ => {
            found.push(
                Diagnostic::error(word.span, format!("\"listen\" in {} is unknown", section.what))
                    .help(choose(&word.value, &["tcp", "unix"])),
            );
            return None;
        }
    };
    Some(Spanned::new(listen, word.span))
}

fn cache_factor(section: &Section<'_>, found: &mut Found) -> Option<Spanned<f64>> {
    let node = section.node("cache_factor", found)?;
    let what = format!("\"cache_factor\" in {}", section.what);
    #[allow(clippy::cast_precision_loss)]
    let value = match node.kind {
        Kind::Float(value) => value,
        Kind::Int(value) => value as f64,
        _ => {
            found.push(wrong(node, &what, "a number").help("write cache_factor: 0.5"));
            return None;
        }
    };
    if value > 0.0 && value <= 1000.0 {
        return Some(Spanned::new(value, node.span));
    }
    found.push(
        Diagnostic::error(node.span, format!("{what} is {value}"))
            .help("write a number above 0, at most 1000; Synapse's own default is 0.5"),
    );
    None
}

fn db_pool(section: &Section<'_>, found: &mut Found) -> Option<Spanned<DbPool>> {
    let (span, _) = section.entry("db_pool")?;
    let node = section.node("db_pool", found)?;
    let what = format!("db_pool in {}", section.what);
    let pool = Section::open(node, &what, "db_pool", span, &["min", "max"], found)?;
    for key in ["min", "max"] {
        if pool.entry(key).is_none() {
            pool.missing(key, "both: db_pool: {min: 2, max: 10}", found);
        }
    }
    let (min, max) = (pool.integer("min", 1..=1000, found)?, pool.integer("max", 1..=1000, found)?);
    if min.value > max.value {
        found.push(
            Diagnostic::error(
                max.span,
                format!("{what} has a maximum of {} below its minimum of {}", max.value, min.value),
            )
            .related(min.span, "the minimum")
            .help("write db_pool: {min: 2, max: 10}"),
        );
        return None;
    }
    let pool = DbPool { min: u32::try_from(min.value).ok()?, max: u32::try_from(max.value).ok()? };
    Some(Spanned::new(pool, span))
}
