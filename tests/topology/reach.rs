//! Which ports must be reachable from where.

use synprov::inventory::{Datastore, External, Lock, ProxyKind, Tls, parse};
use synprov::topology::{Source, Topology, reachability, resolve};

use crate::fresh;
use crate::site::{Site, one_host};
use synprov::diagnostic::{Span, Spanned};

fn check(topology: &Topology, expected: &str) {
    let lines: Vec<String> = reachability(topology)
        .into_iter()
        .map(|one| {
            let from = match one.from {
                Source::Anywhere => "anywhere".to_owned(),
                Source::Networks(networks) => networks.join(","),
                Source::OwnProxy => "own proxy".to_owned(),
                Source::Host(host) => host,
            };
            let to = one.to.as_deref().unwrap_or("external");
            format!("{from} -> {to} {}:{}  {}", one.address, one.port, one.why)
        })
        .collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, expected, "\n{}", lines.join("\n"));
}

fn tls(site: Site, written: Tls) -> Site {
    site.with(|inventory| {
        if let Some(proxy) = &mut inventory.proxy {
            proxy.tls = written;
        }
    })
}

fn text(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), Span::default())
}

#[test]
fn one_host_needs_only_its_proxy() {
    let files = Tls::Files { certificate: text("/c.pem"), key: text("/k.pem") };
    check(
        &fresh(&tls(one_host(), files)),
        "
        anywhere -> hs1 *:80  redirection to HTTPS, ACME
        anywhere -> hs1 *:443  clients, and other homeservers that were delegated here
        anywhere -> hs1 *:8448  other homeservers
        ",
    );
}

#[test]
fn three_hosts_need_replication_datastores_and_requests() {
    let (inventory, _) = parse(include_str!("../../inventories/three-hosts.yaml"));
    let topology = resolve(&inventory.unwrap(), &Lock::default()).topology.unwrap();
    insta::assert_snapshot!(
        reachability(&topology)
            .iter()
            .map(|one| format!(
                "{:?} -> {} {}:{}  {}\n",
                one.from,
                one.to.as_deref().unwrap_or("-"),
                one.address,
                one.port,
                one.why
            ))
            .collect::<String>()
    );
}

#[test]
fn behind_another_proxy_only_its_networks_come_in() {
    let site = one_host().with(|inventory| {
        if let Some(proxy) = &mut inventory.proxy {
            proxy.trusted_proxies = vec![text("198.51.100.0/24")];
        }
    });
    check(&fresh(&site), "198.51.100.0/24 -> hs1 *:80  the proxy in front of this one");
    check(&fresh(&one_host()), "anywhere -> hs1 *:80  the proxy in front of this one");
}

#[test]
fn a_vhost_of_ones_own_keeps_its_ports() {
    let site = one_host().with(|inventory| {
        if let Some(proxy) = &mut inventory.proxy {
            proxy.kind.value = ProxyKind::Includes;
        }
    });
    check(
        &fresh(&site),
        "
        anywhere -> hs1 *:80  your own vhost
        anywhere -> hs1 *:443  your own vhost: clients
        anywhere -> hs1 *:8448  your own vhost: other homeservers
        ",
    );
}

#[test]
fn without_a_proxy_of_ours_the_admins_must_reach_the_listeners() {
    let site = Site::new()
        .host("hs1", "192.0.2.10", Some("10.8.0.1"))
        .host("hs2", "192.0.2.11", Some("10.8.0.2"))
        .pool("sync on hs2 handles sync")
        .with(|inventory| inventory.proxy = None);
    check(
        &fresh(&site),
        "
        hs2 -> hs1 10.8.0.1:5432  PostgreSQL
        hs2 -> hs1 10.8.0.1:6380  Redis
        own proxy -> hs1 10.8.0.1:8008  requests of main
        hs2 -> hs1 10.8.0.1:9093  replication of main
        own proxy -> hs2 10.8.0.2:8081  requests of sync
        ",
    );
}

#[test]
fn servers_of_others_are_reached_from_every_host_with_synapse() {
    let site = Site::new().with(|inventory| {
        inventory.postgresql.value = Datastore::External(External {
            host: text("db.example.org"),
            port: None,
            database: None,
            user: None,
            password: None,
            sslmode: None,
            args: serde_json::Map::new(),
        });
    });
    check(
        &fresh(&site),
        "
        anywhere -> hs1 *:80  the proxy in front of this one
        hs1 -> external db.example.org:5432  PostgreSQL
        ",
    );
}
