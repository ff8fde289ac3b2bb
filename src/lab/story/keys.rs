//! End-to-end keys: of devices, of users, and their backup.

use serde_json::json;

use super::super::teller::{ARRIVES, Story, User};
use super::confirmation;

/// End-to-end keys: uploaded by one user, found by the other, counted by the owner.
pub(super) fn end_to_end(story: &mut Story<'_>, alice: &mut User, bob: &mut User) {
    let (id, device) = (&bob.id, &bob.device);
    let key =
        |prefix: &str| json!({format!("{prefix}:{device}"): "c3lucHJvdiBzeW5wcm92IHN5bnByb3Ygc3lucHJvdgA"});
    let upload = json!({
        "device_keys": {
            "user_id": id, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": key("curve25519"), "signatures": {},
        },
        "one_time_keys": {"curve25519:AAAA": "b25lIHRpbWUga2V5IG9mIHN5bnByb3Ygb25lIHRpbWU"},
    });
    story.post(Some(bob), "upload keys", "/_matrix/client/v3/keys/upload", upload);
    let (id, device) = (bob.id.clone(), bob.device.clone());
    let wish = json!({"device_keys": {&id: []}});
    story.until(ARRIVES, "query keys", |story| {
        let found = story.post(Some(alice), "query keys", "/_matrix/client/v3/keys/query", wish.clone())?;
        (!found["device_keys"][&id][&device].is_null()).then_some(())
    });
    let wish = json!({"one_time_keys": {&id: {&device: "curve25519"}}});
    let claimed = story.post(Some(alice), "claim a key", "/_matrix/client/v3/keys/claim", wish);
    story.expect(
        claimed.is_some_and(|keys| !keys["one_time_keys"][&id][&device].is_null()),
        "no key was claimed",
    );
    if story.sync(alice, 0).is_some() {
        let changes = format!("/_matrix/client/v3/keys/changes?from={0}&to={0}", alice.since);
        story.get(Some(alice), "list key changes", &changes);
    }
}

/// A key for all devices of a user.
pub(super) fn cross_signing(story: &mut Story<'_>, user: &User, password: &str) {
    let key = "bWFzdGVyIGtleSBvZiBzeW5wcm92IG1hc3RlciBrZXk";
    let wish = json!({
        "master_key": {"user_id": user.id, "usage": ["master"], "keys": {format!("ed25519:{key}"): key}},
        "auth": confirmation(user, password),
    });
    let path = "/_matrix/client/v3/keys/device_signing/upload";
    story.post(Some(user), "upload a key for cross-signing", path, wish);
    let path = "/_matrix/client/v3/keys/signatures/upload";
    story.post(Some(user), "upload signatures", path, json!({}));
}

/// A backup of keys, filled, read and deleted.
pub(super) fn backup(story: &mut Story<'_>, user: &User, room: &str) -> Option<()> {
    let wish =
        json!({"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "abc"}});
    let path = "/_matrix/client/v3/room_keys/version";
    let made = story.post(Some(user), "create a key backup", path, wish)?;
    let version = made["version"].as_str()?.to_owned();
    story.get(Some(user), "read the key backup", path);
    let key =
        json!({"first_message_index": 0, "forwarded_count": 0, "is_verified": false, "session_data": {}});
    let keys = format!("/_matrix/client/v3/room_keys/keys/{room}/session?version={version}");
    story.put(user, "back up a key", &keys, key);
    story.get(Some(user), "read a backed up key", &keys);
    story.delete(user, "delete the key backup", &format!("{path}/{version}"));
    Some(())
}
