//! What the site shows besides the workers' routes, to whom, and where it listens.

use std::os::unix::net::UnixListener;

use serde_json::json;
use synprov::inventory::ProxyKind;

use super::topology;
use crate::echo;
use crate::proxy::{files, has, start};

const POOLS: &str = "workers:\n  admin: {host: hs1, handles: [admin, mas]}\n  media: {host: hs1, handles: [media]}\n  client: {host: hs1, handles: [client]}\n";
const MAS: &str = "mas: {endpoint: \"http://10.8.0.9:8080/\", secret: {secret: mas}}\n";

#[test]
fn apis_for_networks_are_shown_to_them_alone() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let mut open = topology(", admin: {from: [10.1.0.0/16, \"fd00::/8\"]}", &format!("{MAS}{POOLS}"));
    echo::serve_all(&mut open);
    let proxy = start(ProxyKind::Nginx, open);
    let mut client = proxy.client();
    for (from, method, target, expected) in [
        ("10.1.2.3", "GET", "/_synapse/admin/v1/rooms/!a:b", "admin"),
        ("fd00::1", "GET", "/_synapse/admin/v2/users/@a:b", "admin"),
        ("10.1.2.3", "PUT", "/_synapse/admin/v2/users/@a:b", "main"),
        ("10.1.2.3", "GET", "/_synapse/admin/v2/users", "main"),
        ("10.1.2.3", "POST", "/_synapse/admin/v1/quarantine_media/!a:b", "media"),
        ("10.2.0.1", "GET", "/_synapse/admin/v1/rooms/!a:b", "404"),
        ("10.2.0.1", "GET", "/_synapse/admin/v2/users/@a:b", "404"),
        ("10.2.0.1", "GET", "/_synapse//admin/v2/users", "404"),
        ("10.2.0.1", "GET", "/_synapse/%61dmin/v2/users", "404"),
        ("10.2.0.1", "GET", "/_matrix/../_synapse/admin/v2/users", "404"),
        ("10.8.0.9", "GET", "/_synapse/admin/v2/users", "404"),
        ("10.8.0.9", "POST", "/_synapse/mas/provision_user", "admin"),
        ("10.1.2.3", "POST", "/_synapse/mas/provision_user", "404"),
        ("10.1.2.3", "POST", "/_synapse/replication/x", "404"),
        ("10.1.2.3", "POST", "/_matrix/client/v3/login", "MAS"),
        ("10.1.2.3", "POST", "/_matrix/client/v3/logout/all", "MAS"),
        ("10.1.2.3", "POST", "/_matrix/client/v3/refresh", "MAS"),
        ("10.1.2.3", "POST", "/_matrix/client/v3/register", "client"),
    ] {
        let forwarded = format!("X-Forwarded-For: {from}");
        assert_eq!(client.who(method, target, &[&forwarded]), expected, "{method} {target} from {from}");
    }
}

#[test]
fn extra_routes_and_well_known_documents_stand_beside_matrix() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    std::fs::write(folder.path().join("index.html"), "Element").unwrap();
    std::fs::create_dir_all(folder.path().join(".well-known/acme-challenge")).unwrap();
    std::fs::write(folder.path().join(".well-known/acme-challenge/token"), "proof").unwrap();
    let other = echo::backend("other");
    let more = format!(
        ", acme_root: {root}, well_known: {{client: {{m.identity_server: {{base_url: \"https://id.example.org\"}}}}, server: \"m.example.org:8448\"}}, \
         routes: [{{path: /web/, root: {root}}}, {{path: /other, proxy_pass: \"http://{other}\"}}, {{path: /gone, return: 410}}, {{path: /, return: \"https://app.example.org/\"}}]"
    );
    let mut topology = topology(&more, POOLS);
    echo::serve_all(&mut topology);
    let proxy = start(ProxyKind::Nginx, topology);
    let mut client = proxy.client();
    assert_eq!(client.ask("GET", "/web/", &[], 0).body, "Element");
    assert_eq!(client.ask("GET", "/web/index.html", &[], 0).body, "Element");
    assert_eq!(client.ask("GET", "/web../x", &[], 0).status, 302);
    assert_eq!(client.ask("GET", "/.well-known/acme-challenge/token", &[], 0).body, "proof");
    assert_eq!(client.ask("GET", "/other/a%2Fb", &[], 0).field("line"), Some("GET /other/a%2Fb HTTP/1.1"));
    assert_eq!(client.ask("GET", "/gone/x", &[], 0).status, 410);
    let home = client.ask("GET", "/", &[], 0);
    assert_eq!(home.status, 302);
    assert!(home.headers.contains(&"location: https://app.example.org/".to_owned()), "{home:?}");
    assert_eq!(client.who("GET", "/_matrix/client/versions", &[]), "client");
    assert_eq!(client.ask("GET", "/_synapse/admin/v2/users", &[], 0).status, 404);
    let known = client.ask("GET", "/.well-known/matrix/client", &[], 0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&known.body).unwrap(),
        json!({"m.homeserver": {"base_url": "https://example.org/"}, "m.identity_server": {"base_url": "https://id.example.org"}})
    );
    assert!(known.headers.contains(&"access-control-allow-origin: *".to_owned()), "{known:?}");
    assert_eq!(
        client.ask("GET", "/.well-known/matrix/server", &[], 0).body,
        r#"{"m.server":"m.example.org:8448"}"#
    );
}

