//! `synprov firewall`: the table, and rules that a real nft takes and a real kernel obeys.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::path::Path;
use std::process::Command;

use predicates::prelude::*;

const THREE: &str = include_str!("../inventories/three-hosts.yaml");

fn synprov(directory: &Path) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("synprov").unwrap();
    command.current_dir(directory).env_remove("SYNPROV_INVENTORY").arg("firewall");
    command
}

fn directory_with(inventory: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("inventory.yaml"), inventory).unwrap();
    directory
}

#[test]
fn the_table_says_port_source_and_reason() {
    let directory = directory_with(&THREE.replace("hs3: {address", "hs3: {port: 2222, address"));
    let output = synprov(directory.path()).output().unwrap();
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
    synprov(directory.path())
        .args(["--host", "hs3"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("2222").and(predicate::str::contains("hs2 ").not()));
}

#[test]
fn json_has_the_same() {
    let directory = directory_with(THREE);
    let output = synprov(directory.path()).arg("--json").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["hosts"][0]["host"], "hs1");
    assert_eq!(document["hosts"][0]["ssh"], 22);
    let reachable = document["hosts"][0]["reachable"].as_array().unwrap();
    assert!(reachable.iter().any(|one| one["port"] == 5432 && one["from"]["host"] == "hs2"), "{document:#}");
    assert!(reachable.iter().any(|one| one["port"] == 443 && one["from"] == "anywhere"), "{document:#}");
}

#[test]
fn rules_are_for_one_host_at_a_time() {
    let directory = directory_with(THREE);
    synprov(directory.path())
        .args(["--format", "nftables"])
        .assert()
        .code(64)
        .stdout("")
        .stderr(predicate::str::contains("--host").and(predicate::str::contains("--output")));
    synprov(directory.path())
        .args(["--host", "hs9"])
        .assert()
        .code(64)
        .stderr(predicate::str::contains("hosts are: hs1, hs2, hs3"));
    synprov(directory.path()).args(["--format", "nftables", "--output", "rules"]).assert().code(0).stdout("");
    for host in ["hs1", "hs2", "hs3"] {
        let rules = std::fs::read_to_string(directory.path().join(format!("rules/{host}.nft"))).unwrap();
        assert!(rules.contains("tcp dport 22 accept # SSH"), "{rules}");
    }
    for wrong in ["0", "x", "53/icmp", "70000"] {
        synprov(directory.path()).args(["--allow", wrong]).assert().code(64);
    }
}

