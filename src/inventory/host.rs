//! `hosts:`, one machine each.

use indexmap::IndexMap;

use super::addresses::{is_jump_host, reachable, same_twice};
use super::decode::{Found, Section, choose, entries, text};
use super::host_key::key_line;
use super::names;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::{Kind, Node};

/// One machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where the name stands.
    pub span: Span,
    /// Name or IP address for SSH, or `local` for the machine synprov runs on.
    pub address: Spanned<String>,
    /// SSH port; what ssh's configuration says, or 22, by default.
    pub port: Option<u16>,
    /// SSH user; what ssh's configuration says, or the current user, by default.
    pub user: Option<String>,
    /// How the user becomes root; not needed for root.
    pub r#become: Become,
    /// Address (IP literal) under which the other hosts of the topology reach this one.
    pub internal_address: Option<Spanned<String>>,
    /// Private key files to try, before the agent's keys.
    pub identity_files: Vec<String>,
    /// Pinned host key, as in a known_hosts line: `ssh-ed25519 AAAA…`.
    pub host_key: Option<Spanned<String>>,
    /// `true`: an unknown (never a changed) host key is recorded on first contact.
    pub accept_new: bool,
    /// Jump hosts on the way, the first one first: `[USER@]HOST[:PORT]`.
    pub jump: Vec<Spanned<String>>,
    /// Who speaks SSH.
    pub transport: Means,
    /// Host leaves the topology: stop and clean up what synprov owns there.
    pub retired: bool,
    /// The operator swears that this machine is off for good.
    pub lost: bool,
}

/// `become:` of a host: how the log-in user becomes root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Become {
    /// It is root.
    #[default]
    No,
    /// By sudo.
    Sudo,
    /// By doas.
    Doas,
}

/// `transport:` of a host: which implementation of SSH speaks with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Means {
    /// libssh2, or OpenSSH's client where that is needed.
    #[default]
    Auto,
    /// libssh2.
    Ssh2,
    /// OpenSSH's client.
    OpenSsh,
}

const KEYS: &[&str] = &[
    "address",
    "port",
    "user",
    "become",
    "internal_address",
    "identity_files",
    "host_key",
    "accept_new",
    "jump",
    "transport",
    "retired",
    "lost",
];

/// All hosts; `None` if one of them is not understood, because everything else refers to them.
pub(super) fn hosts(node: &Node, at: Span, found: &mut Found) -> Option<IndexMap<String, Host>> {
    let entries = entries(node, "hosts", "hosts", found)?;
    if entries.is_empty() {
        found.push(
            Diagnostic::error(at, "no hosts")
                .help("add one under hosts, with its address: hs1: {address: 192.0.2.10}"),
        );
        return None;
    }
    let mut hosts = IndexMap::new();
    let mut whole = true;
    for (key, node) in entries {
        let named = names::name(key, "host", found);
        match host(key, node, found) {
            Some(host) if named => {
                hosts.insert(key.value.clone(), host);
            }
            _ => whole = false,
        }
    }
    same_twice(&hosts, found);
    whole.then_some(hosts)
}

fn host(name: &Spanned<String>, node: &Node, found: &mut Found) -> Option<Host> {
    let what = format!("host \"{}\"", name.value);
    let section = Section::open(node, &what, "hosts.*", name.span, KEYS, found)?;
    let address = section
        .required("address", "address: a name or an IP address for SSH, or local", found)
        .filter(|value| names::host_or_ip(value, &format!("\"address\" in {what}"), found));
    let internal_address =
        section.text("internal_address", found).filter(|value| reachable(value, &what, found));
    let user = section.text("user", found).filter(|value| login(value, &what, found));
    let host_key = section.text("host_key", found).filter(|value| key_line(value, &what, found));
    let retired = section.boolean("retired", found).unwrap_or(false);
    let lost = section.boolean("lost", found).unwrap_or(false);
    if retired && lost {
        found.push(Diagnostic::error(name.span, format!("{what} is both retired and lost")).help(
            "retired: synprov connects and cleans up; lost: the host is off for good. keep one of them",
        ));
    }
    Some(Host {
        span: name.span,
        port: section.integer("port", 1..=65535, found).and_then(|port| u16::try_from(port.value).ok()),
        user: user.map(|user| user.value),
        r#become: becomes(&section, found),
        internal_address,
        identity_files: identity_files(&section, found),
        host_key,
        accept_new: section.boolean("accept_new", found).unwrap_or(false),
        jump: jump(&section, found),
        transport: means(&section, found),
        retired,
        lost,
        address: address?,
    })
}

