//! Which requests a dedicated pool takes, as expressions that every proxy and the router share.
//!
//! An application service is known by its token, an access token of Synapse's own by the user's name
//! in it. Tokens of Matrix Authentication Service say nothing about whose they are.
//! Never here: a token's value.

use regex::{Regex, escape};

use super::network;
use super::request::Request;
use super::types::Selector;

impl Selector {
    /// Matches a decoded path in which one of the rooms is a whole segment.
    pub fn room_pattern(&self) -> Option<String> {
        let rooms: Vec<String> = self.rooms.iter().map(|room| escape(room)).collect();
        (!rooms.is_empty()).then(|| format!("/(?:{})(?:/|$)", rooms.join("|")))
    }

    /// Matches an access token of one of the users: `syt_BASE64(localpart)_…`
    /// (Synapse, `AuthHandler.generate_access_token`).
    pub fn token_pattern(&self) -> Option<String> {
        let names: Vec<String> =
            self.users.iter().map(|user| escape(&base64(localpart(user).as_bytes()))).collect();
        (!names.is_empty()).then(|| format!("^syt_(?:{})_", names.join("|")))
    }

    /// Matches the value, as on the wire, of `?user_id=`, by which an application service says for
    /// whom it acts.
    pub fn user_id_pattern(&self) -> Option<String> {
        let users: Vec<String> = self.users.iter().map(|user| on_the_wire(user)).collect();
        (!users.is_empty()).then(|| format!("^(?:{})$", users.join("|")))
    }
}

/// A selector with its expressions compiled.
#[derive(Debug)]
pub(super) struct Matcher<'a> {
    selector: &'a Selector,
    agents: Vec<Regex>,
    rooms: Option<Regex>,
    tokens: Option<Regex>,
    user_ids: Option<Regex>,
}

impl<'a> Matcher<'a> {
    /// Expressions were checked when the inventory was read; one that does not compile matches nothing.
    pub fn new(selector: &'a Selector) -> Self {
        let compile = |pattern: Option<String>| pattern.and_then(|pattern| Regex::new(&pattern).ok());
        Self {
            selector,
            agents: selector.user_agents.iter().filter_map(|agent| Regex::new(agent).ok()).collect(),
            rooms: compile(selector.room_pattern()),
            tokens: compile(selector.token_pattern()),
            user_ids: compile(selector.user_id_pattern()),
        }
    }

    /// Whether the request fits one entry of every list that is not empty.
    pub fn takes(&self, request: &Request, path: &str) -> bool {
        let selector = self.selector;
        let is = |regex: &Option<Regex>, text: &str| regex.as_ref().is_some_and(|regex| regex.is_match(text));
        let agent = request.header("user-agent").unwrap_or_default();
        let service = |name: &String| request.appservice.as_ref() == Some(name);
        (selector.appservices.is_empty() || selector.appservices.iter().any(service))
            && (selector.user_agents.is_empty() || self.agents.iter().any(|regex| regex.is_match(agent)))
            && (selector.sources.is_empty()
                || request.source.is_some_and(|source| {
                    selector.sources.iter().any(|network| network::contains(network, source))
                }))
            && (selector.rooms.is_empty() || is(&self.rooms, path))
            && (selector.users.is_empty()
                || is(&self.tokens, request.token().unwrap_or_default())
                || is(&self.user_ids, request.parameter("user_id").unwrap_or_default()))
    }
}

/// `@alice:example.org` → `alice`.
fn localpart(user: &str) -> &str {
    user.trim_start_matches('@').split(':').next().unwrap_or_default()
}

/// Standard alphabet, without padding (Python's unpaddedbase64).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for place in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            out.push(char::from(ALPHABET[index as usize]));
        }
    }
    out
}

/// An expression for a text of which clients may percent-encode every sign that is no letter or digit.
fn on_the_wire(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
            continue;
        }
        // In either case of the digits.
        let code: String = format!("{byte:02X}")
            .chars()
            .map(|c| {
                if c.is_ascii_alphabetic() {
                    format!("[{c}{}]", c.to_ascii_lowercase())
                } else {
                    c.to_string()
                }
            })
            .collect();
        if byte.is_ascii() {
            out.push_str(&format!("(?:{}|%{code})", escape(&char::from(byte).to_string())));
        } else {
            out.push_str(&format!("%{code}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_without_padding() {
        for (text, coded) in
            [("", ""), ("a", "YQ"), ("bob", "Ym9i"), ("alice", "YWxpY2U"), ("a?>~", "YT8+fg")]
        {
            assert_eq!(base64(text.as_bytes()), coded);
        }
    }

    #[test]
    fn a_selector_takes_what_fits_every_list() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let takes =
            |selector: &Selector, request: &Request| Matcher::new(selector).takes(request, &request.path());
        let plain = Request::new("GET", "/_matrix/client/v3/sync");
        let with = |name: &str, value: &str| Request {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..plain.clone()
        };

        let agents = Selector { user_agents: list(&["^mautrix-", "(?i)bot"]), ..Selector::default() };
        assert!(takes(&agents, &with("user-agent", "mautrix-telegram/1")));
        assert!(takes(&agents, &with("User-Agent", "a BOT")));
        assert!(!takes(&agents, &plain));

        let users = Selector { users: list(&["@bob:example.org"]), ..Selector::default() };
        assert!(takes(&users, &with("Authorization", "Bearer syt_Ym9i_abc_1")));
        assert!(!takes(&users, &with("Authorization", "Bearer syt_Ym9ie_abc_1")));
        assert!(!takes(&users, &with("Authorization", "Bearer mat_Ym9i_abc")));
        for wire in ["@bob:example.org", "%40bob%3Aexample.org", "%40bob%3aexample%2eorg"] {
            assert!(takes(&users, &Request::new("GET", &format!("/x?user_id={wire}"))), "{wire}");
        }
        assert!(!takes(&users, &Request::new("GET", "/x?user_id=@bobb:example.org")));

        let rooms = Selector { rooms: list(&["!r.1:example.org"]), ..Selector::default() };
        for path in ["/rooms/!r.1:example.org/send/a/b", "/join/%21r.1%3Aexample.org"] {
            assert!(takes(&rooms, &Request::new("PUT", path)), "{path}");
        }
        for path in ["/rooms/!rx1:example.org/send", "/rooms/!r.1:example.orgs/send"] {
            assert!(!takes(&rooms, &Request::new("PUT", path)), "{path}");
        }

        let both = Selector {
            sources: list(&["10.0.0.0/8", "fd00::/8"]),
            appservices: list(&["telegram"]),
            ..Selector::default()
        };
        let mut request = plain.clone();
        request.source = "fd00::7".parse().ok();
        assert!(!takes(&both, &request), "not the application service");
        request.appservice = Some("telegram".to_owned());
        assert!(takes(&both, &request));
        request.source = "192.0.2.1".parse().ok();
        assert!(!takes(&both, &request));
    }
}
