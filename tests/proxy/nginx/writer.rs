//! What is written, as nginx reads it.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use synprov::inventory::{ProxyKind, Tls};
use synprov::modules::{Modules, expand};

use super::order::interleaved;
use crate::echo;
use crate::fixture::{map, one_host, tls_files};
use crate::proxy::{Proxy, has, nginx};

/// Only tested, never bound.
const PORT: u16 = 47001;

/// `nginx -t` says what it has to say.
fn tested(folder: &Path, conf: &Path) -> String {
    let output = Command::new("nginx").arg("-t").arg("-p").arg(folder).arg("-c").arg(conf).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn tls_and_snippets_pass_the_test_of_nginx() {
    if !has(ProxyKind::Nginx) {
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
    echo::serve_all(&mut topology);
    let Tls::Files { certificate: mut one, key: mut other } = tls_files() else { panic!() };
    one.value = certificate.to_str().unwrap().to_owned();
    other.value = key.to_str().unwrap().to_owned();
    topology.proxy.as_mut().unwrap().tls = Tls::Files { certificate: one, key: other };
    let conf = nginx(&mut topology, folder.path(), PORT);
    let talk = tested(folder.path(), &conf);
    assert!(!talk.contains("[warn]") || talk.contains("http2"), "{talk}");

    topology.proxy.as_mut().unwrap().kind = ProxyKind::Includes;
    let conf = nginx(&mut topology, folder.path(), PORT);
    let dir = folder.path().display();
    let site = format!(
        "include {dir}/nginx/http.conf; server {{ listen 127.0.0.1:{PORT}; include {dir}/nginx/locations.conf; }}"
    );
    std::fs::write(folder.path().join("site.conf"), site).unwrap();
    tested(folder.path(), &conf);
}

#[test]
fn nginx_reads_every_text_back_as_it_was() {
    use synprov::modules::nginx::{Directive, write};
    if !has(ProxyKind::Nginx) {
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
    let text = write(&tree).unwrap();
    let proxy = Proxy::nginx(&format!("server {{ listen 127.0.0.1:PORT; server_name example.org; {text} }}"));
    let mut client = proxy.client();
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(client.ask("GET", &format!("/_matrix/{index}"), &[], 0).body, format!("[{text}]"));
    }
    assert!(write(&[inside(0, "nul\0")]).is_err());
}

#[test]
fn a_dollar_sign_is_refused_where_nginx_would_see_a_variable() {
    let mut topology = one_host();
    let Tls::Files { mut certificate, key } = tls_files() else { panic!() };
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
