//! The inventory changed: what an apply starts, stops and restarts, and in which order.

use std::net::SocketAddr;

use synprov::lab::client::Door;
use synprov::lab::verify::{Features, Homeserver, Process, verify};
use synprov::topology::Request;

use crate::site::{HOST, INVENTORY, ROOT, Site};

const CLIENT: &str = "matrix_generic_worker@client.service";
const SENDER: &str = "  sender: {host: one, runs: [federation_sender]}\n";
const EXTRA: &str = "  extra: {host: one, handles: [user_directory]}\n";
const EXTRA_UNIT: &str = "matrix_generic_worker@extra.service";

/// Position of the one step whose title has these words.
#[track_caller]
fn at(steps: &[String], words: &str) -> usize {
    let mut found = steps.iter().enumerate().filter(|(_, title)| title.contains(words));
    let (position, _) = found.next().unwrap_or_else(|| panic!("no step {words:?} in {steps:#?}"));
    assert_eq!(found.next(), None, "a second step {words:?}");
    position
}

/// One worker's option: that worker restarts, nobody else.
pub fn one_workers_option(site: &Site) {
    let before = site.invocations();
    site.rewrite("config: {turn_shared_secret", "config: {event_cache_size: 7K, turn_shared_secret");
    let plan = site.plan();
    let path = format!("{ROOT}/conf/workers/client.yaml");
    assert_eq!(plan.changes(), [format!("update intended {path}"), format!("update intended {CLIENT}")]);
    assert_eq!(plan.service_steps(), [format!("restart {CLIENT}")]);
    site.apply();
    site.is_settled();
    assert_eq!(site.disturbed(&before), [CLIENT]);
    site.write(INVENTORY);
    site.apply();
}

/// A plain worker comes: up before nginx routes to it, 0 restarts elsewhere. And goes: routes first, then the unit.
pub fn a_worker_comes_and_goes(site: &Site) {
    let before = site.invocations();
    let shared = site.sh(&format!("stat -c '%y %i' {ROOT}/conf/config.yaml"));
    let nginx = site.sh("systemctl show -P MainPID nginx");
    site.rewrite(SENDER, &format!("{SENDER}{EXTRA}"));
    let plan = site.plan();
    let steps = plan.steps();
    assert_eq!(plan.service_steps(), [format!("start {EXTRA_UNIT}"), "reload nginx.service".to_owned()]);
    let started = at(&steps, &format!("start {EXTRA_UNIT}"));
    assert!(started < at(&steps, "nginx files in place") && started > at(&steps, "Synapse files in place"));
    site.apply();
    site.is_settled();
    assert_eq!(site.disturbed(&before), [EXTRA_UNIT], "0 restarts elsewhere");
    assert_eq!(site.sh("systemctl show -P MainPID nginx"), nginx, "reloaded, not restarted");
    assert_eq!(
        site.sh(&format!("stat -c '%y %i' {ROOT}/conf/config.yaml")),
        shared,
        "no shared file is touched"
    );
    // What the plan said is what happened: ready (systemd heard so) before the first nginx file that names it.
    let ready = site.sh(&format!("date -d \"$(systemctl show -P ActiveEnterTimestamp {EXTRA_UNIT})\" +%s"));
    let routed = site.sh(
        "grep -rlw extra /etc/nginx /opt/matrix/nginx 2> /dev/null | xargs stat -c %Z | sort -n | head -n 1",
    );
    assert!(
        ready.parse::<u64>().unwrap() <= routed.parse::<u64>().unwrap(),
        "ready {ready}, routed {routed}"
    );

    let before = site.invocations();
    site.write(INVENTORY);
    let plan = site.plan();
    let steps = plan.steps();
    assert_eq!(
        plan.service_steps(),
        ["reload nginx.service".to_owned(), format!("stop and disable {EXTRA_UNIT}")]
    );
    let stopped = at(&steps, &format!("stop and disable {EXTRA_UNIT}"));
    assert!(
        stopped > at(&steps, "reload nginx.service")
            && stopped < at(&steps, "remove 3 files and 1 directory")
    );
    site.apply();
    site.is_settled();
    assert_eq!(site.disturbed(&before), [EXTRA_UNIT]);
    let left = site.sh(&format!(
        "systemctl show -P ActiveState {EXTRA_UNIT}; ls {ROOT}/conf/workers {ROOT}/conf/log /etc/systemd/system \
         /etc/systemd/system/matrix.target.wants /etc/nginx/*; grep -rlw extra /etc/nginx {ROOT}/nginx {ROOT}/conf || true"
    ));
    assert!(left.starts_with("inactive") && !left.contains("extra"), "{left}");
}

/// A secret from the environment changed: only its readers restart.
pub fn a_secret_changes(site: &Site) {
    let before = site.invocations();
    let value = "canary-turn-second-3KcV6yRe";
    let first = site.sh(&format!("grep -rl canary-turn {ROOT}/conf"));
    site.set_env("CANARY_TURN", value);
    let plan = site.plan();
    assert_eq!(plan.service_steps(), [format!("restart {CLIENT}")], "{:#?}", plan.changes());
    assert!(plan.changes().iter().all(|change| change.contains(" intended ")), "{:#?}", plan.changes());
    site.run(&["apply", "--yes", "-vvv"]).exits(0).never_says(value);
    site.is_settled();
    assert_eq!(site.disturbed(&before), [CLIENT]);
    assert_eq!(site.sh(&format!("grep -rl {value} {ROOT}/conf")), first, "the same files hold the new value");
    site.set_env("CANARY_TURN", crate::site::CANARIES[1].1);
    site.apply();
}

