//! Whose request it is: hashing by user, room and client, and pools that select.

use std::collections::BTreeSet;

use synprov::inventory::ProxyKind;
use synprov::topology::Topology;

use super::topology;
use crate::client::Client;
use crate::echo;
use crate::proxy::{Proxy, has, start};

fn started(mut topology: Topology) -> (Proxy, Client) {
    echo::serve_all(&mut topology);
    let proxy = start(ProxyKind::Nginx, topology);
    let client = proxy.client();
    (proxy, client)
}

const SYNC: &str = "/_matrix/client/v3/sync?since=s1";

#[test]
fn devices_with_tokens_of_mas_stay_where_they_are_when_the_token_changes() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let (_proxy, mut client) =
        started(topology("", "workers: {sync: {host: hs1, count: 4, handles: [sync]}}"));
    let mut used = BTreeSet::new();
    for device in 0..12 {
        let mut seen = BTreeSet::new();
        for token in ["mat_aaaa_1", "mat_bbbb_2", "mct_cccc_3"] {
            let headers =
                [format!("Authorization: Bearer {token}"), format!("X-Forwarded-For: 192.0.2.{device}")];
            seen.insert(client.who("GET", SYNC, &headers.each_ref().map(String::as_str)));
        }
        assert_eq!(seen.len(), 1, "device {device} moved");
        used.extend(seen);
    }
    assert!(used.len() > 1, "all on {used:?}");
    // Behind one address, programs are told apart.
    let agents: BTreeSet<String> = (0..12)
        .map(|n| {
            client.who("GET", SYNC, &["Authorization: Bearer mat_x", &format!("User-Agent: Element {n}")])
        })
        .collect();
    assert!(agents.len() > 1, "one address is one process: {agents:?}");
    // A token of an application service counts whole, and no token is no hot spot.
    for kind in ["Authorization: Bearer as", "X-Forwarded-For: 203.0.113."] {
        let used: BTreeSet<String> =
            (0..12).map(|n| client.who("GET", SYNC, &[&format!("{kind}{n}")])).collect();
        assert!(used.len() > 1, "{kind}: all on {used:?}");
    }
}

#[test]
fn an_origin_keeps_its_process_also_behind_another_proxy_and_over_ipv6() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let pools = "workers: {inbound: {host: hs1, count: 4, handles: [federation_inbound]}}";
    let (_proxy, mut client) = started(topology("", pools));
    let mut used = BTreeSet::new();
    for origin in
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "2001:db8::1", "2001:db8::2"]
    {
        let forged = format!("X-Forwarded-For: 198.51.100.{}, {origin}", used.len());
        let sent: BTreeSet<String> = (0..4)
            .map(|n| client.who("PUT", &format!("/_matrix/federation/v1/send/{n}"), &[&forged]))
            .collect();
        assert_eq!(sent.len(), 1, "{origin}");
        used.extend(sent);
    }
    assert!(used.len() > 1, "all on {used:?}");
}

#[test]
fn shares_are_those_of_the_inventory() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let pools = "workers:\n  big: {host: hs1, handles: [client_reader], weight: 3}\n  small: {host: hs1, handles: [client_reader]}\n";
    let (_proxy, mut client) = started(topology("", pools));
    let big = (0..40).filter(|_| client.who("GET", "/_matrix/client/versions", &[]) == "big").count();
    assert_eq!(big, 30);
}

#[test]
fn a_pool_with_select_gets_what_it_selects() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let pools = "workers:\n  \
        bridge: {host: hs1, handles: [event_sending], select: {appservice: telegram}}\n  \
        own-net: {host: hs1, handles: [event_sending], select: {source: [10.0.0.0/8, \"fd00::/8\"], user_agent: [\"^bot/[0-9]{2}\", \"(?i)CRAWL\"]}}\n  \
        party: {host: hs1, handles: [event_sending], select: {rooms: [\"!party:example.org\"]}}\n  \
        vip: {host: hs1, handles: [client], select: {users: [\"@al.ice:example.org\"]}}\n  \
        sender: {host: hs1, handles: [event_sending]}\n";
    let (_proxy, mut client) = started(topology("", pools));
    let send = "/_matrix/client/v3/rooms/!a:example.org/send/m/1";
    let party = "/_matrix/client/v3/rooms/%21party%3Aexample.org/send/m/1";
    let whoami = "/_matrix/client/v3/account/whoami";
    // The harness writes `token-NAME` for the value of the secret NAME.
    let bridge = "Authorization: Bearer token-appservice-telegram-token";
    for (target, headers, expected) in [
        (send, vec![], "sender"),
        (send, vec![bridge], "bridge"),
        (send, vec!["Authorization: Bearer token-appservice-telegram-tokens"], "sender"),
        (send, vec!["X-Forwarded-For: 10.1.2.3", "User-Agent: bot/12"], "own-net"),
        (send, vec!["X-Forwarded-For: fd00::7", "User-Agent: a crawler"], "own-net"),
        (send, vec!["X-Forwarded-For: 10.1.2.3", "User-Agent: Bot/12"], "sender"),
        (send, vec!["X-Forwarded-For: 192.0.2.3", "User-Agent: bot/12"], "sender"),
        (party, vec![], "party"),
        (party, vec![bridge], "bridge"),
        (whoami, vec!["Authorization: Bearer syt_YWwuaWNl_x_1"], "vip"),
        (whoami, vec!["Authorization: Bearer syt_YWwxaWNl_x_1"], "main"),
        (whoami, vec![], "main"),
        ("/_matrix/client/v3/account/whoami?user_id=%40al.ice%3Aexample.org", vec![bridge], "vip"),
        ("/_matrix/client/v3/account/whoami?user_id=%40alxice%3Aexample.org", vec![bridge], "main"),
    ] {
        assert_eq!(client.who("PUT", target, &headers), expected, "{target} {headers:?}");
    }
}

#[test]
fn tokens_stand_in_a_file_of_root_alone_and_are_not_shown() {
    let pools = "workers: {bridge: {host: hs1, handles: [event_sending], select: {appservice: telegram}}}";
    let resources =
        synprov::modules::expand(&synprov::modules::Modules::builtin(), &topology("", pools)).unwrap();
    let files = resources.into_iter().filter_map(|resource| match resource.body {
        synprov::resource::Body::File { path, content, mode, .. } => {
            Some((path, content, format!("{mode:?}")))
        }
        _ => None,
    });
    let secret: Vec<_> =
        files.filter(|(path, content, _)| path.contains("nginx") && !content.secrets().is_empty()).collect();
    let [(path, content, mode)] = &secret[..] else { panic!("{secret:?}") };
    assert_eq!(path, "/opt/matrix/nginx/appservices.conf");
    assert_eq!(content.secrets(), ["appservice-telegram-token"]);
    assert!(mode.contains("600"), "{mode}");
    assert!(
        content.redacted().contains("\"~^<secret appservice-telegram-token>$\" telegram;"),
        "{content:?}"
    );
}
