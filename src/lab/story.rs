//! The evening of two users, request by request: every one goes through the door and must be answered.
//!
//! What one user does is looked for at the other, by /sync: that is what proves replication between
//! processes. Never in this file: who serves a request.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Ask, Client};
use super::teller::{ARRIVES, Story, User};
use super::verify::{Homeserver, Told};

/// 64 by 64 pixels, large enough for a thumbnail to be made of it.
const PNG: &[u8] = include_bytes!("picture.png");

/// Lives the story; the list ends early where nothing further makes sense.
pub(super) fn tell(client: &Client, homeserver: &Homeserver, run: &str, password: &str) -> Vec<Told> {
    let mut story = Story { client, told: Vec::new() };
    // `None` means a request failed, which the list says already.
    let _ = evening(&mut story, homeserver, run, password);
    story.told
}

fn evening(story: &mut Story<'_>, homeserver: &Homeserver, run: &str, password: &str) -> Option<()> {
    story.get(None, "ask for versions", "/_matrix/client/versions")?;
    story.get(None, "ask for ways to log in", "/_matrix/client/v3/login")?;
    let mut alice = story.arrive(&format!("synprov-alice-{run}"), password)?;
    let mut bob = story.arrive(&format!("synprov-bob-{run}"), password)?;
    account(story, &alice);
    let room = rooms(story, &alice, &mut bob, homeserver, run)?;
    let event = messages(story, &alice, &mut bob, &room, homeserver.features.search)?;
    signals(story, &alice, &mut bob, &room, &event, homeserver.features.presence);
    keys(story, &mut alice, &mut bob);
    media(story, &alice, &bob);
    people(story, &alice, &bob, homeserver);
    federation(story, homeserver);
    farewell(story, &alice, &bob, &room, &event);
    Some(())
}

/// What a client asks for at start.
fn account(story: &mut Story<'_>, user: &User) {
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
    ] {
        story.get(Some(user), what, path);
    }
    let rule = json!({"actions": ["notify"], "pattern": "synprov"});
    story.put(user, "write a push rule", "/_matrix/client/v3/pushrules/global/content/synprov", rule);
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

/// A room by one user, invitation and join by the other. Gives the room's id.
fn rooms(
    story: &mut Story<'_>,
    alice: &User,
    bob: &mut User,
    homeserver: &Homeserver,
    run: &str,
) -> Option<String> {
    let wish = json!({"preset": "private_chat", "name": "synprov check", "room_alias_name": format!("synprov-{run}")});
    let room = story.post(Some(alice), "create a room", "/_matrix/client/v3/createRoom", wish)?;
    let room = room["room_id"].as_str()?.to_owned();
    let path = |rest: &str| format!("/_matrix/client/v3/rooms/{room}/{rest}");
    story.post(Some(alice), "invite", &path("invite"), json!({"user_id": bob.id}))?;
    story.arrives(bob, "the invitation", |sync| !sync["rooms"]["invite"][&room].is_null());
    story.post(Some(bob), "join", &format!("/_matrix/client/v3/join/{room}"), json!({}))?;
    story.put(alice, "set a topic", &path("state/m.room.topic/"), json!({"topic": "check"}));
    story.get(Some(bob), "read the room's state", &path("state"));
    story.get(Some(bob), "list members", &path("joined_members"));
    let alias = format!("#synprov-{run}:{}", homeserver.server_name);
    let found =
        story.get(Some(bob), "resolve an alias", &format!("/_matrix/client/v3/directory/room/{alias}"));
    story
        .expect(found.is_some_and(|found| found["room_id"] == room.as_str()), "the alias names another room");
    let listed = format!("/_matrix/client/v3/directory/list/room/{room}");
    story.put(alice, "list the room publicly", &listed, json!({"visibility": "private"}));
    story.get(Some(bob), "read the room directory", "/_matrix/client/v3/publicRooms");
    let tag = format!("/_matrix/client/v3/user/{}/rooms/{room}/tags/u.synprov", bob.id);
    story.put(bob, "tag the room", &tag, json!({"order": 0.5}));
    story.get(Some(bob), "read tags", tag.trim_end_matches("/u.synprov"));
    let data = format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/org.synprov.check", bob.id);
    story.put(bob, "write room account data", &data, json!({"seen": true}));
    story.arrives(bob, "the tag", |sync| {
        sync["rooms"]["join"][&room]["account_data"]["events"].to_string().contains("u.synprov")
    });
    Some(room)
}

