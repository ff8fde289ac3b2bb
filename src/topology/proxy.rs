//! The proxy as the topology sees it: where, which, how large a body.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::roles::Role;
use super::types::ProxyNode;
use crate::diagnostic::Spanned;
use crate::inventory::{ConfigMap, Inventory};

/// Synapse's default of `max_upload_size`, bytes.
const DEFAULT_MAX_UPLOAD: u64 = 50 << 20;
/// What every listener of Synapse takes, however small uploads have to be, bytes: a transaction of federation
/// may be that large (api/constants.py, `MAX_REQUEST_SIZE`).
const MAX_REQUEST: u64 = 200 * 65536;
/// A long poll takes two connections (client and upstream); Debian's 768 is soon eaten.
const WORKER_CONNECTIONS: u64 = 4096;

/// Where certbot and others put challenge files by default on Debian and Ubuntu.
const ACME_ROOT: &str = "/var/www/html";

/// The proxy; `None` if the inventory has none.
pub(super) fn build(inventory: &Inventory, roles: &IndexMap<String, Role>) -> Option<ProxyNode> {
    let proxy = inventory.proxy.as_ref()?;
    let plain = |texts: &[Spanned<String>]| texts.iter().map(|text| text.value.clone()).collect();
    Some(ProxyNode {
        hosts: proxy.hosts.iter().map(|host| host.value.clone()).collect(),
        kind: proxy.kind.value,
        tls: proxy.tls.clone(),
        trusted_proxies: plain(&proxy.trusted_proxies),
        admin: plain(&proxy.admin),
        server_names: plain(&proxy.server_names),
        acme_root: proxy.acme_root.as_ref().map_or(ACME_ROOT, |root| root.value.as_str()).to_owned(),
        well_known_client: proxy.well_known.client.as_ref().map(|extra| well_known(inventory, extra)),
        well_known_server: proxy.well_known.server.as_ref().map(|server| server.value.clone()),
        routes: proxy.routes.clone(),
        http2: proxy.http2,
        max_body: max_body(inventory, roles),
        worker_connections: WORKER_CONNECTIONS,
    })
}

/// The largest body, in bytes, that any process takes (app/_base.py, `max_request_body_size`): a smaller one is
/// Synapse's to refuse. So never 0, which is no limit to nginx and no body at all to HAProxy.
fn max_body(inventory: &Inventory, roles: &IndexMap<String, Role>) -> u64 {
    // That it is a size is `config_keys`' business.
    let written = |config: &ConfigMap| config.values.get("max_upload_size").and_then(size);
    let shared = written(&inventory.synapse.config).unwrap_or(DEFAULT_MAX_UPLOAD);
    let media = inventory.workers.iter().filter(|(name, _)| roles.get(*name).is_some_and(|role| role.media));
    media.filter_map(|(_, pool)| written(&pool.config)).fold(shared.max(MAX_REQUEST), u64::max)
}

/// What clients are told: where the server is, as Synapse would say it, and what the inventory adds
/// (Matrix specification, `/.well-known/matrix/client`).
fn well_known(inventory: &Inventory, extra: &Map<String, Value>) -> Value {
    let synapse = &inventory.synapse;
    let base = match &synapse.public_baseurl {
        Some(url) => url.value.clone(),
        None => format!("https://{}/", synapse.server_name.value),
    };
    let mut known = Map::new();
    known.insert("m.homeserver".to_owned(), json!({"base_url": base}));
    known.extend(extra.clone());
    Value::Object(known)
}

/// Bytes of a Synapse size: a number, or digits with K, M, G, T in powers of 1024
/// (`parse_size` of synapse/config/_base.py; no lower case, no `MB`).
pub(super) fn size(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(number) => return number.as_u64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        (at, 'T') => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: u64 =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::size;
    use serde_json::json;

    #[test]
    fn sizes_are_read_as_synapse_reads_them() {
        for (value, bytes) in [
            (json!("100M"), Some(100 << 20)),
            (json!("512K"), Some(512 << 10)),
            (json!("2G"), Some(2 << 30)),
            (json!(1000), Some(1000)),
            (json!("1000"), Some(1000)),
            (json!("10m"), None),
            (json!("10MB"), None),
            (json!("M"), None),
            (json!(""), None),
            (json!(-1), None),
            (json!(true), None),
            (json!("99999999999999T"), None),
        ] {
            assert_eq!(size(&value), bytes, "{value}");
        }
    }
}
