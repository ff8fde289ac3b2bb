//! What is HAProxy's own: the same behaviour as nginx', in other words.

use std::collections::BTreeSet;
use std::process::Command;

use synprov::inventory::{ProxyKind, Tls};
use synprov::topology::{Balance, Topology};

use crate::fixture::{one_host, route, server, upstream};
use crate::proxy::{Proxy, files, has, start};
use crate::{echo, fixture};

/// Routes of all kinds; behind another proxy, so that plain HTTP is answered.
fn mixed() -> Topology {
    let mut topology = one_host();
    topology.proxy.as_mut().unwrap().tls = Tls::None;
    let pools = ["reader", "typing", "media", "sync", "initial", "sender", "source"];
    let one = |pool: &&str| upstream(pool, pool, Balance::RoundRobin, &[(pool, "")]);
    topology.upstreams = pools.iter().chain(&["main"]).map(one).collect();
    for (pool, balance) in [("sync", Balance::User), ("sender", Balance::Room), ("source", Balance::Source)] {
        topology.upstreams[pool].balance = balance;
        topology.upstreams[pool].servers =
            ["", "2", "3"].iter().map(|n| server(&format!("{pool}{n}"), "")).collect();
    }
    topology.routes = vec![
        route("main_only", "^/_matrix/client/(r0|v3)/login/get_token$", &[], "main", "main"),
        route("media", "^/_matrix/media/", &[], "media", "media"),
        route("login", "^/_matrix/client/(r0|v3)/login", &[], "reader", "reader"),
        route("typing", "^/_matrix/client/(r0|v3)/rooms/.*/typing", &["PUT"], "typing", "typing"),
        route("event_sending", "^/_matrix/client/(r0|v3)/rooms/.*/send", &[], "sender", "sender"),
        route("initial_sync", "^/_matrix/client/(r0|v3)/sync$", &[], "initial", "initial"),
        route("sync", "^/_matrix/client/(r0|v3)/sync$", &[], "sync", "sync"),
        route("catch", "^/_matrix/client/(r0|v3)/rooms/", &["GET"], "reader", "reader"),
        route("federation_inbound", "^/_matrix/federation/v1/send/", &[], "source", "source"),
        route("loose", "^/_synapse/(admin|client|replication)/v9/", &[], "reader", "reader"),
    ];
    echo::serve_all(&mut topology);
    topology
}

fn started() -> Option<Proxy> {
    has(ProxyKind::Haproxy).then(|| start(ProxyKind::Haproxy, mixed()))
}

