//! `hosts:`, one machine each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use indexmap::IndexMap;

use super::decode::{Found, Section, choose, entries, text};
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

/// Algorithms of `host_key:` (OpenSSH's names; certificates and the retired ssh-dss are not among them).
const KEY_TYPES: &[&str] =
    &["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

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

/// Whether `text` is `[USER@]HOST[:PORT]`. It stands in command lines of ssh, so only what an address holds may be
/// there.
pub fn is_jump_host(text: &str) -> bool {
    let (user, host) = text.split_once('@').unwrap_or(("_", text));
    let part = |text: &str, more: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c))
    };
    // An IPv6 literal has colons of its own, and a port only behind brackets.
    let port = match host.rsplit_once(']') {
        Some((_, rest)) => rest.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port).filter(|port| !port.contains(':')),
    };
    part(user, "")
        && part(host, ":[]")
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
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

/// An IP literal that another host can connect to: names may resolve differently on each host.
fn reachable(value: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let problem = match value.value.parse::<IpAddr>() {
        Err(_) => Some((
            "is no IP address",
            "write the address itself, IPv4 or IPv6: names may resolve differently on each host",
        )),
        Ok(ip) if ip.is_loopback() => Some((
            "is a loopback address",
            "other hosts cannot reach it; with one host leave internal_address out",
        )),
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => Some((
            "is an IPv4 address in the form of an IPv6 one",
            "write what stands behind ::ffff:, which is what the other hosts connect to",
        )),
        // fe80::/10 is on every link (RFC 4291 section 2.5.6): which one is meant cannot be said here.
        Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => Some((
            "is a link-local address",
            "it means nothing without an interface: write an address of a private network or VPN",
        )),
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => {
            Some(("is not the address of one host", "write the host's own address in the private network"))
        }
        Ok(_) => None,
    };
    if let Some((problem, help)) = problem {
        found.push(
            Diagnostic::error(value.span, format!("\"internal_address\" in {what} {problem}")).help(help),
        );
    }
    problem.is_none()
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

/// `TYPE BASE64` as in known_hosts, the type inside the key agreeing with the one in front.
fn key_line(value: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let mut words = value.value.split_ascii_whitespace();
    let (kind, blob) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let problem = if value.value.starts_with("SHA256:") || value.value.starts_with("MD5:") {
        Some("is a fingerprint, not the key")
    } else if !KEY_TYPES.contains(&kind) {
        Some("does not begin with a key type")
    } else {
        let inner = base64::engine::general_purpose::STANDARD
            .decode(blob)
            .ok()
            .and_then(|bytes| strings(&bytes))
            .filter(|strings| strings.len() > 1 && strings[0] == kind.as_bytes())
            // The one type with a fixed size: a key cut short is caught.
            .filter(|strings| kind != "ssh-ed25519" || (strings.len() == 2 && strings[1].len() == 32));
        inner.is_none().then_some("is not a whole key")
    };
    if let Some(problem) = problem {
        found.push(
            Diagnostic::error(value.span, format!("\"host_key\" in {what} {problem}"))
                .help("write the line of /etc/ssh/ssh_host_ed25519_key.pub on the host: ssh-ed25519 AAAA…"),
        );
    }
    problem.is_none()
}

/// The length-prefixed strings that a public key consists of (RFC 4251 section 5).
fn strings(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (string, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        strings.push(string.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(strings)
}

/// The same machine under two names would be changed by two plans at once.
fn same_twice(hosts: &IndexMap<String, Host>, found: &mut Found) {
    let mut seen: HashMap<(&str, String), (&str, Span)> = HashMap::new();
    for (name, host) in hosts.iter().filter(|(_, host)| !host.lost) {
        let ssh = (format!("{} {}", same(&host.address.value), host.port.unwrap_or(22)), host.address.span);
        let internal = host.internal_address.as_ref().map(|address| (same(&address.value), address.span));
        for (which, (value, span)) in [("address", Some(ssh)), ("internal_address", internal)]
            .into_iter()
            .filter_map(|(w, v)| Some((w, v?)))
        {
            match seen.entry((which, value)) {
                Entry::Occupied(other) => {
                    let (other, there) = *other.get();
                    found.push(
                        Diagnostic::error(
                            span,
                            format!("hosts \"{other}\" and \"{name}\" have the same {which}"),
                        )
                        .related(there, format!("{which} of \"{other}\""))
                        .help("one machine has one entry; pools may share it"),
                    );
                }
                Entry::Vacant(place) => {
                    place.insert((name, span));
                }
            }
        }
    }
}

/// One spelling of an address: `2001:db8:0::1` is `2001:db8::1`, and names have no capitals.
fn same(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => address.to_ascii_lowercase(),
    }
}
