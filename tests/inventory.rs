//! Inventories as people write them: the good ones, and what is said about the bad ones.
#![allow(clippy::expect_used, clippy::panic)] // a test that cannot go on says why

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use synprov::diagnostic::Diagnostic;
use synprov::inventory::{self, Inventory};
use synprov::{render, yaml};

/// Bytes of a file as the program reads them: the inventory, its text, and what is wrong.
fn read(bytes: &[u8]) -> (Option<Inventory>, String, Vec<Diagnostic>) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    match yaml::decode(bytes) {
        Ok(good) => {
            let (inventory, found) = inventory::parse(good);
            (inventory, text, found)
        }
        Err(found) => (None, text, found),
    }
}

/// What a person sees.
fn check(bytes: &[u8]) -> String {
    let (_, text, found) = read(bytes);
    render::diagnostic::text(&found, "inventory.yaml", &text, false)
}

fn good(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventories").join(name);
    std::fs::read_to_string(path).expect("an inventory of ours")
}

fn bad() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn ours_are_good() {
    for name in ["single-host.yaml", "three-hosts.yaml", "classic.yaml"] {
        let text = good(name);
        assert_eq!(check(text.as_bytes()), "", "{name}");
        let inventory = inventory::parse(&text).0.expect("understood");
        assert!(inventory.workers.len() >= 10, "{name}");
    }
}

#[test]
fn bad_ones_are_explained() {
    let files = bad();
    assert!(files.len() >= 45, "{}", files.len());
    insta::with_settings!({snapshot_path => "snapshots/bad", prepend_module_to_snapshot => false, omit_expression => true}, {
        for (name, bytes) in files {
            let shown = check(&bytes);
            assert!(!shown.is_empty(), "{name}: nothing is said");
            assert!(!shown.contains("CANARY"), "{name}: a secret is shown:\n{shown}");
            assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{name}: control characters");
            insta::assert_snapshot!(name, shown);
        }
    });
}

/// The structure that is read, not only that it is read.
#[test]
fn a_whole_one_is_read_as_written() {
    let text = "\
hosts:
  hs1: {address: 192.0.2.10, port: 2222, user: deploy, become: true, internal_address: 10.8.0.1, accept_new: true}
  here: {address: local, identity_files: ~/.ssh/id_ed25519}
synapse:
  server_name: '[2001:db8::1]:8448'
  version: 1.120.0
  install: {venv: /opt/venvs/synapse}
  config: {email: {smtp_pass: {secret: smtp}}, list: [{secret: smtp}], number: 1.5}
  secrets: {smtp: env:SMTP_PASSWORD, spare: {command: [pass, show]}, signing_key: 'file:signing.key'}
  appservices: {irc: {file: irc.yaml}}
postgresql: {external: {host: db.example.org, password: {secret: spare}, args: {keepalives_idle: 10}}}
redis: {host: hs1}
main: {host: here}
proxy: {hosts: [hs1, here], tls: none, trusted_proxies: [10.0.0.0/8, 192.0.2.1, 'fd00::/8']}
defaults: {cache_factor: 1}
workers:
  sync: {hosts: {hs1: 1, here: 3}, handles: [sync], was: synchrotron, db_pool: {min: 1, max: 2}}
";
    let (inventory, found) = inventory::parse(text);
    assert_eq!(render::diagnostic::text(&found, "x", text, false), "");
    let inventory = inventory.expect("understood");
    let hs1 = &inventory.hosts["hs1"];
    assert_eq!(
        (hs1.address.value.as_str(), hs1.port, hs1.user.as_deref()),
        ("192.0.2.10", Some(2222), Some("deploy"))
    );
    assert!(hs1.r#become == synprov::inventory::Become::Sudo && hs1.accept_new && !hs1.lost);
    assert_eq!(inventory.hosts["here"].identity_files, ["~/.ssh/id_ed25519"]);
    let synapse = &inventory.synapse;
    assert!(matches!(&synapse.install, inventory::Install::Venv(path) if path.value == "/opt/venvs/synapse"));
    assert_eq!(synapse.config.values["email"]["smtp_pass"]["secret"], "smtp");
    assert_eq!(synapse.config.spans["email.smtp_pass"].line, 8);
    assert_eq!(
        synapse.config.secrets.iter().map(|name| name.value.as_str()).collect::<Vec<_>>(),
        ["smtp", "smtp"]
    );
    assert_eq!(
        synapse.secrets.values().map(|source| source.value.clone()).collect::<Vec<_>>(),
        [
            inventory::SecretSource::Env("SMTP_PASSWORD".into()),
            inventory::SecretSource::Command(vec!["pass".into(), "show".into()]),
            inventory::SecretSource::File("signing.key".into()),
        ]
    );
    let inventory::Datastore::External(database) = &inventory.postgresql.value else { panic!("external") };
    assert_eq!(database.password.as_ref().map(|name| name.value.as_str()), Some("spare"));
    assert_eq!(database.args["keepalives_idle"], 10);
    let proxy = inventory.proxy.expect("a proxy");
    assert_eq!(
        proxy.trusted_proxies.iter().map(|network| network.value.as_str()).collect::<Vec<_>>(),
        ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]
    );
    let sync = &inventory.workers["sync"];
    assert_eq!(
        sync.hosts.iter().map(|(host, count)| (host.value.as_str(), *count)).collect::<Vec<_>>(),
        [("hs1", 1), ("here", 3)]
    );
    assert_eq!(sync.was.as_ref().map(|was| was.value.as_str()), Some("synchrotron"));
    assert_eq!(inventory.defaults.cache_factor.map(|factor| factor.value), Some(1.0));
}

