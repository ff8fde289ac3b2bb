//! `synapse:`: what is installed, under which name, with which configuration.

use indexmap::IndexMap;

use super::config::{Owner, config};
use super::decode::{Found, Section, choose, entries, suggest, wrong};
use super::{Appservice, ConfigMap, Install, Synapse, names, secrets};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::version::Version;
use crate::yaml::{Kind, Node};

const KEYS: &[&str] = &[
    "server_name",
    "version",
    "install",
    "extras",
    "public_baseurl",
    "root",
    "user",
    "prefix",
    "config",
    "secrets",
    "appservices",
];

/// Oldest and newest `major.minor` whose endpoints, keys and dependencies are known.
const OLDEST: (u64, u64) = (1, 90);
const NEWEST: (u64, u64) = (1, 163);

/// Extras of the PyPI package (Synapse's pyproject.toml).
const EXTRAS: &[&str] = &[
    "all",
    "cache-memory",
    "jwt",
    "matrix-synapse-ldap3",
    "oidc",
    "opentracing",
    "postgres",
    "redis",
    "saml2",
    "sentry",
    "url-preview",
    "user-search",
];

/// Directories that cannot become `root:`, because they hold other things.
const TAKEN: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/run", "/sbin", "/srv",
    "/sys", "/tmp", "/usr", "/var", "/var/lib",
];

/// Reads the section.
pub(super) fn synapse(node: &Node, at: Span, found: &mut Found) -> Option<Synapse> {
    let section = Section::open(node, "synapse", "synapse", at, KEYS, found)?;
    let server_name = section
        .required("server_name", "server_name: example.org", found)
        .filter(|value| is_server_name(value, found));
    let version = version(&section, found);
    let install = install(&section, found);
    let extras = extras(&section, install.as_ref(), found);
    let path = |key: &str, found: &mut Found| {
        section.text(key, found).filter(|value| names::path(value, &format!("\"{key}\" in synapse"), found))
    };
    let root = path("root", found).filter(|value| {
        let free = !TAKEN.contains(&value.value.as_str());
        if !free {
            found.push(
                Diagnostic::error(
                    value.span,
                    format!("\"root\" in synapse is {}, which holds other things", value.value),
                )
                .help("write a directory of its own: /opt/matrix"),
            );
        }
        free
    });
    let plain =
        |key: &str, found: &mut Found| section.text(key, found).filter(|value| account(value, key, found));
    let user = plain("user", found);
    let prefix = plain("prefix", found);
    let config = match section.entry("config") {
        Some((_, node)) => config(node, "synapse.config", Owner::Shared, found),
        None => ConfigMap::default(),
    };
    Some(Synapse {
        span: at,
        install: install.unwrap_or(Install::Managed),
        extras,
        public_baseurl: section.text("public_baseurl", found).filter(|value| base_url(value, found)),
        root,
        user,
        prefix,
        config,
        secrets: section.entry("secrets").map(|(_, node)| secrets::secrets(node, found)).unwrap_or_default(),
        appservices: section
            .entry("appservices")
            .map(|(_, node)| appservices(node, found))
            .unwrap_or_default(),
        server_name: server_name?,
        version: version?,
    })
}