/// A message sent while the other user waits for it, and the ways to read it again. Gives its event id.
fn messages(story: &mut Story<'_>, alice: &User, bob: &mut User, room: &str, search: bool) -> Option<String> {
    let client = story.client;
    let path = |rest: &str| format!("/_matrix/client/v3/rooms/{room}/{rest}");
    // Nothing is left to come, so the next /sync really waits.
    story.sync(bob, 0)?;
    let query = format!("timeout=30000&since={}", bob.since);
    let (sent, waited) = std::thread::scope(|scope| {
        let bob = &*bob;
        let waiting = scope.spawn(|| {
            client.ask(Ask {
                method: "GET",
                path: "/_matrix/client/v3/sync",
                query: &query,
                token: Some(&bob.token),
                body: None,
            })
        });
        let text = json!({"msgtype": "m.text", "body": "hello from synprov"});
        let sent = story.put(alice, "send a message", &path("send/m.room.message/synprov1"), text);
        (sent, waiting.join())
    });
    let event = sent?["event_id"].as_str()?.to_owned();
    if let Ok(answer) = waited {
        let sync = story.record(
            "wait for a message",
            "GET",
            &format!("/_matrix/client/v3/sync?{query}"),
            &answer,
        )?;
        bob.since = sync["next_batch"].as_str()?.to_owned();
        let timeline =
            |sync: &Value| sync["rooms"]["join"][room]["timeline"]["events"].to_string().contains(&event);
        if !timeline(&sync) {
            story.arrives(bob, "the message", timeline);
        }
    }
    story.get(Some(bob), "read messages", &path("messages?dir=b&limit=10"));
    story.get(Some(bob), "read an event", &path(&format!("event/{event}")));
    story.get(Some(bob), "read an event's context", &path(&format!("context/{event}")));
    story.get(Some(bob), "read relations", &format!("/_matrix/client/v1/rooms/{room}/relations/{event}"));
    story.get(Some(bob), "read a hierarchy", &format!("/_matrix/client/v1/rooms/{room}/hierarchy"));
    if search {
        let wish = json!({"search_categories": {"room_events": {"search_term": "synprov"}}});
        story.post(Some(bob), "search messages", "/_matrix/client/v3/search", wish);
    }
    Some(event)
}

/// Typing, receipts, presence, to-device messages: streams with writers of their own.
fn signals(story: &mut Story<'_>, alice: &User, bob: &mut User, room: &str, event: &str, presence: bool) {
    let path = |rest: &str| format!("/_matrix/client/v3/rooms/{room}/{rest}");
    let ephemeral = |sync: &Value, word: &str| {
        let events = sync["rooms"]["join"][room]["ephemeral"]["events"].to_string();
        events.contains(word) && events.contains(&alice.id)
    };
    let typing = json!({"typing": true, "timeout": 20_000});
    story.put(alice, "type", &path(&format!("typing/{}", alice.id)), typing);
    story.arrives(bob, "typing", |sync| ephemeral(sync, "m.typing"));
    story.post(Some(alice), "send a receipt", &path(&format!("receipt/m.read/{event}")), json!({}));
    story.arrives(bob, "the receipt", |sync| ephemeral(sync, "m.receipt"));
    let markers = json!({"m.fully_read": event, "m.read": event});
    story.post(Some(bob), "set read markers", &path("read_markers"), markers);
    let status = format!("/_matrix/client/v3/presence/{}/status", alice.id);
    story.put(alice, "set presence", &status, json!({"presence": "unavailable", "status_msg": "checking"}));
    story.get(Some(bob), "read presence", &status);
    if presence {
        story.arrives(bob, "presence", |sync| sync["presence"]["events"].to_string().contains("checking"));
    }
    let message = json!({"messages": {&bob.id: {&bob.device: {"hello": "device"}}}});
    let to_device = "/_matrix/client/v3/sendToDevice/org.synprov.check/synprov1";
    story.put(alice, "send to a device", to_device, message);
    story.arrives(bob, "the message to the device", |sync| {
        sync["to_device"]["events"].to_string().contains("org.synprov.check")
    });
}

