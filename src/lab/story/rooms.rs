//! Rooms: made, found, joined, moderated, upgraded.

use serde_json::json;

use super::super::teller::{Story, User};
use super::super::verify::Homeserver;

/// A room by one user, invitation and join by the other. Gives the room's id.
pub(super) fn private(
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
    story.get(Some(bob), "read one state event", &path("state/m.room.topic/"));
    story.get(Some(bob), "list members", &path("joined_members"));
    story.get(Some(bob), "list memberships", &path("members"));
    let alias = format!("#synprov-{run}:{}", homeserver.server_name);
    let found =
        story.get(Some(bob), "resolve an alias", &format!("/_matrix/client/v3/directory/room/{alias}"));
    story
        .expect(found.is_some_and(|found| found["room_id"] == room.as_str()), "the alias names another room");
    let second = format!("/_matrix/client/v3/directory/room/#synprov-{run}-too:{}", homeserver.server_name);
    story.put(alice, "name a second alias", &second, json!({"room_id": room}));
    story.delete(alice, "delete an alias", &second);
    story.get(Some(alice), "list aliases", &path("aliases"));
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
    story.delete(bob, "remove a tag", &tag);
    Some(room)
}

/// A room that one knocks at, is thrown out of, complains about, and that is replaced by a newer one.
pub(super) fn moderated(story: &mut Story<'_>, alice: &User, bob: &User) -> Option<()> {
    let rule = json!({"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}});
    let wish = json!({"preset": "private_chat", "name": "synprov door", "initial_state": [rule]});
    let room = story.post(Some(alice), "create a room to knock at", "/_matrix/client/v3/createRoom", wish)?;
    let room = room["room_id"].as_str()?.to_owned();
    let path = |rest: &str| format!("/_matrix/client/v3/rooms/{room}/{rest}");
    let guest = json!({"user_id": bob.id});
    story.post(Some(bob), "knock", &format!("/_matrix/client/v3/knock/{room}"), json!({}))?;
    story.post(Some(alice), "let in", &path("invite"), guest.clone());
    story.post(Some(bob), "enter", &path("join"), json!({}));
    let text = json!({"msgtype": "m.text", "body": "this is to be reported"});
    let sent = story.post(Some(alice), "send without a transaction", &path("send/m.room.message"), text)?;
    let event = sent["event_id"].as_str()?.to_owned();
    let report = path(&format!("report/{event}"));
    story.post(Some(bob), "report a message", &report, json!({"reason": "synprov", "score": 0}));
    story.post(Some(alice), "kick", &path("kick"), guest.clone());
    story.post(Some(alice), "ban", &path("ban"), guest.clone());
    story.post(Some(alice), "unban", &path("unban"), guest);
    story.post(Some(alice), "upgrade a room", &path("upgrade"), json!({"new_version": "10"}));
    Some(())
}
