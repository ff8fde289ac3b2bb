//! Grammar of names, addresses, paths: what may stand in unit files, paths and on command lines.
//!
//! Each check takes the text and says what is wrong with it; it never looks anything up.

use std::net::IpAddr;

use super::decode::Found;
use crate::diagnostic::{Diagnostic, Spanned};

/// Longest name of a host, pool, secret or appservice.
const NAME_LENGTH: usize = 63;

/// Checks a name that becomes part of unit names, file names and Synapse instance names, and
/// therefore must be plain in all of them. `what` is `host`, `worker`, …
pub(super) fn name(name: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let text = &name.value;
    let good = text.len() <= NAME_LENGTH
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if good {
        return true;
    }
    let reason = if text.len() > NAME_LENGTH {
        format!("longer than {NAME_LENGTH} characters")
    } else {
        "not made of a-z, 0-9, _ and -, beginning with a letter".to_owned()
    };
    let mut help = "it becomes part of unit names, file names and Synapse's instance names".to_owned();
    if let Some(better) = plain(text).filter(|_| text.len() <= NAME_LENGTH) {
        help = format!("{help}: write {better}");
    }
    let shown: String = text.chars().take(NAME_LENGTH + 1).collect();
    found.push(Diagnostic::error(name.span, format!("{what} name \"{shown}\" is {reason}")).help(help));
    false
}

/// A name like `text` that is allowed.
fn plain(text: &str) -> Option<String> {
    let better: String = text
        .trim()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' { c } else { '_' })
        .collect();
    (better.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.')))
    .then_some(better)
}

/// Whether `text` is a DNS name (RFC 1123 labels).
pub(super) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// Checks a name or address that is connected to: `what` is `"address" in host "hs1"`.
pub(super) fn host_or_ip(value: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let text = value.value.as_str();
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    // `10.0.0.300` is no DNS name: the last label of one is not a number.
    let numeric = text.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if is_dns_name(text) && !numeric {
        return true;
    }
    let help = if let Some((_, rest)) = text.split_once("://") {
        format!("write only the name: {}", rest.trim_end_matches('/'))
    } else if let Some((user, host)) = text.split_once('@') {
        format!("write address: {host} and user: {user}")
    } else if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        format!("write it without brackets: \"{inner}\"")
    } else if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
        && !host.contains(':')
    {
        format!("write the port on its own: port: {port}")
    } else if text.contains('%') {
        "addresses with a zone (%eth0) are not supported: use a global or private address".to_owned()
    } else {
        "write a DNS name, an IPv4 or an IPv6 address".to_owned()
    };
    found.push(Diagnostic::error(value.span, format!("{what} is no host name or IP address")).help(help));
    false
}

/// Checks an absolute path without `..`, doubled or trailing slashes, spaces or signs that unit
/// files, nginx or a shell would act upon.
pub(super) fn path(value: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let text = value.value.as_str();
    let problem = if !text.starts_with('/') {
        Some("is not absolute")
    } else if text.split('/').any(|part| part == ".." || part == ".") {
        Some("has . or .. in it")
    } else if text.contains("//") || (text.len() > 1 && text.ends_with('/')) {
        Some("has an empty part")
    } else if text.len() > 1024 {
        Some("is longer than 1024 characters")
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+@=-".contains(&b)) {
        Some("has characters other than letters, digits and / . _ + @ = -")
    } else {
        None
    };
    if let Some(problem) = problem {
        found.push(
            Diagnostic::error(value.span, format!("{what} {problem}"))
                .help("write a path like /opt/matrix: absolute, plain, without a slash at the end"),
        );
    }
    problem.is_none()
}

/// Reads a network, `10.0.0.0/8`, or one address, which stands for itself. The answer is in CIDR form.
pub(super) fn cidr(value: &Spanned<String>, what: &str, found: &mut Found) -> Option<String> {
    let text = value.value.as_str();
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let mut refuse = |problem: &str, help: String| {
        found.push(Diagnostic::error(value.span, format!("{what} {problem}")).help(help));
        None
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return refuse("is no network", "write it like 10.0.0.0/8 or fd00::/8".to_owned());
    };
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => width,
        Some(length) if length.bytes().all(|b| b.is_ascii_digit()) => match length.parse::<u32>() {
            Ok(length) if length <= width => length,
            _ => return refuse("has too long a prefix", format!("at most /{width}")),
        },
        Some(_) => return refuse("is no network", "write the prefix as a number of bits: /24".to_owned()),
    };
    let network = network(ip, length);
    if network != ip {
        return refuse(
            "has bits set behind its prefix",
            format!("write {network}/{length}, or {ip}/{width}"),
        );
    }
    Some(format!("{ip}/{length}"))
}

fn network(ip: IpAddr, length: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}
