//! What of Synapse is installed, and how: `version:`, `install:` and `extras:`.

use super::decode::{Found, Section, choose, suggest, wrong};
use super::{names, unsupported};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::version::Version;
use crate::yaml::Kind;

/// `install:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Install {
    /// synprov builds an immutable venv.
    Managed,
    /// An existing venv at this path, adopted and never changed.
    Venv(Spanned<String>),
    /// Debian's package `matrix-synapse-py3` (`/opt/venvs/matrix-synapse`), adopted and never changed.
    Debian,
}

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
    "systemd",
    "url-preview",
    "user-search",
];

/// One exact version, within what is known.
pub(super) fn version(section: &Section<'_>, found: &mut Found) -> Option<Spanned<String>> {
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

/// `install:`; `None` if absent or wrong.
pub(super) fn install(section: &Section<'_>, found: &mut Found) -> Option<Install> {
    let (span, _) = section.entry("install")?;
    let node = section.node("install", found)?;
    match &node.kind {
        Kind::String(word) => match word.as_str() {
            "managed" => Some(Install::Managed),
            "debian" => Some(Install::Debian),
            other => {
                let diagnostic = match unsupported::key("synapse.install", other) {
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

/// `extras:`, as far as they exist.
pub(super) fn extras(
    section: &Section<'_>,
    install: Option<&Install>,
    found: &mut Found,
) -> Vec<Spanned<String>> {
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
