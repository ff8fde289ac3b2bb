//! How a request is read: rules that put path, user and room into variables.
//!
//! The same reading as nginx' `$uri` (`topology::Request::path`): percent-decoded first, then slashes
//! merged and dot segments resolved. It is only for matching: what is forwarded are the request's
//! own bytes, because federation signs them (`%2F` in a room id).

use super::Section;
use crate::topology::Balance;

/// Dot-dot segments that are resolved. No client sends any; a path with more is refused.
const PARENTS: usize = 4;

/// `txn.path`. Refuses what nginx refuses too: a percent sign without two hexadecimal digits, a NUL.
pub(super) fn path(frontend: &mut Section) {
    let malformed = "%(?![0-9A-Fa-f]{2})";
    frontend
        .comment("The path for matching: decoded, slashes merged, dot segments resolved. What is forwarded stays as it came.")
        .line(&["http-request", "deny", "deny_status", "400", "if", "{", "path", "-m", "reg", "--", malformed, "}"])
        .line(&["http-request", "deny", "deny_status", "400", "if", "{", "path", "-m", "sub", "--", "%00", "}"])
        .line(&[
            "http-request",
            "set-var(txn.path)",
            r#"path,url_dec,regsub("//+","/",g),regsub("/([.]/)+","/",g),regsub("/[.]$","/")"#,
        ]);
    let parent = r#"regsub("^(/[.][.])+(/|$)","/"),regsub("/[^/]+/[.][.](/|$)","/")"#;
    let resolved = format!("var(txn.path),{}", [parent; PARENTS].join(","));
    let dots = "/[.][.](/|$)";
    frontend
        .line(&[
            "http-request",
            "set-var(txn.path)",
            &resolved,
            "if",
            "{",
            "var(txn.path)",
            "-m",
            "sub",
            "--",
            "/..",
            "}",
        ])
        .line(&[
            "http-request",
            "deny",
            "deny_status",
            "400",
            "if",
            "{",
            "var(txn.path)",
            "-m",
            "reg",
            "--",
            dots,
            "}",
        ]);
}

/// `txn.token`: the access token of the header, else of the query.
pub(super) fn token(frontend: &mut Section) {
    let bearer = "^bearer +[^ ]";
    frontend.line(&["http-request", "set-var(txn.token)", "url_param(access_token)"]).line(&[
        "http-request",
        "set-var(txn.token)",
        r#"req.fhdr(authorization),regsub("^bearer +","",i),word(1," ")"#,
        "if",
        "{",
        "req.fhdr(authorization)",
        "-m",
        "reg",
        "-i",
        "--",
        bearer,
        "}",
    ]);
}

/// `txn.user` and `txn.room`, as far as a backend hashes by them; after [`token`]. Synapse's own
/// tokens (`syt_LOCALPART_…`) carry the user: all devices of one share a process and its cache.
/// Others count whole. No token, no hot spot: the client's address.
pub(super) fn keys(frontend: &mut Section, used: &[Balance]) {
    let room = used.contains(&Balance::Room);
    if !room && !used.contains(&Balance::User) {
        return;
    }
    frontend
        .comment("What a user's requests are hashed by: the localpart in Synapse's tokens, another token as a whole, or the address.")
        .plain("http-request set-var(txn.user) src")
        .plain("http-request set-var(txn.user) var(txn.token) if { var(txn.token) -m len gt 0 }")
        .line(&[
            "http-request",
            "set-var(txn.user)",
            "var(txn.token),field(2,_)",
            "if",
            "{",
            "var(txn.token)",
            "-m",
            "reg",
            "--",
            "^syt_[^_]+_",
            "}",
        ]);
    let device = "^m[ac]t_";
    frontend
        .comment("Tokens of Matrix Authentication Service change every five minutes: a device stays where it is as long as its address does.")
        .plain("http-request set-var(txn.agent) req.fhdr(user-agent)")
        .line(&[
            "http-request",
            "set-var(txn.user)",
            r#"src,concat(" ",txn.agent)"#,
            "if",
            "{",
            "var(txn.token)",
            "-m",
            "reg",
            "--",
            device,
            "}",
        ]);
    if room {
        let pattern = "/(rooms|join|knock)/[^/]";
        frontend
            .comment("What a room's requests are hashed by: its id, from the decoded path.")
            .plain("http-request set-var(txn.room) var(txn.user)")
            .line(&[
                "http-request",
                "set-var(txn.room)",
                r#"var(txn.path),regsub("^.*?/(rooms|join|knock)/([^/]+).*$","\2")"#,
                "if",
                "{",
                "var(txn.path)",
                "-m",
                "reg",
                "--",
                pattern,
                "}",
            ]);
    }
}