#[test]
fn it_listens_and_asks_over_ipv6_and_unix_sockets_too() {
    let text = |proxy: &str| {
        let tls = "hosts: [hs1], tls: {certificate: /c.pem, key: /k.pem}, server_names: [chat.example.org]";
        let mut topology = topology(proxy, POOLS);
        let (inventory, _) = synprov::inventory::parse(&format!(
            "hosts: {{hs1: {{address: 192.0.2.10}}}}\nsynapse: {{server_name: example.org, version: 1.163.2}}\n\
             postgresql: {{host: hs1}}\nmain: {{host: hs1}}\nproxy: {{{tls}{proxy}}}\n"
        ));
        let resolved = synprov::topology::resolve(&inventory.unwrap(), &synprov::inventory::Lock::default());
        topology.proxy = resolved.topology.unwrap().proxy;
        files(&topology).into_iter().find(|(path, _)| path == "/etc/nginx/conf.d/matrix.conf").unwrap().1
    };
    let plain = text("");
    for expected in [
        "listen 443 ssl http2;",
        "listen [::]:443 ssl http2;",
        "listen 8448 ssl;",
        "listen [::]:8448 ssl;",
        "server_name example.org chat.example.org;",
    ] {
        assert!(plain.contains(expected), "{expected}\n{plain}");
    }
    let directive = text(", http2: directive");
    assert!(directive.contains("http2 on;") && directive.contains("listen 443 ssl;"), "{directive}");
    assert!(!text(", http2: \"off\"").contains("http2"));

    if !has(ProxyKind::Nginx) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("client.sock");
    let mut topology = topology("", POOLS);
    echo::serve_all(&mut topology);
    let target = topology.upstreams["client"].servers[0].address.clone();
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for from in listener.incoming() {
            let (from, to) = (from.unwrap(), std::net::TcpStream::connect(&target).unwrap());
            let (mut in_from, mut in_to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let (mut out_from, mut out_to) = (from, to);
            std::thread::spawn(move || std::io::copy(&mut in_from, &mut in_to).ok());
            std::thread::spawn(move || std::io::copy(&mut out_to, &mut out_from).ok());
        }
    });
    topology.upstreams["client"].servers[0].address = format!("unix:{}", socket.display());
    if let Ok(listener) = std::net::TcpListener::bind("[::1]:0") {
        topology.upstreams["main"].servers[0].address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || echo::answer(&listener, "six"));
    }
    let six = topology.upstreams["main"].servers[0].address.starts_with('[');
    let proxy = start(ProxyKind::Nginx, topology);
    let mut client = proxy.client();
    assert_eq!(client.who("GET", "/_matrix/client/versions", &[]), "client");
    assert_eq!(client.who("GET", "/_matrix/client/v3/pushers", &[]), if six { "six" } else { "main" });
}

#[test]
fn every_proxy_host_has_the_same_routes_and_listeners_are_reached_from_all() {
    let text = "hosts: {hs1: {address: 10.8.0.1}, hs2: {address: 10.8.0.2}}\nsynapse: {server_name: example.org, version: 1.163.2}\n\
        postgresql: {host: hs1}\nredis: {host: hs1}\nmain: {host: hs1}\nproxy: {hosts: [hs1, hs2], tls: none}\n\
        workers: {client: {hosts: {hs1: 1, hs2: 1}, handles: [client]}}\n";
    let (inventory, _) = synprov::inventory::parse(text);
    let resolved = synprov::topology::resolve(&inventory.unwrap(), &synprov::inventory::Lock::default());
    let topology = resolved.topology.unwrap();
    let all: Vec<(String, String)> =
        files(&topology).into_iter().filter(|(path, _)| path.contains("nginx")).collect();
    assert_eq!(all.len() % 2, 0);
    let (one, two) = all.split_at(all.len() / 2);
    assert_eq!(one, two);
    for address in ["10.8.0.1:8008", "10.8.0.1:8081", "10.8.0.2:8082"] {
        assert!(one.iter().any(|(_, text)| text.contains(address)), "{address} {one:#?}");
    }
}
