//! Logins left to Matrix Authentication Service: what Synapse is told. What is refused beside it is
//! in tests/data/wrong.

use synprov::inventory::{self, Lock};
use synprov::topology::{Resolved, resolve};

/// An inventory with this `mas`.
fn inventory(mas: &str) -> String {
    format!(
        "hosts: {{hs1: {{address: 192.0.2.10}}}}
synapse:
  server_name: example.org
  version: 1.163.2
  secrets: {{mas: env:MAS_SECRET}}
postgresql: {{host: hs1}}
redis: {{host: hs1}}
main: {{host: hs1}}
mas: {{{mas}}}
proxy: {{host: hs1, tls: none}}
workers:
  sync: {{host: hs1, handles: [sync]}}
"
    )
}

fn read(text: &str) -> Resolved {
    let (inventory, found) = inventory::parse(text);
    assert!(found.is_empty(), "{found:#?}");
    resolve(&inventory.unwrap(), &Lock::default())
}

const MAS: &str = "endpoint: 'http://10.8.0.5:8080/', secret: {secret: mas}";

#[test]
fn synapse_is_told_where_it_is_and_never_the_secret() {
    let topology = read(&inventory(MAS)).topology.unwrap();
    assert_eq!(
        topology.shared_config["matrix_authentication_service"],
        serde_json::json!({"enabled": true, "endpoint": "http://10.8.0.5:8080/", "secret_path": "/opt/matrix/conf/secrets/mas"})
    );
    let mas = topology.mas.unwrap();
    assert_eq!(
        (mas.address.as_str(), mas.tls, mas.networks),
        ("10.8.0.5:8080", false, vec!["10.8.0.5/32".to_owned()])
    );
    assert!(topology.instances.iter().all(|instance| instance.secrets.contains(&"mas".to_owned())));
    assert_eq!(topology.secrets["mas"].hosts, ["hs1"]);
}

#[test]
fn endpoints() {
    for (endpoint, address, tls) in [
        ("https://auth.example.org", "auth.example.org:443", true),
        ("http://[fd00:8::5]:8080/", "[fd00:8::5]:8080", false),
        ("http://[fd00:8::5]", "[fd00:8::5]:80", false),
    ] {
        let mas = format!("endpoint: '{endpoint}', secret: {{secret: mas}}, networks: [10.8.0.0/24]");
        let mas = read(&inventory(&mas)).topology.unwrap().mas.unwrap();
        assert_eq!((mas.address.as_str(), mas.tls), (address, tls));
        assert_eq!(mas.networks, ["10.8.0.0/24"]);
    }
}
