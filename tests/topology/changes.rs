//! What stays when an inventory changes: names, ports, positions, and what nobody else reads.

use proptest::prelude::*;
use synprov::diagnostic::{Span, Spanned};
use synprov::inventory::Lock;
use synprov::topology::Topology;

use crate::site::{Site, one_host, three_hosts};
use crate::{fresh, instance, resolved};

/// Names with hosts.
fn places(topology: &Topology) -> Vec<(String, String)> {
    topology.instances.iter().map(|instance| (instance.name.clone(), instance.host.clone())).collect()
}

fn list(topology: &Topology, key: &str) -> Vec<String> {
    let list = topology.shared_config[key].as_array().unwrap();
    list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Before and after a change of the inventory, the second with the first one's lock.
fn change(before: &Site, after: &Site) -> (Topology, Topology) {
    let (first, lock) = resolved(before, &Lock::default());
    (first, resolved(after, &lock).0)
}

fn two() -> Site {
    Site::new().host("hs1", "10.0.0.1", None).host("hs2", "10.0.0.2", None)
}

#[test]
fn growing_renames_nobody_and_appends() {
    let (before, after) = change(
        &two().pool("s on hs1:1 hs2:2 runs federation_sender").pool("p on hs1 runs federation_sender"),
        &two().pool("s on hs1:2 hs2:2 runs federation_sender").pool("p on hs1 runs federation_sender"),
    );
    assert_eq!(list(&before, "federation_sender_instances"), ["s", "s2", "s3", "p"]);
    assert_eq!(list(&after, "federation_sender_instances"), ["s", "s2", "s3", "p", "s4"]);
    assert_eq!(instance(&after, "s2").host, "hs2");
    assert_eq!(instance(&after, "s4").host, "hs1");
}

#[test]
fn shrinking_takes_the_last_of_that_host() {
    let (_, after) =
        change(&two().pool("s on hs1:2 hs2:2 runs pusher"), &two().pool("s on hs1:1 hs2:2 runs pusher"));
    assert_eq!(list(&after, "pusher_instances"), ["s", "s3", "s4"]);
    assert_eq!(instance(&after, "s3").host, "hs2");
}

#[test]
fn a_number_given_up_is_taken_by_the_next_process() {
    let (before, after) =
        change(&two().pool("w on hs1 writes events"), &two().pool("w on hs2 writes events"));
    assert_eq!(instance(&before, "w").host, "hs1");
    assert_eq!(instance(&after, "w").host, "hs2");
    assert_eq!(instance(&before, "w").replication_port, instance(&after, "w").replication_port);
}

#[test]
fn a_pool_renamed_on_purpose_keeps_ports_and_positions() {
    let (before, after) = change(
        &two().pool("a on hs1:2 runs pusher").pool("z on hs1 runs pusher"),
        &two().pool("z on hs1 runs pusher").pool("b on hs1:2 runs pusher was a"),
    );
    assert_eq!(list(&before, "pusher_instances"), ["a", "a2", "z"]);
    assert_eq!(list(&after, "pusher_instances"), ["b", "b2", "z"]);
    assert_eq!(instance(&before, "a2").ready.health, instance(&after, "b2").ready.health);
}

#[test]
fn a_port_is_not_handed_over_while_its_process_still_runs() {
    let (before, after) = change(&two().pool("a on hs1 handles sync"), &two().pool("b on hs1 handles sync"));
    assert_ne!(instance(&before, "a").client_port, instance(&after, "b").client_port);
}

#[test]
fn the_longest_known_media_process_keeps_its_unit() {
    let (before, after) = change(
        &two().pool("media on hs1 handles media"),
        &two().pool("big on hs1 handles media").pool("media on hs1 handles media"),
    );
    assert_eq!(instance(&before, "media").unit, "matrix_media.service");
    assert_eq!(instance(&after, "media").unit, "matrix_media.service");
    assert_eq!(instance(&after, "big").unit, "matrix_media@big.service");
    assert_eq!(after.shared_config["media_instance_running_background_jobs"], "media");
}

#[test]
fn a_plain_worker_more_changes_nothing_for_the_others() {
    for site in [one_host(), three_hosts()] {
        let more = site.clone().pool("plain on hs1:2 handles admin").pool("media on hs1:3 handles media");
        let (before, after) = change(&site, &more);
        assert_eq!(before.shared_config, after.shared_config);
        for was in &before.instances {
            let is = instance(&after, &was.name);
            assert_eq!((&was.shared_inputs, &was.config), (&is.shared_inputs, &is.config), "{}", was.name);
            assert_eq!((was.client_port, was.replication_port), (is.client_port, is.replication_port));
        }
    }
}

/// Names of the processes whose inputs from the shared configuration differ.
fn concerned(before: &Topology, after: &Topology) -> Vec<String> {
    let changed = before.instances.iter().filter(|was| {
        after.instances.iter().any(|is| is.name == was.name && is.shared_inputs != was.shared_inputs)
    });
    changed.map(|instance| instance.name.clone()).collect()
}

#[test]
fn a_change_concerns_those_who_read_it() {
    let base = || {
        two()
            .pool("sync on hs1 handles sync")
            .pool("s on hs1 runs federation_sender")
            .pool("p on hs1 runs pusher")
            .pool("b on hs1 runs background_tasks")
            .pool("c on hs1 handles client")
            .pool("media on hs1 handles media")
    };
    let check = |after: Site, expected: &[&str]| {
        let (before, after) = change(&base(), &after);
        assert_eq!(concerned(&before, &after), expected);
    };
    check(base().pool("s on hs1:2 runs federation_sender"), &["main", "s"]);
    check(base().pool("p on hs1:2 runs pusher"), &["main", "p"]);
    // Only the move itself: old holder, new holder, main.
    check(
        base().pool("b on hs1 handles admin").pool("c on hs1 handles client runs background_tasks"),
        &["main", "b", "c"],
    );
    check(base().pool("media on hs1:2 handles media"), &[]);
    check(base().version("1.160.0"), &[]);
    let everyone = ["main", "sync", "s", "p", "b", "c", "media"];
    check(base().pool("w on hs1 writes typing"), &everyone);
    let option = |key: &'static str| {
        base().with(move |inventory| {
            inventory.synapse.config = crate::site::config(serde_json::json!({key: 1}))
        })
    };
    check(option("user_agent_suffix"), &everyone);
    check(option("max_image_pixels"), &["main", "media"]);
}

