//! What keys of `config:` mean for each other, for the installed extras and for processes.
//!
//! Rules of Synapse that its own check of the configuration finds late or not at all. A rule has a
//! function; its doc names the source. Never here: keys by themselves (`config_keys`), and `mas:`.

use indexmap::IndexMap;
use serde_json::Value;

use super::catalogue::{Catalogue, Reader};
use super::checks::did_you_mean;
use super::config_keys::span_in;
use super::instances::Seat;
use super::roles::Role;
use crate::diagnostic::Diagnostic;
use crate::inventory::{ConfigMap, Install, Inventory};
use crate::version::Version;

/// All rules.
pub(super) fn check(
    inventory: &Inventory,
    catalogue: &Catalogue,
    version: &Version,
    roles: &IndexMap<String, Role>,
    seats: &[Seat],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let config = &inventory.synapse.config;
    extras(inventory, catalogue, version, &mut found);
    url_previews(config, &mut found);
    open_registration(config, &mut found);
    shared_rooms(config, version, &mut found);
    delegation(inventory, version, &mut found);
    invites(config, seats, &mut found);
    unread(inventory, catalogue, roles, &mut found);
    found
}

/// The value of a dotted key.
pub(super) fn get<'v>(config: &'v ConfigMap, path: &str) -> Option<&'v Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = config.values.get(first)?;
    rest.map_or(Some(value), |rest| rest.split('.').try_fold(value, |value, key| value.get(key)))
}

/// Whether something is switched on: there, true or not empty, and not `enabled: false`.
pub(super) fn on(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty() && map.get("enabled") != Some(&Value::Bool(false)),
        Some(_) => true,
    }
}

/// `check_requirements` of util/check_dependencies.py: without the extra Synapse does not start.
/// pip passes over an extra that a release does not have.
fn extras(inventory: &Inventory, catalogue: &Catalogue, version: &Version, found: &mut Vec<Diagnostic>) {
    let synapse = &inventory.synapse;
    for extra in &synapse.extras {
        let gone = catalogue.releases.extra(&extra.value).filter(|known| !known.known(version));
        if let Some(gone) = gone {
            let summary = format!("Synapse {version} has no extra {:?}", extra.value);
            let help = gone.instead.clone().unwrap_or_else(|| "delete it".to_owned());
            found.push(Diagnostic::error(extra.span, summary).help(help));
        }
    }
    if synapse.install != Install::Managed {
        return;
    }
    let has = |name: &str| synapse.extras.iter().any(|extra| extra.value == name || extra.value == "all");
    for extra in catalogue.releases.extras().iter().filter(|extra| extra.known(version) && !has(&extra.name))
    {
        let Some(key) = extra.needed_by.as_deref().filter(|key| on(get(&synapse.config, key))) else {
            continue;
        };
        let summary = format!("{key} needs the extra {:?}", extra.name);
        let written: Vec<&str> = synapse.extras.iter().map(|extra| extra.value.as_str()).collect();
        let help =
            format!("write extras: [{}] under synapse", [&written[..], &[&extra.name]].concat().join(", "));
        found.push(Diagnostic::error(span_in(&synapse.config, key), summary).help(help));
    }
}

/// config/repository.py: previews need a list of networks that are never asked. Behind a proxy Synapse passes over
/// its own check and then reads the list all the same (KeyError; an empty one does).
fn url_previews(config: &ConfigMap, found: &mut Vec<Diagnostic>) {
    if on(get(config, "url_preview_enabled")) && get(config, "url_preview_ip_range_blacklist").is_none() {
        found.push(
            Diagnostic::error(
                span_in(config, "url_preview_enabled"),
                "url_preview_enabled without url_preview_ip_range_blacklist",
            )
            .help("list the networks that Synapse must not fetch from: [127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, 169.254.0.0/16, '::1/128', 'fe80::/10', 'fc00::/7']"),
        );
    }
}

