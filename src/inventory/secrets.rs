//! `synapse.secrets:` and references to it, `{secret: NAME}`.
//!
//! Only names and origins pass through here. A value written out by mistake is reported without
//! being shown.

use indexmap::IndexMap;

use super::decode::{Found, Section, choose, entries, reported, suggest, wrong};
use super::names;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// Where a secret's value originates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Made once, at random, on the main process' host, and kept there.
    Generate,
    /// An environment variable of the controller.
    Env(String),
    /// A file on the controller, relative to the inventory.
    File(String),
    /// The text behind a key of a YAML file on the controller.
    Field {
        /// Relative to the inventory.
        file: String,
        /// Of the outermost mapping.
        key: String,
    },
    /// Standard output of a command on the controller, without its last newline.
    Command(Vec<String>),
    /// Taken over once from a file that is on the main process' host, then kept like a generated one.
    Found(FoundSecret),
}

/// A secret that was on a host before synprov came there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSecret {
    /// Absolute path of its file.
    pub path: String,
    /// `redis.password`: where in that file, which is YAML then; `None`: the whole file is the value.
    pub key: Option<String>,
}

impl SecretSource {
    /// Its value is on hosts, and the first place to have it is the main process' host.
    pub fn is_on_hosts(&self) -> bool {
        matches!(self, Self::Generate | Self::Found(_))
    }
}

/// Secrets that every deployment has; declaring one says where its value comes from instead of
/// being generated. They need no reference to count as used.
pub const CLUSTER_SECRETS: &[&str] =
    &["signing_key", "replication", "macaroon", "form", "registration", "database", "redis"];

/// File beside those of the secrets, which no secret may be called: libpq's passfile.
pub const PASSFILE: &str = "pgpass";

