//! Matrix Authentication Service: what Synapse is told, and what may not be said beside it.
//!
//! Source: synapse/config/mas.py (`check_config_conflicts`). Never here: the proxy's part.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::Draft;
use super::config_keys::span_in;
use super::config_rules::{get, on};
use super::placement::Placement;
use super::secrets;
use super::types::MasNode;
use crate::diagnostic::Diagnostic;
use crate::inventory::{Inventory, Mas};
use crate::version::Version;

/// Key of the shared configuration.
pub(super) const KEY: &str = "matrix_authentication_service";

/// First release with the stable integration. Before, it was `experimental_features.msc3861`,
/// which is configured and authenticated in another way.
const SINCE: (u64, u64) = (1, 136);

/// First release with `force_http2`.
const HTTP2_SINCE: (u64, u64) = (1, 151);

/// What is known of the service; errors about what does not go with it.
pub(super) fn build(
    inventory: &Inventory,
    version: &Version,
    placement: &Placement,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<MasNode> {
    let mas = inventory.mas.as_ref()?;
    if !version.at_least(SINCE.0, SINCE.1) {
        let summary = format!("Synapse {version} has no {KEY}");
        diagnostics.push(
            Diagnostic::error(mas.span, summary)
                .help(format!("install Synapse {}.{} or later, or delete mas", SINCE.0, SINCE.1)),
        );
    }
    if mas.force_http2 && !version.at_least(HTTP2_SINCE.0, HTTP2_SINCE.1) {
        let summary = format!("Synapse {version} has no force_http2 for MAS");
        let help = format!("install Synapse {}.{} or later, or delete it", HTTP2_SINCE.0, HTTP2_SINCE.1);
        diagnostics.push(Diagnostic::error(mas.span, summary).help(help));
    }
    conflicts(inventory, diagnostics);
    let (tls, host, port) = Mas::parts(&mas.endpoint.value)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok();
    if address.is_some_and(|ip| ip.is_loopback()) && placement.synapse_hosts().len() > 1 {
        let summary = format!("endpoint {} of mas is another one on each host", mas.endpoint.value);
        diagnostics.push(
            Diagnostic::error(mas.endpoint.span, summary)
                .help("write the address under which all hosts with Synapse reach MAS"),
        );
    }
    let mut networks: Vec<String> = mas.networks.iter().map(|network| network.value.clone()).collect();
    if networks.is_empty() {
        match address {
            Some(ip) => networks.push(format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })),
            None if inventory.proxy.is_some() => diagnostics.push(
                Diagnostic::error(mas.span, "it is not known where MAS calls from: its endpoint is a name")
                    .help("add networks: [10.8.0.5], the addresses that MAS calls /_synapse/mas from"),
            ),
            None => {}
        }
    }
    Some(MasNode {
        endpoint: mas.endpoint.value.clone(),
        address: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
        host: host.to_owned(),
        tls,
        networks,
        secret: mas.secret.value.clone(),
    })
}

/// The value of `matrix_authentication_service`.
pub(super) fn config(draft: &Draft<'_>, mas: &MasNode) -> Value {
    let mut config = Map::new();
    config.insert("enabled".to_owned(), json!(true));
    config.insert("endpoint".to_owned(), json!(mas.endpoint));
    if draft.inventory.mas.as_ref().is_some_and(|mas| mas.force_http2) {
        config.insert("force_http2".to_owned(), json!(true));
    }
    secrets::write(draft, &mut config, &format!("{KEY}.secret"), &mas.secret);
    Value::Object(config)
}

/// Keys that Synapse refuses beside it unless they are off or empty, and what to do.
const CONFLICTS: [(&str, &str); 14] = [
    ("password_config.enabled", PASSWORDS),
    ("password_providers", PASSWORDS),
    ("enable_registration", "delete it: MAS registers people"),
    ("enable_registration_captcha", "delete it: MAS registers people"),
    ("user_consent", "delete it: MAS asks for consent"),
    ("oidc_providers", "delete it, and write upstream_oauth2 in MAS's configuration"),
    ("saml2_config", "delete it: MAS has no SAML, put an OIDC provider between"),
    ("cas_config.enabled", "delete it: MAS has no CAS, put an OIDC provider between"),
    ("jwt_config.enabled", "delete it: MAS has no logins by JWT"),
    ("login_via_existing_session.enabled", "delete it: MAS logs people in"),
    ("refresh_token_lifetime", LIFETIMES),
    ("nonrefreshable_access_token_lifetime", LIFETIMES),
    ("session_lifetime", LIFETIMES),
    ("enable_3pid_changes", "delete it: MAS keeps addresses"),
];

const PASSWORDS: &str = "delete it: MAS knows the passwords";
const LIFETIMES: &str = "delete it: MAS says how long sessions live";

fn conflicts(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) {
    let config = &inventory.synapse.config;
    for (path, help) in CONFLICTS {
        if !on(get(config, path)) {
            continue;
        }
        let span = span_in(config, path);
        diagnostics.push(Diagnostic::error(span, format!("Synapse refuses {path} beside mas")).help(help));
    }
}