#[test]
fn what_a_worker_has_itself_it_does_not_read_from_the_shared_file() {
    let topology = fresh(&three_hosts());
    assert!(!instance(&topology, "sync").shared_inputs.contains_key("caches"));
    assert!(!instance(&topology, "background").shared_inputs.contains_key("database"));
    let caches = &instance(&topology, "sync").config.as_ref().unwrap()["caches"];
    assert_eq!(caches["global_factor"], 2.0);
    assert_eq!(caches["per_cache_factors"], serde_json::json!({"get_users_in_room": 5.0, "get_event": 2.0}));
}

#[test]
fn one_host_speaks_over_loopback_and_several_over_internal_addresses() {
    let one = fresh(&one_host());
    for bound in one.instances.iter().flat_map(|instance| &instance.ready.listens) {
        assert!(bound.starts_with("127.0.0.1:"), "{bound}");
    }
    assert_eq!(one.postgresql.binds, ["127.0.0.1"]);
    assert!(one.postgresql.peers.is_empty());

    let three = fresh(&three_hosts());
    // The only proxy is on hs1.
    assert_eq!(instance(&three, "sync").address, "127.0.0.1");
    assert_eq!(instance(&three, "sync2").address, "fd00:8::2");
    assert!(three.upstreams["sync.user"].servers[1].address.starts_with("[fd00:8::2]:"));
    assert_eq!(three.postgresql.binds, ["127.0.0.1", "fd00:8::1"]);
    assert_eq!(three.postgresql.peers, ["fd00:8::1", "fd00:8::2", "fd00:8::3"]);
    assert_eq!(three.shared_config["instance_map"]["main"]["host"], "fd00:8::1");

    // Synapse on one host, the proxy on another: only the client listeners leave loopback.
    let apart = two().pool("w on hs1 handles sync writes events").with(|inventory| {
        inventory.proxy.as_mut().unwrap().hosts[0].value = "hs2".to_owned();
    });
    let apart = fresh(&apart);
    assert_eq!(instance(&apart, "w").address, "10.0.0.1");
    assert_eq!(apart.shared_config["instance_map"]["w"]["host"], "127.0.0.1");
    assert_eq!(apart.postgresql.binds, ["127.0.0.1"]);
}

