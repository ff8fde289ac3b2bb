//! `synprov init`: what it writes is valid without a warning, for every size, version and number of hosts.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use synprov::inventory::{self, Lock};
use synprov::topology::catalogue::Catalogue;
use synprov::topology::{self, Topology};
use synprov::version::Version;

const SIZES: [&str; 4] = ["small", "medium", "large", "one-of-each"];

fn init(directory: &Path) -> Command {
    let mut command = Command::cargo_bin("synprov").unwrap();
    command.current_dir(directory).env_remove("SYNPROV_INVENTORY").arg("init");
    command
}

fn printed(words: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let words = [&["--server-name", "example.org", "--print"], words].concat();
    let output = init(directory.path()).args(&words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{words:?}: {said}");
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "--print wrote a file");
    String::from_utf8(output.stdout).unwrap()
}

fn resolved(text: &str) -> Topology {
    let (inventory, found) = inventory::parse(text);
    assert!(found.is_empty(), "{found:#?}\n{text}");
    let resolved = topology::resolve(&inventory.unwrap(), &Lock::default());
    assert!(resolved.diagnostics.is_empty(), "{:#?}\n{text}", resolved.diagnostics);
    resolved.topology.unwrap()
}

fn hosts(number: u8) -> Vec<String> {
    (1..=number).flat_map(|n| ["--host".to_owned(), format!("hs{n}=192.0.2.{n},10.8.0.{n}")]).collect()
}

#[test]
fn every_size_is_valid_on_any_number_of_hosts() {
    for size in SIZES {
        for number in [1, 2, 3, 5] {
            let hosts = hosts(number);
            let words: Vec<&str> = hosts.iter().map(String::as_str).chain(["--size", size]).collect();
            let topology = resolved(&printed(&words));
            assert_eq!(topology.hosts.len(), usize::from(number));
            if size != "small" {
                let idle = topology.hosts.values().filter(|host| !host.synapse).count();
                assert_eq!(idle, 0, "{size} leaves one of {number} hosts without work");
            }
        }
    }
}

#[test]
fn every_size_says_nothing_that_an_older_synapse_does_not_know() {
    for minor in (90..163).step_by(6).chain([105, 106, 111, 135, 138, 145, 152, 156, 163]) {
        let version = format!("1.{minor}.0");
        for size in SIZES {
            let text = printed(&["--size", size, "--version", &version]);
            let topology = resolved(&text);
            let catalogue = Catalogue::builtin().unwrap();
            let known = Version::parse(&version).unwrap();
            let (inventory, _) = inventory::parse(&text);
            for word in inventory.unwrap().workers.values().flat_map(|pool| &pool.handles) {
                let mut classes = catalogue.classes.iter().filter(|class| class.words.contains(&word.value));
                let served = classes.any(|class| class.endpoints.iter().any(|one| one.active(&known)));
                assert!(served, "{size} for {version} handles {}, which has no endpoints yet", word.value);
            }
            assert_eq!(topology.version.as_str(), version);
        }
    }
}

/// What the name promises.
#[test]
fn one_of_each_has_every_stream_job_and_class_in_a_pool_of_its_own() {
    let catalogue = Catalogue::builtin().unwrap();
    for version in ["1.163.2", "1.120.2", "1.90.0"] {
        let known = Version::parse(version).unwrap();
        let topology = resolved(&printed(&["--size", "one-of-each", "--version", version]));
        for stream in catalogue.streams.iter().filter(|stream| stream.known(&known)) {
            let writers: Vec<_> =
                topology.instances.iter().filter(|one| one.writes.contains(&stream.name)).collect();
            assert_eq!(writers.len(), 1, "{version}: {}", stream.name);
            assert_eq!(writers[0].writes.len(), 1, "{version}: {} is not alone", stream.name);
            assert_ne!(writers[0].name, "main");
        }
        for job in &catalogue.jobs {
            let holders: Vec<_> =
                topology.instances.iter().filter(|one| one.runs.contains(&job.name)).collect();
            assert_eq!(holders.len(), 1, "{version}: {}", job.name);
            assert_ne!(holders[0].name, "main", "{version}: {}", job.name);
        }
        // `mas` needs a section of its own. Two classes share a pool only if no word parts them.
        let mut pools: BTreeMap<&str, Vec<&[String]>> = BTreeMap::new();
        for class in catalogue.classes.iter().filter(|class| class.name != "mas") {
            if !class.endpoints.iter().any(|one| one.active(&known)) {
                continue;
            }
            let names = [class.name.clone(), format!("stream:{}", class.stream.as_deref().unwrap_or("-"))];
            let route = topology.routes.iter().find(|route| names.contains(&route.class));
            let route = route.unwrap_or_else(|| panic!("{version}: class {} stays with main", class.name));
            pools.entry(&route.pool).or_default().push(&class.words);
        }
        for (pool, words) in pools {
            let first = words[0].first();
            assert!(words.iter().all(|words| words.first() == first), "{version}: {pool} has {words:?}");
        }
    }
}

