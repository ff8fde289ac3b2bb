//! `packages:` and `files:` of `synapse:`: what modules and storage providers need beside Synapse.
//!
//! Never in this file: reading the files (whoever may read files does), resolving versions.

use indexmap::IndexMap;

use super::Install;
use super::decode::{Found, Section, entries};
use super::wheels::normal;
use crate::diagnostic::{Diagnostic, Spanned};

/// One entry of `files:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredFile {
    /// File on the controller, relative to the inventory.
    pub source: Spanned<String>,
    /// What stands in it. Parsing leaves this empty: whoever may read files fills it in.
    pub text: Option<String>,
}

/// What synprov asks pip for anyway, and what to write instead.
const OWNED: &[(&str, &str)] = &[
    ("matrix-synapse", "write version and extras under synapse"),
    ("psycopg2", "leave it out: psycopg2-binary is always installed"),
    ("psycopg2-binary", "leave it out: it is always installed"),
    ("txredisapi", "leave it out: it is always installed"),
];

/// `packages:`: further requirements for pip.
pub(super) fn packages(
    section: &Section<'_>,
    install: Option<&Install>,
    found: &mut Found,
) -> Vec<Spanned<String>> {
    if let (Some((span, _)), Some(Install::Venv(_) | Install::Debian)) = (section.entry("packages"), install)
    {
        found.push(
            Diagnostic::error(span, "packages cannot be installed into an adopted installation")
                .help("install them there yourself and delete packages, or write install: managed"),
        );
    }
    let mut kept: Vec<Spanned<String>> = Vec::new();
    for package in section.texts("packages", found) {
        let shown: String = package.value.chars().take(80).collect();
        let Some(name) = requirement(&package.value) else {
            found.push(
                Diagnostic::error(package.span, format!("\"{shown}\" is no package of PyPI with its version"))
                    .help("write NAME==VERSION, or NAME[extra]==VERSION: matrix-synapse-ldap3==0.3.0; no options, URLs or paths"),
            );
            continue;
        };
        if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| *owned == name) {
            found.push(
                Diagnostic::error(package.span, format!("\"{shown}\" in packages is not yours to choose"))
                    .help(*instead),
            );
            continue;
        }
        if let Some(first) = kept.iter().find(|other| requirement(&other.value) == Some(name.clone())) {
            found.push(
                Diagnostic::error(package.span, format!("package \"{name}\" is listed twice"))
                    .related(first.span, "first here")
                    .help("delete one of them"),
            );
            continue;
        }
        kept.push(package);
    }
    kept
}

/// The normalised name (PEP 503) of `NAME[extras]==VERSION`; `None` if it is anything else. What pip
/// reads from a requirements file may also be an option, hence nothing but this form.
fn requirement(text: &str) -> Option<String> {
    let (name, version) = text.split_once("==")?;
    let (name, extras) = match name.split_once('[') {
        Some((name, extras)) => (name, extras.strip_suffix(']')?),
        None => (name, "-"),
    };
    let word = |text: &str, more: &[u8]| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let edges = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    let good = edges
        && word(name, b"-_.")
        && extras.split(',').all(|extra| word(extra, b"-_."))
        && word(version, b".+!")
        && version.starts_with(|c: char| c.is_ascii_digit());
    good.then(|| normal(name))
}

/// `files:`: name below ROOT/modules to file beside the inventory.
pub(super) fn files(section: &Section<'_>, found: &mut Found) -> IndexMap<String, Spanned<DeliveredFile>> {
    let mut files = IndexMap::new();
    let Some((_, node)) = section.entry("files") else { return files };
    for (key, node) in entries(node, "synapse.files", "synapse.files", found).unwrap_or(&[]) {
        let named = is_relative(&key.value);
        if !named {
            let shown: String = key.value.chars().take(80).collect();
            found.push(
                Diagnostic::error(key.span, format!("\"{shown}\" in synapse.files is no plain file name")).help(
                    "it is a path below ROOT/modules: my_module.py, or my_module/__init__.py; letters, digits and . _ -",
                ),
            );
        }
        let what = format!("file \"{}\"", key.value.chars().take(80).collect::<String>());
        let Some(one) = Section::open(node, &what, "synapse.files.*", key.span, &["source"], found) else {
            continue;
        };
        let source = one.required("source", "source: PATH, relative to the inventory", found);
        if let Some(source) = source.filter(|source| named && !source.value.is_empty()) {
            files.insert(key.value.clone(), Spanned::new(DeliveredFile { source, text: None }, key.span));
        }
    }
    let names: Vec<String> = files.keys().cloned().collect();
    for (name, file) in &files {
        if let Some(inside) = names.iter().find(|other| other.starts_with(&format!("{name}/"))) {
            found.push(
                Diagnostic::error(
                    file.span,
                    format!("\"{name}\" is a file, and \"{inside}\" lies inside of it"),
                )
                .help("rename one of them"),
            );
        }
    }
    files
}

fn is_relative(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    parts.len() <= 4
        && text.len() <= 200
        && parts.iter().all(|part| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        })
}
