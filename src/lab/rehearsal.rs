//! The lab that an inventory needs: one throwaway host for each of its hosts, under the same names.
//!
//! Pure. What else of the inventory is stood in for is `stand_in`'s business.

use super::{Distro, Flavour, HostSpec, LabSpec, Outward, Sudo};
use crate::inventory::{Become, Host, Inventory, Tls};

/// The lab for an inventory: every host that is not lost, with the user and the rights it names.
pub fn lab_spec(
    inventory: &Inventory,
    name: &str,
    distro: Distro,
    flavour: Flavour,
    outward: Outward,
) -> LabSpec {
    let proxies: Vec<&str> = match &inventory.proxy {
        Some(proxy) => proxy.hosts.iter().map(|host| host.value.as_str()).collect(),
        // The proxy that stand_in adds.
        None => vec![inventory.main.host.value.as_str()],
    };
    let tls = inventory.proxy.as_ref().is_none_or(|proxy| proxy.tls != Tls::None);
    let mut names = vec![client_name(inventory), inventory.synapse.server_name.value.clone()];
    names.retain(|name| name.parse::<std::net::IpAddr>().is_err());
    names.dedup();
    let present = inventory.hosts.iter().filter(|(_, host)| !host.lost);
    let hosts = present
        .enumerate()
        .map(|(at, (name, host))| HostSpec {
            name: name.clone(),
            user: user(host),
            sudo: if host.r#become == Become::No { Sudo::No } else { Sudo::NoPassword },
            distro,
            // What does not fit is refused by name when the lab starts.
            index: u8::try_from(at + 1).unwrap_or(u8::MAX),
            tls_names: if tls && proxies.contains(&name.as_str()) { names.clone() } else { Vec::new() },
        })
        .collect();
    LabSpec { name: name.to_owned(), hosts, flavour, outward }
}

/// The log-in user of a lab host. Without one in the inventory it is whoever runs synprov: on a
/// throwaway host root, or a user called `admin` where the inventory says `become`.
pub(super) fn user(host: &Host) -> String {
    match &host.user {
        Some(user) => user.clone(),
        None if host.r#become != Become::No => "admin".to_owned(),
        None => "root".to_owned(),
    }
}

/// Name under which clients reach the homeserver: that of `public_baseurl`, else the server name,
/// without a port.
pub fn client_name(inventory: &Inventory) -> String {
    let synapse = &inventory.synapse;
    let authority = match &synapse.public_baseurl {
        Some(url) => {
            let rest = url.value.split_once("://").map_or(url.value.as_str(), |(_, rest)| rest);
            rest.split('/').next().unwrap_or(rest)
        }
        None => &synapse.server_name.value,
    };
    // The brackets of an IPv6 literal hold colons of their own.
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => authority.to_owned(),
    }
}
