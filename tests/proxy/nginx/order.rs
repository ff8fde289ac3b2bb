//! The order of routes whatever file they stand in, keys, and what arrives at a process.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use synprov::inventory::{ProxyKind, Tls};
use synprov::topology::{Balance, Gate, Topology};

use crate::client::Answer;
use crate::echo;
use crate::fixture::{one_host, route, server, upstream};
use crate::proxy::{Proxy, has, start};

fn started(mut topology: Topology) -> Proxy {
    echo::serve_all(&mut topology);
    start(ProxyKind::Nginx, topology)
}

/// Routes whose pools interleave, so that no order of whole files is the topology's order.
pub fn interleaved() -> Topology {
    let mut topology = one_host();
    topology.proxy.as_mut().unwrap().tls = Tls::None;
    let pools = ["reader", "typing", "media", "sync", "initial", "writer", "sender"];
    topology.upstreams = pools
        .iter()
        .chain(&["main"])
        .map(|pool| upstream(pool, pool, Balance::RoundRobin, &[(pool, "0.0.0.0:0")]))
        .collect();
    topology.upstreams["sync"].balance = Balance::User;
    topology.upstreams["sync"].servers = ["sync", "sync2", "sync3"].map(|name| server(name, "")).into();
    topology.upstreams["sender"].balance = Balance::Room;
    topology.upstreams["sender"].servers =
        ["sender", "sender2", "sender3"].map(|name| server(name, "")).into();
    topology.routes = vec![
        route("main_only", "^/_matrix/client/(r0|v3)/login/get_token$", &[], "main", "main"),
        route("media", "^/_matrix/federation/v1/media/", &[], "media", "media"),
        route("login", "^/_matrix/client/(r0|v3)/login", &[], "reader", "reader"),
        route("stream:typing", "^/_matrix/client/(r0|v3)/rooms/.*/typing", &["PUT"], "typing", "typing"),
        route("event_sending", "^/_matrix/client/(r0|v3)/rooms/.*/send", &[], "sender", "sender"),
        route("initial_sync", "^/_matrix/client/(r0|v3)/sync$", &[], "initial", "initial"),
        route("initial_sync", "^/_matrix/client/(r0|v3)/initialSync$", &[], "initial", "initial"),
        route("sync", "^/_matrix/client/(r0|v3)/sync$", &[], "sync", "sync"),
        route(
            "stream:push_rules",
            "^/_matrix/client/(r0|v3)/pushrules/",
            &["PUT", "DELETE"],
            "writer",
            "writer",
        ),
        route("get_only", "^/_matrix/client/(r0|v3)/pushrules/", &["GET"], "reader", "reader"),
        // A second class of a pool whose file is early, over the same paths as later and earlier ones.
        route("catch", "^/_matrix/client/(r0|v3)/rooms/", &["GET"], "reader", "reader"),
        route("federation_inbound", "^/_matrix/federation/v1/send/", &[], "typing", "typing"),
        route("catch", "^/_matrix/federation/v1/", &[], "reader", "reader"),
        route("loose", "^/_synapse/(admin|client|replication)/v9/", &[], "reader", "reader"),
        route("admin", "^/_synapse/admin/v1/media/", &[], "media", "media"),
        route("sso", "^/_synapse/client/pick_idp$", &[], "reader", "reader"),
    ];
    topology
}

