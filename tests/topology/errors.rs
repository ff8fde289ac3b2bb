//! What is refused, and what is said about it.

use std::fmt::Write as _;

use indexmap::IndexMap;
use synprov::diagnostic::{Severity, Span, Spanned};
use synprov::inventory::{Datastore, External, Lock, Mas};
use synprov::topology::resolve;

use crate::site::{Site, config};

/// All findings as text: severity, line, summary, help, related.
fn check(site: &Site, expected: &str) {
    check_with(site, &Lock::default(), expected);
}

fn check_with(site: &Site, lock: &Lock, expected: &str) {
    let resolved = resolve(&site.inventory, lock);
    let mut text = String::new();
    for found in &resolved.diagnostics {
        let severity = if found.severity == Severity::Error { "error" } else { "warning" };
        writeln!(text, "{severity}: {}", found.summary).unwrap();
        for line in found.help.iter() {
            writeln!(text, "  {line}").unwrap();
        }
        for (_, line) in &found.related {
            writeln!(text, "  - {line}").unwrap();
        }
    }
    let expected: Vec<&str> =
        expected.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect();
    assert_eq!(text.trim_end(), expected.join("\n").trim());
    let errors = resolved.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(resolved.topology.is_none(), errors);
    if errors {
        assert_eq!(&resolved.lock, lock, "the lock changed although there is an error");
    }
}

fn two() -> Site {
    Site::new().host("hs1", "10.0.0.1", None).host("hs2", "10.0.0.2", None)
}

#[test]
fn hosts() {
    check(
        &Site::new().pool("sync on hs11 handles sync"),
        r#"
        error: worker "sync" is on host "hs11", which is not in hosts
          did you mean "hs1"?
        "#,
    );
    check(
        &two().with(|inventory| inventory.hosts["hs2"].retired = true).pool("sync on hs2 handles sync"),
        r#"
        error: worker "sync" is on host "hs2", which is retired
          move it to another host, or drop `retired: true`
          - marked as retired here
        "#,
    );
    check(
        &two().with(|inventory| inventory.hosts["hs1"].lost = true).with(|inventory| inventory.redis = None),
        r#"
        error: postgresql is on host "hs1", which is lost
          move it to another host, or drop `lost: true`
          - marked as lost here
        error: main is on host "hs1", which is lost
          move it to another host, or drop `lost: true`
          - marked as lost here
        error: proxy is on host "hs1", which is lost
          move it to another host, or drop `lost: true`
          - marked as lost here
        "#,
    );
    check(
        &two().with(|inventory| {
            let proxy = inventory.proxy.as_mut().unwrap();
            proxy.hosts.push(proxy.hosts[0].clone());
        }),
        r#"
        error: proxy names host "hs1" twice
          - first here
        "#,
    );
}

#[test]
fn addresses() {
    check(
        &Site::new().host("hs2", "hs2.example.org", None).pool("sync on hs2 handles sync"),
        r#"
        error: host "hs1" needs an internal_address: 192.0.2.10 is public
          the hosts of this inventory talk to each other unencrypted: add `internal_address: IP` of a private network or VPN
          - main runs here
        error: host "hs2" needs an internal_address: "hs2.example.org" is no IP address
          the hosts of this inventory talk to each other unencrypted: add `internal_address: IP` of a private network or VPN
          - other hosts must reach this one
        "#,
    );
    check(
        &two().host("hs2", "192.0.2.1", Some("10.0.0.1")).pool("sync on hs2 handles sync"),
        r#"
        error: hosts "hs1" and "hs2" have one internal address, 10.0.0.1
          give each host the address under which the others reach it
          - "hs1" is here
        "#,
    );
    check(
        &two().host("hs2", "192.0.2.1", Some("127.0.0.1")).pool("sync on hs2 handles sync"),
        r#"
        error: internal_address "127.0.0.1" cannot be reached from other hosts
          write the IP address under which the other hosts reach this one
        "#,
    );
    check(&Site::new().host("unused", "unused.example.org", None), "");
    check(
        &two().host("hs2", "hs2.example.org", Some("8.8.8.8")).pool("sync on hs2 handles sync"),
        r#"
        warning: internal_address of host "hs2" is public: 8.8.8.8
          the hosts of this inventory talk to each other unencrypted: write the IP of a private network or VPN
        "#,
    );
    check(&two().host("hs2", "hs2.example.org", Some("8.8.8.8")).pool("sync on hs1 handles sync"), "");
}

