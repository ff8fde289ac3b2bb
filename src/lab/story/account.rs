//! An account: its settings, its devices, and how others find it.

use serde_json::{Value, json};

use super::super::teller::{ARRIVES, Story, User};
use super::super::verify::Homeserver;
use super::{Known, confirmation};

/// What a client asks for at start.
pub(super) fn settings(story: &mut Story<'_>, user: &User) {
    for (what, path) in [
        ("ask who I am", "/_matrix/client/v3/account/whoami"),
        ("ask for capabilities", "/_matrix/client/v3/capabilities"),
        ("list devices", "/_matrix/client/v3/devices"),
        ("read push rules", "/_matrix/client/v3/pushrules/"),
        ("list pushers", "/_matrix/client/v3/pushers"),
        ("list joined rooms", "/_matrix/client/v3/joined_rooms"),
        ("list notifications", "/_matrix/client/v3/notifications"),
        ("ask for TURN servers", "/_matrix/client/v3/voip/turnServer"),
        ("list third-party protocols", "/_matrix/client/v3/thirdparty/protocols"),
        ("list addresses", "/_matrix/client/v3/account/3pid"),
    ] {
        story.get(Some(user), what, path);
    }
    let rule = json!({"actions": ["notify"], "pattern": "synprov"});
    story.put(user, "write a push rule", "/_matrix/client/v3/pushrules/global/content/synprov", rule);
    story.get(Some(user), "read a push rule", "/_matrix/client/v3/pushrules/global/content/synprov");
    let off = json!({"enabled": false});
    story.put(
        user,
        "switch a push rule off",
        "/_matrix/client/v3/pushrules/global/content/synprov/enabled",
        off,
    );
    story.delete(user, "delete a push rule", "/_matrix/client/v3/pushrules/global/content/synprov");
    let mut pusher = json!({
        "kind": "http", "app_id": "org.synprov.check", "pushkey": "synprov", "lang": "en",
        "app_display_name": "synprov", "device_display_name": "synprov",
        "data": {"url": "https://push.invalid/_matrix/push/v1/notify"},
    });
    story.post(Some(user), "set a pusher", "/_matrix/client/v3/pushers/set", pusher.clone());
    pusher["kind"] = Value::Null;
    story.post(Some(user), "remove a pusher", "/_matrix/client/v3/pushers/set", pusher);
    let filters = format!("/_matrix/client/v3/user/{}/filter", user.id);
    if let Some(answer) =
        story.post(Some(user), "store a filter", &filters, json!({"room": {"timeline": {"limit": 5}}}))
    {
        let id = answer["filter_id"].as_str().unwrap_or_default();
        story.get(Some(user), "read a filter", &format!("{filters}/{id}"));
    }
    let name = format!("/_matrix/client/v3/profile/{}/displayname", user.id);
    story.put(user, "set a display name", &name, json!({"displayname": "Alice of synprov"}));
    story.get(Some(user), "read a profile", &format!("/_matrix/client/v3/profile/{}", user.id));
    let data = format!("/_matrix/client/v3/user/{}/account_data/org.synprov.check", user.id);
    story.put(user, "write account data", &data, json!({"seen": true}));
    let read = story.get(Some(user), "read account data", &data);
    story.expect(read.is_some_and(|data| data["seen"] == true), "account data came back changed");
}

/// More devices of one user: named, listed, and removed one by one and together.
pub(super) fn devices(story: &mut Story<'_>, user: &User, password: &str) -> Option<()> {
    let auth = confirmation(user, password);
    let one = story.log_in(&user.id, password)?;
    let two = story.log_in(&user.id, password)?;
    let path = format!("/_matrix/client/v3/devices/{}", one.device);
    story.put(user, "name a device", &path, json!({"display_name": "synprov"}));
    story.get(Some(user), "read a device", &path);
    let body = json!({"auth": auth}).to_string().into_bytes();
    story.ask("delete a device", "DELETE", &path, Some(user), Some(("application/json", &body)));
    let wish = json!({"devices": [two.device], "auth": auth});
    story.post(Some(user), "delete several devices", "/_matrix/client/v3/delete_devices", wish);
    story.refused(&one, "use a deleted device");
    Some(())
}

/// Finding one another.
pub(super) fn people(
    story: &mut Story<'_>,
    alice: &User,
    bob: &User,
    homeserver: &Homeserver,
    known: &Known,
) {
    let search = json!({"search_term": alice.id.trim_start_matches('@').split(':').next()});
    let path = "/_matrix/client/v3/user_directory/search";
    if homeserver.features.user_directory {
        // The directory is filled in the background, some seconds after people share a room.
        story.until(ARRIVES, "search the user directory", |story| {
            let found = story.post(Some(bob), "search the user directory", path, search.clone())?;
            found["results"].to_string().contains(&alice.id).then_some(())
        });
    }
    if known.unstable("uk.half-shot.msc2666.query_mutual_rooms.stable") {
        let path = format!("/_matrix/client/v1/mutual_rooms?user_id={}", bob.id);
        story.get(Some(alice), "list mutual rooms", &path);
    }
}
