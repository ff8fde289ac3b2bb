//! The verifying client against a Synapse installed by hand: needs root, podman and the pip index.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used)]

mod throwaway;

use std::net::SocketAddr;

use synprov::lab::client::Door;
use synprov::lab::verify::{Check, Features, Homeserver, Process, verify};
use synprov::lab::{Distro, Flavour, HostSpec, LAB_CERTIFICATE, LAB_KEY, Lab, LabSpec, Outward, Sudo};
use throwaway::{host, spec};

/// One process with SQLite behind nginx with the lab's certificate.
const INSTALL: &str = r#"set -eu
python3 -m venv /opt/synapse
/opt/synapse/bin/pip --quiet install matrix-synapse==1.163.2
mkdir -p /opt/synapse/data
cat > /opt/synapse/homeserver.yaml <<'END'
server_name: example.org
public_baseurl: https://matrix.example.org/
pid_file: /opt/synapse/pid
report_stats: false
signing_key_path: /opt/synapse/data/signing.key
media_store_path: /opt/synapse/data/media
macaroon_secret_key: lab
form_secret: lab
log_config: /opt/synapse/log.yaml
enable_registration: true
enable_registration_without_verification: true
trusted_key_servers: []
rc_login: {address: {per_second: 100, burst_count: 100}}
database: {name: sqlite3, args: {database: /opt/synapse/data/db}}
listeners:
  - {port: 8008, bind_addresses: [127.0.0.1], type: http, x_forwarded: true, resources: [{names: [client, federation]}]}
END
cat > /opt/synapse/log.yaml <<'END'
version: 1
formatters: {plain: {format: '%(name)s - %(levelname)s - %(request)s - %(message)s'}}
handlers: {console: {class: logging.StreamHandler, formatter: plain}}
root: {level: INFO, handlers: [console]}
END
/opt/synapse/bin/python -m synapse.app.homeserver --generate-keys -c /opt/synapse/homeserver.yaml
cat > /etc/systemd/system/by-hand.service <<'END'
[Service]
Type=notify
ExecStart=/opt/synapse/bin/python -m synapse.app.homeserver -c /opt/synapse/homeserver.yaml
END
cat > /etc/nginx/sites-enabled/default <<'END'
server {
  listen 443 ssl;
  server_name matrix.example.org;
  ssl_certificate CERTIFICATE;
  ssl_certificate_key KEY;
  location / { proxy_pass http://127.0.0.1:8008; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https; }
}
END
systemctl start by-hand.service nginx.service
"#;

fn failures(checks: &[Check]) -> Vec<String> {
    let failed = checks.iter().filter(|check| !check.ok);
    failed.map(|check| format!("{}: {}: {:?}", check.what, check.request, check.problem)).collect()
}

#[test]
#[ignore = "lab: needs root and podman"]
fn two_users_live_an_evening_and_the_serving_process_is_named() {
    let hosts = vec![HostSpec {
        tls_names: vec!["matrix.example.org".into()],
        ..host("hs1", 1, "root", Sudo::No, Distro::Debian12)
    }];
    let (spec, _removed) = spec("client", Outward::Indexes, hosts);
    let spec = LabSpec { flavour: Flavour::Warm, ..spec };
    let lab = Lab::up(&spec).unwrap();
    let script = INSTALL.replace("CERTIFICATE", LAB_CERTIFICATE).replace("KEY", LAB_KEY);
    let installed = lab.exec_with_input("hs1", &["bash", "-s"], script.as_bytes()).unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));

    let mut homeserver = Homeserver {
        server_name: "example.org".into(),
        door: Door {
            name: "matrix.example.org".into(),
            address: SocketAddr::new(lab.hosts()[0].address.parse().unwrap(), 443),
            ca: Some(std::fs::read(&lab.state().ca).unwrap()),
        },
        processes: vec![Process {
            instance: "main".into(),
            host: "hs1".into(),
            unit: "by-hand.service".into(),
            log: None,
        }],
        features: Features::of(&serde_json::Map::new()),
    };
    // Typing is said to belong to another process: exactly that must be found.
    let expected = |method: &str, path: &str| match (method, path.contains("/typing/")) {
        ("PUT", true) => vec!["typing".to_owned()],
        _ => vec!["main".to_owned()],
    };
    let checks = verify(&lab, &homeserver, &expected).unwrap();
    for check in &checks {
        println!("{:3} {:30} {} {:?}", check.status, check.what, check.request, check.problem);
    }
    assert!(checks.len() > 60, "{} requests", checks.len());
    let failed = failures(&checks);
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert!(failed[0].contains("served by main, expected typing"), "{failed:?}");

    // From outside there is the proxy and sshd; Synapse's own port is on loopback.
    assert_eq!(lab.port_scan(&lab.hosts()[0].address).unwrap(), [22, 443]);

    // Another CA: not one request gets through.
    let stranger = tempfile::tempdir().unwrap();
    let file = |name: &str| stranger.path().join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stranger"])
        .args(["-keyout", &file("key"), "-out", &file("ca")])
        .output()
        .unwrap();
    assert!(made.status.success());
    homeserver.door.ca = Some(std::fs::read(file("ca")).unwrap());
    let checks = verify(&lab, &homeserver, &expected).unwrap();
    assert_eq!(checks.iter().map(|check| check.status).collect::<Vec<_>>(), [0]);

    // A process that is down is a row that says so, not a hang or a panic.
    homeserver.door.ca = Some(std::fs::read(&lab.state().ca).unwrap());
    lab.exec("hs1", &["systemctl", "stop", "by-hand.service"]).unwrap();
    let checks = verify(&lab, &homeserver, &expected).unwrap();
    assert_eq!(failures(&checks).len(), 1);
    assert_eq!(checks[0].status, 502);
}