#[test]
fn streams() {
    check(
        &two().pool("typing on hs1:2 writes typing"),
        r#"
        error: stream "typing" can have only one writer, here are 2
          give it a pool of its own with one process, or set `count: 1` for "typing"
        "#,
    );
    check(
        &two().pool("a on hs1 writes typing").pool("b on hs1 writes typing"),
        r#"
        error: stream "typing" can have only one writer, here are 2
          take "typing" from "b" or from "a"
          - first said here
        "#,
    );
    check(&two().pool("a on hs1:2 writes receipts"), "");
    check(
        &two().version("1.95.1").pool("a on hs1:2 writes receipts"),
        r#"
        error: stream "receipts" can have only one writer, here are 2
          give it a pool of its own with one process, or set `count: 1` for "a"
        "#,
    );
    check(
        &two().version("1.120.2").pool("a on hs1 writes device_lists"),
        r#"
        error: worker "a" writes "device_lists", which Synapse 1.120.2 does not have (since 1.135)
          known: events, typing, to_device, account_data, receipts, presence, push_rules
        "#,
    );
    check(
        &two().pool("a on hs1 writes event"),
        r#"
        error: worker "a" writes "event", which is no stream
          did you mean "events"?
        "#,
    );
}

#[test]
fn jobs() {
    check(
        &two().pool("b on hs1:1 hs2:1 runs background_tasks"),
        r#"
        error: job "background_tasks" can be run by only one process, here are 2
          give it a pool of its own with one process, or set `count: 1` for "b"
        "#,
    );
    check(
        &two().pool("b on hs1 runs media_background pushers"),
        r#"
        error: worker "b" runs "media_background" but handles no media
          only processes that handle media can: add it to the pool with `handles: [media]`
        error: worker "b" runs "pushers", which is no job
          did you mean "pusher"?
        "#,
    );
}

#[test]
fn pools() {
    check(
        &two().pool("sync on hs1:2 handles sync").pool("sync2 on hs1 handles sync"),
        r#"
        error: pools "sync" and "sync2" both have a process named "sync2"
          rename one of them: process n of a pool is called NAMEn
          - "sync" is here
        "#,
    );
    check(
        &two().pool("sync on hs1:4000000000 hs2:4000000000 handles sync"),
        r#"
        error: worker "sync" has 4000000000 processes on host "hs1"
          at most 500
        "#,
    );
    check(
        &two().pool("idle on hs1"),
        r#"
        warning: worker "idle" does nothing
          say what it is for: `handles:`, `writes:` or `runs:`
        "#,
    );
    check(
        &two().pool("a on hs1 handles typing synk"),
        r#"
        error: worker "a" handles "typing" without writing that stream
          write `writes: [typing]`: only the writer can serve it, and its endpoints follow
        error: worker "a" handles "synk", which is no class of endpoints
          did you mean "sync"?
        "#,
    );
    check(
        &two().pool("media on hs1 handles media sync").pool("media_b on hs2 handles media"),
        r#"
        error: worker "media" handles media and "sync"
          media processes do nothing else: give the rest a pool of its own
        error: media processes are on hosts "hs1" and "hs2"
          put all of them on "hs1", or write media_store: {path: /srv/media, mount_unit: srv-media.mount} under synapse for a store that both hosts mount
          - the others are here
        "#,
    );
    check(
        &two()
            .pool("a on hs1 handles sync")
            .pool("b on hs1 handles client was a")
            .pool("c on hs1 runs pusher was a"),
        r#"
        error: worker "b" was "a", but that still exists
          drop `was`, or the old pool
          - the old pool is here
        error: worker "c" was "a", but that still exists
          drop `was`, or the old pool
          - the old pool is here
        error: workers "b" and "c" both were "a"
          - first said here
        "#,
    );
}

#[test]
fn the_rest() {
    check(
        &two().with(|inventory| {
            inventory.synapse.config = config(serde_json::json!({"max_upload_size": "100MB"}))
        }),
        r#"
        error: "max_upload_size" in synapse.config must be a size
          write bytes, or one number with K, M or G: 100M
        "#,
    );
    check(
        &two().version("latest"),
        r#"
        error: "latest" is no version of Synapse
          write it as on PyPI, e.g. 1.163.2
        "#,
    );
}

#[test]
fn ports_in_the_lock() {
    let lock = |lines: &[(&str, u16)]| {
        let port = |port: u16| IndexMap::from([("client".to_owned(), port)]);
        Lock {
            ports: lines.iter().map(|(name, at)| ((*name).to_owned(), port(*at))).collect(),
            ..Lock::default()
        }
    };
    let site = two().pool("a on hs1 handles sync").pool("b on hs1 handles client");
    check_with(
        &site,
        &lock(&[("a", 8081), ("b", 8081)]),
        r#"
        error: port 8081 of "b" in inventory.lock is taken by "a"
          delete the line `client: 8081` of "b" from inventory.lock
        "#,
    );
    check_with(
        &site,
        &lock(&[("a", 8008)]),
        r#"
        error: port 8008 of "main" is taken by "a" in inventory.lock
          delete the line with 8008 from inventory.lock
        "#,
    );
    check_with(
        &site,
        &lock(&[("a", 5432)]),
        r#"
        error: port 5432 of "a" in inventory.lock is taken by PostgreSQL
          delete the line `client: 5432` of "a" from inventory.lock
        "#,
    );
}

