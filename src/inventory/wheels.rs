//! `installer:` and `wheelhouse:` of `synapse:`: which program installs Python packages, and where it has them from.
//!
//! Never in this file: reading the directory (whoever may read files does), bringing wheels to hosts.

use serde::{Deserialize, Serialize};

use super::Install;
use super::decode::{Found, Section, choose};
use crate::diagnostic::{Diagnostic, Spanned};

/// Which program fills the Python environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Installer {
    /// uv where a host has it and the lock says what to install; pip where not.
    #[default]
    Auto,
    /// pip, whatever else a host has.
    Pip,
    /// uv; a host that lacks it gets it from the package index or the wheelhouse.
    Uv,
}

impl Installer {
    const ALL: [Self; 3] = [Self::Auto, Self::Pip, Self::Uv];

    /// As an inventory, a module and a host's functions write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pip => "pip",
            Self::Uv => "uv",
        }
    }
}

/// A directory of wheels on the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheelhouse {
    /// Relative to the inventory.
    pub path: Spanned<String>,
    /// File names of its wheels, sorted. Parsing leaves this empty: whoever may read files fills it in.
    pub wheels: Option<Vec<String>>,
    /// Where that is, filled in with them.
    pub directory: Option<String>,
}

/// What a wheel's file name says (Python packaging, binary distribution format):
/// `NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName<'a> {
    /// As an index would write it: lower case, runs of `-_.` are one `-`.
    pub name: String,
    /// As written.
    pub version: &'a str,
}

impl<'a> WheelName<'a> {
    /// `None`: it is no wheel, or has characters that no wheel's name has.
    pub fn parse(file: &'a str) -> Option<Self> {
        let stem = file.strip_suffix(".whl")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+!-".contains(c);
        let parts: Vec<&str> = stem.split('-').collect();
        let whole = file.len() <= 200 && stem.chars().all(plain) && parts.iter().all(|part| !part.is_empty());
        match parts.as_slice() {
            [name, version, _, _, _] | [name, version, _, _, _, _] if whole && !name.starts_with('.') => {
                Some(Self { name: normal(name), version })
            }
            _ => None,
        }
    }
}

/// A package's name as indexes compare it (PEP 503).
pub fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn has_no_effect(install: Option<&Install>) -> bool {
    matches!(install, Some(Install::Venv(_) | Install::Debian))
}

/// `installer:`.
pub(super) fn installer(section: &Section<'_>, install: Option<&Install>, found: &mut Found) -> Installer {
    let Some(word) = section.text("installer", found) else { return Installer::default() };
    if has_no_effect(install) {
        found.push(
            Diagnostic::warning(word.span, "installer has no effect on an adopted installation")
                .help("delete installer, or write install: managed"),
        );
    }
    Installer::ALL.into_iter().find(|installer| installer.word() == word.value).unwrap_or_else(|| {
        found.push(
            Diagnostic::error(word.span, format!("unknown installer \"{}\"", word.value))
                .help(choose(&word.value, &Installer::ALL.map(Installer::word))),
        );
        Installer::default()
    })
}

/// `wheelhouse:`.
pub(super) fn wheelhouse(
    section: &Section<'_>,
    install: Option<&Install>,
    found: &mut Found,
) -> Option<Wheelhouse> {
    let path = section.text("wheelhouse", found)?;
    if has_no_effect(install) {
        found.push(
            Diagnostic::warning(path.span, "a wheelhouse has no effect on an adopted installation")
                .help("delete wheelhouse, or write install: managed"),
        );
    }
    if path.value.is_empty() {
        found.push(
            Diagnostic::error(path.span, "\"wheelhouse\" in synapse is empty")
                .help("write a directory with wheels, relative to the inventory: wheels"),
        );
        return None;
    }
    Some(Wheelhouse { path, wheels: None, directory: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_known_by_its_name() {
        let parsed = |file| WheelName::parse(file).map(|wheel| (wheel.name, wheel.version));
        let some = |name: &str, version| Some((name.to_owned(), version));
        assert_eq!(
            parsed("matrix_synapse-1.163.2-cp39-abi3-manylinux_2_28_x86_64.whl"),
            some("matrix-synapse", "1.163.2")
        );
        assert_eq!(parsed("Jaraco.Text-4.0.0+b1-2-py3-none-any.whl"), some("jaraco-text", "4.0.0+b1"));
        for file in [
            "x-1.tar.gz",
            "x-1.whl",
            ".x-1-py3-none-any.whl",
            "x-1-py3-none-a ny.whl",
            "../x-1-py3-none-any.whl",
            "x--py3-none-any.whl",
            "x-1-py3-none-\u{1b}.whl",
        ] {
            assert_eq!(parsed(file), None, "{file:?}");
        }
    }
}
