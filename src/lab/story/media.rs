//! Media up and down.

use serde_json::json;

use super::super::teller::{Story, User};
use super::super::verify::Homeserver;
use super::Known;

/// 64 by 64 pixels, large enough for a thumbnail to be made of it.
const PNG: &[u8] = include_bytes!("../picture.png");

/// Uploaded by one user, downloaded by the other.
pub(super) fn media(
    story: &mut Story<'_>,
    alice: &User,
    bob: &User,
    homeserver: &Homeserver,
    known: &Known,
) -> Option<()> {
    let body = Some(("image/png", PNG));
    let uploaded =
        story.ask("upload media", "POST", "/_matrix/media/v3/upload?filename=p.png", Some(alice), body);
    let uploaded = uploaded.map(|answer| answer.json());
    let uri = uploaded.as_ref().and_then(|answer| answer["content_uri"].as_str()?.strip_prefix("mxc://"));
    // Without a token until 1.111, with one since.
    let root = if known.since(1, 111) { "/_matrix/client/v1/media" } else { "/_matrix/media/v3" };
    story.get(Some(alice), "ask for media limits", &format!("{root}/config"));
    let uri = uri?;
    let down = story.ask("download media", "GET", &format!("{root}/download/{uri}"), Some(bob), None);
    story.expect(down.is_some_and(|answer| answer.body == PNG), "the media came back changed");
    let thumbnail = format!("{root}/thumbnail/{uri}?width=32&height=32&method=scale");
    story.ask("ask for a thumbnail", "GET", &thumbnail, Some(bob), None);
    if known.since(1, 98) {
        let made = story.post(Some(alice), "reserve media", "/_matrix/media/v1/create", json!({}))?;
        let id = made["content_uri"].as_str()?.rsplit('/').next()?.to_owned();
        let path = format!("/_matrix/media/v3/upload/{}/{id}?filename=p.png", homeserver.server_name);
        story.ask("upload reserved media", "PUT", &path, Some(alice), body);
    }
    Some(())
}