fn external(host: &str) -> Spanned<Datastore> {
    let external = External {
        host: Spanned::new(host.to_owned(), Span::default()),
        port: None,
        database: None,
        user: None,
        password: None,
        sslmode: Some("verify-full".to_owned()),
        args: serde_json::Map::new(),
    };
    Spanned::new(Datastore::External(external), Span::default())
}

/// Loopback is good for all processes on one host, wherever the proxy is.
#[test]
fn an_external_datastore_on_loopback_is_each_hosts_own() {
    let site = |redis: &str| {
        two().pool("a on hs1 handles sync").with(|inventory| {
            inventory.postgresql = external("127.0.0.1");
            inventory.redis = Some(external(redis));
            inventory.proxy.as_mut().unwrap().hosts[0].value = "hs2".to_owned();
        })
    };
    check(&site("localhost"), "");
    for redis in ["localhost", "::1", "127.0.0.2", "::ffff:127.0.0.1"] {
        check(
            &site(redis).pool("b on hs2 handles client"),
            &format!(
                r#"
        warning: postgresql.external is on 127.0.0.1, which is another machine on each of the 2 hosts with Synapse
          write an address that all of them reach; it is right if a proxy to the same one listens on each of them
        warning: redis.external is on {redis}, which is another machine on each of the 2 hosts with Synapse
          write an address that all of them reach; it is right if a proxy to the same one listens on each of them
        "#
            ),
        );
    }
}

/// `mas.endpoint`, a route, an external store: what listens there keeps its port.
#[test]
fn ports_of_programs_that_the_inventory_names() {
    let mas = |site: Site, endpoint: &str| {
        let at = |text: &str| Spanned::new(text.to_owned(), Span { line: 99, column: 1, length: 1 });
        let (endpoint, secret) = (at(endpoint), at("mas"));
        let mas = Mas { span: endpoint.span, endpoint, secret, force_http2: false, networks: Vec::new() };
        site.with(|inventory| inventory.mas = Some(mas))
    };
    let lock = Lock {
        ports: IndexMap::from([("a".to_owned(), IndexMap::from([("client".to_owned(), 8081)]))]),
        ..Lock::default()
    };
    let port = |site: &Site, lock: &Lock| crate::instance(&crate::resolved(site, lock).0, "a").client_port;
    for endpoint in ["http://127.0.0.1:8081", "http://localhost:8081/"] {
        let site = Site::new().pool("a on hs1 handles sync").with(|inventory| {
            // Where it calls from, if the endpoint is a name.
            inventory.proxy = None;
        });
        let site = mas(site, endpoint);
        assert_eq!(port(&site, &Lock::default()), Some(8082), "{endpoint}");
        check_with(
            &site,
            &lock,
            r#"
        error: port 8081 of mas.endpoint is taken by "a" on host "hs1"
          let the other program listen on another port, or delete the line `client: 8081` of "a" from inventory.lock
        "#,
        );
    }
    let other = mas(Site::new().pool("a on hs1 handles sync"), "http://192.0.2.10:8081");
    assert_eq!(port(&other, &Lock::default()), Some(8082));
    check_with(
        &other,
        &lock,
        r#"
        warning: port 8081 of mas.endpoint is that of "a" on host "hs1" on another address
          right if the other program listens on its address alone; else let it listen on another port, or delete the line `client: 8081` of "a" from inventory.lock
        "#,
    );
    // On another host it is nobody's business, but for who has no port yet.
    let apart = mas(two().pool("a on hs1 handles sync"), "http://10.0.0.2:8081");
    assert_eq!(port(&apart, &lock), Some(8081));
    assert_eq!(port(&apart, &Lock::default()), Some(8082));
    let elsewhere = mas(two().pool("a on hs1 handles sync"), "http://10.0.0.9:8081");
    assert_eq!(port(&elsewhere, &Lock::default()), Some(8081));
}

#[test]
fn an_external_datastore_needs_no_host() {
    let site = two().pool("a on hs1 handles sync").with(|inventory| {
        inventory.postgresql = external("db.example.org");
        inventory.redis = Some(external("2001:db8::1"));
    });
    check(&site, "");
    let topology = crate::fresh(&site);
    assert_eq!(topology.shared_config["database"]["args"]["sslmode"], "verify-full");
    assert!(!topology.secrets.contains_key("database"));
    assert_eq!(topology.shared_config["redis"]["port"], 6379);
    assert_eq!(crate::instance(&topology, "a").ready.redis.as_deref(), Some("[2001:db8::1]:6379"));
}