#[test]
fn requests_end_where_the_topology_says() {
    let Some(proxy) = started() else { return };
    let mut client = proxy.client();
    for (method, target, expected) in [
        ("GET", "/_matrix/client/v3/login", "reader"),
        ("POST", "/_matrix/client/v3/login/get_token", "main"),
        ("PUT", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", "typing"),
        ("OPTIONS", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", "typing"),
        ("GET", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", "reader"),
        ("POST", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", "main"),
        ("GET", "/_matrix/client/v3/sync", "initial"),
        ("GET", "/_matrix/client/v3/sync?since=&timeout=0", "initial"),
        ("GET", "/_matrix/client/v3/sync?nosince=1", "initial"),
        ("GET", "/_matrix/client/v3/%73ync", "initial"),
        ("GET", "/_matrix//client/v3/./sync", "initial"),
        ("GET", "/_matrix/client/v3/x/%2e%2e/sync", "initial"),
        ("GET", "/_matrix/client/v3/sync/", "main"),
        ("GET", "/_matrix/client/v3/login/../sync/..", "main"),
        ("GET", "/_synapse/client/v9/a", "reader"),
        ("GET", "/_synapse/admin/v9/a", "404"),
        ("GET", "/_synapse/replication/v9/a", "404"),
        ("GET", "/_synapse//admin/v2/users", "404"),
        ("GET", "/_synapse/client/../admin/v2/users", "404"),
        ("GET", "/_synapse/%61dmin/v2/users", "404"),
        ("GET", "/_matrixx/", "404"),
        ("GET", "/health", "404"),
        ("GET", "/", "404"),
        ("GET", "/_matrix/a/b/c/../../../../../d/../../../e/f/../g/../h", "400"),
        ("GET", "/_matrix/%zz", "400"),
        ("GET", "/_matrix/%00", "400"),
        ("GET", "/.well-known/matrix/client", "main"),
    ] {
        assert_eq!(client.who(method, target, &[]), expected, "{method} {target}");
    }
    assert!(client.who("GET", "/_matrix/client/v3/sync?a=b&since=s1", &[]).starts_with("sync"));
    let server = client.ask("GET", "/.well-known/matrix/server", &[], 0);
    assert_eq!(server.body, r#"{"m.server":"matrix.example.org:443"}"#);
    assert!(server.headers.contains(&"content-type: application/json".to_owned()), "{server:?}");
}

#[test]
fn users_rooms_and_sources_keep_their_process() {
    let Some(proxy) = started() else { return };
    let mut client = proxy.client();
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
    // Tokens of Matrix Authentication Service change; the device is known by address and program.
    let mut devices = BTreeSet::new();
    for device in 0..12 {
        let agent = format!("User-Agent: Element {device}");
        let who: BTreeSet<String> = ["mat_a_1", "mat_b_2", "mct_c_3"]
            .map(|text| client.who("GET", sync, &[&token(text), &agent]))
            .into();
        assert_eq!(who.len(), 1, "{who:?}");
        devices.extend(who);
    }
    assert!(devices.len() > 1, "all devices on {devices:?}");
    let mut used = BTreeSet::new();
    for room in 0..12 {
        let plain = client.who("PUT", &format!("/_matrix/client/v3/rooms/!r{room}:b.c/send/m/1"), &[]);
        let coded = client.who("PUT", &format!("/_matrix/client/v3/rooms/%21r{room}%3Ab.c/send/m/2"), &[]);
        assert_eq!(plain, coded, "one room, two spellings");
        used.insert(plain);
    }
    assert!(used.len() > 1, "all rooms on {used:?}");

    let mut topology = mixed();
    topology.proxy.as_mut().unwrap().trusted_proxies =
        vec!["127.0.0.0/8".to_owned(), "10.0.0.0/8".to_owned()];
    let proxy = start(ProxyKind::Haproxy, topology);
    let mut client = proxy.client();
    let mut from = |address: &str| {
        // The rightmost that is no trusted proxy, whatever the client wrote before.
        let headers = [format!("X-Forwarded-For: 192.0.2.{}, {address}, 10.1.2.3", address.len())];
        client.who("PUT", "/_matrix/federation/v1/send/1", &[&headers[0]])
    };
    let addresses: Vec<String> = (1..20).map(|n| format!("203.0.113.{n}")).collect();
    let first: Vec<String> = addresses.iter().map(|address| from(address)).collect();
    let again: Vec<String> = addresses.iter().map(|address| from(address)).collect();
    assert_eq!(first, again);
    assert!(first.iter().collect::<BTreeSet<_>>().len() > 1, "all servers on {first:?}");
}

#[test]
fn the_request_is_passed_as_it_is() {
    if !has(ProxyKind::Haproxy) {
        return;
    }
    let mut topology = mixed();
    topology.proxy.as_mut().unwrap().max_body = 3_000_000;
    let proxy = start(ProxyKind::Haproxy, topology);
    let mut client = proxy.client();
    for path in [
        "/_matrix/client/versions",
        "/_matrix/client/v3/login",
        "/_matrix/client/v3/rooms/!a%2Fb:c//x/../send/m?x=%2F%20",
        "/_matrix/federation/v1/event/$a%2Fb%7E",
    ] {
        let forged = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: gopher"];
        let answer = client.ask("GET", path, &forged, 0);
        assert_eq!(answer.field("line"), Some(format!("GET {path} HTTP/1.1").as_str()));
        assert_eq!(answer.field("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(answer.field("X-Forwarded-Proto"), Some("http"));
    }
    let path = "/_matrix/media/v3/upload";
    assert_eq!(client.ask("PUT", path, &[], 2_999_999).field("body"), Some("2999999"));
    assert_eq!(client.ask("PUT", path, &[], 3_000_001).status, 413);
}

#[test]
fn behind_another_proxy_its_word_counts_and_nobody_elses() {
    if !has(ProxyKind::Haproxy) {
        return;
    }
    let ask = |trusted: &str, headers: &[&str]| {
        let mut topology = mixed();
        topology.proxy.as_mut().unwrap().trusted_proxies = vec![trusted.to_owned(), "fd00::/8".to_owned()];
        let proxy = start(ProxyKind::Haproxy, topology);
        let answer = proxy.client().ask("GET", "/_matrix/client/v3/login", headers, 0);
        ["X-Forwarded-For", "X-Forwarded-Proto"].map(|name| answer.field(name).unwrap().to_owned())
    };
    let (client, scheme) = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https");
    assert_eq!(ask("127.0.0.0/8", &[client, scheme]), ["203.0.113.9", "https"]);
    assert_eq!(ask("127.0.0.0/8", &[client, "X-Forwarded-Proto: http"]), ["203.0.113.9", "http"]);
    assert_eq!(ask("10.0.0.0/8", &[client, scheme]), ["127.0.0.1", "http"]);
    // Who terminates TLS and says nothing of it: as Synapse would take it.
    assert_eq!(ask("127.0.0.0/8", &[client]), ["203.0.113.9", "https"]);
    assert_eq!(ask("10.0.0.0/8", &[client]), ["127.0.0.1", "http"]);
}

/// Main takes over only where the route says that it can.
#[test]
fn main_stands_in_where_it_can() {
    if !has(ProxyKind::Haproxy) {
        return;
    }
    let mut topology = mixed();
    // Nobody listens on port 1.
    for pool in ["sync", "typing"] {
        topology.upstreams[pool]
            .servers
            .iter_mut()
            .for_each(|server| server.address = "127.0.0.1:1".to_owned());
    }
    for route in topology.routes.iter_mut().filter(|route| route.upstream == "sync") {
        route.fallback = true;
    }
    // One pool, two opinions.
    topology.routes.push(route("more", "^/_matrix/client/(r0|v3)/events$", &[], "sync", "sync"));
    let proxy = start(ProxyKind::Haproxy, topology);
    let mut client = proxy.client();
    let eventually = |client: &mut crate::client::Client, target: &str, expected: &str| {
        let since = std::time::Instant::now();
        while client.who("GET", target, &[]) != expected {
            assert!(since.elapsed().as_secs() < 20, "{target} is not {expected}");
        }
    };
    eventually(&mut client, "/_matrix/client/v3/sync?since=1", "main");
    eventually(&mut client, "/_matrix/client/v3/events", "503");
    assert_eq!(client.who("PUT", "/_matrix/client/v3/rooms/!a:b/typing/@u:b", &[]), "503");
}

#[test]
fn tls_reads_the_key_beside_the_certificate() {
    if !has(ProxyKind::Haproxy) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c r't.pem"), folder.path().join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=example.org",
            "-days",
            "1",
            "-out",
        ])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output();
    assert!(made.unwrap().status.success());
    let mut topology = mixed();
    let Tls::Files { certificate: mut one, key: mut other } = fixture::tls_files() else { panic!() };
    one.value = certificate.to_str().unwrap().to_owned();
    other.value = key.to_str().unwrap().to_owned();
    topology.proxy.as_mut().unwrap().tls = Tls::Files { certificate: one, key: other };
    let proxy = start(ProxyKind::Haproxy, topology);

    let plain = proxy.client().ask("GET", "/_matrix/client/versions?a=%2F", &[], 0);
    assert_eq!(plain.status, 301);
    let location = "location: https://Example.org:8448/_matrix/client/versions?a=%2F".to_owned();
    assert!(plain.headers.contains(&location), "{plain:?}");
    // Nobody answers challenges here, but they are no redirect either.
    assert_eq!(proxy.client().ask("GET", "/.well-known/acme-challenge/x", &[], 0).status, 503);
    for (more, protocol) in [(1, "h2"), (2, "http/1.1")] {
        let port = proxy.port + more;
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-alpn", "h2,http/1.1"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let talk = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(talk.contains(&format!("ALPN protocol: {protocol}")), "{talk}");
        assert!(talk.contains("CN = example.org"), "{talk}");
    }
}

#[test]
fn haproxy_reads_every_text_back_as_it_was() {
    use synprov::modules::haproxy::{Section, write};
    if !has(ProxyKind::Haproxy) {
        return;
    }
    let texts = [
        "a b",
        "'",
        "\"",
        "\\",
        "\\\\",
        "\\n",
        "\\.",
        "a\\",
        "#x",
        "x#y",
        "é",
        "$HOME",
        "${HOME}",
        "%[src]",
        "%",
        "trailing ",
        " leading",
        "it's",
        "'\"'",
        "{",
        "}",
        "!",
        "[a]",
        "a,b(c)",
    ];
    let line = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let section = |head: &[&str], lines: Vec<Vec<String>>| Section { head: line(head), lines };
    let mut lines = vec![line(&["bind", "127.0.0.1:PORT"])];
    for (index, text) in texts.iter().enumerate() {
        let path = format!("/{index}");
        lines.push(line(&[
            "http-request",
            "return",
            "status",
            "200",
            "content-type",
            "text/plain",
            "string",
            text,
            "if",
            "{",
            "path",
            "-m",
            "str",
            "--",
            &path,
            "}",
        ]));
    }
    let defaults = ["timeout client 5s", "timeout server 5s", "timeout connect 5s", "mode http"]
        .map(|text| text.split(' ').map(ToOwned::to_owned).collect());
    let sections = [section(&["defaults"], defaults.into()), section(&["frontend", "f"], lines)];
    let proxy = Proxy::haproxy(&write(&sections).unwrap());
    let mut client = proxy.client();
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(client.ask("GET", &format!("/{index}"), &[], 0).body, *text);
    }
}

/// Nothing but HAProxy's own is on a host whose proxy is HAProxy.
#[test]
fn a_host_with_haproxy_has_no_nginx_files() {
    let mut topology = one_host();
    topology.proxy.as_mut().unwrap().kind = ProxyKind::Haproxy;
    let paths: Vec<String> = files(&topology).into_iter().map(|(path, _)| path).collect();
    assert!(paths.iter().all(|path| !path.contains("nginx")), "{paths:?}");
    for path in ["/etc/haproxy/matrix.cfg", "/etc/systemd/system/matrix_haproxy.service"] {
        assert!(paths.iter().any(|known| known == path), "{paths:?}");
    }
}