/// Pools with hosts, counts and purposes that are allowed together.
fn sites() -> impl Strategy<Value = Site> {
    let purposes = [
        "handles sync",
        "handles client",
        "handles federation event_sending",
        "writes events",
        "writes receipts device_lists",
        "runs federation_sender",
        "runs pusher",
        "handles federation runs pusher",
    ];
    let pool = (0..purposes.len(), 0u32..4, 0u32..4);
    prop::collection::vec(pool, 1..8).prop_map(move |pools| {
        pools.into_iter().enumerate().fold(two(), |site, (at, (purpose, one, other))| {
            let name = char::from(b'a' + at as u8);
            site.pool(&format!("{name} on hs1:{one} hs2:{other} {}", purposes[purpose]))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn resolving_again_changes_nothing(site in sites()) {
        let (first, lock) = resolved(&site, &Lock::default());
        let (second, again) = resolved(&site, &lock);
        prop_assert_eq!(&lock, &again);
        prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }

    #[test]
    fn every_listener_has_a_port_of_its_own(site in sites()) {
        let (topology, lock) = resolved(&site, &Lock::default());
        let mut ports: Vec<u16> = lock.ports.values().flat_map(|own| own.values().copied()).collect();
        let all = ports.len();
        ports.sort_unstable();
        ports.dedup();
        prop_assert_eq!(ports.len(), all);
        for instance in &topology.instances {
            prop_assert!(!instance.ready.listens.is_empty());
        }
    }

    #[test]
    fn growth_renames_nobody_and_only_appends(site in sites(), pool in any::<prop::sample::Index>(), by in 1u32..4) {
        let (before, lock) = resolved(&site, &Lock::default());
        let grown = site.clone().with(|inventory| {
            let at = pool.index(inventory.workers.len());
            let host = Spanned::new("hs1".to_owned(), Span::default());
            inventory.workers[at].hosts.push((host, by));
        });
        let (after, longer) = resolved(&grown, &lock);
        for place in places(&before) {
            prop_assert!(places(&after).contains(&place), "{place:?}");
        }
        for (name, list) in &lock.lists {
            prop_assert!(longer.lists[name].starts_with(list), "{name}");
        }
        for (name, ports) in &lock.ports {
            prop_assert_eq!(ports, &longer.ports[name]);
        }
    }

    #[test]
    fn shrinking_keeps_the_rest_in_place(site in sites(), fewer in sites()) {
        let (before, lock) = resolved(&site, &Lock::default());
        let (after, _) = resolved(&fewer, &lock);
        let kept = places(&before).into_iter().filter(|place| places(&after).contains(place)).count();
        let room: u32 = site.inventory.workers.iter().map(|(name, pool)| {
            let now = fewer.inventory.workers.get(name);
            pool.hosts.iter().map(|(host, count)| {
                let room = now.and_then(|now| now.hosts.iter().find(|(other, _)| other.value == host.value));
                room.map_or(0, |(_, room)| (*count).min(*room))
            }).sum::<u32>()
        }).sum();
        prop_assert_eq!(kept, room as usize + 1);
    }
}
