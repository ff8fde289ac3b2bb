//! Federation requests of all processes through a few (`outbound_federation_restricted_to`).

use synprov::inventory::Lock;
use synprov::resource::Stage;

use crate::site::Site;
use crate::{fresh, instance, resolved};

fn site() -> Site {
    Site::new()
        .host("hs1", "10.0.0.1", None)
        .host("hs2", "10.0.0.2", None)
        .pool("sync on hs1 handles sync")
        .pool("out on hs2:2 runs outbound_federation")
}

#[test]
fn the_listed_have_a_replication_listener_and_a_place_in_the_map() {
    let topology = fresh(&site());
    let config = &topology.shared_config;
    assert_eq!(config["outbound_federation_restricted_to"], serde_json::json!(["out", "out2"]));
    for name in ["out", "out2"] {
        let process = instance(&topology, name);
        let port = process.replication_port.unwrap();
        assert_eq!(config["instance_map"][name], serde_json::json!({"host": "10.0.0.2", "port": port}));
        let listeners = &process.config.as_ref().unwrap()["worker_listeners"];
        assert_eq!(listeners[0]["resources"][0]["names"], serde_json::json!(["replication"]));
        assert_eq!(listeners.as_array().unwrap().len(), 1, "nothing else is on it");
        assert_eq!(process.stage, Stage::Writer, "before those that send through it");
        // Main only: they start side by side.
        assert_eq!(process.ready.reaches.len(), 1);
    }
    // Everybody reads the list, everybody needs them, and the secret is there to prove it.
    assert!(
        topology
            .instances
            .iter()
            .all(|one| one.shared_inputs.contains_key("outbound_federation_restricted_to"))
    );
    assert_eq!(instance(&topology, "sync").ready.reaches.len(), 3);
    assert!(config.contains_key("worker_replication_secret_path"));
}

#[test]
fn the_list_keeps_its_order() {
    let (_, lock) = resolved(&site(), &Lock::default());
    let (topology, _) = resolved(&site().pool("also on hs1 runs outbound_federation"), &lock);
    let list = &topology.shared_config["outbound_federation_restricted_to"];
    assert_eq!(*list, serde_json::json!(["out", "out2", "also"]));
}