/// Somebody's own nginx file is broken: said before anything is changed, with its name.
pub fn a_foreign_nginx_file_is_broken(site: &Site) {
    let before = site.invocations();
    let state = || {
        site.sh(&format!(
            "ls {ROOT}/conf/workers; find /etc/nginx /opt/matrix/nginx -type f | sort | xargs sha256sum"
        ))
    };
    site.sh("echo 'nonsense here;' > /etc/nginx/conf.d/zz-foreign.conf");
    let found = state();
    site.rewrite(SENDER, &format!("{SENDER}{EXTRA}"));
    let answer = site.run(&["apply", "--yes"]).exits(1).says("zz-foreign.conf").says("unknown directive");
    assert!(answer.stdout.contains("validate nginx files as if in place failed"), "{}", answer.stdout);
    assert_eq!(state(), found, "nothing was changed");
    assert!(site.disturbed(&before).is_empty());
    site.sh("rm /etc/nginx/conf.d/zz-foreign.conf");
    // Not even an empty directory is left.
    site.write(INVENTORY);
    assert_eq!(site.plan().steps(), [] as [&str; 0]);
}

/// Synapse refuses an option: said in its words before anything is changed.
pub fn synapse_refuses_an_option(site: &Site) {
    let before = site.invocations();
    let path = format!("{ROOT}/conf/workers/client.yaml");
    let found = site.sh(&format!("sha256sum {path}"));
    site.rewrite(
        "config: {turn_shared_secret",
        "config: {room_list_publication_rules: [{action: maybe}], turn_shared_secret",
    );
    let refused = site.run(&["apply", "--yes"]).exits(1);
    refused.says("validate Synapse files as if in place, check the routes").says("can only have action of");
    assert_eq!(site.sh(&format!("sha256sum {path}")), found, "nothing was changed");
    assert!(site.disturbed(&before).is_empty());
    site.write(INVENTORY);
}

/// After all of it a client still finds what it needs, and each request is served by who should.
pub fn a_client_is_served(site: &Site) {
    let (inventory, _) = synprov::inventory::parse(&std::fs::read_to_string(site.inventory()).unwrap());
    let lock = std::fs::read_to_string(site.directory.join("inventory.lock")).unwrap();
    let lock = synprov::inventory::lock::parse(&lock).unwrap();
    let topology = synprov::topology::resolve(&inventory.unwrap(), &lock).topology.unwrap();
    let address = site.host().address.parse().unwrap();
    let door = Door {
        name: "matrix.example.org".to_owned(),
        address: SocketAddr::new(address, 443),
        ca: Some(std::fs::read(&site.lab.state().ca).unwrap()),
    };
    let process = |one: &synprov::topology::Instance| Process {
        instance: one.name.clone(),
        host: HOST.to_owned(),
        unit: one.unit.clone(),
        log: None,
    };
    let homeserver = Homeserver {
        server_name: "example.org".to_owned(),
        door,
        processes: topology.instances.iter().map(process).collect(),
        features: Features::of(&topology.shared_config),
    };
    let router = topology.router();
    let checks =
        verify(&site.lab, &homeserver, &|method, path| router.route(&Request::new(method, path)).instances)
            .unwrap();
    let wrong: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert!(wrong.is_empty() && checks.len() > 50, "{} checks; wrong: {wrong:#?}", checks.len());
}

/// A Synapse whose workers lack what is routed to them: found by a look, and before anything is put in place.
pub fn synapse_does_not_serve_a_route(site: &Site) {
    let before = site.invocations();
    let path = format!("{ROOT}/conf/config.yaml");
    let found = site.sh(&format!("sha256sum {path}"));
    let registers = format!("{ROOT}/venvs/1*/lib/python3*/site-packages/synapse/rest/__init__.py");
    let only_main = "pusher.register_servlets, sync.register_servlets,";
    site.sh(&format!("cp $(echo {registers}) /root/registers && sed -Ei 's/^ {{20}}pusher.register_servlets,/                    {only_main}/' {registers}"));
    let wrong = "/sync goes to pool";
    site.run(&["check", "--against-host"]).exits(1).says(wrong).says("answer 404 M_UNRECOGNIZED");
    // A file of all processes, of which all are asked then.
    site.rewrite("report_stats: false", "report_stats: false\n    max_event_delay_duration: 1d");
    site.run(&["apply", "--yes"]).exits(1).says("check the routes against Synapse").says(wrong);
    assert_eq!(site.sh(&format!("sha256sum {path}")), found, "nothing was changed");
    assert!(site.disturbed(&before).is_empty());
    site.write(INVENTORY);
    site.sh(&format!("cp /root/registers $(echo {registers}) && rm /root/registers"));
    site.run(&["check", "--against-host"]).exits(0).says("every route leads to a process");
}
