//! The emitted files before the real Synapse.

use std::path::Path;
use std::process::Command;

use synprov::diagnostic::{Span, Spanned};
use synprov::inventory::{Inventory, Lock};
use synprov::topology::resolve;

use crate::site::{Site, one_host, three_hosts};
use crate::written::shipped;

/// Runs Synapse's own check of its configuration for every process. JSON is YAML to it.
/// The venv holds what the inventories ask for: `matrix-synapse[redis,url-preview]==1.163.2 psycopg2-binary`.
///
/// `SYNPROV_TEST_PYTHON=/path/to/venv/bin/python cargo test --test topology -- --ignored`
#[test]
#[ignore = "needs a venv with Synapse"]
fn synapse_accepts_the_configuration_of_every_process() {
    let python =
        std::env::var("SYNPROV_TEST_PYTHON").expect("SYNPROV_TEST_PYTHON names a Python with Synapse");
    let built = [one_host(), three_hosts(), Site::new()].map(|site| site.inventory);
    let shipped = ["single-host.yaml", "three-hosts.yaml", "classic.yaml"].map(shipped);
    for inventory in built.into_iter().chain(shipped) {
        let root = tempfile::tempdir().unwrap();
        accepted(&python, root.path(), inventory);
    }
}

fn accepted(python: &str, root: &Path, mut inventory: Inventory) {
    inventory.synapse.root = Some(Spanned::new(root.to_str().unwrap().to_owned(), Span::default()));
    let topology = resolve(&inventory, &Lock::default()).topology.unwrap();
    std::fs::create_dir_all(root.join("conf/secrets")).unwrap();
    for (name, secret) in &topology.secrets {
        let value = match name.as_str() {
            "signing_key" => "ed25519 a_test ACgZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRk",
            name if name.starts_with("appservice-") => {
                "{id: x, url: null, as_token: a, hs_token: b, sender_localpart: x, namespaces: {}}"
            }
            _ => "not-a-real-secret",
        };
        std::fs::write(&secret.path, value).unwrap();
    }
    let shared = root.join("config.yaml");
    std::fs::write(&shared, serde_json::to_string(&topology.shared_config).unwrap()).unwrap();
    for instance in &topology.instances {
        let mut command = Command::new(python);
        command.args(["-m", "synapse.config", "-c"]).arg(&shared);
        if let Some(config) = &instance.config {
            let own = root.join(format!("{}.yaml", instance.name));
            std::fs::write(&own, serde_json::to_string(config).unwrap()).unwrap();
            command.arg("-c").arg(own);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Config parses OK!"), "{}: {said}", instance.name);
        println!("{}: Config parses OK!", instance.name);
    }
}
