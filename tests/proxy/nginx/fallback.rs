//! Main in place of pools of which nobody answers, and only there where it can serve.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use synprov::inventory::ProxyKind;
use synprov::topology::Topology;

use super::topology;
use crate::echo;
use crate::ports;
use crate::proxy::{has, start};

const POOLS: &str = "workers:\n  \
    sync: {host: hs1, count: 2, handles: [sync]}\n  \
    client: {host: hs1, handles: [client]}\n  \
    sender: {host: hs1, count: 2, handles: [event_sending]}\n  \
    typing: {host: hs1, writes: [typing]}\n  \
    media: {host: hs1, handles: [media]}\n";

/// Every process answers, but for those of `pool`, whose address is this.
fn with(pool: &str, address: &str) -> Topology {
    let mut topology = topology("", POOLS);
    echo::serve_all(&mut topology);
    for server in topology.upstreams.values_mut().flat_map(|upstream| &mut upstream.servers) {
        if server.instance.starts_with(pool) {
            address.clone_into(&mut server.address);
        }
    }
    topology
}

/// An address where nobody listens.
fn nobody() -> String {
    format!("127.0.0.1:{}", ports::free(1))
}

/// A process that takes requests and dies before it answers; and how many it took.
fn dying() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut head = [0; 4096];
            let mut stream = stream.unwrap();
            if stream.read(&mut head).unwrap_or(0) > 0 {
                count.fetch_add(1, Ordering::SeqCst);
            }
            stream.flush().ok();
        }
    });
    (address, taken)
}

#[test]
fn main_stands_in_where_it_can_serve_and_nowhere_else() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    for (pool, method, target, expected) in [
        ("client", "GET", "/_matrix/client/versions", "main"),
        ("client", "POST", "/_matrix/client/v3/createRoom", "main"),
        // By the table: other methods are main's anyway.
        ("client", "GET", "/_matrix/client/v3/pushrules/", "main"),
        ("client", "OPTIONS", "/_matrix/client/v3/pushrules/", "main"),
        ("sync", "GET", "/_matrix/client/v3/sync?since=s1", "main"),
        ("sender", "PUT", "/_matrix/client/v3/rooms/!a:b/send/m/1", "main"),
        ("sender", "POST", "/_matrix/client/v3/rooms/!a:b/join", "main"),
        ("typing", "PUT", "/_matrix/client/v3/rooms/!a:b/typing/@a:b", "502"),
        ("media", "GET", "/_matrix/client/v1/media/download/a/b", "502"),
    ] {
        let proxy = start(ProxyKind::Nginx, with(pool, &nobody()));
        let mut client = proxy.client();
        assert_eq!(client.who(method, target, &[]), expected, "{pool} is down: {method} {target}");
        let body = client.ask(method, target, &[], 1000);
        if expected == "main" && method != "GET" && method != "OPTIONS" {
            assert_eq!(body.field("body"), Some("1000"), "the body, too");
        }
    }
}

#[test]
fn a_request_that_somebody_may_have_served_is_not_sent_again_unless_it_changes_nothing() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let (address, taken) = dying();
    let proxy = start(ProxyKind::Nginx, with("sender", &address));
    let answer = proxy.client().ask("POST", "/_matrix/client/v3/rooms/!a:b/join", &[], 10);
    assert_eq!((answer.status, taken.load(Ordering::SeqCst)), (502, 1), "{answer:?}");

    let (address, taken) = dying();
    let proxy = start(ProxyKind::Nginx, with("client", &address));
    let mut client = proxy.client();
    let answer = client.ask("POST", "/_matrix/client/v3/createRoom", &[], 10);
    assert_eq!((answer.status, taken.load(Ordering::SeqCst)), (502, 1), "{answer:?}");
    assert_eq!(client.who("GET", "/_matrix/client/versions", &[]), "main");
}
