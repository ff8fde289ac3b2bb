//! Addresses of hosts: how they are written, and that no two hosts have one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr};

use indexmap::IndexMap;

use super::decode::Found;
use super::host::Host;
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// Whether `text` is `[USER@]HOST[:PORT]`. It stands in command lines of ssh, so only what an address holds may be
/// there.
pub fn is_jump_host(text: &str) -> bool {
    let (user, host) = text.split_once('@').unwrap_or(("_", text));
    let part = |text: &str, more: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c))
    };
    // An IPv6 literal has colons of its own, and a port only behind brackets.
    let port = match host.rsplit_once(']') {
        Some((_, rest)) => rest.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port).filter(|port| !port.contains(':')),
    };
    part(user, "")
        && part(host, ":[]")
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// An IP literal that another host can connect to: names may resolve differently on each host.
pub(super) fn reachable(value: &Spanned<String>, what: &str, found: &mut Found) -> bool {
    let problem = match value.value.parse::<IpAddr>() {
        Err(_) => Some((
            "is no IP address",
            "write the address itself, IPv4 or IPv6: names may resolve differently on each host",
        )),
        Ok(ip) if ip.is_loopback() => Some((
            "is a loopback address",
            "other hosts cannot reach it; with one host leave internal_address out",
        )),
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => Some((
            "is an IPv4 address in the form of an IPv6 one",
            "write what stands behind ::ffff:, which is what the other hosts connect to",
        )),
        // fe80::/10 is on every link (RFC 4291 section 2.5.6): which one is meant cannot be said here.
        Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => Some((
            "is a link-local address",
            "it means nothing without an interface: write an address of a private network or VPN",
        )),
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => {
            Some(("is not the address of one host", "write the host's own address in the private network"))
        }
        Ok(_) => None,
    };
    if let Some((problem, help)) = problem {
        found.push(
            Diagnostic::error(value.span, format!("\"internal_address\" in {what} {problem}")).help(help),
        );
    }
    problem.is_none()
}

/// The same machine under two names would be changed by two plans at once.
pub(super) fn same_twice(hosts: &IndexMap<String, Host>, found: &mut Found) {
    let mut seen: HashMap<(&str, String), (&str, Span)> = HashMap::new();
    for (name, host) in hosts.iter().filter(|(_, host)| !host.lost) {
        let ssh = (format!("{} {}", same(&host.address.value), host.port.unwrap_or(22)), host.address.span);
        let internal = host.internal_address.as_ref().map(|address| (same(&address.value), address.span));
        for (which, (value, span)) in [("address", Some(ssh)), ("internal_address", internal)]
            .into_iter()
            .filter_map(|(w, v)| Some((w, v?)))
        {
            match seen.entry((which, value)) {
                Entry::Occupied(other) => {
                    let (other, there) = *other.get();
                    found.push(
                        Diagnostic::error(
                            span,
                            format!("hosts \"{other}\" and \"{name}\" have the same {which}"),
                        )
                        .related(there, format!("{which} of \"{other}\""))
                        .help("one machine has one entry; pools may share it"),
                    );
                }
                Entry::Vacant(place) => {
                    place.insert((name, span));
                }
            }
        }
    }
}

/// One spelling of an address: `2001:db8:0::1` is `2001:db8::1`, and names have no capitals.
fn same(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => address.to_ascii_lowercase(),
    }
}
