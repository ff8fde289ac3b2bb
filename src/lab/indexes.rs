//! The package and pip indexes that hosts may use, and how this machine reaches them.
//!
//! Names are resolved once, here, and written into the hosts' hosts files: the addresses that the
//! packet filter admits are then the very ones that hosts use, though content networks answer
//! differently every minute.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};

use super::LabError;

/// What hosts are told about indexes, and the packet filter about their addresses.
pub(super) struct Indexes {
    /// Each name with its addresses.
    pub(super) names: Vec<(String, Vec<Ipv4Addr>)>,
    /// TCP ports, 80 and 443 among them.
    pub(super) ports: Vec<u16>,
    /// `/etc/pip.conf` of the hosts.
    pub(super) pip_conf: String,
    /// CA bundle of this machine: it may trust a company's proxy that stands before the indexes.
    pub(super) ca_bundle: Option<Vec<u8>>,
}

/// A shell line for an image of ours: URLs of its apt sources, a line `pip`, URLs of pip's default index.
pub(super) const ASK_IMAGE: &str = "cat /etc/apt/sources.list; echo pip; cat /etc/synprov-lab.indexes";
const CA_BUNDLES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Reads this machine's pip settings and CA bundle, and resolves the names. `images` is
/// what the hosts' images answer to [`ASK_IMAGE`].
pub(super) fn of_this_machine<'a>(images: impl Iterator<Item = &'a str>) -> Result<Indexes, LabError> {
    let settings = pip_settings(
        &std::fs::read_to_string("/etc/pip.conf").unwrap_or_default(),
        std::env::var("PIP_INDEX_URL").ok(),
    );
    let mut pip_conf = "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n".to_owned();
    let mut wanted: Vec<(String, Option<u16>)> = Vec::new();
    for (key, url) in &settings {
        pip_conf.push_str(&format!("{key} = {url}\n"));
        wanted.extend(url.split_whitespace().filter_map(authority));
    }
    let own_index = settings.iter().any(|(key, _)| key == "index-url");
    for image in images {
        let (apt, pip) = image.split_once("\npip\n").unwrap_or((image, ""));
        wanted.extend(apt.split_whitespace().filter_map(authority));
        wanted.extend(pip.split_whitespace().filter(|_| !own_index).filter_map(authority));
    }
    wanted.sort();
    wanted.dedup();
    let mut indexes = Indexes {
        names: Vec::new(),
        ports: vec![80, 443],
        pip_conf,
        ca_bundle: CA_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()),
    };
    for (name, port) in wanted {
        indexes.ports.extend(port.filter(|port| !indexes.ports.contains(port)));
        indexes.names.push((name.clone(), addresses(&name)?));
    }
    Ok(indexes)
}

/// `index-url` and `extra-index-url` of a pip.conf, the environment first.
fn pip_settings(pip_conf: &str, from_environment: Option<String>) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    settings.extend(from_environment.map(|url| ("index-url".to_owned(), url)));
    for (key, value) in pip_conf.lines().filter_map(|line| line.split_once('=')) {
        let (key, value) = (key.trim(), value.trim());
        let known = settings.iter().any(|(other, _)| other == key);
        if matches!(key, "index-url" | "extra-index-url") && !known && !value.is_empty() {
            settings.push((key.to_owned(), value.to_owned()));
        }
    }
    settings
}

/// Host and port of a URL; `None` if it has none.
fn authority(url: &str) -> Option<(String, Option<u16>)> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    match authority.split_once(':') {
        Some((host, port)) => Some((host.to_owned(), port.parse().ok())),
        None => Some((authority.to_owned(), None)),
    }
}

/// IPv4 addresses of a name; a name that does not resolve is an error, it would be one on the hosts too.
fn addresses(name: &str) -> Result<Vec<Ipv4Addr>, LabError> {
    let found = (name, 443).to_socket_addrs().map_err(LabError::io(format!("resolve the index {name:?}")))?;
    let mut list: Vec<Ipv4Addr> = found
        .filter_map(|address| match address.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
        .collect();
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_index_replaces_the_default_one_and_brings_its_port() {
        let settings = pip_settings("[global]\nindex-url = https://u:p@pip.corp.example:8443/simple\n", None);
        assert_eq!(settings.len(), 1);
        assert_eq!(authority(&settings[0].1), Some(("pip.corp.example".to_owned(), Some(8443))));
        let settings = pip_settings("index-url=https://a/simple", Some("https://b/simple".to_owned()));
        assert_eq!(settings, [("index-url".to_owned(), "https://b/simple".to_owned())]);
    }
}
