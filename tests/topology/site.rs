//! Inventories for the tests, built without YAML.

use indexmap::IndexMap;
use serde_json::{Map, Value};
use synprov::diagnostic::{Span, Spanned};
use synprov::inventory::*;

/// An inventory under construction. Every thing stands on a line of its own.
#[derive(Debug, Clone)]
pub struct Site {
    pub inventory: Inventory,
    line: u32,
}

impl Site {
    /// Main, PostgreSQL, Redis and the proxy on `hs1`; no workers.
    pub fn new() -> Self {
        let mut line = 0;
        let mut at = |text: &str| {
            line += 1;
            Spanned::new(text.to_owned(), Span { line, column: 1, length: 1 })
        };
        let inventory = Inventory {
            synapse: Synapse {
                span: Span::default(),
                server_name: at("example.org"),
                version: at("1.163.2"),
                install: Install::Managed,
                extras: Vec::new(),
                installer: Default::default(),
                wheelhouse: None,
                public_baseurl: None,
                root: None,
                user: None,
                prefix: None,
                units: synprov::inventory::Units::default(),
                config: ConfigMap::default(),
                secrets: IndexMap::new(),
                appservices: IndexMap::new(),
                packages: Vec::new(),
                files: IndexMap::new(),
                media_store: None,
                metrics: None,
            },
            hosts: IndexMap::new(),
            postgresql: Spanned::new(Datastore::Host(at("hs1")), Span::default()),
            redis: Some(Spanned::new(Datastore::Host(at("hs1")), Span::default())),
            mas: None,
            main: Main { host: at("hs1"), overrides: Defaults::default(), listeners: IndexMap::new() },
            proxy: Some(Proxy {
                span: Span::default(),
                hosts: vec![at("hs1")],
                kind: Spanned::new(ProxyKind::Nginx, Span::default()),
                tls: Tls::None,
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
            workers: IndexMap::new(),
        };
        Self { inventory, line }.host("hs1", "192.0.2.10", None)
    }

    fn span(&mut self) -> Span {
        self.line += 1;
        Span { line: self.line, column: 1, length: 1 }
    }

    fn at(&mut self, text: &str) -> Spanned<String> {
        let span = self.span();
        Spanned::new(text.to_owned(), span)
    }

    /// A host, or another address for it.
    pub fn host(mut self, name: &str, address: &str, internal: Option<&str>) -> Self {
        let span = self.span();
        let host = Host {
            span,
            address: self.at(address),
            port: None,
            jump: vec![],
            transport: Default::default(),
            user: None,
            r#become: Become::Sudo,
            internal_address: internal.map(|internal| self.at(internal)),
            identity_files: Vec::new(),
            host_key: None,
            accept_new: false,
            retired: false,
            lost: false,
        };
        self.inventory.hosts.insert(name.to_owned(), host);
        self
    }

    /// A pool: `"sync on hs1:1 hs2:3 handles sync"`, with `writes`, `runs` and `was` alike.
    pub fn pool(mut self, line: &str) -> Self {
        let span = self.span();
        let mut words = line.split_whitespace();
        let name = words.next().unwrap().to_owned();
        let mut pool = Pool {
            span,
            hosts: Vec::new(),
            weight: None,
            weights: IndexMap::new(),
            handles: Vec::new(),
            select: None,
            writes: Vec::new(),
            runs: Vec::new(),
            was: None,
            overrides: Defaults::default(),
            config: ConfigMap::default(),
        };
        let mut field = "";
        for word in words {
            match (field, word) {
                (_, "on" | "handles" | "writes" | "runs" | "was") => field = word,
                ("on", word) => {
                    let (host, count) = word.split_once(':').unwrap_or((word, "1"));
                    pool.hosts.push((self.at(host), count.parse().unwrap()));
                }
                ("handles", word) => pool.handles.push(self.at(word)),
                ("writes", word) => pool.writes.push(self.at(word)),
                ("runs", word) => pool.runs.push(self.at(word)),
                ("was", word) => pool.was = Some(self.at(word)),
                _ => panic!("{line}"),
            }
        }
        self.inventory.workers.insert(name, pool);
        self
    }

    /// Changes anything else.
    pub fn with(mut self, change: impl FnOnce(&mut Inventory)) -> Self {
        change(&mut self.inventory);
        self
    }

    pub fn version(self, version: &str) -> Self {
        self.with(|inventory| inventory.synapse.version.value = version.to_owned())
    }
}

/// A configuration map without places.
pub fn config(value: Value) -> ConfigMap {
    let values: Map<String, Value> = value.as_object().unwrap().clone();
    ConfigMap { values, ..ConfigMap::default() }
}

/// Everything on one host: ten pools.
pub fn one_host() -> Site {
    Site::new()
        .pool("sync on hs1:2 handles sync")
        .pool("client on hs1 handles client")
        .pool("federation on hs1 handles federation")
        .pool("event_creator on hs1 handles event_sending")
        .pool("persister on hs1:2 writes events")
        .pool("typing on hs1 writes typing to_device receipts")
        .pool("sender on hs1:2 runs federation_sender")
        .pool("pusher on hs1 runs pusher")
        .pool("background on hs1 runs background_tasks user_directory appservices")
        .pool("media on hs1 handles media")
        .with(|inventory| {
            inventory.synapse.config =
                config(serde_json::json!({"report_stats": true, "max_upload_size": "100M", "server_name": "ignored"}));
        })
}

/// The example of the design: three hosts, IPv6 inside.
pub fn three_hosts() -> Site {
    Site::new()
        .host("hs1", "192.0.2.10", Some("fd00:8::1"))
        .host("hs2", "hs2.example.org", Some("fd00:8::2"))
        .host("hs3", "fd00:8::3", None)
        .pool("sync on hs1:1 hs2:3 handles sync")
        .pool("initial_sync on hs2 handles initial_sync")
        .pool("bridge on hs1 handles event_sending")
        .pool("federation_reader on hs2:2 handles federation")
        .pool("persister on hs1:2 writes events")
        .pool("federation_sender on hs2:2 runs federation_sender")
        .pool("typing on hs1 writes typing to_device")
        .pool("account on hs3 writes account_data receipts presence push_rules")
        .pool("devices on hs3:2 writes device_lists")
        .pool("login on hs3:2 handles login sso client_reader")
        .pool("background on hs1 runs background_tasks")
        .pool("media on hs1:2 handles media")
        .with(|inventory| {
            inventory.synapse.config = config(serde_json::json!({
                "event_cache_size": "10K",
                "email": {"smtp_host": "mail.example.org", "notif_from": "synapse@example.org", "smtp_pass": {"secret": "smtp"}},
                "caches": {"global_factor": 1.0, "per_cache_factors": {"get_users_in_room": 5.0}},
            }));
            let smtp = Spanned::new(SecretSource::Env("SMTP_PASSWORD".to_owned()), Span::default());
            inventory.synapse.secrets.insert("smtp".to_owned(), smtp);
            let file = "registrations/telegram.yaml".to_owned();
            let telegram = Spanned::new(Appservice { file }, Span::default());
            inventory.synapse.appservices.insert("telegram".to_owned(), telegram);
            inventory.proxy.as_mut().unwrap().hosts[0].value = "hs1".to_owned();
            let sync = &mut inventory.workers["sync"];
            sync.config = config(serde_json::json!({
                "event_cache_size": "20K",
                "caches": {"per_cache_factors": {"get_event": 2.0}},
            }));
            sync.overrides.cache_factor = Some(Spanned::new(2.0, Span::default()));
            let small = DbPool { min: 1, max: 3 };
            inventory.workers["background"].overrides.db_pool = Some(Spanned::new(small, Span::default()));
        })
}
