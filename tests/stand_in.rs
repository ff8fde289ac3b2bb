//! What a rehearsal replaces: nothing real is left, and everything replaced is listed.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic)]

use indexmap::IndexMap;
use serde_json::{Value, json};
use synprov::diagnostic::{Span, Spanned};
use synprov::inventory::*;
use synprov::lab::stand_in::{Substitution, stand_in};
use synprov::lab::{Distro, Flavour, LabHost, Outward, Sudo, client_name, lab_name, lab_spec};

fn at<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Span::default())
}

fn text(value: &str) -> Spanned<String> {
    at(value.to_owned())
}

fn host(address: &str) -> Host {
    Host {
        span: Span::default(),
        address: text(address),
        port: Some(2222),
        jump: vec![text("bastion.real.example")],
        transport: Means::default(),
        user: Some("deploy".into()),
        r#become: Become::Sudo,
        internal_address: None,
        identity_files: vec!["~/.ssh/production".into()],
        host_key: Some(text("ssh-ed25519 REAL")),
        accept_new: true,
        retired: false,
        lost: false,
    }
}

fn config(values: Value, secrets: &[&str]) -> ConfigMap {
    let values = values.as_object().unwrap().clone();
    ConfigMap { values, spans: IndexMap::new(), secrets: secrets.iter().map(|name| text(name)).collect() }
}

fn external(password: &str) -> Datastore {
    Datastore::External(External {
        host: text("db.real.example"),
        port: None,
        database: None,
        user: None,
        password: Some(text(password)),
        sslmode: None,
        args: serde_json::Map::new(),
    })
}

/// Everything that can point outside, pointing outside.
fn production() -> Inventory {
    Inventory {
        hosts: [
            ("hs1", host("real1.example")),
            ("hs2", host("198.51.100.2")),
            ("gone", host("real3.example")),
        ]
        .map(|(name, host)| (name.to_owned(), Host { lost: name == "gone", ..host }))
        .into(),
        synapse: Synapse {
            span: Span::default(),
            server_name: text("example.org"),
            version: text("1.163.2"),
            install: Install::Debian,
            extras: Vec::new(),
            installer: Default::default(),
            wheelhouse: None,
            public_baseurl: Some(text("https://matrix.real.example:443/")),
            root: None,
            user: None,
            prefix: None,
            units: synprov::inventory::Units::default(),
            config: config(
                json!({
                    "email": {"smtp_host": "mail.real.example", "smtp_pass": {"secret": "smtp"}},
                    "turn_uris": ["turn:turn.real.example"], "turn_shared_secret": "real-password",
                    "oidc_providers": [{"issuer": "https://sso.real.example", "client_secret": {"secret": "oidc"}}],
                    "presence": {"enabled": true, "presence_router": {"module": "x"}},
                    "enable_registration": false, "max_upload_size": "100M",
                    "form_secret": {"secret": "form"},
                }),
                &["smtp", "oidc", "form"],
            ),
            secrets: [
                ("smtp", SecretSource::Env("REAL_SMTP".into())),
                ("oidc", SecretSource::File("real/oidc".into())),
                ("form", SecretSource::Command(vec!["pass".into(), "real/form".into()])),
                ("mas", SecretSource::Env("REAL_MAS".into())),
                ("db", SecretSource::Env("REAL_DB".into())),
                ("signing_key", SecretSource::File("real/signing.key".into())),
            ]
            .map(|(name, source)| (name.to_owned(), at(source)))
            .into(),
            appservices: [("irc".to_owned(), at(Appservice { file: "real/irc.yaml".into() }))].into(),
            packages: Vec::new(),
            files: IndexMap::new(),
            media_store: None,
            metrics: None,
        },
        postgresql: at(external("db")),
        redis: Some(at(external("redis"))),
        mas: Some(Mas {
            span: Span::default(),
            endpoint: text("https://auth.real.example/"),
            secret: text("mas"),
            force_http2: false,
            networks: Vec::new(),
        }),
        main: Main { host: text("hs1"), overrides: Defaults::default(), listeners: IndexMap::new() },
        proxy: Some(Proxy {
            span: Span::default(),
            hosts: vec![text("hs2")],
            kind: at(ProxyKind::Includes),
            tls: Tls::Files { certificate: text("/real/cert.pem"), key: text("/real/key.pem") },
            tls_at: None,
            trusted_proxies: Vec::new(),
            admin: Vec::new(),
            server_names: Vec::new(),
            acme_root: None,
            well_known: WellKnown::default(),
            routes: Vec::new(),
            http2: Http2::default(),
        }),
        defaults: Defaults::default(),
        workers: [(
            "media".to_owned(),
            Pool {
                span: Span::default(),
                hosts: vec![(text("hs1"), 1)],
                weight: None,
                weights: IndexMap::new(),
                select: None,
                handles: vec![text("media")],
                writes: Vec::new(),
                runs: Vec::new(),
                was: None,
                overrides: Defaults::default(),
                config: config(
                    json!({"media_storage_providers": [{"bucket": "real"}], "event_cache_size": "5K"}),
                    &[],
                ),
            },
        )]
        .into(),
    }
}

fn lab_hosts() -> Vec<LabHost> {
    let lab_host = |name: &str, index: u8| LabHost {
        name: name.into(),
        address: format!("10.89.1.{index}"),
        internal_address: format!("10.90.1.{index}"),
        user: "deploy".into(),
        key: "/lab/id_ed25519".into(),
        known_hosts: "/lab/known_hosts".into(),
        host_key: "ssh-ed25519 LAB".into(),
        container: String::new(),
        image: String::new(),
    };
    vec![lab_host("hs1", 11), lab_host("hs2", 12)]
}

