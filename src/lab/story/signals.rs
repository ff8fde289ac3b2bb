//! Streams with writers of their own: typing, receipts, presence, to-device messages.

use serde_json::{Value, json};

use super::super::teller::{Story, User};

/// Typing, receipts, presence, to-device messages: streams with writers of their own.
pub(super) fn signals(
    story: &mut Story<'_>,
    alice: &User,
    bob: &mut User,
    room: &str,
    event: &str,
    presence: bool,
) {
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
