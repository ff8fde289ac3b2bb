//! The proxy as the topology sees it: where, which, how large a body.

use serde_json::Value;

use super::types::ProxyNode;
use crate::diagnostic::{Diagnostic, Span};
use crate::inventory::Inventory;

/// Synapse's default of `max_upload_size`, bytes.
const DEFAULT_MAX_UPLOAD: u64 = 50 << 20;
/// A long poll takes two connections (client and upstream); Debian's 768 is soon eaten.
const WORKER_CONNECTIONS: u64 = 4096;

/// The proxy; `None` if the inventory has none.
pub(super) fn build(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) -> Option<ProxyNode> {
    let config = &inventory.synapse.config;
    let max_body = match config.values.get("max_upload_size") {
        None => DEFAULT_MAX_UPLOAD,
        Some(value) => size(value).unwrap_or_else(|| {
            let span = config.spans.get("max_upload_size").copied().unwrap_or(Span::default());
            let summary = format!("max_upload_size {value} is not a size");
            diagnostics
                .push(Diagnostic::error(span, summary).help("write a number of bytes or 512K, 100M, 2G"));
            DEFAULT_MAX_UPLOAD
        }),
    };
    let proxy = inventory.proxy.as_ref()?;
    Some(ProxyNode {
        hosts: proxy.hosts.iter().map(|host| host.value.clone()).collect(),
        kind: proxy.kind.value,
        tls: proxy.tls.clone(),
        trusted_proxies: proxy.trusted_proxies.iter().map(|cidr| cidr.value.clone()).collect(),
        max_body,
        worker_connections: WORKER_CONNECTIONS,
    })
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
