//! The whole file: global settings, frontends, backends.
//!
//! It is read by an instance of HAProxy of our own (`PREFIX_haproxy.service`), not by the package's:
//! HAProxy has no directory of sites, so that a file of ours in another instance would live by that
//! one's `defaults` and die with that one's errors. `noreuseport`, because two instances would
//! otherwise bind the same port without an error and the kernel would deal connections to either.
//! Never in this file: which process serves what (`Topology::routes`).

use super::backend::backend;
use super::routing::Routing;
use super::{Section, beside, reading, select, words};
use crate::inventory::{Http2, Tls};
use crate::modules::nginx::main;
use crate::topology::gate::{ADMIN, MAS, PUBLIC, REPLICATION};
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
        tls(&mut site, links, &certificate.value, &key.value, proxy.http2);
    } else {
        site.plain("bind ipv4@:80").plain("bind ipv6@:80 v6only");
    }
    client(&mut site, proxy);
    reading::path(&mut site);
    let balances: Vec<Balance> = topology.upstreams.values().map(|upstream| upstream.balance).collect();
    if select::by_token(topology) || balances.iter().any(|one| matches!(one, Balance::User | Balance::Room)) {
        reading::token(&mut site);
    }
    reading::keys(&mut site, &balances);
    refused(&mut site, topology, proxy);
    beside::well_known(&mut site, topology, proxy, &main.name);
    if matches!(proxy.tls, Tls::Files { .. }) {
        let acme = format!("{prefix}_acme");
        site.line(&["use_backend", &acme, "if", "{", "var(txn.path)", "-m", "beg", CHALLENGE, "}"]);
    }
    select::acls(&mut site, topology)?;
    site.lines.extend(routing.rules);
    let nowhere = format!("{prefix}_nowhere");
    site.comment("What no route takes: main answers for Matrix, nobody for the rest.");
    // To whom the last two are closed has been refused before.
    let open = PUBLIC.into_iter().chain([ADMIN, MAS]);
    let mut rule = words(&["use_backend", &main.name, "if", "{", "var(txn.path)", "-m", "beg", "--"]);
    rule.extend(open.map(ToOwned::to_owned));
    rule.push("}".to_owned());
    site.lines.push(rule);
    let extra = beside::extra(&mut site, topology, proxy);
    site.line(&["default_backend", &nowhere]);
    out.push(site);

    out.push(backend(&main.name, &main, None));
    out.extend(routing.backends);
    out.extend(extra);
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

fn tls(site: &mut Section, links: &str, certificate: &str, key: &str, http2: Http2) {
    let pem = format!("{links}/site.pem");
    site.comment("Links that the unit makes when it starts and when it reloads:")
        .comment(&format!("site.pem to {certificate}"))
        .comment(&format!("site.pem.key to {key}"));
    let clients = if http2 == Http2::Off { "http/1.1" } else { "h2,http/1.1" };
    for (port, protocols) in [("443", clients), ("8448", "http/1.1")] {
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
        if proxy.tls == Tls::None {
            site.comment("A proxy in front that says nothing has the certificate; Synapse assumes the same.")
                .plain("http-request set-var(txn.proto) str(https) if trusted !{ req.fhdr(x-forwarded-proto) -m found }");
        }
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

/// What is refused whatever a route says: bodies that Synapse would not take, and what is not open to
/// everybody (`topology::gate`).
fn refused(site: &mut Section, topology: &Topology, proxy: &ProxyNode) {
    let size = proxy.max_body.to_string();
    site.line(&["http-request", "deny", "deny_status", "413", "if", "{", "req.body_size", "gt", &size, "}"]);
    for (acl, prefix, networks) in [
        ("", REPLICATION, &[] as &[String]),
        ("admin", ADMIN, &proxy.admin),
        ("mas", MAS, topology.mas_networks()),
    ] {
        for network in networks {
            site.line(&["acl", &format!("from.{acl}"), "src", "-m", "ip", "--", network]);
        }
        let mut rule = words(&["http-request", "deny", "deny_status", "404", "if"]);
        rule.extend(words(&["{", "var(txn.path)", "-m", "beg", "--", prefix, "}"]));
        if !networks.is_empty() {
            rule.push(format!("!from.{acl}"));
        }
        site.lines.push(rule);
    }
}