#[test]
fn the_default_version_is_the_newest_known() {
    let text = printed(&[]);
    let version = resolved(&text).version;
    let (major, minor) = version.minor();
    let newer = text.replace(version.as_str(), &format!("{major}.{}.0", minor + 1));
    let (_, found) = inventory::parse(&newer);
    assert!(found.iter().any(|one| one.summary.contains("is newer than")), "{found:#?}");
}

#[test]
fn the_small_one_reads_like_this() {
    insta::assert_snapshot!(printed(&[]));
}

#[test]
fn values_are_quoted_where_yaml_reads_them_otherwise() {
    let text = printed(&[
        "--host",
        "a=fd00::1,fd00::1",
        "--host",
        "b=local,fd00::2",
        "--user",
        "no",
        "--trusted-proxy",
        "fd01::/64",
        "--trusted-proxy",
        "198.51.100.7",
        "--public-baseurl",
        "https://m.example.org:8443/",
    ]);
    let (inventory, found) = inventory::parse(&text);
    assert!(found.is_empty(), "{found:#?}");
    let inventory = inventory.unwrap();
    assert_eq!(inventory.hosts["a"].user.as_deref(), Some("no"));
    assert_eq!(inventory.hosts["a"].internal_address.as_ref().unwrap().value, "fd00::1");
    assert_eq!(inventory.proxy.unwrap().trusted_proxies[1].value, "198.51.100.7/32");
}

#[test]
fn a_file_that_exists_is_overwritten_only_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("inventory.yaml");
    let words = ["--server-name", "example.org"];
    init(directory.path())
        .args(words)
        .assert()
        .code(0)
        .stdout("")
        .stderr(predicate::str::contains("synprov check"));
    let first = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "mine").unwrap();
    init(directory.path()).args(words).assert().code(1).stderr(predicate::str::contains("--force"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    init(directory.path()).args(words).arg("--force").assert().code(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    Command::cargo_bin("synprov")
        .unwrap()
        .current_dir(directory.path())
        .arg("check")
        .assert()
        .code(0)
        .stderr(predicate::str::contains("warning").not());
}

#[test]
fn answers_that_make_no_inventory_are_explained_and_write_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for (words, said) in [
        (&["--server-name", "https://example.org"][..], "write only the name"),
        (&["--server-name", "a.org", "--host", "a=1.2.3.4", "--host", "b=1.2.3.5"], "internal_address"),
        (&["--server-name", "a.org", "--version", "1.50.0"], "older than"),
        (&["--server-name", "a.org", "--certificate", "relative.pem", "--key", "/k"], "not absolute"),
        (&["--server-name", "a.org\n  x: y"], "no Matrix server name"),
    ] {
        let explained = predicate::str::contains(said)
            .and(predicate::str::contains("inventory.yaml, not written:"))
            .and(predicate::str::contains("--host NAME=ADDRESS,INTERNAL_ADDRESS"));
        init(directory.path()).args(words).assert().code(1).stdout("").stderr(explained);
    }
    for words in [
        &[][..],
        &["--server-name", "a.org", "--host", "192.0.2.1"],
        &["--server-name", "a.org", "--size", "huge"],
        &["--server-name", "a.org", "--version", "latest"],
        &["--server-name", "a.org", "--print", "--force"],
    ] {
        init(directory.path()).args(words).assert().code(64).stdout("");
    }
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
}
