//! `synprov import`: what is written is an inventory, and what is not understood is said.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Output;

use assert_cmd::Command;
use synprov::inventory;

/// The rest of an inventory, to see what the hosts part is worth.
const REST: &str = "synapse: {server_name: example.org, version: 1.163.2}\npostgresql: {host: hs1}\nredis: {host: hs1}\nmain: {host: hs1}\n";

fn ansible(name: &str, text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(name), text).unwrap();
    let mut command = Command::cargo_bin("synprov").unwrap();
    command.current_dir(directory.path()).args(["import", "--ansible", name]).output().unwrap()
}

#[test]
fn hosts_of_ansible_begin_an_inventory() {
    let ini = "[matrix]\nhs1 ansible_host=192.0.2.10 ansible_user=deploy ansible_port=2222 ansible_become=true\n[matrix:vars]\nansible_password=hunter2\n";
    let yaml = "matrix:\n  hosts:\n    hs1: {ansible_host: 192.0.2.10, ansible_user: deploy, ansible_port: 2222}\n  vars: {ansible_become: yes, ansible_password: hunter2}\n";
    for (name, text) in [("hosts", ini), ("hosts.yml", yaml)] {
        let output = ansible(name, text);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let hosts = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            hosts,
            "hosts:\n  hs1: {address: 192.0.2.10, port: 2222, user: deploy, become: true}   # matrix\n"
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("host hs1: ansible_password is not carried over") && !said.contains("hunter2"),
            "{said}"
        );
        let (read, found) = inventory::parse(&format!("{hosts}{REST}"));
        assert!(found.is_empty() && read.is_some(), "{found:#?}");
    }
}

#[test]
fn what_is_no_inventory_of_ansible_is_refused() {
    for (name, text, words) in [
        ("hosts", "", "names no host"),
        ("hosts.yml", "all: [", "error"),
        ("hosts", "$ANSIBLE_VAULT;1.1;AES256\n6162", "is encrypted"),
    ] {
        let output = ansible(name, text);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
}
