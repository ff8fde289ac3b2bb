//! Where dependencies come from, and under which licences: what `cargo deny` asks (deny.toml), as far as it can be
//! answered without a tool and without a network.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// The licences that deny.toml allows.
fn allowed() -> Vec<&'static str> {
    let text = include_str!("../deny.toml");
    let (_, rest) = text.split_once("\nallow = [\n").unwrap();
    let (list, _) = rest.split_once("\n]").unwrap();
    let lines = list.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.map(|line| line.trim_end_matches(',').trim_matches('"')).collect()
}

/// Whether an SPDX expression can be met with these licences alone. Old crates write `MIT/Apache-2.0`.
fn met(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace(" WITH ", "\u{a0}WITH\u{a0}");
    let words: Vec<String> =
        spaced.split_ascii_whitespace().map(|word| word.replace('\u{a0}', " ")).collect();
    let mut rest = words.as_slice();
    let whole = either(&mut rest, allowed);
    whole && rest.is_empty()
}

fn either(rest: &mut &[String], allowed: &[&str]) -> bool {
    let mut good = both(rest, allowed);
    while let Some((_, behind)) = rest.split_first().filter(|(word, _)| *word == "OR") {
        *rest = behind;
        good |= both(rest, allowed);
    }
    good
}

fn both(rest: &mut &[String], allowed: &[&str]) -> bool {
    let mut good = one(rest, allowed);
    while let Some((_, behind)) = rest.split_first().filter(|(word, _)| *word == "AND") {
        *rest = behind;
        good &= one(rest, allowed);
    }
    good
}

fn one(rest: &mut &[String], allowed: &[&str]) -> bool {
    let Some((word, behind)) = rest.split_first() else { return false };
    *rest = behind;
    if word != "(" {
        return allowed.contains(&word.as_str());
    }
    let good = either(rest, allowed);
    let Some((_, behind)) = rest.split_first().filter(|(word, _)| *word == ")") else { return false };
    *rest = behind;
    good
}

#[test]
fn licences_are_read_as_spdx_means_them() {
    let check =
        |expression, expected| assert_eq!(met(expression, &["MIT", "A WITH x"]), expected, "{expression}");
    check("MIT", true);
    check("GPL-3.0-only", false);
    check("GPL-3.0-only OR MIT", true);
    check("GPL-3.0-only/MIT", true);
    check("GPL-3.0-only AND MIT", false);
    check("(GPL-3.0-only OR MIT) AND A WITH x", true);
    check("MIT OR GPL-3.0-only AND GPL-2.0-only", true);
    check("A", false);
    check("", false);
    check("(MIT", false);
}

/// Those that this build has, tests included.
#[test]
fn every_licence_is_an_allowed_one() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform"])
        .arg(env!("SYNPROV_TARGET"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = allowed();
    assert!(allowed.contains(&"MIT"), "{allowed:?}");
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !met(&text(package, "license"), &allowed))
        .map(|package| {
            format!("{} {}: {:?}", text(package, "name"), text(package, "version"), text(package, "license"))
        })
        .collect();
    assert!(refused.is_empty(), "not among the licences of deny.toml:\n{}", refused.join("\n"));
}

/// Everything that Cargo.lock can ever bring, on other systems and with other features too.
#[test]
fn everything_comes_from_the_registry_and_nothing_links_a_library_twice() {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut registry = None;
    for package in include_str!("../Cargo.lock").split("[[package]]\n").skip(1) {
        let value = |key: &str| {
            package
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
                .map(|text| text.trim_matches('"'))
        };
        let name = value("name").unwrap();
        versions.entry(name).or_default().push(value("version").unwrap());
        if name == "synprov" {
            continue;
        }
        let source = value("source").unwrap();
        assert!(source.starts_with("registry+"), "{name} comes from {source}");
        assert_eq!(*registry.get_or_insert(source), source, "{name} comes from elsewhere");
        assert!(value("checksum").is_some_and(|sum| sum.len() == 64), "{name} has no checksum");
    }
    assert!(versions.len() > 100, "only {} packages", versions.len());
    for name in ["openssl", "openssl-sys", "ssh2", "libssh2-sys", "libz-sys"] {
        assert_eq!(versions[name].len(), 1, "{name}: {:?}", versions[name]);
    }
    assert!(!versions.contains_key("serde_yaml"));
}

/// No requirement is `*`, or open above: an update must not be a surprise.
#[test]
fn no_version_is_a_wildcard() {
    let manifest = include_str!("../Cargo.toml");
    let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
    let (dependencies, _) = dependencies.split_once("[features]").unwrap();
    let mut seen = 0;
    for line in dependencies.lines().filter(|line| line.contains(" = ")) {
        let version = line.split('"').nth(1).unwrap();
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        seen += 1;
    }
    assert!(seen > 30, "only {seen} dependencies");
}
