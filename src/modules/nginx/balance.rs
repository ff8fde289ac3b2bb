//! Upstreams and the keys they hash by.
//!
//! Literal addresses only: a name may resolve to ::1 while the process binds 127.0.0.1.
//! `max_fails=0`: a worker that restarts is asked again at once, not shunned for ten seconds.
//! Idle connections are given up after 30 s, before Twisted does (60 s): a POST sent into a closing
//! connection is an error that nginx may not retry.

use super::{Directive, block, comment, line};
use crate::topology::{Balance, Upstream};

/// `upstream NAME { … }`
pub(super) fn upstream(upstream: &Upstream, prefix: &str) -> Directive {
    let mut inside = match upstream.balance {
        Balance::RoundRobin => Vec::new(),
        Balance::User => vec![line("hash", &[&format!("${prefix}_user"), "consistent"])],
        Balance::Room => vec![line("hash", &[&format!("${prefix}_room"), "consistent"])],
        // After realip: the client, not the proxy before this one.
        Balance::Source => vec![line("hash", &["$remote_addr", "consistent"])],
        // Shared by nginx's processes, else each counts for itself.
        Balance::LeastConn => vec![line("zone", &[&upstream.name, "64k"]), line("least_conn", &[])],
    };
    for server in &upstream.servers {
        let weight = format!("weight={}", server.weight);
        let mut args = vec![server.address.as_str(), "max_fails=0"];
        if server.weight != 1 {
            args.push(&weight);
        }
        inside.push(line("server", &args));
    }
    inside.push(line("keepalive", &["32"]));
    inside.push(line("keepalive_timeout", &["30s"]));
    block("upstream", &[&upstream.name], inside)
}

/// `$PREFIX_token`, the access token: of the header, else of the query.
pub(super) fn token(prefix: &str) -> Directive {
    block(
        "map",
        &["$http_authorization", &format!("${prefix}_token")],
        vec![
            line("default", &["$arg_access_token"]),
            line(&format!("~*^bearer +(?<{prefix}_bearer>[^ ]+)"), &[&format!("${prefix}_bearer")]),
        ],
    )
}

/// Whether an upstream hashes by what follows from the token.
pub(super) fn asks_token(upstream: &Upstream) -> bool {
    matches!(upstream.balance, Balance::User | Balance::Room)
}

/// The maps behind `$PREFIX_user` and `$PREFIX_room`, as far as an upstream uses them.
pub(super) fn keys<'a>(upstreams: impl Iterator<Item = &'a Upstream>, prefix: &str) -> Vec<Directive> {
    let used: Vec<Balance> = upstreams.map(|upstream| upstream.balance).collect();
    let room = used.contains(&Balance::Room);
    let mut tree = Vec::new();
    if room || used.contains(&Balance::User) {
        tree.push(comment(
            "Synapse's own tokens carry the user: all devices of one share a process and its cache.",
        ));
        tree.push(comment(
            "Tokens of Matrix Authentication Service change every five minutes and say nothing of the user:",
        ));
        tree.push(comment("a device stays where it is for as long as its address does. Others count whole."));
        tree.push(block(
            "map",
            &[&format!("${prefix}_token"), &format!("${prefix}_user")],
            vec![
                line("default", &[&format!("${prefix}_token")]),
                line("", &["$remote_addr"]),
                line(&format!("~^syt_(?<{prefix}_localpart>[^_]+)_"), &[&format!("${prefix}_localpart")]),
                line("~^m[ac]t_", &["$remote_addr $http_user_agent"]),
            ],
        ));
    }
    if room {
        // From $uri, not $request_uri: `!a:b` and `%21a%3Ab` are one room.
        tree.push(block(
            "map",
            &["$uri", &format!("${prefix}_room")],
            vec![
                line("default", &[&format!("${prefix}_user")]),
                line(
                    &format!("~/(?:rooms|join|knock)/(?<{prefix}_room_id>[^/]+)"),
                    &[&format!("${prefix}_room_id")],
                ),
            ],
        ));
    }
    tree
}
