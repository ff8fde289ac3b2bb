//! Every stream on its own worker, every job moved off main, every class of endpoints a pool of its own.

use crate::table;
use crate::world::{EVERY, World};

/// What a lone main has of it.
fn without_workers(inventory: &str) -> String {
    inventory.split_once("\nworkers:").unwrap().0.to_owned()
}

/// Pools dealt out to three hosts in turn; media stays on one, with its files.
fn on_three_hosts(inventory: &str) -> String {
    let (before, workers) = inventory.split_once("\nworkers:").unwrap();
    let host = before.lines().find(|line| line.starts_with("  hs1:")).unwrap();
    let three: Vec<String> = (1..=3)
        .map(|n| {
            host.replace("hs1", &format!("hs{n}"))
                .replace(".10", &format!(".1{n}"))
                .replace("10.8.0.1", &format!("10.8.0.{n}"))
        })
        .collect();
    let mut next = 0;
    let workers: Vec<String> = workers
        .lines()
        .map(|line| {
            next += 1;
            if line.contains("media") {
                line.to_owned()
            } else {
                line.replace("host: hs1", &format!("host: hs{}", next % 3 + 1))
            }
        })
        .collect();
    format!("{}\nworkers:{}\n", before.replace(host, &three.join("\n")), workers.join("\n"))
}

/// One host; then the same requests to it and to a lone main.
pub fn nginx_and_the_table() {
    let lone = World::rehearse("lone", &without_workers(EVERY));
    let workers = World::rehearse("every", EVERY);
    let compared = table::compare(&lone, &workers);
    eprintln!("seen   answered as a lone main answers: {compared}");
}

/// The same behind HAProxy.
pub fn haproxy_and_the_table() {
    let lone = World::rehearse("lone", &without_workers(EVERY));
    let workers = World::rehearse("haproxy", &EVERY.replace("kind: nginx", "kind: haproxy"));
    let compared = table::compare(&lone, &workers);
    eprintln!("seen   answered as a lone main answers: {compared}");
}

/// Three hosts: every request, stream and job crosses the network.
pub fn three_hosts() {
    World::rehearse("three", &on_three_hosts(EVERY));
}
