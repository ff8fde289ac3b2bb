//! The whole file: global settings, frontends, backends.
//!
//! It is read by an instance of HAProxy of our own (`PREFIX_haproxy.service`), not by the package's:
//! HAProxy has no directory of sites, so that a file of ours in another instance would live by that
//! one's `defaults` and die with that one's errors. `noreuseport`, because two instances would
//! otherwise bind the same port without an error and the kernel would deal connections to either.
//! Never in this file: which process serves what (`Topology::routes`).

use super::backend::backend;
use super::routing::Routing;
use super::{Section, reading, words};
use crate::inventory::Tls;
use crate::modules::nginx::{delegate, main};
use crate::topology::{Balance, ProxyNode, Topology};

/// Where the answers to ACME's HTTP challenge come from: `certbot certonly --standalone
/// --http-01-port 8888`. HAProxy serves no files.
const ACME_PORT: u16 = 8888;

/// Longest life of old worker processes after a reload: no longer than a long poll.
const HARD_STOP: &str = "30m";

/// Hops in `X-Forwarded-For` that may be trusted proxies.
const HOPS: usize = 4;

/// Sections of `/etc/haproxy/PREFIX.cfg`. `links`: directory with `site.pem` and `site.pem.key`.
///
/// Errors: a route without a process, a server name that cannot be answered for.
pub(in crate::modules) fn sections(
    topology: &Topology,
    proxy: &ProxyNode,
    links: &str,
) -> Result<Vec<Section>, String> {
    let prefix = &topology.prefix;
    let main = main(topology)?;
    let routing = Routing::new(topology, &main)?;

    let mut out = vec![global(links), defaults()];
    let mut site = Section::new(&["frontend", prefix]);
    if let Tls::Files { certificate, key } = &proxy.tls {
        out.push(redirecting(prefix));
        tls(&mut site, links, &certificate.value, &key.value);
    } else {
        site.plain("bind ipv4@:80").plain("bind ipv6@:80 v6only");
    }
    client(&mut site, proxy);
    reading::path(&mut site);
    let balances: Vec<Balance> = topology.upstreams.values().map(|upstream| upstream.balance).collect();
    reading::keys(&mut site, &balances);
    refused(&mut site, proxy);
    well_known(&mut site, topology, &main.name);
    site.lines.extend(routing.rules);
    let nowhere = format!("{prefix}_nowhere");
    site.comment("What no route takes: main answers for Matrix, nobody for the rest.")
        .line(&[
            "use_backend",
            &main.name,
            "if",
            "{",
            "var(txn.path)",
            "-m",
            "beg",
            "/_matrix/",
            "/_synapse/client/",
            "}",
        ])
        .line(&["default_backend", &nowhere]);
    out.push(site);

    out.push(backend(&main.name, &main, None));
    out.extend(routing.backends);
    if matches!(proxy.tls, Tls::Files { .. }) {
        let mut acme = Section::new(&["backend", &format!("{prefix}_acme")]);
        acme.line(&["server", "acme", &format!("127.0.0.1:{ACME_PORT}")]);
        out.push(acme);
    }
    let mut section = Section::new(&["backend", &nowhere]);
    section.plain("http-request deny deny_status 404");
    out.push(section);
    Ok(out)
}

/// How many connections there may be at a time follows from the unit's `LimitNOFILE`.
fn global(links: &str) -> Section {
    let mut section = Section::new(&["global"]);
    section
        .plain("log /dev/log local0 info")
        .plain("user haproxy")
        .plain("group haproxy")
        .plain("noreuseport")
        .line(&["hard-stop-after", HARD_STOP])
        .line(&["stats", "socket", &format!("{links}/admin.sock"), "mode", "600", "level", "admin"])
        .plain("ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets");
    section
}

/// `timeout client` does not run while a request waits for its answer: long polls live by the
/// backend's `timeout server`. The log has paths without queries: a query may hold an access token.
fn defaults() -> Section {
    let mut section = Section::new(&["defaults"]);
    section
        .plain("mode http")
        .plain("log global")
        .plain("option dontlognull")
        .line(&[
            "log-format",
            "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc %ac/%fc/%bc/%sc/%rc %HM %HPO",
        ])
        .plain("option redispatch 1")
        .plain("retries 3")
        .plain("timeout connect 5s")
        .plain("timeout client 60s")
        .plain("timeout server 60s")
        .plain("timeout http-request 10s")
        .plain("timeout http-keep-alive 60s")
        .plain("timeout check 5s")
        .plain("default-server inter 5s fastinter 1s downinter 1s fall 3 rise 1");
    section
}