fn listed<'a>(list: &'a [Substitution], what: &str) -> &'a Substitution {
    list.iter().find(|entry| entry.what == what).unwrap_or_else(|| panic!("{what} is not in {list:#?}"))
}

#[test]
fn nothing_real_is_left_and_no_value_is_shown() {
    let (lab, list) = stand_in(&production(), &lab_hosts());
    let left = format!("{lab:?}").replace("matrix.real.example", "NAME").to_lowercase();
    assert!(!left.contains("real"), "{}", &left[left.find("real").unwrap().saturating_sub(80)..]);
    let shown = format!("{list:?}");
    assert!(!shown.contains("real-password"), "{shown}");
    for (what, was, now) in [
        ("address of hs1", "real1.example", "10.89.1.11"),
        ("address of gone", "real3.example", "no-host-in-the-lab.invalid"),
        ("internal_address of hs2", "unset", "10.90.1.12"),
        ("port of hs1", "2222", "22"),
        ("way to hs1", "through bastion.real.example", "direct"),
        ("PostgreSQL", "external, db.real.example", "an empty one on hs1"),
        ("proxy", "snippets for a vhost of your own", "a complete nginx site"),
        ("TLS certificate and key", "/real/cert.pem", "one by the lab's own CA"),
        ("email", "set", "removed"),
        ("turn_shared_secret", "set", "removed"),
        ("presence.presence_router", "set", "removed"),
        ("media_storage_providers of worker media", "set", "removed"),
        ("appservice irc", "real/irc.yaml", "removed"),
        (
            "Matrix Authentication Service",
            "https://auth.real.example/",
            "removed: Synapse logs people in itself",
        ),
        ("secret mas", "env:REAL_MAS", "removed with what used it"),
        ("enable_registration", "false", "true"),
        ("federation_domain_whitelist", "unset", "[]"),
        ("push.enabled", "unset", "false"),
        ("secret smtp", "env:REAL_SMTP", "removed with what used it"),
        ("secret db", "env:REAL_DB", "removed with what used it"),
        ("secret form", "command pass", "generate"),
        ("secret signing_key", "file:real/signing.key", "generate"),
        ("Synapse's installation", "Debian's package", "a venv of synprov's, same version"),
    ] {
        let entry = listed(&list, what);
        assert_eq!((entry.was.as_str(), entry.now.as_str()), (was, now), "{what}");
    }
}

#[test]
fn what_is_the_admins_design_stays() {
    let before = production();
    let (lab, _) = stand_in(&before, &lab_hosts());
    assert_eq!(lab.synapse.config.values["max_upload_size"], "100M");
    assert_eq!(lab.synapse.config.values["presence"], json!({"enabled": true}));
    assert_eq!(
        lab.synapse.config.secrets.iter().map(|name| name.value.as_str()).collect::<Vec<_>>(),
        ["form"]
    );
    assert_eq!(lab.workers["media"].config.values["event_cache_size"], "5K");
    assert_eq!(lab.workers["media"].hosts, before.workers["media"].hosts);
    assert_eq!(lab.synapse.server_name, before.synapse.server_name);
    assert_eq!(lab.hosts.keys().collect::<Vec<_>>(), before.hosts.keys().collect::<Vec<_>>());
}

#[test]
fn standing_in_twice_is_standing_in_once() {
    let (once, _) = stand_in(&production(), &lab_hosts());
    let (twice, again) = stand_in(&once, &lab_hosts());
    assert_eq!(format!("{once:?}"), format!("{twice:?}"));
    let again: Vec<_> =
        again.iter().filter(|entry| entry.was != "removed").map(|entry| &entry.what).collect();
    assert!(again.iter().all(|what| !what.contains("rc_") && !what.contains("secret ")), "{again:?}");
}

#[test]
fn one_host_needs_no_internal_address_and_gets_a_proxy_where_there_is_none() {
    let mut inventory = production();
    inventory.hosts.truncate(1);
    inventory.proxy = None;
    let (lab, list) = stand_in(&inventory, &lab_hosts());
    assert!(lab.hosts["hs1"].internal_address.is_none());
    assert_eq!(listed(&list, "proxy").now, "nginx on hs1");
    assert_eq!(lab.proxy.unwrap().hosts[0].value, "hs1");
    let spec = lab_spec(&inventory, "x", Distro::Debian12, Flavour::Bare, Outward::Indexes);
    assert_eq!(spec.hosts[0].tls_names, ["matrix.real.example", "example.org"]);
}

#[test]
fn the_lab_has_the_hosts_that_are_not_lost() {
    let inventory = production();
    let spec = lab_spec(&inventory, "x", Distro::Debian13, Flavour::Warm, Outward::Indexes);
    let hosts: Vec<_> =
        spec.hosts.iter().map(|host| (host.name.as_str(), host.user.as_str(), host.sudo)).collect();
    assert_eq!(hosts, [("hs1", "deploy", Sudo::NoPassword), ("hs2", "deploy", Sudo::NoPassword)]);
    assert!(spec.hosts[0].tls_names.is_empty(), "only the proxy has a certificate");
    assert_eq!(client_name(&inventory), "matrix.real.example");
}

#[test]
fn lab_names_are_short_and_different() {
    assert_eq!(lab_name("Example.org"), "example-org");
    assert_eq!(lab_name("···"), "lab");
    let long = |end: &str| lab_name(&format!("a-very-long-name-of-an-inventory-file-{end}"));
    assert!(long("one").len() <= 30 && long("one") != long("two"));
}
