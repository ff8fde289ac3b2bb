//! One request as it arrives at the proxy, and how a proxy reads it.
//!
//! The rules are nginx' (`$uri`, `$arg_NAME`, `$http_NAME`), which HAProxy's configuration repeats.
//! Never here: where a request goes.

use std::net::IpAddr;

/// A request from a client or another homeserver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// `/path?query` as on the wire.
    pub target: String,
    /// Names and values, as on the wire.
    pub headers: Vec<(String, String)>,
    /// Address of the client, after trusted proxies were believed; `None`: not known, in no network.
    pub source: Option<IpAddr>,
    /// Application service whose `as_token` the request bears. Tokens are secrets, which a topology
    /// does not know: whoever holds the registrations says it.
    pub appservice: Option<String>,
}

impl Request {
    /// Without headers, from nowhere.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() }
    }

    /// The path as nginx matches it: percent-decoded, slashes merged, `.` and `..` resolved.
    pub fn path(&self) -> String {
        normalised(self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path))
    }

    /// First value of a query parameter, as on the wire; `None` if it is not there or empty.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// First value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The access token: of `Authorization: Bearer`, else of `?access_token=`.
    pub fn token(&self) -> Option<&str> {
        let bearer = self.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            let token = token.trim_start_matches(' ').split(' ').next()?;
            (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
        });
        bearer.or_else(|| self.parameter("access_token"))
    }
}

fn normalised(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let ends_open = decoded.ends_with('/') || decoded.ends_with("/.") || decoded.ends_with("/..");
    let mut parts: Vec<&str> = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if ends_open && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{Request, normalised};

    #[test]
    fn a_path_is_read_as_nginx_reads_it() {
        for (raw, path) in [
            ("/_matrix/client/v3/sync", "/_matrix/client/v3/sync"),
            ("/a%2Fb", "/a/b"),
            ("//a///b/", "/a/b/"),
            ("/v3/../v3/./x", "/v3/x"),
            ("/%21r%3Ahs", "/!r:hs"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/../..", "/"),
            ("", "/"),
        ] {
            assert_eq!(normalised(raw), path, "{raw}");
        }
    }

    #[test]
    fn a_token_is_that_of_the_header_or_else_of_the_query() {
        let mut request = Request::new("GET", "/x?a=1&access_token=query");
        assert_eq!(request.token(), Some("query"));
        request.headers = vec![("authorization".to_owned(), "bearer  header".to_owned())];
        assert_eq!(request.token(), Some("header"));
        request.headers = vec![("Authorization".to_owned(), "X-Matrix origin=a".to_owned())];
        assert_eq!(request.token(), Some("query"));
        assert_eq!(Request::new("GET", "/x?access_token=").token(), None);
    }
}
