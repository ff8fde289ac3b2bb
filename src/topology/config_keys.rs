//! Each key of `config:` by itself: does this Synapse know it, and is its value of the right type.
//!
//! Synapse passes over keys that it does not know, so a mistyped one does nothing, silently. The
//! tables are modules/homeserver/keys.yaml. Never here: what keys mean for each other.

use serde_json::Value;

use super::catalogue::{Catalogue, Key, Type};
use super::checks::{did_you_mean, nearest};
use super::config_rules::on;
use super::proxy::size;
use super::secrets;
use crate::diagnostic::{Diagnostic, Span};
use crate::inventory::{ConfigMap, Inventory};
use crate::version::Version;

/// Findings in `synapse.config` and in every pool's `config`.
pub(super) fn check(inventory: &Inventory, catalogue: &Catalogue, version: &Version) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let pools =
        inventory.workers.iter().map(|(name, pool)| (format!("config of worker {name:?}"), &pool.config));
    for (what, config) in
        std::iter::once(("synapse.config".to_owned(), &inventory.synapse.config)).chain(pools)
    {
        let look = Look { what, config, catalogue, version };
        for (name, value) in &config.values {
            look.key(name, value, &mut found);
        }
    }
    found
}

/// Place of a dotted key; the file as a whole if it is not known.
pub(super) fn span_in(config: &ConfigMap, path: &str) -> Span {
    config.spans.get(path).copied().unwrap_or_default()
}

struct Look<'a> {
    what: String,
    config: &'a ConfigMap,
    catalogue: &'a Catalogue,
    version: &'a Version,
}

impl Look<'_> {
    fn key(&self, name: &str, value: &Value, found: &mut Vec<Diagnostic>) {
        let (what, version) = (&self.what, self.version);
        let span = span_in(self.config, name);
        let keys = &self.catalogue.keys;
        let Some(key) = keys.top.get(name) else {
            let known = keys.top.iter().filter(|(_, key)| key.known(version)).map(|(name, _)| name);
            let summary = format!("Synapse {version} has no key {name:?}, which {what} has");
            let diagnostic = Diagnostic::warning(span, summary);
            found.push(match (keys.gone.get(name), nearest(name, known)) {
                (Some(instead), _) => diagnostic.help(instead.clone()),
                (None, Some(meant)) => diagnostic.meant(meant),
                (None, None) => diagnostic.help("delete it, unless a module of yours reads it"),
            });
            return;
        };
        if !key.known(version) {
            let summary = format!("Synapse {version} does not read {name:?} of {what} ({})", key.lifetime());
            found.push(Diagnostic::warning(span, summary).help(key.advice()));
            return;
        }
        if let Some(instead) = &key.old {
            let diagnostic = if key.refused && on(Some(value)) {
                Diagnostic::error(span, format!("Synapse refuses to start with {name:?}, which {what} has"))
            } else {
                Diagnostic::warning(span, format!("{name:?} in {what} is an old key"))
            };
            found.push(diagnostic.help(instead.clone()));
        }
        if let Some(wrong) = wrong(key, value) {
            let (expected, help) = wrong;
            let summary = format!("{name:?} in {what} must be {expected}");
            found.push(Diagnostic::error(span, summary).help(help));
            return;
        }
        let secret = format!("{name}_path");
        if self.config.values.contains_key(&secret) && keys.top.contains_key(&secret) {
            found.push(
                Diagnostic::error(span, format!("{what} has both {name:?} and {secret:?}"))
                    .help("keep one of them: Synapse refuses both")
                    .related(span_in(self.config, &secret), "the other one"),
            );
        }
        match value.as_object() {
            Some(flags) if name == "experimental_features" => {
                flags.keys().for_each(|flag| self.flag(flag, found));
            }
            Some(below) if !key.keys.is_empty() => {
                for (inner, _) in below.iter().filter(|(inner, _)| !key.keys.contains(inner)) {
                    // Only what looks mistyped: what is below a key changes more often than the keys.
                    let Some(meant) = nearest(inner, &key.keys) else { continue };
                    let span = span_in(self.config, &format!("{name}.{inner}"));
                    let summary = format!("Synapse has no key {inner:?} in {name:?}, which {what} has");
                    found.push(Diagnostic::warning(span, summary).meant(meant));
                }
            }
            _ => {}
        }
    }

    fn flag(&self, flag: &str, found: &mut Vec<Diagnostic>) {
        let version = self.version;
        let span = span_in(self.config, &format!("experimental_features.{flag}"));
        let flags = &self.catalogue.keys.experimental;
        let summary = format!("Synapse {version} has no experimental feature {flag:?}");
        let (summary, help) = match flags.get(flag) {
            Some(known) if known.known(version) => return,
            Some(known) => (format!("{summary} ({})", known.lifetime()), known.advice().to_owned()),
            None => {
                // Numbers are no spelling: msc3575_enable may be msc3575_enabled, never msc3576_enabled.
                let same = |name: &str| name.split('_').next() == flag.split('_').next();
                let known = flags.iter().filter(|(name, key)| same(name) && key.known(version));
                let help = did_you_mean(flag, known.map(|(name, _)| name));
                (summary, help.unwrap_or_else(|| "delete it".to_owned()))
            }
        };
        found.push(Diagnostic::warning(span, summary).help(help));
    }
}

/// What the value must be and how it is written, if it is something else. A secret can be anything.
fn wrong(key: &Key, value: &Value) -> Option<(&'static str, String)> {
    if value.is_null() || secrets::name_of(value).is_some() {
        return None;
    }
    let text = value.as_str();
    let unquoted = |good: bool| match text.filter(|_| good) {
        Some(text) => format!("write it without quotes: {}", text.to_ascii_lowercase()),
        None => String::new(),
    };
    let (good, expected, help) = match key.kind? {
        Type::Bool => {
            let meant = match text.map(str::to_ascii_lowercase).as_deref() {
                Some("true" | "yes" | "on") => "write true",
                Some("false" | "no" | "off") => "write false: Synapse takes any text for true",
                _ => "write true or false",
            };
            (value.is_boolean(), "true or false", meant.to_owned())
        }
        Type::Int => {
            let number = text.is_some_and(|text| text.parse::<i64>().is_ok());
            (value.is_i64() || value.is_u64(), "a whole number", unquoted(number))
        }
        Type::List => (value.is_array(), "a list", "write [VALUE, …]".to_owned()),
        Type::Map => (value.is_object(), "a mapping", "write {KEY: VALUE, …}".to_owned()),
        Type::Duration => {
            let good = value.is_u64() || text.is_some_and(|text| measured(text, "smhdwy"));
            (good, "a duration", "write milliseconds, or one number with s, m, h, d, w or y: 24h".to_owned())
        }
        Type::Size => {
            (size(value).is_some(), "a size", "write bytes, or one number with K, M or G: 100M".to_owned())
        }
    };
    (!good).then(|| (expected, if help.is_empty() { format!("write {expected}") } else { help }))
}

/// `24h`: digits and at most one of the units.
fn measured(text: &str, units: &str) -> bool {
    let number = text.strip_suffix(|unit| units.contains(unit)).unwrap_or(text);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}
