//! `synprov graph`: nothing overlaps, everything is there, and it is what the topology says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use regex::Regex;

const THREE: &str = include_str!("../inventories/three-hosts.yaml");

fn synprov(directory: &Path) -> Command {
    let mut command = Command::cargo_bin("synprov").unwrap();
    command.current_dir(directory).env_remove("SYNPROV_INVENTORY");
    command
}

fn drawn(inventory: &str, words: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("inventory.yaml"), inventory).unwrap();
    let output = synprov(directory.path()).arg("graph").args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn of_size(size: &str, hosts: u8) -> String {
    let directory = tempfile::tempdir().unwrap();
    let hosts = (1..=hosts).flat_map(|n| ["--host".to_owned(), format!("hs{n}=192.0.2.{n},10.8.0.{n}")]);
    let words = ["init", "--server-name", "example.org", "--print", "--size", size];
    let output = synprov(directory.path()).args(words).args(hosts).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// x, y, width, height of all rectangles of a class.
fn rectangles(svg: &str, class: &str) -> Vec<[i64; 4]> {
    let wanted = format!("class=\"{class}\" x=\"(\\d+)\" y=\"(\\d+)\" width=\"(\\d+)\" height=\"(\\d+)\"");
    let wanted = Regex::new(&wanted).unwrap();
    let number = |text: &str| text.parse().unwrap();
    wanted.captures_iter(svg).map(|found| [1, 2, 3, 4].map(|at| number(&found[at]))).collect()
}

fn overlap(a: &[i64; 4], b: &[i64; 4]) -> bool {
    a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

fn inside(inner: &[i64; 4], outer: &[i64; 4]) -> bool {
    inner[0] >= outer[0]
        && inner[1] >= outer[1]
        && inner[0] + inner[2] <= outer[0] + outer[2]
        && inner[1] + inner[3] <= outer[1] + outer[3]
}

#[test]
fn nothing_overlaps_whatever_the_size() {
    let inventories = ["small", "medium", "large", "one-of-each"]
        .into_iter()
        .flat_map(|size| [1, 2, 3, 9].map(|hosts| (format!("{size} on {hosts}"), of_size(size, hosts))));
    let page = Regex::new("viewBox=\"0 0 (\\d+) (\\d+)\" width").unwrap();
    for (name, inventory) in inventories.chain([("three hosts".to_owned(), THREE.to_owned())]) {
        let svg = drawn(&inventory, &[]);
        let page = page.captures(&svg).unwrap();
        let page = [0, 0, page[1].parse().unwrap(), page[2].parse().unwrap()];
        let hosts = rectangles(&svg, "host");
        // A second edge behind several processes is a card too, four pixels off.
        let mut cards = rectangles(&svg, "card");
        let fronts = cards.clone();
        cards.retain(|card| {
            !fronts.iter().any(|other| [card[0] - 4, card[1] - 4, card[2], card[3]] == *other)
        });
        let words: Vec<[i64; 4]> =
            ["handles", "writes", "runs"].iter().flat_map(|list| rectangles(&svg, list)).collect();
        for (kind, all) in [("hosts", &hosts), ("cards", &cards), ("words", &words)] {
            for (at, one) in all.iter().enumerate() {
                assert!(inside(one, &page), "{name}: {kind} {one:?} leave the page {page:?}");
                for other in &all[at + 1..] {
                    assert!(!overlap(one, other), "{name}: {kind} {one:?} and {other:?}");
                }
            }
        }
        assert!(cards.len() > 5 && words.len() > 8, "{name}: {} cards", cards.len());
        for card in &cards {
            assert!(hosts.iter().any(|host| inside(card, host)), "{name}: {card:?} is in no host");
        }
        // Words lie in cards, but for the legend's three squares.
        let loose = words.iter().filter(|word| !cards.iter().any(|card| inside(word, card))).count();
        assert_eq!(loose, 3, "{name}");
    }
}

#[test]
fn every_process_is_in_every_format() {
    let json: serde_json::Value = serde_json::from_str(&drawn(THREE, &["--json"])).unwrap();
    let hosts = json["hosts"].as_array().unwrap();
    let cards: Vec<&serde_json::Value> =
        hosts.iter().flat_map(|host| host["cards"].as_array().unwrap()).collect();
    let processes: usize = cards.iter().map(|card| card["processes"].as_array().unwrap().len()).sum();
    assert_eq!(processes, 24, "main and 23 workers");
    let accounts = cards.iter().find(|card| card["pool"] == "accounts").unwrap();
    assert_eq!(accounts["writes"][0], "account_data");
    let mermaid = drawn(THREE, &["--format", "mermaid"]);
    let svg = drawn(THREE, &[]);
    for card in cards {
        let pool = card["processes"][0]["name"].as_str().unwrap();
        assert!(mermaid.contains(pool) && svg.contains(pool), "{pool}");
    }
    assert!(svg.contains("10.8.0.1:5432") && mermaid.contains("10.8.0.1:5432"));
    insta::assert_snapshot!(mermaid);
}

#[test]
fn processes_on_sockets_get_requests_too() {
    let inventory = of_size("small", 1).replace("defaults:", "defaults:\n  listen: unix");
    let svg = drawn(&inventory, &[]);
    assert_eq!(svg.matches(">socket<").count(), 4, "main, sync, federation_reader and media");
    assert!(svg.matches("marker-end").count() > 4, "lines lead to them");
}

#[test]
fn the_picture_in_the_documentation_is_the_one_that_is_drawn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/three-hosts.svg");
    let committed = std::fs::read_to_string(path).unwrap();
    let help = "write it again: synprov graph inventories/three-hosts.yaml -o docs/three-hosts.svg";
    assert!(committed == drawn(THREE, &[]), "{help}");
}

#[test]
fn names_are_escaped_and_files_are_written() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("inventory.yaml"), THREE).unwrap();
    synprov(directory.path()).args(["graph", "-o", "a.svg"]).assert().code(0).stdout("");
    let svg = std::fs::read_to_string(directory.path().join("a.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    synprov(directory.path())
        .args(["graph", "-o", "missing/a.svg"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("missing/a.svg"));
}