/// Matrix specification, appendices, server name: DNS name, IPv4 or `[IPv6]`, and maybe a port.
fn is_server_name(value: &Spanned<String>, found: &mut Found) -> bool {
    let text = value.value.as_str();
    let (host, port) = match text.rfind(']') {
        Some(end) => (&text[..=end], text[end + 1..].strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port_ok = port.is_none_or(|port| {
        (1..=5).contains(&port.len())
            && port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    }) && text.rfind(']').is_none_or(|end| text.len() == end + 1 || port.is_some());
    let host_ok = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => names::is_dns_name(host),
    };
    if !(host_ok && port_ok) || text.len() > 230 {
        let help = match text.split_once("://") {
            Some((_, rest)) => format!("write only the name: {}", rest.split('/').next().unwrap_or("")),
            None => "write the part of Matrix ids behind the colon: example.org".to_owned(),
        };
        found.push(
            Diagnostic::error(value.span, format!("server_name \"{text}\" is no Matrix server name"))
                .help(help),
        );
        return false;
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        found.push(
            Diagnostic::warning(value.span, format!("server_name \"{text}\" has capital letters")).help(
                "Matrix compares names letter by letter; keep it only if the server already runs under it",
            ),
        );
    }
    true
}

fn version(section: &Section<'_>, found: &mut Found) -> Option<Spanned<String>> {
    const EXAMPLE: &str = "version: 1.163.2";
    let Some((_, node)) = section.entry("version") else {
        section.missing("version", EXAMPLE, found);
        return None;
    };
    section.node("version", found)?;
    // `1.120` is read as a number; what counts is what was written.
    let text = match (&node.kind, &node.written) {
        (Kind::String(text), _) | (Kind::Float(_) | Kind::Int(_), Some(text)) => text.clone(),
        _ => {
            found.push(wrong(node, "\"version\" in synapse", "a version").help(format!("write {EXAMPLE}")));
            return None;
        }
    };
    let error = |summary: String| Diagnostic::error(node.span, summary);
    let parsed = Version::parse(&text).filter(|_| text.matches('.').count() == 2);
    let Some(version) = parsed else {
        let help = match text.strip_prefix('v').and_then(Version::parse) {
            Some(version) => format!("write it without the v: {version}"),
            None if Version::parse(&text).is_some() => format!("write all three numbers: {text}.0"),
            None => format!("write one exact version of matrix-synapse on PyPI: {EXAMPLE}"),
        };
        found.push(error(format!("\"{text}\" is no version of Synapse")).help(help));
        return None;
    };
    if version.minor() < OLDEST {
        found.push(
            error(format!("Synapse {text} is older than {}.{}, the oldest supported", OLDEST.0, OLDEST.1))
                .help("upgrade the running server first, or write a newer version"),
        );
        return None;
    }
    if version.minor() > NEWEST {
        found.push(
            Diagnostic::warning(
                node.span,
                format!(
                    "Synapse {text} is newer than {}.{}, the newest known to this synprov",
                    NEWEST.0, NEWEST.1
                ),
            )
            .help("routes and keys of the newest known version are used: rehearse it first"),
        );
    }
    Some(Spanned::new(text, node.span))
}

fn install(section: &Section<'_>, found: &mut Found) -> Option<Install> {
    let (span, _) = section.entry("install")?;
    let node = section.node("install", found)?;
    match &node.kind {
        Kind::String(word) => match word.as_str() {
            "managed" => Some(Install::Managed),
            "debian" => Some(Install::Debian),
            other => {
                let diagnostic = match super::unsupported::key("synapse.install", other) {
                    Some((thing, now)) => {
                        Diagnostic::error(node.span, format!("{thing} not supported yet")).help(now)
                    }
                    None => Diagnostic::error(node.span, format!("unknown way to install \"{other}\"")).help(
                        "write managed (synprov builds it), debian (the package that is there) or {venv: /path}",
                    ),
                };
                found.push(diagnostic);
                None
            }
        },
        Kind::Map(_) => {
            let section = Section::open(node, "synapse.install", "synapse.install", span, &["venv"], found)?;
            if section.entry("venv").is_none() && !found.iter().any(|d| d.span.line == node.span.line) {
                section.missing("venv", "venv: /path", found);
            }
            section
                .text("venv", found)
                .filter(|value| names::path(value, "\"venv\" in synapse.install", found))
                .map(Install::Venv)
        }
        _ => {
            found.push(wrong(node, "\"install\" in synapse", "managed, debian or {venv: /path}"));
            None
        }
    }
}

fn extras(section: &Section<'_>, install: Option<&Install>, found: &mut Found) -> Vec<Spanned<String>> {
    let extras = section.texts("extras", found);
    if let (Some((span, _)), Some(Install::Venv(_) | Install::Debian)) = (section.entry("extras"), install) {
        found.push(
            Diagnostic::warning(span, "extras have no effect on an adopted installation")
                .help("delete extras, or write install: managed"),
        );
    }
    extras
        .into_iter()
        .filter(|extra| {
            let text = extra.value.as_str();
            let shape =
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if EXTRAS.contains(&text) {
                return true;
            }
            // pip only warns about an extra that does not exist, and Synapse then lacks the package.
            match suggest(text, EXTRAS) {
                Some(_) => found.push(
                    Diagnostic::error(extra.span, format!("unknown extra \"{text}\""))
                        .help(choose(text, EXTRAS)),
                ),
                None if shape => found.push(
                    Diagnostic::warning(
                        extra.span,
                        format!("extra \"{text}\" is not one that this synprov knows"),
                    )
                    .help(choose(text, EXTRAS)),
                ),
                None => found.push(
                    Diagnostic::error(extra.span, format!("\"{text}\" is no extra"))
                        .help(choose(text, EXTRAS)),
                ),
            }
            shape
        })
        .collect()
}

/// A user name that is also fit for file and unit names, and is not root.
fn account(value: &Spanned<String>, key: &str, found: &mut Found) -> bool {
    let text = value.value.as_str();
    if key == "user" && text == "root" {
        found.push(
            Diagnostic::error(value.span, "Synapse as root")
                .help("write an unprivileged user, which synprov creates: matrix"),
        );
        return false;
    }
    let good = (1..=31).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if !good {
        found.push(
            Diagnostic::error(value.span, format!("\"{key}\" in synapse is not a plain name"))
                .help("a-z, 0-9, _ and -, at most 31, beginning with a letter: matrix"),
        );
    }
    good
}

fn base_url(value: &Spanned<String>, found: &mut Found) -> bool {
    let rest = value.value.strip_prefix("https://").or_else(|| value.value.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or("");
        let host = host
            .rsplit_once(':')
            .map_or(host, |(host, port)| if port.bytes().all(|b| b.is_ascii_digit()) { host } else { "?" });
        (names::is_dns_name(host) || host.starts_with('['))
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"'<>\\{}".contains(&b))
    });
    if !good {
        found.push(
            Diagnostic::error(value.span, "public_baseurl is no URL of a server")
                .help("write it with its scheme: https://matrix.example.org/"),
        );
    }
    good
}

fn appservices(node: &Node, found: &mut Found) -> IndexMap<String, Spanned<Appservice>> {
    let mut appservices = IndexMap::new();
    for (key, node) in entries(node, "synapse.appservices", found).unwrap_or(&[]) {
        let named = names::name(key, "appservice", found);
        let what = format!("appservice \"{}\"", key.value);
        let Some(section) = Section::open(node, &what, "appservices.*", key.span, &["file"], found) else {
            continue;
        };
        let file = section.required("file", "file: registrations/NAME.yaml", found);
        if let Some(file) = file.filter(|file| named && !file.value.is_empty()) {
            appservices.insert(key.value.clone(), Spanned::new(Appservice { file: file.value }, key.span));
        }
    }
    appservices
}
