//! `mas:`: a Matrix Authentication Service that exists already, which Synapse leaves logins to.
//!
//! Never here: installing it, or what may not stand beside it in `config:` (the topology's business).

use super::decode::{Found, Section};
use super::secrets::only_reference;
use super::{Mas, names};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::Node;

/// Keys of the section.
pub(super) const KEYS: &[&str] = &["endpoint", "secret", "force_http2", "networks"];

/// Reads the section.
pub(super) fn mas(node: &Node, at: Span, found: &mut Found) -> Option<Mas> {
    let section = Section::open(node, "mas", "mas", at, KEYS, found)?;
    let endpoint =
        section.required("endpoint", "endpoint: http://10.8.0.5:8080/", found).filter(|url| base(url, found));
    section.missing("secret", "secret: {secret: mas}: what MAS has as matrix.secret", found);
    let secret = only_reference(&section, "secret", found);
    let force_http2 = section.boolean("force_http2", found).unwrap_or(false);
    let networks = section.texts("networks", found).into_iter().filter_map(|value| {
        let network = names::cidr(&value, &format!("network \"{}\" of mas", value.value), found)?;
        if network.ends_with("/0") {
            found.push(Diagnostic::error(value.span, "networks of mas let everybody in").help(
                "name only the addresses that MAS calls from: /_synapse/mas creates and deletes accounts",
            ));
        }
        Some(Spanned::new(network, value.span))
    });
    let networks = networks.collect();
    Some(Mas { span: at, endpoint: endpoint?, secret: secret?, force_http2, networks })
}

/// `http://HOST[:PORT][/]`: Synapse asks it, and the proxy hands logins to the same place.
fn base(url: &Spanned<String>, found: &mut Found) -> bool {
    let good = super::Mas::parts(&url.value).is_some_and(|(_, host, _)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host.parse::<std::net::IpAddr>().is_ok() || names::is_dns_name(host)
    });
    if !good {
        found.push(
            Diagnostic::error(url.span, "endpoint of mas is no URL of a server")
                .help("write scheme, host and port and no path: http://10.8.0.5:8080/"),
        );
    }
    good
}
