//! How each process runs, seen on the host: limits, allocator, sockets, logs, metrics, the admin's own module.

use crate::world::World;

const PROCESS: &str = include_str!("../data/labs/process.yaml");

/// The rehearsal has a client served through nginx and an empty second plan; here is what it cannot see.
pub fn as_the_inventory_says() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/labs/lab_rules.py");
    let world = World::rehearse("process", &PROCESS.replace("MODULE", module));
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
}