/// What was understood comes along beside errors, so that the rest can be checked as well.
#[test]
fn a_local_fault_leaves_the_rest() {
    let text = good("three-hosts.yaml").replace("handles: [client]", "handles: [clent]");
    let (inventory, found) = inventory::parse(&text);
    assert_eq!(found.len(), 1);
    assert_eq!(inventory.expect("understood").workers.len(), 15);
}

#[test]
fn json_has_the_shape_of_terraforms() {
    let text = "\u{feff}hosts: {hs1: {adress: é, address: 192.0.2.1}}\r\n";
    let (_, found) = inventory::parse(text);
    let value = render::diagnostic::json(&found, "inventory.yaml", text);
    assert_eq!(value.len(), 4);
    let first = value
        .iter()
        .find(|diagnostic| diagnostic["range"]["start"]["line"] == 1 && diagnostic["snippet"].is_object())
        .expect("the unknown key");
    assert_eq!(first["summary"], "unknown key \"adress\" in host \"hs1\"");
    assert_eq!(first["detail"], "did you mean \"address\"?");
    assert_eq!(first["snippet"]["code"], "hosts: {hs1: {adress: é, address: 192.0.2.1}}");
    let offset = |name: &str| first["snippet"][name].as_u64().expect("a number") as usize;
    let code = first["snippet"]["code"].as_str().expect("text");
    assert_eq!(&code[offset("highlight_start_offset")..offset("highlight_end_offset")], "adress");
    let byte = |end: &str| first["range"][end]["byte"].as_u64().expect("a number") as usize;
    assert_eq!(&text[byte("start")..byte("end")], "adress");
}

#[test]
fn colour_only_when_asked() {
    let text = "hosts: 5\n";
    let (_, found) = inventory::parse(text);
    assert!(render::diagnostic::text(&found, "x", text, true).contains('\u{1b}'));
    assert!(!render::diagnostic::text(&found, "x", text, false).contains('\u{1b}'));
}

/// Values that should have been references are shown nowhere, in text or in JSON.
#[test]
fn secrets_are_not_shown() {
    let (_, bytes) = bad().into_iter().find(|(name, _)| name == "secrets-written-out").expect("the file");
    let (_, text, found) = read(&bytes);
    assert!(text.matches("CANARY").count() >= 8);
    let shown = serde_json::Value::from(render::diagnostic::json(&found, "x", &text)).to_string();
    assert!(!shown.contains("CANARY") && !shown.contains("0123456"), "{shown}");
    assert!(!check(&bytes).contains("0123456"));
    // Also where the file does not parse, or the fault on the line is another.
    for text in [
        "synapse:\n  secrets:\n    smtp: CANARY: x\n",
        "synapse:\n  secrets: {smtp: CANARY, smtp: CANARY}\n",
        "synapse: {config: {email: {smtp_pass: CANARY @, x: y: z}}}\n",
        "synapse: {config: {smtp_pass: \"CANARY}}\n",
        "synapse:\n  config:\n    smtp_pass: 'CANARY's'\n",
    ] {
        let shown = check(text.as_bytes());
        assert!(!shown.is_empty() && !shown.contains("CANARY"), "{shown}");
    }
}

/// Reads and renders everything about `bytes`; the time is bounded.
fn survives(bytes: &[u8]) {
    let started = Instant::now();
    let shown = check(bytes);
    assert!(!shown.contains('\u{1b}'));
    let (_, text, found) = read(bytes);
    let _ = render::diagnostic::json(&found, "x", &text);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?} for {} bytes", started.elapsed(), bytes.len());
}

#[test]
fn large_files_do_not_hang() {
    let base = good("single-host.yaml");
    survives(
        base.replace("report_stats: false", &format!("report_stats: {}", "x".repeat(900 << 10))).as_bytes(),
    );
    survives(
        base.replace("report_stats: false", &format!("report_stats: [{}", "yes, ".repeat(20_000))).as_bytes(),
    );
    let pools: String =
        (0..2_000).map(|n| format!("  p{n}: {{host: hs1, handels: [sync], was: p{}}}\n", n + 1)).collect();
    survives((base.clone() + &pools).as_bytes());
    let hosts: String = (0..20_000).map(|n| format!("  h{n}: {{address: h}}\n")).collect();
    survives(base.replacen("hosts:\n", &format!("hosts:\n{hosts}"), 1).as_bytes());
    survives(base.replace("handles: [media]", &format!("handles: [{}]", "x, ".repeat(100_000))).as_bytes());
    survives(&b"- ".repeat(4 << 20));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No bytes panic or hang.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
    }

    /// No mutation of a good inventory panics or hangs: bytes changed, lines lost, doubled, joined,
    /// words put in.
    #[test]
    fn mutated(
        which in 0..3_usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..6_u8, any::<u8>(), proptest::sample::select(vec![
            "", "null", "[", "{", "}", "]", ": ", "- ", "&a ", "*a", "<<: *a", "{secret: x}", "\"", "'", "yes", "1e9",
            "-1", "\u{1b}[2J", "\u{202e}", "é", "\t", "{{ x }}", "!x ", "? ", "|", "999999999999",
        ])), 1..6),
    ) {
        let name = ["single-host.yaml", "three-hosts.yaml", "classic.yaml"][which];
        let mut bytes = good(name).into_bytes();
        for (at, kind, byte, word) in edits {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            let line = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |end| at + end + 1);
            match kind {
                0 => bytes[at] = byte,
                1 => { bytes.drain(at..line); }
                2 => { let copy = bytes[at..line].to_vec(); bytes.splice(at..at, copy); }
                3 => bytes.truncate(at),
                _ => { bytes.splice(at..at, word.bytes()); }
            }
        }
        survives(&bytes);
    }
}
