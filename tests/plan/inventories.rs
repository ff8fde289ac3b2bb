//! Inventories for the tests: those that ship, and generated ones.

use std::fmt::Write as _;

use proptest::prelude::*;

/// The inventories that ship, by name.
pub const SHIPPED: [(&str, &str); 3] = [
    ("single-host", include_str!("../../inventories/single-host.yaml")),
    ("three-hosts", include_str!("../../inventories/three-hosts.yaml")),
    ("classic", include_str!("../../inventories/classic.yaml")),
];

/// What any number of pools may do.
const PLAIN: [&str; 8] = [
    "handles: [sync]",
    "handles: [client_reader, encryption]",
    "handles: [federation]",
    "handles: [event_sending]",
    "handles: [login, registration]",
    "handles: [initial_sync], config: {event_cache_size: 20K}",
    "handles: [client_reader], cache_factor: 2.0",
    "handles: [client_reader], config: {email: {smtp_pass: {secret: smtp}}}",
];

/// What one pool may do, with whether it may have several processes.
const ONCE: [(&str, bool); 10] = [
    ("writes: [events]", true),
    ("writes: [typing, to_device]", false),
    ("writes: [receipts, presence]", false),
    ("writes: [account_data], handles: [account_data]", false),
    ("runs: [federation_sender]", true),
    ("runs: [pusher]", true),
    ("runs: [background_tasks]", false),
    ("runs: [user_directory, appservices]", false),
    ("handles: [federation], runs: [federation_sender]", true),
    ("handles: [media], runs: [media_background]", false),
];

/// A deployment in the words of these tests.
#[derive(Debug, Clone)]
pub struct Written {
    pub hosts: usize,
    pub data: usize,
    pub front: usize,
    pub tls: bool,
    /// Kind, host, count.
    pub pools: Vec<(usize, usize, usize)>,
}

impl Written {
    /// The inventory's text.
    pub fn text(&self) -> String {
        let mut text = String::from("hosts:\n");
        let host = |at: usize| format!("hs{}", at % self.hosts + 1);
        for at in 0..self.hosts {
            let _ = writeln!(
                text,
                "  hs{n}: {{address: 192.0.2.{n}, internal_address: 10.8.0.{n}, user: root}}",
                n = at + 1
            );
        }
        let tls = if self.tls { "{certificate: /etc/ssl/a.pem, key: /etc/ssl/a.key}" } else { "none" };
        let _ = writeln!(
            text,
            "synapse:\n  server_name: example.org\n  version: 1.163.2\n  install: managed\n  config: {{report_stats: false}}\n  secrets: {{smtp: env:SMTP_PASSWORD}}\n\
             postgresql: {{host: {data}}}\nredis: {{host: {data}}}\nmain: {{host: hs1}}\nproxy: {{host: {front}, kind: nginx, tls: {tls}}}",
            data = host(self.data),
            front = host(self.front),
        );
        let mut used = Vec::new();
        let mut workers = String::new();
        for (at, (kind, on, count)) in self.pools.iter().enumerate() {
            let (does, several) = match kind.checked_sub(PLAIN.len()) {
                // The two that run federation senders are one choice.
                Some(once) if !(used.contains(&once) || once == 8 && used.contains(&4)) => {
                    used.push(once);
                    if once == 8 {
                        used.push(4);
                    }
                    ONCE[once]
                }
                Some(once) => (PLAIN[once % PLAIN.len()], true),
                None => (PLAIN[*kind], true),
            };
            let count = if several { *count } else { 1 };
            let _ = writeln!(workers, "  pool{at}: {{host: {}, count: {count}, {does}}}", host(*on));
        }
        if !workers.is_empty() {
            let _ = write!(text, "workers:\n{workers}");
        }
        text
    }
}

/// One to four hosts, none to eight pools.
pub fn written() -> impl Strategy<Value = Written> {
    let pool = (0..PLAIN.len() + ONCE.len(), 0..4usize, 1..4usize);
    (1..5usize, 0..4usize, 0..4usize, any::<bool>(), prop::collection::vec(pool, 0..9))
        .prop_map(|(hosts, data, front, tls, pools)| Written { hosts, data, front, tls, pools })
}
