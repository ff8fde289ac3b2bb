//! Media: who writes what is quarantined, who loads the repository, how large an upload may be.

use serde_json::{Value, json};

use crate::site::{Site, config};
use crate::{fresh, instance, resolved};

/// Writers of the stream that media are quarantined in.
fn writers(site: &Site) -> Value {
    let shared = fresh(site).shared_config;
    shared.get("stream_writers").map_or(Value::Null, |writers| writers["quarantined_media_changes"].clone())
}

#[test]
fn main_writes_what_its_background_updates_quarantine() {
    let media = Site::new().pool("media on hs1:2 handles media");
    assert_eq!(writers(&media), json!(["master", "media"]));
    let said = media.clone().pool("admin on hs1:2 handles media writes quarantined_media_changes");
    assert_eq!(writers(&said), json!(["master", "admin", "admin2"]));
    for site in [Site::new(), media.clone().version("1.151.0")] {
        assert_eq!(writers(&site), Value::Null);
    }
    // It is no process of a pool's: requests go where they went, and no list of the lock names it.
    let (topology, lock) = resolved(&said, &Default::default());
    let servers = topology.upstreams.iter().filter(|(name, _)| name.starts_with("admin"));
    let mut served: Vec<&str> =
        servers.flat_map(|(_, upstream)| &upstream.servers).map(|server| server.instance.as_str()).collect();
    served.sort_unstable();
    served.dedup();
    assert_eq!(served, ["admin", "admin2"]);
    assert_eq!(lock.lists["stream_writers.quarantined_media_changes"], ["admin", "admin2"]);
    assert_eq!(instance(&topology, "main").writes, [] as [&str; 0]);
}

#[test]
fn the_proxy_lets_through_what_any_process_takes() {
    let max_body = |shared: Value, own: Value| {
        let site = Site::new().pool("media on hs1 handles media").pool("sync on hs1 handles sync");
        let site = site.with(|inventory| {
            inventory.synapse.config = config(shared);
            inventory.workers["media"].config = config(own);
            inventory.workers["sync"].config = config(json!({"max_upload_size": "1T"}));
        });
        fresh(&site).proxy.unwrap().max_body
    };
    assert_eq!(max_body(json!({}), json!({})), 50 << 20);
    // A transaction of federation has 12.5 MiB at most.
    for small in [json!("1M"), json!(0)] {
        assert_eq!(max_body(json!({"max_upload_size": small}), json!({})), 13_107_200);
    }
    assert_eq!(max_body(json!({"max_upload_size": "20M"}), json!({"max_upload_size": "500M"})), 500 << 20);
    assert_eq!(max_body(json!({"max_upload_size": "20M"}), json!({"max_upload_size": "1M"})), 20 << 20);
}

#[test]
fn no_process_loads_the_media_repository_but_those_that_are_one() {
    let site = Site::new().pool("sync on hs1 handles sync").pool("persister on hs1 writes events");
    let loads = |site: &Site| -> Vec<(String, Value)> {
        let topology = fresh(site);
        let own = |config: Option<&serde_json::Map<String, Value>>| {
            config.and_then(|config| config.get("enable_media_repo")).cloned().unwrap_or_default()
        };
        let all = topology.instances.iter();
        all.map(|one| (one.name.clone(), own(one.config.as_ref().or(Some(&topology.shared_config)))))
            .collect()
    };
    let of = |words: &[(&str, Value)]| -> Vec<(String, Value)> {
        words.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    // Synapse's default is true.
    assert_eq!(
        loads(&site),
        of(&[("main", Value::Null), ("sync", json!(false)), ("persister", json!(false))])
    );
    let apart = site.pool("media on hs1 handles media");
    let expected =
        [("main", json!(false)), ("sync", json!(false)), ("persister", json!(false)), ("media", json!(true))];
    assert_eq!(loads(&apart), of(&expected));
}
