//! What the site shows besides the routes: `.well-known`, extra routes, Matrix Authentication Service.
//!
//! Never here: anything that a process of Synapse serves by a route.

use super::{Section, words};
use crate::inventory::ExtraTarget;
use crate::modules::nginx::delegate;
use crate::topology::gate::{self, WELL_KNOWN_CLIENT, WELL_KNOWN_SERVER};
use crate::topology::{MasNode, ProxyNode, Topology};

/// `if { the decoded path is exactly this }`
fn is(path: &str) -> Vec<String> {
    words(&["if", "{", "var(txn.path)", "-m", "str", "--", path, "}"])
}

/// Answers for `.well-known/matrix`. A `return` stands before every `use_backend`, since HAProxy
/// evaluates it before. What is not answered here is asked of main.
pub(super) fn well_known(site: &mut Section, topology: &Topology, proxy: &ProxyNode, main: &str) {
    let server = match &proxy.well_known_server {
        Some(server) => Some(server.clone()),
        None => delegate(topology).filter(|_| !gate::serves_well_known_server(topology, proxy)),
    };
    let server = server.map(|server| serde_json::json!({"m.server": server}));
    // Synapse knows what clients must be told, unless the inventory says it.
    for (path, body) in [(WELL_KNOWN_CLIENT, &proxy.well_known_client), (WELL_KNOWN_SERVER, &server)] {
        let Some(body) = body else { continue };
        let mut line =
            words(&["http-request", "return", "status", "200", "content-type", "application/json"]);
        line.extend(words(&["hdr", "Access-Control-Allow-Origin", "*", "string", &body.to_string()]));
        line.extend(is(path));
        site.lines.push(line);
    }
    let asked = [
        (WELL_KNOWN_CLIENT, proxy.well_known_client.is_none()),
        (WELL_KNOWN_SERVER, gate::serves_well_known_server(topology, proxy)),
    ];
    for (path, _) in asked.into_iter().filter(|(_, asked)| *asked) {
        let mut line = words(&["use_backend", main]);
        line.extend(is(path));
        site.lines.push(line);
    }
}

/// Rules for extra routes, the longest path first, and their backends. They come after everything
/// that is Synapse's.
pub(super) fn extra(site: &mut Section, topology: &Topology, proxy: &ProxyNode) -> Vec<Section> {
    let mut routes: Vec<_> = proxy.routes.iter().enumerate().collect();
    routes.sort_by_key(|(_, route)| std::cmp::Reverse(route.path.value.len()));
    let mut backends = Vec::new();
    for (index, route) in routes {
        let name = format!("{}_route_{}", topology.prefix, index + 1);
        let path = &route.path.value;
        site.line(&["use_backend", &name, "if", "{", "var(txn.path)", "-m", "beg", "--", path, "}"]);
        let mut backend = Section::new(&["backend", &name]);
        match &route.target {
            ExtraTarget::Pass(url) => {
                let (tls, address) = match url.strip_prefix("https://") {
                    Some(address) => (true, address),
                    None => (false, url.trim_start_matches("http://")),
                };
                server(&mut backend, "server", address, tls.then_some(address));
            }
            ExtraTarget::Status(status) => {
                backend.line(&["http-request", "return", "status", &status.to_string()]);
            }
            ExtraTarget::Redirect(url) => {
                backend.line(&["http-request", "redirect", "location", url, "code", "302"]);
            }
            // Refused when the inventory is read: HAProxy serves no files.
            ExtraTarget::Root(_) => drop(backend.plain("http-request deny deny_status 404")),
        }
        backends.push(backend);
    }
    backends
}

/// The backend of Matrix Authentication Service.
pub(super) fn authentication(name: &str, mas: &MasNode, timeout: u32) -> Section {
    let mut backend = Section::new(&["backend", name]);
    backend.line(&["timeout", "server", &format!("{timeout}s")]);
    server(&mut backend, "MAS", &mas.address, mas.tls.then_some(mas.host.as_str()));
    backend
}

/// A server somebody else runs; with TLS its certificate must be for this host. Its name may not
/// resolve yet when HAProxy starts.
fn server(backend: &mut Section, name: &str, address: &str, host: Option<&str>) {
    let (host, default) = match host {
        None => (None, "80"),
        Some(host) => (Some(host.rsplit_once(':').map_or(host, |(host, _)| host)), "443"),
    };
    let whole = !address.ends_with(']') && address.contains(':');
    let address = if whole { address.to_owned() } else { format!("{address}:{default}") };
    let mut line = words(&["server", name, &address, "init-addr", "last,libc,none"]);
    if let Some(host) = host {
        line.extend(words(&["ssl", "verify", "required", "ca-file", "@system-ca", "verifyhost", host]));
        line.extend([String::from("sni"), format!("str({host})")]);
    }
    backend.lines.push(line);
}
