//! How each process runs, seen on the host: limits, allocator, sockets, logs, metrics, the admin's own module.

use crate::world::World;

const PROCESS: &str = include_str!("../data/labs/process.yaml");

/// The rehearsal has a client served through nginx and an empty second plan; here is what it cannot see.
pub fn as_the_inventory_says() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/labs/lab_rules.py");
    let inventory = PROCESS.replace("MODULE", module);
    let world = World::rehearse("process", &inventory);
    let sh = |script: &str| {
        let output = world.lab.exec("hs1", &["bash", "-c", script]).unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let properties = "MemoryMax,MemoryHigh,CPUQuotaPerSecUSec,Nice";
    let limits =
        sh(&format!("systemctl show --property={properties} matrix_generic_worker@sync.service | sort"));
    assert_eq!(limits, "CPUQuotaPerSecUSec=1.500000s\nMemoryHigh=943718400\nMemoryMax=1073741824\nNice=5");
    assert_eq!(sh("systemctl show --property=MemoryMax --value matrix_main.service"), "2147483648");

    let maps = |unit: &str| {
        sh(&format!(
            "grep -c libjemalloc /proc/$(systemctl show --property=MainPID --value {unit}.service)/maps"
        ))
    };
    assert_ne!(maps("matrix_generic_worker@sync"), "0");
    assert_eq!(maps("matrix_generic_worker@client"), "0");

    let sockets = sh("cd /run/matrix && stat --printf '%n %a %U\\n' */*.sock");
    assert_eq!(
        sockets,
        "background/client.sock 666 matrix\nclient/client.sock 666 matrix\nmain/client.sock 666 matrix\n\
         main/replication.sock 660 matrix\nmedia/client.sock 666 matrix\nmedia/replication.sock 660 matrix\n\
         persister/replication.sock 660 matrix\nsync/client.sock 666 matrix"
    );
    // A process that dies takes nobody else's socket along.
    sh("systemctl stop matrix_generic_worker@sync.service");
    assert_eq!(sh("ls /run/matrix"), "background\nclient\nmain\nmedia\npersister");
    sh("systemctl start matrix_generic_worker@sync.service");

    let answers = sh("for at in $(grep -oE '[0-9.]+:93[0-9]{2}' /opt/matrix/prometheus/matrix.json); do \
        exec 3<> \"/dev/tcp/${at%:*}/${at#*:}\"; printf 'GET /_synapse/metrics HTTP/1.0\\r\\n\\r\\n' >&3; \
        grep -c '^synapse_build_info' <&3; done");
    assert_eq!(answers, ["1"; 7].join("\n"));

    sh(
        "systemctl stop matrix_generic_worker@client.service; touch -d yesterday /opt/matrix/log/client.log; \
        systemctl start matrix_generic_worker@client.service",
    );
    let logs = sh("date -d yesterday +client.log.%F; ls /opt/matrix/log");
    let logs: Vec<&str> = logs.lines().collect();
    assert_eq!(logs[1..], ["client.log", logs[0]]);
    what_is_read_again_restarts_nobody(&world, &inventory);
    // Main alone takes nobody along; the target restarts all.
    let ids = || {
        sh(
            "systemctl show --property=InvocationID --value matrix_main 'matrix_generic_worker@*' matrix_media",
        )
    };
    let before = ids();
    sh("systemctl restart matrix_main.service");
    let (old, new): (Vec<&str>, String) = (before.split_whitespace().collect(), ids());
    let kept = new.split_whitespace().filter(|id| old.contains(id)).count();
    assert_eq!((kept, old.len()), (6, 7), "{before}\n\n{new}");
    sh("systemctl restart matrix.target");
    assert!(!ids().split_whitespace().any(|id| new.contains(id)), "{new}");
    eprintln!("seen   main restarts alone, the target restarts all");
}

/// Log levels, and factors of caches, come into force in processes that go on running.
fn what_is_read_again_restarts_nobody(world: &World, inventory: &str) {
    let sh = |script: &str| {
        let output = world.lab.exec("hs1", &["bash", "-c", script]).unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let (client, sync) = ("matrix_generic_worker@client.service", "matrix_generic_worker@sync.service");
    let pids = || sh(&format!("systemctl show --property=MainPID --value {client} {sync}"));
    let before = pids();
    let debugged = || sh("grep -c ' - DEBUG - ' /opt/matrix/log/client.log");
    assert_eq!(debugged(), "0");
    let changed = inventory
        .replace("keep: 3}", "keep: 3, level: DEBUG}")
        .replace("nice: 5,", "nice: 5, config: {caches: {global_factor: 2.0}},");
    let text = world.apply_in_lab(&changed);
    for unit in [client, sync] {
        assert!(text.contains(&format!("reload {unit}")), "{text}");
    }
    assert!(!text.contains("hs1: restart"), "{text}");
    assert_eq!(pids(), before, "{text}");
    sh(
        "exec 3<> /dev/tcp/127.0.0.1/80; printf 'GET /_matrix/client/v3/login HTTP/1.0\\r\\nHost: process.example\\r\\n\\r\\n' >&3; cat <&3",
    );
    assert_ne!(debugged(), "0");
    let factor = sh(
        "journalctl --quiet --no-pager -u 'matrix_generic_worker@sync' --grep \"Reloading config section 'caches'\" | wc -l",
    );
    assert_ne!(factor, "0");
    eprintln!(
        "seen   log levels and a cache factor taken over by {client} and {sync}, process ids as before"
    );
}