const CHALLENGE: &str = "/.well-known/acme-challenge/";

fn redirecting(prefix: &str) -> Section {
    let mut section = Section::new(&["frontend", &format!("{prefix}_http")]);
    section
        .plain("bind ipv4@:80")
        .plain("bind ipv6@:80 v6only")
        .line(&[
            "http-request",
            "redirect",
            "scheme",
            "https",
            "code",
            "301",
            "unless",
            "{",
            "path_beg",
            CHALLENGE,
            "}",
        ])
        .line(&["default_backend", &format!("{prefix}_acme")]);
    section
}

fn tls(site: &mut Section, links: &str, certificate: &str, key: &str) {
    let pem = format!("{links}/site.pem");
    site.comment("Links that the unit makes when it starts and when it reloads:")
        .comment(&format!("site.pem to {certificate}"))
        .comment(&format!("site.pem.key to {key}"));
    for (port, protocols) in [("443", "h2,http/1.1"), ("8448", "http/1.1")] {
        site.line(&["bind", &format!("ipv4@:{port}"), "ssl", "crt", &pem, "alpn", protocols]);
        site.line(&["bind", &format!("ipv6@:{port}"), "v6only", "ssl", "crt", &pem, "alpn", protocols]);
    }
}

/// Who the client is, and what Synapse is told of it.
fn client(site: &mut Section, proxy: &ProxyNode) {
    if !proxy.trusted_proxies.is_empty() {
        site.comment("Proxies that are believed. Rightmost first, as long as the address is one of them.");
        for network in &proxy.trusted_proxies {
            site.line(&["acl", "trusted", "src", "-m", "ip", "--", network]);
        }
        site.plain("http-request set-var(txn.proto) req.fhdr(x-forwarded-proto) if trusted");
        for hop in 1..=HOPS {
            site.line(&[
                "http-request",
                "set-src",
                &format!("req.hdr_ip(x-forwarded-for,-{hop})"),
                "if",
                "trusted",
            ]);
        }
    }
    site.plain("http-request set-header X-Forwarded-For %[src]")
        .plain("http-request set-header X-Forwarded-Proto https if { ssl_fc }")
        .plain("http-request set-header X-Forwarded-Proto http unless { ssl_fc }");
    if !proxy.trusted_proxies.is_empty() {
        site.plain("http-request set-header X-Forwarded-Proto %[var(txn.proto)] if { var(txn.proto) -m str http https }");
    }
}

/// What is refused whatever a route says: bodies that Synapse would not take, and what is not public.
fn refused(site: &mut Section, proxy: &ProxyNode) {
    let size = proxy.max_body.to_string();
    site.line(&["http-request", "deny", "deny_status", "413", "if", "{", "req.body_size", "gt", &size, "}"])
        .line(&[
            "http-request",
            "deny",
            "deny_status",
            "404",
            "if",
            "{",
            "var(txn.path)",
            "-m",
            "beg",
            "/_synapse/admin",
            "/_synapse/replication",
            "}",
        ]);
}

fn well_known(site: &mut Section, topology: &Topology, main: &str) {
    let is = |name: &str| -> [String; 6] {
        ["{", "var(txn.path)", "-m", "str", &format!("/.well-known/matrix/{name}"), "}"]
            .map(ToOwned::to_owned)
    };
    let to_main = |name: &str| {
        let mut words = vec!["use_backend".to_owned(), main.to_owned(), "if".to_owned()];
        words.extend(is(name));
        words
    };
    let synapse =
        topology.shared_config.get("serve_server_wellknown") == Some(&serde_json::Value::Bool(true));
    // A return stands before every use_backend, since HAProxy evaluates it before.
    if let Some(target) = delegate(topology).filter(|_| !synapse) {
        let body = serde_json::json!({"m.server": target}).to_string();
        let head = [
            "http-request",
            "return",
            "status",
            "200",
            "content-type",
            "application/json",
            "string",
            &body,
            "if",
        ];
        let mut words = words(&head);
        words.extend(is("server"));
        site.lines.push(words);
    }
    // Synapse knows what clients must be told (identity server, `extra_well_known_client_content`).
    site.lines.push(to_main("client"));
    if synapse {
        site.lines.push(to_main("server"));
    }
    if matches!(&topology.proxy, Some(ProxyNode { tls: Tls::Files { .. }, .. })) {
        let acme = format!("{}_acme", topology.prefix);
        site.line(&["use_backend", &acme, "if", "{", "var(txn.path)", "-m", "beg", CHALLENGE, "}"]);
    }
}
