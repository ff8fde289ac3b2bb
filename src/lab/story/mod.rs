//! The evening of two users, request by request: every one goes through the door and must be answered.
//!
//! What one user does is looked for at the other, by /sync: that is what proves replication between
//! processes. A chapter a file. Never in this folder: who serves a request.

mod account;
mod keys;
mod known;
mod leave;
mod media;
mod rooms;
mod signals;
mod talk;

use known::Known;
use serde_json::{Value, json};

use super::client::Client;
use super::teller::{Story, User};
use super::verify::{Homeserver, Told};

/// Lives the story; the list ends early where nothing further makes sense.
pub(super) fn tell(client: &Client, homeserver: &Homeserver, run: &str, password: &str) -> Vec<Told> {
    let mut story = Story { client, told: Vec::new() };
    // `None` means a request failed, which the list says already.
    let _ = evening(&mut story, homeserver, run, password);
    story.told
}

fn evening(story: &mut Story<'_>, homeserver: &Homeserver, run: &str, password: &str) -> Option<()> {
    let known = Known::ask(story)?;
    story.get(None, "ask for ways to log in", "/_matrix/client/v3/login")?;
    story.get(None, "ask for rules of passwords", "/_matrix/client/v3/password_policy");
    let free = format!("/_matrix/client/v3/register/available?username=synprov-carol-{run}");
    story.get(None, "ask whether a name is free", &free);
    let mut alice = story.arrive(&format!("synprov-alice-{run}"), password)?;
    let mut bob = story.arrive(&format!("synprov-bob-{run}"), password)?;
    account::settings(story, &alice);
    account::devices(story, &alice, password)?;
    let room = rooms::private(story, &alice, &mut bob, homeserver, run)?;
    rooms::moderated(story, &alice, &bob);
    let event = talk::messages(story, &alice, &mut bob, &room, homeserver.features.search)?;
    talk::threads(story, &alice, &room, &event, &known);
    talk::delayed(story, &alice, &room, &known);
    talk::other_syncs(story, &alice, &room, &known);
    signals::signals(story, &alice, &mut bob, &room, &event, homeserver.features.presence);
    keys::end_to_end(story, &mut alice, &mut bob);
    keys::cross_signing(story, &alice, password);
    keys::backup(story, &alice, &room);
    media::media(story, &alice, &bob, homeserver, &known);
    account::people(story, &alice, &bob, homeserver, &known);
    leave::federation(story, homeserver, &alice);
    leave::farewell(story, &alice, &bob, &room, &event);
    leave::for_good(story, &alice, password);
    Some(())
}

/// A password, for what a homeserver wants confirmed (Matrix specification, "User-interactive authentication").
fn confirmation(user: &User, password: &str) -> Value {
    json!({
        "type": "m.login.password", "password": password,
        "identifier": {"type": "m.id.user", "user": user.id},
    })
}
