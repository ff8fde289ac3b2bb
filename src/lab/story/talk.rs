//! What is said in a room, and the ways to read it again.

use serde_json::{Value, json};

use super::super::client::Ask;
use super::super::teller::{Story, User};
use super::Known;

/// A message sent while the other user waits for it, and the ways to read it again. Gives its event id.
pub(super) fn messages(
    story: &mut Story<'_>,
    alice: &User,
    bob: &mut User,
    room: &str,
    search: bool,
) -> Option<String> {
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

/// A thread, and being subscribed to it where that is on (MSC4306, MSC4308).
pub(super) fn threads(
    story: &mut Story<'_>,
    user: &User,
    room: &str,
    event: &str,
    known: &Known,
) -> Option<()> {
    let text = json!({
        "msgtype": "m.text", "body": "in a thread", "m.relates_to": {"rel_type": "m.thread", "event_id": event},
    });
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/synprov-thread");
    story.put(user, "answer in a thread", &path, text)?;
    story.get(Some(user), "list threads", &format!("/_matrix/client/v1/rooms/{room}/threads"));
    let path = format!("/_matrix/client/v1/rooms/{room}/relations/{event}/m.thread");
    story.get(Some(user), "read a thread", &path);
    if known.unstable("org.matrix.msc4306") {
        let unstable = "/_matrix/client/unstable";
        let path = format!("{unstable}/io.element.msc4306/rooms/{room}/thread/{event}/subscription");
        story.put(user, "subscribe to a thread", &path, json!({}));
        story.get(Some(user), "read a subscription", &path);
        let all = format!("{unstable}/io.element.msc4308/thread_subscriptions?dir=b");
        story.get(Some(user), "list subscriptions", &all);
        story.delete(user, "unsubscribe from a thread", &path);
    }
    Some(())
}

/// A message for later, where that is on (MSC4140).
pub(super) fn delayed(story: &mut Story<'_>, user: &User, room: &str, known: &Known) -> Option<()> {
    if !known.unstable("org.matrix.msc4140") {
        return None;
    }
    let text = json!({"msgtype": "m.text", "body": "later"});
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/synprov-later");
    let path = format!("{path}?org.matrix.msc4140.delay=3600000");
    let sent = story.put(user, "send a message for later", &path, text)?;
    let id = sent["delay_id"].as_str()?.to_owned();
    let all = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
    story.get(Some(user), "list delayed messages", all);
    let one = format!("{all}/{id}");
    // Main's for POST although a worker's for GET; the actions have paths of their own since 1.144.
    story.post(Some(user), "put a delayed message off", &one, json!({"action": "restart"}));
    if known.since(1, 144) {
        story.post(None, "put it off once more", &format!("{one}/restart"), json!({}));
        story.post(None, "cancel a delayed message", &format!("{one}/cancel"), json!({}));
    }
    Some(())
}

/// The ways to sync that came before and after /sync.
pub(super) fn other_syncs(story: &mut Story<'_>, user: &User, room: &str, known: &Known) {
    story.get(
        Some(user),
        "sync a room for the first time",
        &format!("/_matrix/client/r0/rooms/{room}/initialSync"),
    );
    story.get(Some(user), "sync as in the first days", "/_matrix/client/r0/initialSync?limit=1");
    story.get(Some(user), "wait for events", "/_matrix/client/r0/events?timeout=0");
    if known.unstable("org.matrix.simplified_msc3575") {
        let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
        let list = json!({"ranges": [[0, 9]], "required_state": [], "timeline_limit": 1});
        let first = json!({"lists": {"all": list}});
        let seen = story.post(Some(user), "sync in slices", &format!("{path}?timeout=0"), first.clone());
        if let Some(pos) = seen.as_ref().and_then(|seen| seen["pos"].as_str()) {
            let next = format!("{path}?timeout=0&pos={}", pos.replace('/', "%2F"));
            story.post(Some(user), "sync the next slice", &next, first);
        }
    }
    let path = format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?ts=0&dir=f");
    story.get(Some(user), "find an event by its time", &path);
    if known.since(1, 156) {
        story.get(Some(user), "read a summary", &format!("/_matrix/client/v1/room_summary/{room}"));
    }
}
