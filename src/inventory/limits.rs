//! What systemd keeps a process to, and what stands in its environment.
//!
//! Values are checked here because systemd ignores a setting that it does not understand, with a
//! line in the journal that nobody reads. Never in this file: which process they are for.

use indexmap::IndexMap;

use super::decode::{Found, Section, entries, text, wrong};
use super::secrets::reference;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::secret::names_a_secret;
use crate::yaml::{Kind, Node};

/// Limits of a process, as systemd.resource-control(5) and systemd.exec(5) know them.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// `MemoryMax=`: the process is killed above it. `512M`, `2G`.
    pub memory_max: Option<Spanned<String>>,
    /// `MemoryHigh=`: the process is slowed down above it.
    pub memory_high: Option<Spanned<String>>,
    /// `CPUQuota=`, percent of one CPU.
    pub cpu_quota: Option<Spanned<u32>>,
    /// `Nice=`, -20 to 19.
    pub nice: Option<Spanned<i8>>,
}

/// A Synapse process that has imported its modules is larger than this; bytes.
const LEAST_MEMORY: u64 = 128 << 20;
/// Longest value of an environment variable.
const MOST: usize = 4096;

/// Variables that synprov or systemd sets, and what to write instead.
const OWNED: &[(&str, &str)] = &[
    ("SYNAPSE_CACHE_FACTOR", "write cache_factor"),
    ("LD_PRELOAD", "write jemalloc: true"),
    ("PYTHONMALLOC", "write jemalloc: true"),
    ("PYTHONPATH", "write files under synapse: their directory is on Python's path"),
    ("PYTHONHOME", "leave it out: the venv decides where Python is at home"),
    ("VIRTUAL_ENV", "leave it out: processes start from the venv's own Python"),
    (
        "SYNAPSE_ASYNC_IO_REACTOR",
        "leave it out: systemd's readiness is tried with Twisted's own reactor only",
    ),
    ("NOTIFY_SOCKET", SYSTEMD),
    ("INVOCATION_ID", SYSTEMD),
    ("MAINPID", SYSTEMD),
    ("LISTEN_FDS", SYSTEMD),
    ("LISTEN_PID", SYSTEMD),
    ("WATCHDOG_USEC", SYSTEMD),
    ("WATCHDOG_PID", SYSTEMD),
    ("JOURNAL_STREAM", SYSTEMD),
    ("USER", SYSTEMD),
    ("HOME", SYSTEMD),
];
const SYSTEMD: &str = "leave it out: systemd sets it";

/// The limits of one section.
pub(super) fn limits(section: &Section<'_>, found: &mut Found) -> Limits {
    Limits {
        memory_max: memory(section, "memory_max", found),
        memory_high: memory(section, "memory_high", found),
        cpu_quota: cpu_quota(section, found),
        nice: section
            .integer("nice", -20..=19, found)
            .and_then(|nice| Some(Spanned::new(i8::try_from(nice.value).ok()?, nice.span))),
    }
}

fn memory(section: &Section<'_>, key: &str, found: &mut Found) -> Option<Spanned<String>> {
    let node = section.node(key, found)?;
    let what = format!("\"{key}\" in {}", section.what);
    let help = format!("write it with its unit: {key}: 1G, or 1500M");
    let Some(text) = node.as_str() else {
        found.push(wrong(node, &what, "a size").help(help));
        return None;
    };
    match bytes(text) {
        Some(size) if size >= LEAST_MEMORY => Some(Spanned::new(text.to_owned(), node.span)),
        Some(_) => {
            found.push(
                Diagnostic::error(node.span, format!("{what} is {text}, in which no Synapse process starts"))
                    .help("write at least 128M; most processes need 300M to 2G"),
            );
            None
        }
        None => {
            found.push(Diagnostic::error(node.span, format!("{what} is no size")).help(help));
            None
        }
    }
}

/// Bytes of `512M`, `2G`, `1T`: the units of systemd, powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        (at, 'T') => (&text[..at], 40),
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Percent of one CPU.
fn cpu_quota(section: &Section<'_>, found: &mut Found) -> Option<Spanned<u32>> {
    let node = section.node("cpu_quota", found)?;
    let percent =
        node.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<u32>().ok());
    if let Some(percent) = percent.filter(|percent| (1..=100_000).contains(percent)) {
        return Some(Spanned::new(percent, node.span));
    }
    found.push(
        Diagnostic::error(node.span, format!("\"cpu_quota\" in {} is no share of CPUs", section.what))
            .help("write percent of one CPU: cpu_quota: 150%; a Synapse process uses little more than 100%"),
    );
    None
}

/// `environment:`.
pub(super) fn environment(section: &Section<'_>, found: &mut Found) -> IndexMap<String, Spanned<String>> {
    let mut variables = IndexMap::new();
    let Some(node) = section.node("environment", found) else { return variables };
    let what = format!("environment in {}", section.what);
    for (key, node) in entries(node, &what, "environment", found).unwrap_or(&[]) {
        if variable(key, node, &what, found)
            && let Some(value) = value(key, node, &what, found)
        {
            variables.insert(key.value.clone(), value);
        }
    }
    variables
}

fn variable(key: &Spanned<String>, node: &Node, what: &str, found: &mut Found) -> bool {
    let name = key.value.as_str();
    let good = !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !good {
        let shown: String = name.chars().take(40).collect();
        found.push(
            Diagnostic::error(key.span, format!("\"{shown}\" in {what} is no name of a variable"))
                .help("letters, digits and _, not beginning with a digit: MALLOC_ARENA_MAX"),
        );
        return false;
    }
    let instead = OWNED.iter().find(|(owned, _)| *owned == name).map(|(_, instead)| *instead);
    if let Some(instead) = instead {
        found.push(
            Diagnostic::error(key.span, format!("\"{name}\" in {what} is not yours to set")).help(instead),
        );
        return false;
    }
    let lower = name.to_ascii_lowercase();
    if names_a_secret(name) || ["secret", "password", "token"].iter().any(|word| lower.contains(word)) {
        found.push(
            Diagnostic::error(node.span, format!("\"{name}\" in {what} looks like a secret"))
                .sensitive()
                .help("every user of a host can read a unit's environment: write it as {secret: NAME} in config"),
        );
        return false;
    }
    true
}

fn value(key: &Spanned<String>, node: &Node, what: &str, found: &mut Found) -> Option<Spanned<String>> {
    if let Some(secret) = reference(node) {
        found.push(
            Diagnostic::error(secret.span, format!("\"{}\" in {what} is a secret", key.value))
                .help("every user of a host can read a unit's environment: write {secret: NAME} in config"),
        );
        return None;
    }
    let value = match node.kind {
        Kind::Int(number) => Spanned::new(number.to_string(), node.span),
        _ => text(node, &format!("\"{}\" in {what}", key.value), found)?,
    };
    let why = if value.value.len() > MOST {
        "is too long"
    } else if value.value.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Some(value);
    };
    found.push(
        Diagnostic::error(value.span, format!("\"{}\" in {what} {why}", key.value))
            .help(format!("write one line of at most {MOST} bytes")),
    );
    None
}