#[test]
fn requests_end_where_the_topology_says() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let nginx = started(interleaved());
    let mut client = nginx.client();
    let cases = [
        ("GET", "/_matrix/client/v3/login", "reader"),
        ("POST", "/_matrix/client/v3/login/get_token", "main"),
        ("GET", "/_matrix/federation/v1/media/download/a", "media"),
        ("GET", "/_matrix/federation/v1/event/a", "reader"),
        ("GET", "/_matrix/federation/v2/event/a", "main"),
        ("PUT", "/_matrix/federation/v1/send/1", "typing"),
        ("GET", "/_synapse/client/v9/a", "reader"),
        ("GET", "/_synapse/admin/v9/a", "404"),
        ("GET", "/_synapse/replication/v9/a", "404"),
        ("PUT", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", "typing"),
        ("GET", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", "reader"),
        ("POST", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", "main"),
        ("PUT", "/_matrix/client/v3/rooms/!a:b/forget", "main"),
        ("GET", "/_matrix/client/v3/rooms/!a:b/forget", "reader"),
        ("GET", "/_matrix/client/v3/sync", "initial"),
        ("GET", "/_matrix/client/v3/sync?timeout=30000&filter=0", "initial"),
        ("GET", "/_matrix/client/v3/sync?since=&timeout=0", "initial"),
        ("GET", "/_matrix/client/v3/initialSync?from=s1", "initial"),
        ("GET", "/_matrix/client/v3/pushrules/", "reader"),
        ("PUT", "/_matrix/client/v3/pushrules/global/x", "writer"),
        ("DELETE", "/_matrix/client/v3/pushrules/global/x", "writer"),
        ("POST", "/_matrix/client/v3/pushrules/global/x", "main"),
        ("OPTIONS", "/_matrix/client/v3/pushrules/global/x", "writer"),
        ("GET", "/_matrix/client/V3/login", "main"),
        ("GET", "/_matrix/client/versions", "main"),
        ("GET", "/_synapse/client/pick_idp", "reader"),
        ("GET", "/_synapse/client/unsubscribe", "main"),
        ("GET", "/_synapse/admin/v1/media/x", "404"),
        ("GET", "/_synapse/admin/v2/users", "404"),
        ("GET", "/_synapse//admin/v2/users", "404"),
        ("GET", "/_synapse/client/../admin/v2/users", "404"),
        ("GET", "/_synapse/%61dmin/v2/users", "404"),
        ("POST", "/_synapse/replication/send_event/x", "404"),
        ("GET", "/_matrixx/", "404"),
        ("GET", "/health", "404"),
        ("GET", "/", "404"),
        ("GET", "/.well-known/matrix/client", "main"),
        ("GET", "/.well-known/acme-challenge/nothing", "404"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .map(|(method, path, expect)| (method, path, expect, client.who(method, path, &[])))
        .filter(|(_, _, expect, got)| *expect != got)
        .map(|(method, path, expect, got)| format!("{method} {path}: {got}, not {expect}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The same as `topology::Router` says.
    let topology = interleaved();
    for (method, path, expect) in cases {
        let meant = topology.route(method, path);
        match expect {
            "404" => assert_ne!(meant.gate, Gate::Open, "{method} {path}"),
            expect => {
                assert_eq!((meant.upstream.as_str(), meant.gate), (expect, Gate::Open), "{method} {path}")
            }
        }
    }
    assert!(client.who("GET", "/_matrix/client/v3/sync?since=s1", &[]).starts_with("sync"));
    assert_eq!(
        client.ask("GET", "/.well-known/matrix/server", &[], 0).body,
        r#"{"m.server":"matrix.example.org:443"}"#
    );
}

#[test]
fn users_and_rooms_keep_their_process() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let nginx = started(interleaved());
    let mut client = nginx.client();
    let sync = "/_matrix/client/v3/sync?since=s1";
    let token = |token: &str| format!("Authorization: Bearer {token}");
    let mut used = BTreeSet::new();
    for user in ["YWxpY2U", "Ym9i", "Y2Fyb2w", "ZGF2ZQ", "ZXZl", "ZnJhbms", "Z3JhY2U", "aGVpZGk"] {
        let first = client.who("GET", sync, &[&token(&format!("syt_{user}_aaaaaaaaaa_1"))]);
        for other in ["bbbbbb_2", "cccccc_3", "dddddd_4"] {
            let device = token(&format!("syt_{user}_{other}"));
            assert_eq!(client.who("GET", sync, &[&device]), first, "another device of {user}");
            let query = format!("{sync}&access_token=syt_{user}_{other}");
            assert_eq!(client.who("GET", &query, &[]), first, "token in the query");
        }
        used.insert(first);
    }
    assert!(used.len() > 1, "all users on {used:?}");
    let others: BTreeSet<String> =
        (0..12).map(|n| client.who("GET", sync, &[&token(&format!("as_token{n}_x"))])).collect();
    assert!(others.len() > 1, "tokens of other makers must not be one key");

    let mut used = BTreeSet::new();
    for room in 0..12 {
        let plain = client.who("PUT", &format!("/_matrix/client/v3/rooms/!r{room}:b.c/send/m/1"), &[]);
        let coded = client.who("PUT", &format!("/_matrix/client/v3/rooms/%21r{room}%3Ab.c/send/m/2"), &[]);
        assert_eq!(plain, coded, "one room, two spellings");
        used.insert(plain);
    }
    assert!(used.len() > 1, "all rooms on {used:?}");
}

#[test]
fn every_location_passes_the_request_as_it_is() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let mut topology = interleaved();
    topology.proxy.as_mut().unwrap().max_body = 3_000_000;
    let nginx = started(topology);
    let mut client = nginx.client();
    for path in [
        "/_matrix/client/versions",
        "/_matrix/client/v3/login",
        "/_matrix/client/v3/pushrules/a",
        "/_matrix/client/v3/rooms/!a%2Fb:c//x/../send/m?x=%2F%20",
        "/_matrix/federation/v1/event/$a%2Fb%7E",
        "/_synapse/client/x",
    ] {
        let forged = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: gopher"];
        let body = client.ask("GET", path, &forged, 0);
        assert_eq!(body.field("line"), Some(format!("GET {path} HTTP/1.1").as_str()));
        assert_eq!(body.field("Host"), Some("example.org"), "{body:?}");
        assert_eq!(body.field("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(body.field("X-Forwarded-Proto"), Some("http"));
        assert!(!body.body.contains("Connection:"), "{body:?}");
    }
    // The second request uses the first one's connection to the backend.
    let path = "/_matrix/client/versions";
    let connection = |answer: &Answer| answer.field("connection").unwrap().to_owned();
    let first = connection(&client.ask("GET", path, &[], 0));
    assert_eq!(connection(&client.ask("GET", path, &[], 0)), first);

    for path in
        ["/_matrix/federation/v1/send/1", "/_matrix/client/v3/rooms/!a:b/send/m", "/_matrix/media/v3/upload"]
    {
        assert_eq!(client.ask("PUT", path, &[], 2_999_999).field("body"), Some("2999999"));
        assert_eq!(client.ask("PUT", path, &[], 3_000_001).status, 413);
    }
}

#[test]
fn behind_another_proxy_its_word_counts_and_nobody_elses() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let ask = |trusted: &str, headers: &[&str]| {
        let mut topology = interleaved();
        topology.proxy.as_mut().unwrap().trusted_proxies = vec![trusted.to_owned(), "fd00::/8".to_owned()];
        let nginx = started(topology);
        let mut client = nginx.client();
        let body = client.ask("GET", "/_matrix/client/v3/login", headers, 0);
        (
            body.field("X-Forwarded-For").unwrap().to_owned(),
            body.field("X-Forwarded-Proto").unwrap().to_owned(),
        )
    };
    let (client, scheme) = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https");
    let told = |client: &str, scheme: &str| (client.to_owned(), scheme.to_owned());
    assert_eq!(ask("127.0.0.0/8", &[client, scheme]), told("203.0.113.9", "https"));
    assert_eq!(ask("127.0.0.0/8", &[client, "X-Forwarded-Proto: http"]), told("203.0.113.9", "http"));
    assert_eq!(ask("10.0.0.0/8", &[client, scheme]), told("127.0.0.1", "http"));
    // Who terminates TLS and says nothing of it: as Synapse would take it.
    assert_eq!(ask("127.0.0.0/8", &[client]), told("203.0.113.9", "https"));
    assert_eq!(ask("10.0.0.0/8", &[client]), told("127.0.0.1", "http"));
}

#[test]
fn other_sites_answer_as_before() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let nginx = started(interleaved());
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.port)).unwrap();
    stream
        .write_all(
            b"GET /_matrix/client/versions HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
}
