//! One proxy after the other on one host: HAProxy takes new routes over by a reload, nginx takes its place and
//! gives it back.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{World, arrive, must};

const PROXIES: &str = include_str!("../data/labs/proxies.yaml");

pub fn one_after_the_other() {
    let (haproxy, nginx) = (PROXIES.replace("kind: nginx", "kind: haproxy"), PROXIES.to_owned());
    let world = World::rehearse("proxies", &haproxy);
    let sh = |script: &str| {
        let output = world.lab.exec("hs1", &["bash", "-c", script]).unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let client = world.client("matrix.proxies.example", "proxies");
    let user = arrive(&client, "visitor");
    let asked = Cell::new(0_u32);
    let served = |by: &str| {
        for port in [80, 443, 8448] {
            let owner = sh(&format!("ss -Hltnp 'sport = :{port}'"));
            assert!(owner.contains(&format!("\"{by}\"")), "{port}: {owner}");
        }
        let room = must(&client, Some(&user), "POST", "/_matrix/client/v3/createRoom", &json!({}));
        let room = room["room_id"].as_str().unwrap();
        // Another process than the one that made it answers, and may hear of it a moment later.
        let until = Instant::now() + Duration::from_secs(30);
        for attempt in 0.. {
            // ⚑ Synapse gives the same answer to the same first sync for two minutes: no two are the same.
            asked.set(asked.get() + 1);
            let path = format!("/_matrix/client/v3/sync?timeout={}", asked.get());
            let sync = must(&client, Some(&user), "GET", &path, &Value::Null);
            if sync["rooms"]["join"].get(room).is_some() {
                break;
            }
            assert!(Instant::now() < until, "{room} is not in {sync}, attempt {attempt}");
            std::thread::sleep(Duration::from_millis(300));
        }
        eprintln!("seen   {by} listens on 80, 443 and 8448, and a client is served through it");
    };
    served("haproxy");

    // A pool more: its processes are known to HAProxy without a restart of it.
    let unit = "matrix_haproxy.service";
    let ids = || sh(&format!("systemctl show --property=MainPID,InvocationID {unit}"));
    let before = ids();
    let more = format!("{haproxy}  media: {{host: hs1, handles: [media]}}\n");
    let text = world.apply_in_lab(&more);
    assert!(text.contains(&format!("reload {unit}")) && !text.contains(&format!("restart {unit}")), "{text}");
    assert_eq!(ids(), before);
    assert!(sh("cat /etc/haproxy/matrix.cfg").contains("server media "));
    served("haproxy");
    eprintln!("seen   {unit} took a new pool over by a reload");

    world.apply_in_lab(&nginx);
    served("nginx");
    assert_eq!(
        sh(&format!(
            "systemctl is-active {unit}; systemctl is-enabled {unit} 2>&1 | head -n 1; ls /etc/haproxy"
        ))
        .lines()
        .next(),
        Some("inactive")
    );
    assert!(!sh("ls /etc/haproxy").contains("matrix.cfg"));
    eprintln!("seen   HAProxy has left, nginx is in its place");

    // The site that Debian's package brings is not synprov's, and listens on port 80.
    let text = world.plan_in_lab(&haproxy);
    assert!(text.contains("/etc/nginx/sites-enabled/default"), "{text}");
    sh("rm /etc/nginx/sites-enabled/default");
    world.apply_in_lab(&haproxy);
    served("haproxy");
    assert!(!sh("ls /etc/nginx/conf.d").contains("matrix"));
    eprintln!("seen   nginx has left, HAProxy is in its place");
}
