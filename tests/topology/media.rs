//! Media: who writes what is quarantined, who loads the repository, how large an upload may be.

use serde_json::{Value, json};

use crate::site::Site;
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