/// config/homeserver.py, `validate_config`; older releases find it when main starts.
fn open_registration(config: &ConfigMap, found: &mut Vec<Diagnostic>) {
    let checks = [
        "enable_registration_without_verification",
        "enable_registration_captcha",
        "registrations_require_3pid",
        "registration_requires_token",
    ];
    if on(get(config, "enable_registration")) && !checks.iter().any(|key| on(get(config, key))) {
        found.push(
            Diagnostic::error(
                span_in(config, "enable_registration"),
                "enable_registration lets everybody in, and Synapse refuses to start with it",
            )
            .help(format!("add one of {}", checks.map(|key| format!("{key}: …")).join(", "))),
        );
    }
}

/// docs/upgrade.md, 1.163: the check of shared rooms is only made for requests that are authenticated.
fn shared_rooms(config: &ConfigMap, version: &Version, found: &mut Vec<Diagnostic>) {
    const KEY: &str = "limit_profile_requests_to_users_who_share_rooms";
    if !on(get(config, KEY)) || on(get(config, "require_auth_for_profile_requests")) {
        return;
    }
    let help = "add require_auth_for_profile_requests: true";
    let diagnostic = if version.at_least(1, 163) {
        Diagnostic::error(
            span_in(config, KEY),
            format!("Synapse {version} refuses {KEY} without require_auth_for_profile_requests"),
        )
    } else {
        Diagnostic::warning(
            span_in(config, KEY),
            format!("{KEY} has no effect without require_auth_for_profile_requests"),
        )
    };
    found.push(diagnostic.help(help));
}

/// config/experimental.py: gone with 1.157; config/mas.py: not beside the stable integration.
fn delegation(inventory: &Inventory, version: &Version, found: &mut Vec<Diagnostic>) {
    const KEY: &str = "experimental_features.msc3861";
    let config = &inventory.synapse.config;
    if !on(get(config, KEY)) {
        return;
    }
    let summary = match &inventory.mas {
        Some(_) => format!("Synapse refuses {KEY} beside mas"),
        None if version.at_least(1, 157) => format!("Synapse {version} refuses {KEY}"),
        None => return,
    };
    let help = "delete it, and write mas: {endpoint: …, secret: {secret: mas}} at the top";
    found.push(Diagnostic::error(span_in(config, KEY), summary).help(help));
}

/// events/auto_accept_invites.py: a name that no process has, and nobody does it. Main is no name.
fn invites(config: &ConfigMap, seats: &[Seat], found: &mut Vec<Diagnostic>) {
    const KEY: &str = "auto_accept_invites.worker_to_run_on";
    let Some(name) = get(config, KEY).and_then(Value::as_str) else { return };
    let workers: Vec<&String> =
        seats.iter().filter(|seat| seat.pool != "main").map(|seat| &seat.name).collect();
    if workers.iter().any(|worker| *worker == name) {
        return;
    }
    let help = match name {
        "main" | "master" => "delete it: main does it unless a worker is named".to_owned(),
        _ => did_you_mean(name, &workers).unwrap_or_else(|| "name a process of workers".to_owned()),
    };
    let summary = format!("{KEY} names {name:?}, which is no worker: nobody would accept invites");
    found.push(Diagnostic::error(span_in(config, KEY), summary).help(help));
}

/// A worker's own key that only other processes read (modules/homeserver/readers.yaml).
fn unread(
    inventory: &Inventory,
    catalogue: &Catalogue,
    roles: &IndexMap<String, Role>,
    found: &mut Vec<Diagnostic>,
) {
    for (name, pool) in &inventory.workers {
        let media = roles.get(name).is_some_and(|role| role.media);
        for key in pool.config.values.keys() {
            let Some(readers) = catalogue.readers.get(key) else { continue };
            let serves = !media && roles.get(name).is_some_and(|role| role.serves);
            if media && readers.contains(&Reader::Media) || serves && readers.contains(&Reader::Client) {
                continue;
            }
            let who = match readers {
                readers if readers.contains(&Reader::Media) => "main and media processes",
                readers if readers.contains(&Reader::Client) => "main and workers that serve clients",
                _ => "main",
            };
            found.push(
                Diagnostic::warning(
                    span_in(&pool.config, key),
                    format!("worker {name:?} does not read {key:?}: {who} do"),
                )
                .help("write it under synapse.config"),
            );
        }
    }
}