/// A list of texts, or one text.
fn one_or_more(section: &Section<'_>, key: &str, found: &mut Found) -> Vec<Spanned<String>> {
    match section.entry(key) {
        Some((_, node)) if matches!(node.kind, Kind::String(_)) => {
            text(node, key, found).into_iter().collect()
        }
        _ => section.texts(key, found),
    }
}

/// Jump hosts, the first one first.
fn jump(section: &Section<'_>, found: &mut Found) -> Vec<Spanned<String>> {
    let hosts = one_or_more(section, "jump", found);
    for host in hosts.iter().filter(|host| !is_jump_host(&host.value)) {
        found.push(
            Diagnostic::error(host.span, format!("\"jump\" in {} is no [USER@]HOST[:PORT]", section.what)).help(
                "a name of your ssh configuration or an address: jump: admin@bastion.example.org:2222; several as a list, \
                 the first one first",
            ),
        );
    }
    hosts
}

/// How the user becomes root: a boolean, or the program's name.
fn becomes(section: &Section<'_>, found: &mut Found) -> Become {
    match section.entry("become") {
        Some((_, node)) if matches!(node.kind, Kind::String(_)) => {
            let Some(word) = text(node, "become", found) else { return Become::No };
            match word.value.as_str() {
                "sudo" => Become::Sudo,
                "doas" => Become::Doas,
                other => {
                    let summary = format!("\"become\" in {} is no program that it knows", section.what);
                    found.push(Diagnostic::error(word.span, summary).help(choose(other, &["sudo", "doas"])));
                    Become::No
                }
            }
        }
        _ if section.boolean("become", found) == Some(true) => Become::Sudo,
        _ => Become::No,
    }
}

/// Who speaks SSH.
fn means(section: &Section<'_>, found: &mut Found) -> Means {
    let Some(word) = section.text("transport", found) else { return Means::Auto };
    match word.value.as_str() {
        "auto" => Means::Auto,
        "ssh2" => Means::Ssh2,
        "openssh" => Means::OpenSsh,
        _ => {
            let known = ["auto", "ssh2", "openssh"];
            found.push(
                Diagnostic::error(
                    word.span,
                    format!("\"transport\" in {} is no way to speak SSH", section.what),
                )
                .help(choose(&word.value, &known)),
            );
            Means::Auto
        }
    }
}

/// A list of paths, or one path.
fn identity_files(section: &Section<'_>, found: &mut Found) -> Vec<String> {
    let files = one_or_more(section, "identity_files", found);
    for file in files.iter().filter(|file| file.value.contains("PRIVATE KEY")) {
        found.push(
            Diagnostic::error(file.span, format!("a private key in {}", section.what))
                .sensitive()
                .help("write the path of the key file; a key that stood in an inventory is no longer secret"),
        );
    }
    files.into_iter().map(|file| file.value).collect()
}

/// A POSIX login name: it stands in SSH's and sudo's protocol and in shell words.
fn login(value: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let text = value.value.as_str();
    let good = (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !good {
        found.push(
            Diagnostic::error(value.span, format!("\"user\" in {what} is no login name"))
                .help("letters, digits, . _ and -, beginning with a letter"),
        );
    }
    good
}
