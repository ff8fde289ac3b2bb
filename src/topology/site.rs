//! Under which names clients and other servers know the site.

use super::Topology;

impl Topology {
    /// Host names it answers to: that of Matrix ids, that of `public_baseurl`, and the inventory's.
    pub fn site_names(&self) -> Vec<String> {
        let mut names = vec![split_port(&self.server_name).0.to_owned()];
        let more = self.proxy.iter().flat_map(|proxy| proxy.server_names.iter().cloned());
        for name in self.public_host().map(|(host, _)| host).into_iter().chain(more) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Host and port of an `https` `public_baseurl`.
    pub fn public_host(&self) -> Option<(String, u16)> {
        let url = self.shared_config.get("public_baseurl")?.as_str()?;
        let authority = url.strip_prefix("https://")?.split('/').next()?;
        let (host, port) = split_port(authority);
        Some((host.to_ascii_lowercase(), port.unwrap_or(443)))
    }
}

/// `matrix.example.org:8448` as its host (an address of IPv6 keeps its brackets) and its port, if it has one.
pub fn split_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}