fn rules(directory: &Path, more: &[&str]) -> String {
    let words = ["--format", "nftables", "--host", "hs1"];
    let output = synprov(directory).args(words).args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a script as root of a user and network namespace of its own; `None` where that is not possible.
fn namespace(directory: &Path, script: &str) -> Option<String> {
    let able = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let inside = |script: &str| {
        let words = ["--user", "--map-root-user", "--net", "--mount", "bash", "-euc", script];
        Command::new("unshare").args(words).current_dir(directory).output().ok()
    };
    let netns = inside("ip link set lo up && nft list ruleset").is_some_and(|output| output.status.success());
    if !able("nft") || !netns {
        eprintln!("skipped: no nft, or no network namespaces here (apt-get install nftables iproute2)");
        return None;
    }
    let output = inside(script)?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    Some(text)
}

#[test]
fn nft_takes_the_rules_of_every_kind_of_inventory() {
    let six = THREE.replace("10.8.0.", "fd00::");
    let behind = THREE.replace(
        "  kind: nginx",
        "  kind: nginx\n  trusted_proxies: [198.51.100.0/24, 'fd01::/64', 203.0.113.7]",
    );
    let start = behind.find("  tls:").unwrap();
    let end = behind.find("defaults:").unwrap();
    let behind = format!("{}  tls: none\n\n{}", &behind[..start], &behind[end..]);
    let start = THREE.find("proxy:").unwrap();
    let alone = format!("{}{}", &THREE[..start], &THREE[THREE.find("defaults:").unwrap()..]);
    for inventory in
        [THREE.to_owned(), six, behind, alone, THREE.replace("version:", "prefix: a-b\n  version:")]
    {
        let directory = directory_with(&inventory);
        for more in [&["--allow", "51820/udp", "--allow", "9100"][..], &["--policy", "accept"]] {
            let rules = rules(directory.path(), more);
            std::fs::write(directory.path().join("rules.nft"), &rules).unwrap();
            // Twice: the second time the table is there already.
            if namespace(directory.path(), "nft -c -f rules.nft; nft -f rules.nft; nft -f rules.nft")
                .is_none()
            {
                return;
            }
        }
    }
}

#[test]
fn a_kernel_lets_in_what_is_listed_and_nothing_else() {
    let directory = directory_with(THREE);
    // hs1 is this namespace; hs2 and a stranger live in the other one.
    let script = r#"
        ip link set lo up
        servers=
        unshare --net sleep 60 > /dev/null 2>&1 & other=$!
        trap 'kill $other $servers' EXIT
        for try in $(seq 50); do [[ $(readlink /proc/$other/ns/net) != $(readlink /proc/$$/ns/net) ]] && break; sleep 0.1; done
        ip link add inside type veth peer name outside netns $other
        ip address add 10.8.0.1/24 dev inside; ip address add 203.0.113.1/24 dev inside; ip link set inside up
        in_other() { nsenter --net=/proc/$other/ns/net "$@"; }
        in_other ip link set lo up
        in_other ip address add 10.8.0.2/24 dev outside; in_other ip address add 203.0.113.9/24 dev outside; in_other ip link set outside up
        python3 - > /dev/null 2>&1 <<'PY' & servers=$!
import socket, threading, time
held = []
for port in (22, 443, 5432, 6380, 8008, 9093, 9100):
    s = socket.create_server(("0.0.0.0", port)); held.append(s)
    threading.Thread(target=lambda s=s: [s.accept() for _ in range(100)], daemon=True).start()
open("listening", "w").close()
time.sleep(60)
PY
        for try in $(seq 100); do [[ -e listening ]] && break; sleep 0.1; done
        probe() { # FROM TO
            for port in 22 443 5432 6380 8008 9093 9100; do
                in_other python3 -c 'import socket, sys
try: socket.create_connection((sys.argv[2], int(sys.argv[3])), 0.3, (sys.argv[1], 0)); print(sys.argv[3], end=" ")
except OSError: pass' "$1" "$2" $port
            done; echo
        }
        echo "before: $(probe 203.0.113.9 203.0.113.1)"
        nft -f drop.nft
        echo "hs2: $(probe 10.8.0.2 10.8.0.1)"
        echo "stranger: $(probe 203.0.113.9 203.0.113.1)"
        echo "own: $(python3 -c 'import socket; socket.create_connection(("10.8.0.1", 5432), 1); print("yes")')"
        nft -f accept.nft
        echo "guarded: $(probe 203.0.113.9 203.0.113.1)"
        echo "guarded hs2: $(probe 10.8.0.2 10.8.0.1)"
    "#;
    std::fs::write(directory.path().join("drop.nft"), rules(directory.path(), &[])).unwrap();
    std::fs::write(directory.path().join("accept.nft"), rules(directory.path(), &["--policy", "accept"]))
        .unwrap();
    let Some(said) = namespace(directory.path(), script) else { return };
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "before: 22 443 5432 6380 8008 9093 9100",
            "hs2: 22 443 5432 6380 9093",
            "stranger: 22 443",
            "own: yes",
            // 8008 listens on loopback only in this inventory, so nothing guards it.
            "guarded: 22 443 8008 9100",
            "guarded hs2: 22 443 5432 6380 8008 9093 9100",
        ],
        "{said}"
    );
}
