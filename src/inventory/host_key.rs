//! `host_key:`, a line as in known_hosts.

use base64::Engine as _;

use super::decode::Found;
use crate::diagnostic::{Diagnostic, Spanned};

/// Algorithms of `host_key:` (OpenSSH's names; certificates and the retired ssh-dss are not among them).
const KEY_TYPES: &[&str] =
    &["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// `TYPE BASE64` as in known_hosts, the type inside the key agreeing with the one in front.
pub(super) fn key_line(value: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let mut words = value.value.split_ascii_whitespace();
    let (kind, blob) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let problem = if value.value.starts_with("SHA256:") || value.value.starts_with("MD5:") {
        Some("is a fingerprint, not the key")
    } else if !KEY_TYPES.contains(&kind) {
        Some("does not begin with a key type")
    } else {
        let inner = base64::engine::general_purpose::STANDARD
            .decode(blob)
            .ok()
            .and_then(|bytes| strings(&bytes))
            .filter(|strings| strings.len() > 1 && strings[0] == kind.as_bytes())
            // The one type with a fixed size: a key cut short is caught.
            .filter(|strings| kind != "ssh-ed25519" || (strings.len() == 2 && strings[1].len() == 32));
        inner.is_none().then_some("is not a whole key")
    };
    if let Some(problem) = problem {
        found.push(
            Diagnostic::error(value.span, format!("\"host_key\" in {what} {problem}"))
                .help("write the line of /etc/ssh/ssh_host_ed25519_key.pub on the host: ssh-ed25519 AAAA…"),
        );
    }
    problem.is_none()
}

/// The length-prefixed strings that a public key consists of (RFC 4251 section 5).
fn strings(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (string, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        strings.push(string.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(strings)
}
