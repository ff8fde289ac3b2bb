//! The nginx files on a real nginx, with echo backends in place of Synapse.
//!
//! Each test starts an nginx of its own below a temporary directory, on a free port.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr)]

mod fixture;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fixture::{map, one_host, route, server, upstream};
use serde_json::json;
use synprov::inventory::{ProxyKind, Tls};
use synprov::modules::{Modules, expand};
use synprov::resource::Body;
use synprov::topology::{Balance, Topology};

/// Answers every request with its own name and what it got, `KEY: VALUE` a line.
fn backend(name: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let name = name.to_owned();
    std::thread::spawn(move || {
        for (connection, stream) in listener.incoming().enumerate() {
            let (name, stream) = (name.clone(), stream.unwrap());
            std::thread::spawn(move || serve(&name, connection, stream));
        }
    });
    address
}

fn serve(name: &str, connection: usize, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let length =
            head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let head = head.join("\n");
        let text =
            format!("served-by: {name}\nconnection: {connection}\nbody: {}\nline: {head}\n", body.len());
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).unwrap();
    }
}

struct Nginx {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn has_nginx() -> bool {
    let found = Command::new("nginx").arg("-v").output().is_ok();
    if !found {
        eprintln!("skipped: no nginx on this machine (apt-get install nginx-light)");
    }
    found
}

/// Writes the topology's nginx files below `folder`, every `listen` on `port` of loopback.
fn write_files(topology: &mut Topology, folder: &Path, port: u16) -> String {
    topology.root = folder.to_str().unwrap().to_owned();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for upstream in topology.upstreams.values_mut() {
        for server in &mut upstream.servers {
            let name = &server.instance;
            server.address = names.entry(name.clone()).or_insert_with(|| backend(name)).clone();
        }
    }
    std::fs::create_dir_all(folder.join("nginx/worker")).unwrap();
    std::fs::create_dir_all(folder.join("logs")).unwrap();
    let mut site = String::new();
    for resource in expand(&Modules::builtin(), topology).unwrap() {
        let Body::File { path, content, .. } = resource.body else { continue };
        if path.starts_with("/etc/nginx/conf.d/") {
            for line in content.redacted().lines().filter(|line| !line.contains("listen [::]")) {
                let line = ["80", "443", "8448"].iter().fold(line.to_owned(), |line, public| {
                    line.replace(
                        &format!("listen {public}"),
                        &format!(
                            "listen 127.0.0.1:{}",
                            match *public {
                                "80" => port,
                                "443" => port + 1,
                                _ => port + 2,
                            }
                        ),
                    )
                });
                site.push_str(&line);
                site.push('\n');
            }
        } else if path.starts_with(topology.root.as_str()) && path.contains("/nginx/") {
            std::fs::write(path, content.redacted()).unwrap();
        }
    }
    std::fs::write(folder.join("site.conf"), site).unwrap();
    let wrapper = format!(
        "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/logs/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
         include {dir}/site.conf;\n\
         server {{ listen 127.0.0.1:{port} default_server; return 418; }} }}\n",
        dir = folder.display()
    );
    let conf = folder.join("nginx.conf");
    std::fs::write(&conf, wrapper).unwrap();
    conf.to_str().unwrap().to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(mut topology: Topology) -> Nginx {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let conf = write_files(&mut topology, folder.path(), port);
    let child = Command::new("nginx")
        .args(["-p", folder.path().to_str().unwrap(), "-c", &conf])
        .stderr(std::process::Stdio::inherit())
        .spawn()
        .unwrap();
    let nginx = Nginx { child, port, _folder: folder };
    let since = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(since.elapsed() < Duration::from_secs(10), "nginx does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    nginx
}

/// Status line and body.
fn request(nginx: &Nginx, method: &str, path: &str, headers: &[&str], body: usize) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: Example.org:8448\r\nConnection: close\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    if body > 0 {
        head += &format!("Content-Length: {body}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; body]).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

fn field<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    body.lines().find_map(|line| line.strip_prefix(&format!("{key}: ")))
}

/// Who answered: an instance's name, or the status.
fn who(nginx: &Nginx, method: &str, path: &str, headers: &[&str]) -> String {
    let (status, body) = request(nginx, method, path, headers, 0);
    match field(&body, "served-by") {
        Some(name) => name.to_owned(),
        None => status.split(' ').nth(1).unwrap_or("nothing").to_owned(),
    }
}

/// Routes whose pools interleave, so that no order of whole files is the topology's order.
fn interleaved() -> Topology {
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
    if !has_nginx() {
        return;
    }
    let nginx = start(interleaved());
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
        .map(|(method, path, expect)| (method, path, expect, who(&nginx, method, path, &[])))
        .filter(|(_, _, expect, got)| *expect != got)
        .map(|(method, path, expect, got)| format!("{method} {path}: {got}, not {expect}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The same as `explain` and `verify` say, but for what the proxy keeps to itself.
    let topology = interleaved();
    for (method, path, expect) in cases {
        if expect != "404" && method != "OPTIONS" && !path.starts_with("/.well-known") {
            assert_eq!(topology.route(method, path).upstream, expect, "{method} {path}");
        }
    }
    assert!(who(&nginx, "GET", "/_matrix/client/v3/sync?since=s1", &[]).starts_with("sync"));
    assert_eq!(
        request(&nginx, "GET", "/.well-known/matrix/server", &[], 0).1,
        r#"{"m.server":"matrix.example.org:443"}"#
    );
}

#[test]
fn users_and_rooms_keep_their_process() {
    if !has_nginx() {
        return;
    }
    let nginx = start(interleaved());
    let sync = "/_matrix/client/v3/sync?since=s1";
    let token = |token: &str| format!("Authorization: Bearer {token}");
    let mut used = std::collections::BTreeSet::new();
    for user in ["YWxpY2U", "Ym9i", "Y2Fyb2w", "ZGF2ZQ", "ZXZl", "ZnJhbms", "Z3JhY2U", "aGVpZGk"] {
        let first = who(&nginx, "GET", sync, &[&token(&format!("syt_{user}_aaaaaaaaaa_1"))]);
        for other in ["bbbbbb_2", "cccccc_3", "dddddd_4"] {
            let device = token(&format!("syt_{user}_{other}"));
            assert_eq!(who(&nginx, "GET", sync, &[&device]), first, "another device of {user}");
            let query = format!("{sync}&access_token=syt_{user}_{other}");
            assert_eq!(who(&nginx, "GET", &query, &[]), first, "token in the query");
        }
        used.insert(first);
    }
    assert!(used.len() > 1, "all users on {used:?}");
    let others: std::collections::BTreeSet<String> =
        (0..12).map(|n| who(&nginx, "GET", sync, &[&token(&format!("as_token{n}_x"))])).collect();
    assert!(others.len() > 1, "tokens of other makers must not be one key");

    let mut used = std::collections::BTreeSet::new();
    for room in 0..12 {
        let plain = who(&nginx, "PUT", &format!("/_matrix/client/v3/rooms/!r{room}:b.c/send/m/1"), &[]);
        let coded = who(&nginx, "PUT", &format!("/_matrix/client/v3/rooms/%21r{room}%3Ab.c/send/m/2"), &[]);
        assert_eq!(plain, coded, "one room, two spellings");
        used.insert(plain);
    }
    assert!(used.len() > 1, "all rooms on {used:?}");
}

#[test]
fn every_location_passes_the_request_as_it_is() {
    if !has_nginx() {
        return;
    }
    let mut topology = interleaved();
    topology.proxy.as_mut().unwrap().max_body = 3_000_000;
    let nginx = start(topology);
    for path in [
        "/_matrix/client/versions",
        "/_matrix/client/v3/login",
        "/_matrix/client/v3/pushrules/a",
        "/_matrix/client/v3/rooms/!a%2Fb:c//x/../send/m?x=%2F%20",
        "/_matrix/federation/v1/event/$a%2Fb%7E",
        "/_synapse/client/x",
    ] {
        let forged = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: gopher"];
        let (_, body) = request(&nginx, "GET", path, &forged, 0);
        assert_eq!(field(&body, "line"), Some(format!("GET {path} HTTP/1.1").as_str()));
        assert_eq!(field(&body, "Host"), Some("example.org"), "{body}");
        assert_eq!(field(&body, "X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(field(&body, "X-Forwarded-Proto"), Some("http"));
        assert_eq!(field(&body, "Connection"), None);
    }
    // The second request uses the first one's connection to the backend.
    let path = "/_matrix/client/versions";
    let connection = |body: &str| field(body, "connection").unwrap().to_owned();
    let first = connection(&request(&nginx, "GET", path, &[], 0).1);
    assert_eq!(connection(&request(&nginx, "GET", path, &[], 0).1), first);

    for path in
        ["/_matrix/federation/v1/send/1", "/_matrix/client/v3/rooms/!a:b/send/m", "/_matrix/media/v3/upload"]
    {
        assert_eq!(field(&request(&nginx, "PUT", path, &[], 2_999_999).1, "body"), Some("2999999"));
        assert!(request(&nginx, "PUT", path, &[], 3_000_001).0.contains(" 413 "));
    }
}

#[test]
fn behind_another_proxy_its_word_counts_and_nobody_elses() {
    if !has_nginx() {
        return;
    }
    let ask = |trusted: &str| {
        let mut topology = interleaved();
        topology.proxy.as_mut().unwrap().trusted_proxies = vec![trusted.to_owned(), "fd00::/8".to_owned()];
        let nginx = start(topology);
        let headers = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"];
        let (_, body) = request(&nginx, "GET", "/_matrix/client/v3/login", &headers, 0);
        (
            field(&body, "X-Forwarded-For").unwrap().to_owned(),
            field(&body, "X-Forwarded-Proto").unwrap().to_owned(),
        )
    };
    assert_eq!(ask("127.0.0.0/8"), ("203.0.113.9".to_owned(), "https".to_owned()));
    assert_eq!(ask("10.0.0.0/8"), ("127.0.0.1".to_owned(), "http".to_owned()));
}

#[test]
fn other_sites_answer_as_before() {
    if !has_nginx() {
        return;
    }
    let nginx = start(interleaved());
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

/// `nginx -t` says what it has to say.
fn tested(folder: &Path, conf: &str) -> String {
    let output =
        Command::new("nginx").args(["-t", "-p", folder.to_str().unwrap(), "-c", conf]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn tls_and_snippets_pass_the_test_of_nginx() {
    if !has_nginx() {
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
    let mut topology = interleaved();
    let Tls::Files { certificate: mut one, key: mut other } = fixture::tls_files() else { panic!() };
    one.value = certificate.to_str().unwrap().to_owned();
    other.value = key.to_str().unwrap().to_owned();
    topology.proxy.as_mut().unwrap().tls = Tls::Files { certificate: one, key: other };
    let port = free_port();
    let conf = write_files(&mut topology, folder.path(), port);
    let talk = tested(folder.path(), &conf);
    assert!(!talk.contains("[warn]") || talk.contains("http2"), "{talk}");

    topology.proxy.as_mut().unwrap().kind = ProxyKind::Includes;
    let conf = write_files(&mut topology, folder.path(), port);
    let dir = folder.path().display();
    let site = format!(
        "include {dir}/nginx/http.conf; server {{ listen 127.0.0.1:{port}; include {dir}/nginx/locations.conf; }}"
    );
    std::fs::write(folder.path().join("site.conf"), site).unwrap();
    tested(folder.path(), &conf);
}

#[test]
fn nginx_reads_every_text_back_as_it_was() {
    use synprov::modules::nginx::{Directive, write};
    if !has_nginx() {
        return;
    }
    let texts = [
        "a b",
        ";",
        "{",
        "}",
        "a{2,3}b",
        "\"",
        "'",
        "\\",
        "\\\\",
        "\\n",
        "\\.",
        "\\\\.",
        "a\\",
        "#x",
        "x#y",
        "tab\there",
        "line\nbreak",
        "é",
        "(?<x>[^/]+);",
        "trailing ",
        " leading",
        "\\\"",
        "C:\\temp",
        "it's",
        "~*",
        "http://x/{y}",
    ];
    let inside = |index: usize, text: &str| Directive {
        name: "location".to_owned(),
        args: vec!["=".to_owned(), format!("/_matrix/{index}")],
        block: Some(vec![Directive {
            name: "return".to_owned(),
            args: vec!["200".to_owned(), format!("[{text}]")],
            ..Directive::default()
        }]),
        ..Directive::default()
    };
    let tree: Vec<Directive> = texts.iter().enumerate().map(|(index, text)| inside(index, text)).collect();
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut topology = interleaved();
    let conf = write_files(&mut topology, folder.path(), port);
    let site =
        format!("server {{ listen 127.0.0.1:{port}; server_name example.org; {} }}", write(&tree).unwrap());
    std::fs::write(folder.path().join("site.conf"), site).unwrap();
    tested(folder.path(), &conf);
    let child =
        Command::new("nginx").args(["-p", folder.path().to_str().unwrap(), "-c", &conf]).spawn().unwrap();
    let nginx = Nginx { child, port, _folder: folder };
    let since = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(since.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(request(&nginx, "GET", &format!("/_matrix/{index}"), &[], 0).1, format!("[{text}]"));
    }
    assert!(write(&[inside(0, "nul\0")]).is_err());
}

#[test]
fn a_dollar_sign_is_refused_where_nginx_would_see_a_variable() {
    let mut topology = one_host();
    let Tls::Files { mut certificate, key } = fixture::tls_files() else { panic!() };
    certificate.value = "/etc/ssl/$host.pem".to_owned();
    topology.proxy.as_mut().unwrap().tls = Tls::Files { certificate, key };
    let errors = expand(&Modules::builtin(), &topology).unwrap_err();
    assert!(errors[0].to_string().contains("nginx cannot hold the $"), "{errors:?}");

    let mut topology = one_host();
    topology.server_name = "example.org; evil".to_owned();
    topology.shared_config = map(json!({}));
    assert!(expand(&Modules::builtin(), &topology).unwrap_err()[0].to_string().contains("is no host name"));

    let mut topology = one_host();
    topology.routes[0].regex = "^/a|^/b".to_owned();
    assert!(
        expand(&Modules::builtin(), &topology).unwrap_err()[0].to_string().contains("alternative outside")
    );
}
