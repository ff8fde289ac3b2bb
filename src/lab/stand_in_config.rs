//! Keys of homeserver.yaml that are different in a lab: the tables, and how they are applied.
//!
//! Pure. Values that a person wrote are never shown, only that they were set.

use serde_json::{Map, Value, json};

use super::stand_in::Listed;
use crate::inventory::ConfigMap;

/// Keys of homeserver.yaml that talk to the world outside.
const OUTWARD: &[&str] = &[
    "account_threepid_delegates",
    "account_validity",
    "cas_config",
    "default_identity_server",
    "email",
    "experimental_features.msc3861",
    "http_proxy",
    "https_proxy",
    "media_storage_providers",
    "no_proxy_hosts",
    "oidc_config",
    "oidc_providers",
    "opentracing",
    "report_stats_endpoint",
    "saml2_config",
    "sentry",
    "turn_password",
    "turn_shared_secret",
    "turn_shared_secret_path",
    "turn_uris",
    "turn_username",
];
/// Keys that name files or Python modules which only the real hosts have.
const ELSEWHERE: &[&str] = &[
    "federation_custom_ca_list",
    "modules",
    "password_providers",
    "presence.presence_router",
    "spam_checker",
    "templates",
    "third_party_event_rules",
    "user_consent",
];
/// Keys that keep a new user from registering, inviting or naming a room, as the verification does.
const IN_THE_WAY: &[&str] = &[
    "alias_creation_rules",
    "block_non_admin_invites",
    "enable_registration_captcha",
    "enable_set_displayname",
    "hs_disabled",
    "limit_usage_by_mau",
    "password_config",
    "recaptcha_private_key",
    "recaptcha_private_key_path",
    "recaptcha_public_key",
    "recaptcha_siteverify_api",
    "registration_requires_token",
    "registrations_require_3pid",
    "room_list_publication_rules",
];

/// What the verification needs, and what closes the way out a second time behind the packet filter.
fn set_in_the_lab() -> Vec<(&'static str, Value)> {
    let fast = json!({"per_second": 1000, "burst_count": 1000});
    vec![
        ("enable_registration", json!(true)),
        ("enable_registration_without_verification", json!(true)),
        ("federation_domain_whitelist", json!([])),
        ("push.enabled", json!(false)),
        ("report_stats", json!(false)),
        ("trusted_key_servers", json!([])),
        ("rc_message", fast.clone()),
        ("rc_registration", fast.clone()),
        ("rc_login", json!({"address": fast, "account": fast, "failed_attempts": fast})),
        ("rc_joins", json!({"local": fast, "remote": fast})),
        ("rc_joins_per_room", fast.clone()),
        ("rc_invites", json!({"per_room": fast, "per_user": fast, "per_issuer": fast})),
        ("rc_media_create", fast.clone()),
        ("rc_presence", json!({"per_user": fast})),
        ("rc_room_creation", fast.clone()),
        ("rc_user_directory", fast.clone()),
        ("rc_profile", fast),
    ]
}

/// Removes what must not be in a lab, and forgets places and secrets of it.
pub(super) fn remove(config: &mut ConfigMap, of: &str, list: &mut Listed) {
    for key in [OUTWARD, ELSEWHERE, IN_THE_WAY].concat() {
        let (parent, last) = key.rsplit_once('.').unwrap_or(("", key));
        let parent = match parent {
            "" => Some(&mut config.values),
            parent => config.values.get_mut(parent).and_then(Value::as_object_mut),
        };
        if let Some(value) = parent.and_then(|parent| parent.shift_remove(last)) {
            list.add(format!("{key}{of}"), shown(&value), "removed");
        }
        let inside = format!("{key}.");
        config.spans.retain(|path, _| path != key && !path.starts_with(&inside));
    }
    let mut left = Vec::new();
    collect_secrets(&Value::Object(config.values.clone()), &mut left);
    config.secrets.retain(|name| left.contains(&name.value));
}

/// Sets what the verification needs and what closes the way out.
pub(super) fn set_all(config: &mut ConfigMap, list: &mut Listed) {
    for (key, value) in set_in_the_lab() {
        set(config, key, value, list);
    }
}

fn set(config: &mut ConfigMap, key: &str, value: Value, list: &mut Listed) {
    let (parent, last) = key.rsplit_once('.').unwrap_or(("", key));
    let parent = if parent.is_empty() {
        &mut config.values
    } else {
        let place = config.values.entry(parent).or_insert(Value::Null);
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(parent) = place.as_object_mut() else { return };
        parent
    };
    if parent.get(last) != Some(&value) {
        let now = if value.is_object() { "as good as unlimited".to_owned() } else { value.to_string() };
        list.add(key, parent.get(last).map_or("unset".to_owned(), shown), now);
        parent.insert(last.to_owned(), value);
        config.spans.entry(key.to_owned()).or_default();
    }
}

/// A value as far as it can hold no secret.
fn shown(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) | Value::Null => value.to_string(),
        _ => "set".to_owned(),
    }
}

/// Names in every `{secret: NAME}`.
fn collect_secrets(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => match (map.len(), map.get("secret")) {
            (1, Some(Value::String(name))) => names.push(name.clone()),
            _ => map.values().for_each(|value| collect_secrets(value, names)),
        },
        Value::Array(list) => list.iter().for_each(|value| collect_secrets(value, names)),
        _ => {}
    }
}
