//! What others ask, and the end: leaving, logging out, deactivating.

use serde_json::json;

use super::super::teller::{Story, User};
use super::super::verify::Homeserver;
use super::confirmation;

/// What other homeservers would ask.
pub(super) fn federation(story: &mut Story<'_>, homeserver: &Homeserver, user: &User) {
    let keys = story.get(None, "ask for signing keys", "/_matrix/key/v2/server");
    let named = keys.is_some_and(|keys| keys["server_name"] == homeserver.server_name.as_str());
    story.expect(named, "the signing keys are of another server");
    let path = format!("/_matrix/client/v3/user/{}/openid/request_token", user.id);
    let token = story.post(Some(user), "ask for an OpenID token", &path, json!({}));
    if let Some(token) = token.as_ref().and_then(|token| token["access_token"].as_str()) {
        let path = format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
        let info = story.get(None, "ask whose token it is", &path);
        story.expect(info.is_some_and(|info| info["sub"] == user.id.as_str()), "the token is another user's");
    }
}

/// Redact, leave, log out; a token is then worth nothing on any process.
pub(super) fn farewell(story: &mut Story<'_>, alice: &User, bob: &User, room: &str, event: &str) {
    let path = |rest: &str| format!("/_matrix/client/v3/rooms/{room}/{rest}");
    story.put(alice, "redact a message", &path(&format!("redact/{event}/synprov2")), json!({}));
    story.post(Some(bob), "leave", &path("leave"), json!({}));
    story.post(Some(bob), "forget the room", &path("forget"), json!({}));
    for user in [alice, bob] {
        story.post(Some(user), "log out", "/_matrix/client/v3/logout", json!({}));
    }
    story.refused(bob, "be refused after logging out");
}

/// Logs in once more, out everywhere, and deactivates the account.
pub(super) fn for_good(story: &mut Story<'_>, user: &User, password: &str) -> Option<()> {
    let again = story.log_in(&user.id, password)?;
    story.post(Some(&again), "log out everywhere", "/_matrix/client/v3/logout/all", json!({}));
    let again = story.log_in(&user.id, password)?;
    let wish = json!({"auth": confirmation(&again, password), "erase": true});
    story.post(Some(&again), "deactivate the account", "/_matrix/client/v3/account/deactivate", wish);
    Some(())
}