/// End-to-end keys: uploaded by one user, found by the other, counted by the owner.
fn keys(story: &mut Story<'_>, alice: &mut User, bob: &mut User) {
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
    let version =
        json!({"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "abc"}});
    story.post(Some(alice), "create a key backup", "/_matrix/client/v3/room_keys/version", version);
    story.get(Some(alice), "read the key backup", "/_matrix/client/v3/room_keys/version");
}

/// Media up and down.
fn media(story: &mut Story<'_>, alice: &User, bob: &User) {
    let body = Some(("image/png", PNG));
    let uploaded =
        story.ask("upload media", "POST", "/_matrix/media/v3/upload?filename=p.png", Some(alice), body);
    let uploaded = uploaded.map(|answer| answer.json());
    let uri = uploaded.as_ref().and_then(|answer| answer["content_uri"].as_str()?.strip_prefix("mxc://"));
    story.get(Some(alice), "ask for media limits", "/_matrix/client/v1/media/config");
    let Some(uri) = uri else { return };
    let download = format!("/_matrix/client/v1/media/download/{uri}");
    let down = story.ask("download media", "GET", &download, Some(bob), None);
    story.expect(down.is_some_and(|answer| answer.body == PNG), "the media came back changed");
    let thumbnail = format!("/_matrix/client/v1/media/thumbnail/{uri}?width=32&height=32&method=scale");
    story.ask("ask for a thumbnail", "GET", &thumbnail, Some(bob), None);
}

/// Finding one another.
fn people(story: &mut Story<'_>, alice: &User, bob: &User, homeserver: &Homeserver) {
    let search = json!({"search_term": alice.id.trim_start_matches('@').split(':').next()});
    let path = "/_matrix/client/v3/user_directory/search";
    if homeserver.features.user_directory {
        // The directory is filled in the background, some seconds after people share a room.
        story.until(ARRIVES, "search the user directory", |story| {
            let found = story.post(Some(bob), "search the user directory", path, search.clone())?;
            found["results"].to_string().contains(&alice.id).then_some(())
        });
    }
}

/// What other homeservers would ask.
fn federation(story: &mut Story<'_>, homeserver: &Homeserver) {
    story.get(None, "ask for the federation version", "/_matrix/federation/v1/version");
    let keys = story.get(None, "ask for signing keys", "/_matrix/key/v2/server");
    let named = keys.is_some_and(|keys| keys["server_name"] == homeserver.server_name.as_str());
    story.expect(named, "the signing keys are of another server");
}

/// Redact, leave, log out; a token is then worth nothing on any process.
fn farewell(story: &mut Story<'_>, alice: &User, bob: &User, room: &str, event: &str) {
    let path = |rest: &str| format!("/_matrix/client/v3/rooms/{room}/{rest}");
    story.put(alice, "redact a message", &path(&format!("redact/{event}/synprov2")), json!({}));
    story.post(Some(bob), "leave", &path("leave"), json!({}));
    story.post(Some(bob), "forget the room", &path("forget"), json!({}));
    for user in [alice, bob] {
        story.post(Some(user), "log out", "/_matrix/client/v3/logout", json!({}));
    }
    let until = Instant::now() + ARRIVES;
    let whoami = "/_matrix/client/v3/account/whoami";
    loop {
        let ask = Ask { method: "GET", path: whoami, query: "", token: Some(&bob.token), body: None };
        let answer = story.client.ask(ask);
        if answer.status == 401 || Instant::now() >= until {
            let problem = (answer.status != 401).then(|| "the token still works".to_owned());
            story.note("be refused after logging out", "GET", whoami, &answer, problem);
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