/// NAME, if `node` is `{secret: NAME}`.
pub(super) fn reference(node: &Node) -> Option<Spanned<String>> {
    match &node.kind {
        Kind::Map(entries) => match entries.as_slice() {
            [(key, value)] if key.value == "secret" => {
                value.as_str().map(|name| Spanned::new(name.to_owned(), value.span))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The value of `key`: `{secret: NAME}` and nothing else.
pub(super) fn only_reference(section: &Section<'_>, key: &str, found: &mut Found) -> Option<Spanned<String>> {
    let node = section.node(key, found)?;
    let name = reference(node);
    if name.is_none() {
        let what = format!("\"{key}\" in {}", section.what);
        let diagnostic = match node.kind {
            Kind::Map(_) => wrong(node, &what, "{secret: NAME}"),
            _ => Diagnostic::error(node.span, format!("{what} is written out")).sensitive(),
        };
        found.push(diagnostic.help("write {secret: NAME}, and under synapse.secrets where NAME comes from"));
    }
    name
}

/// Reads the declarations. A name whose source is wrong stays declared, so that its uses are not
/// reported as well.
pub(super) fn secrets(node: &Node, found: &mut Found) -> IndexMap<String, Spanned<SecretSource>> {
    let mut secrets = IndexMap::new();
    for (key, node) in entries(node, "synapse.secrets", "secrets", found).unwrap_or(&[]) {
        names::name(key, "secret", found);
        if key.value == PASSFILE {
            found.push(
                Diagnostic::error(key.span, format!("secret \"{PASSFILE}\" has the name of libpq's passfile"))
                    .help(
                        "call it otherwise: synprov writes conf/secrets/pgpass itself, with the database's password",
                    ),
            );
        }
        let source = source(key, node, found).unwrap_or(SecretSource::Generate);
        secrets.insert(key.value.clone(), Spanned::new(source, key.span));
    }
    secrets
}

fn source(key: &Spanned<String>, node: &Node, found: &mut Found) -> Option<SecretSource> {
    const HELP: &str = "write generate, env:VARIABLE, file:PATH, {command: [program, argument]} or {host_file: PATH, key: KEY}";
    let what = format!("secret \"{}\"", key.value);
    if reported(node.span, found) {
        return None;
    }
    match &node.kind {
        Kind::String(text) => {
            let source = match text.split_once(':') {
                None if text == "generate" => Some(SecretSource::Generate),
                Some(("env", name)) if is_variable(name.trim()) => {
                    Some(SecretSource::Env(name.trim().to_owned()))
                }
                Some(("file", path)) if !path.trim().is_empty() => {
                    Some(SecretSource::File(path.trim().to_owned()))
                }
                _ => None,
            };
            if source.is_none() {
                found.push(
                    Diagnostic::error(node.span, format!("the source of {what} is not understood"))
                        .sensitive()
                        .help(HELP),
                );
            }
            source
        }
        Kind::Map(_) => {
            let keys = &["command", "host_file", "key"];
            let section = Section::open(node, &what, "secrets.*", key.span, keys, found)?;
            if let Some((span, _)) = section.entry("host_file") {
                if let Some((also, _)) = section.entry("command") {
                    let both = format!("{what} has both \"host_file\" and \"command\"");
                    found.push(Diagnostic::error(also, both).related(span, "the other one").help(HELP));
                    return None;
                }
                let path = section
                    .text("host_file", found)
                    .filter(|path| names::path(path, &format!("\"host_file\" of {what}"), found))?;
                let key = section.text("key", found).map(|key| key.value);
                return Some(SecretSource::Found(FoundSecret { path: path.value, key }));
            }
            if let Some((span, _)) = section.entry("key") {
                let alone = format!("\"key\" of {what} without \"host_file\"");
                found.push(Diagnostic::error(span, alone).help("write {host_file: PATH, key: KEY}"));
                return None;
            }
            let Some((span, node)) = section.entry("command") else {
                section.missing("command", "command: [program, argument]", found);
                return None;
            };
            if node.as_str().is_some() {
                // A line for a shell; what it says may be the secret.
                let line = wrong(node, &format!("\"command\" of {what}"), "a list").sensitive();
                found.push(
                    line.help("write command: [pass, show, NAME]: the program and each argument by itself"),
                );
                return None;
            }
            let command: Vec<String> =
                section.texts("command", found).into_iter().map(|word| word.value).collect();
            if command.first().is_none_or(String::is_empty) {
                if !found.iter().any(|other| other.span.line == span.line) {
                    found.push(Diagnostic::error(span, format!("the command of {what} is empty")).help(HELP));
                }
                return None;
            }
            Some(SecretSource::Command(command))
        }
        _ => {
            found.push(wrong(node, &what, "a source").sensitive().help(HELP));
            None
        }
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Compares uses with declarations: undeclared is an error, unused a warning.
pub(super) fn check_references<'a>(
    declared: &IndexMap<String, Spanned<SecretSource>>,
    at: Span,
    used: impl Iterator<Item = &'a Spanned<String>>,
    found: &mut Found,
) {
    let known: Vec<&str> = declared.keys().map(String::as_str).collect();
    let mut seen: Vec<&str> = CLUSTER_SECRETS.to_vec();
    for name in used {
        seen.push(&name.value);
        if declared.contains_key(&name.value) {
            continue;
        }
        let diagnostic = Diagnostic::error(name.span, format!("secret \"{}\" is not declared", name.value));
        found.push(match suggest(&name.value, &known) {
            Some(meant) => {
                seen.push(meant);
                diagnostic.help(choose(&name.value, &known))
            }
            None => {
                let (name, shout) = (&name.value, name.value.to_ascii_uppercase().replace('-', "_"));
                let place =
                    if at.line == 0 { "add secrets under synapse with" } else { "add under synapse.secrets" };
                diagnostic
                    .help(format!("{place} {name}: env:{shout}, or file:PATH, generate, {{command: [...]}}"))
            }
        });
    }
    for (name, source) in declared {
        // An application service's registration is a secret too, and used by what names the service.
        if !seen.contains(&name.as_str()) && !name.starts_with("appservice-") {
            found.push(
                Diagnostic::warning(source.span, format!("secret \"{name}\" is not used"))
                    .help(format!("write {{secret: {name}}} where its value is wanted, or delete it")),
            );
        }
    }
}
