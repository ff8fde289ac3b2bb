//! Set-ups that somebody made without synprov, on real hosts: what `synprov import` makes of each, and that
//! nobody notices when synprov takes it over.
//!
//! `SYNPROV_TEST_LAYOUTS=word,word` runs some; `SYNPROV_TEST_LAB=NAME` keeps the hosts for the next run.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "../throwaway/answer.rs"]
#[allow(dead_code)]
mod answer;
#[path = "../throwaway/site.rs"]
#[allow(dead_code)]
mod deployment;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;

use std::time::Instant;

use deployment::{Beginning, Site};
use synprov::lab::{Flavour, LabHost};

/// Only says which host there is.
const BEGINNING: Beginning = Beginning {
    inventory: "hosts:\n  hs1: {address: 192.0.2.10, user: root}\nsynapse: {server_name: example.org, version: 1.163.2}\npostgresql: {host: hs1}\nmain: {host: hs1}\n",
    hosts: &[("hs1", "{address: 192.0.2.10, user: root")],
};
const SET_UP: &str = include_str!("set_up.sh");
const CLIENT: &str = include_str!("client.py");

/// What stands in hand-made files, and must stand nowhere else.
const SECRET: &str = "hand-made-";
/// Each process with its id and the id of its start.
const PROCESSES: &str = "systemctl show --property=Id,MainPID,InvocationID,NRestarts 'matrix*.service'";
/// Every file below directories that matter, with times and digests.
const FILES: &str = "find /opt/matrix/conf /srv/synapse/etc /etc /var/lib/synprov /usr/local -xdev -printf '%p %m %u %T@ %C@ %s\\n' 2> /dev/null | sort | sha256sum";

/// After whose example a host is set up, and what an admin does there besides what `import` writes.
struct Layout {
    /// Its word in `set_up.sh`.
    name: &'static str,
    /// A file of it: it is there if the host was set up before.
    config: &'static str,
    signing_key: &'static str,
    python: &'static str,
    /// Words of the notes that have to be there.
    notes: &'static [&'static str],
    /// What the notes tell to do before the first apply.
    before: &'static str,
    /// What they tell to do before the first restart.
    restart: &'static str,
    /// User that processes run as in the end.
    user: &'static str,
    /// The unit of main, in the end.
    main: &'static str,
    /// The unit of the media worker, in the end.
    media: &'static str,
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        name: "hand",
        config: "/opt/matrix/conf/config.yaml",
        signing_key: "/opt/matrix/conf/signing.key",
        python: "/opt/matrix/bin/python",
        notes: &["Synapse runs as root"],
        before: "",
        restart: "chown -R matrix: /opt/matrix/data",
        user: "matrix",
        main: "matrix_main.service",
        media: "matrix_media.service",
    },
    Layout {
        name: "package",
        config: "/etc/matrix-synapse/homeserver.yaml",
        signing_key: "/etc/matrix-synapse/signing.key",
        python: "/opt/venvs/matrix-synapse/bin/python",
        notes: &["no group of its own name"],
        before: "groupadd --system matrix-synapse && usermod -g matrix-synapse matrix-synapse",
        restart: "",
        user: "matrix-synapse",
        main: "matrix-synapse.service",
        media: "matrix-synapse-worker@media.service",
    },
    Layout {
        name: "document",
        config: "/srv/synapse/etc/homeserver.yaml",
        signing_key: "/srv/synapse/etc/signing.key",
        python: "/srv/synapse/env/bin/python",
        notes: &[],
        before: "",
        restart: "",
        user: "synapse",
        main: "matrix-synapse.service",
        media: "matrix-synapse-worker@media.service",
    },
];

fn put(site: &Site, path: &str, text: &str) {
    use base64::Engine as _;
    let coded = base64::engine::general_purpose::STANDARD.encode(text);
    site.sh("hs1", &format!("base64 -d <<< {coded} > {path}"));
}

/// A client that works while something else happens; what it counted.
fn with_client(site: &Site, name: &str, act: impl FnOnce()) {
    put(site, "/tmp/client.py", CLIENT);
    site.sh("hs1", "rm -f /tmp/client.done /tmp/client.count; systemd-run --quiet --unit=client python3 /tmp/client.py; until [[ -s /tmp/client.count ]]; do sleep 0.1; done");
    act();
    site.sh(
        "hs1",
        "touch /tmp/client.done; while systemctl --quiet is-active client.service; do sleep 0.1; done",
    );
    let count = site.sh("hs1", "cat /tmp/client.count");
    println!("{name}: a client's requests that worked, and those that did not: {count}");
    let mut words = count.split(' ');
    assert!(words.next().unwrap().parse::<u32>().unwrap() >= 4, "{count}");
    assert_eq!(words.next(), Some("0"), "{count}");
}

#[test]
#[ignore = "lab: needs root and podman"]
fn what_runs_already_is_taken_over() {
    let words = std::env::var("SYNPROV_TEST_LAYOUTS").ok();
    let chosen = |layout: &&Layout| {
        words.as_ref().is_none_or(|words| words.split(',').any(|word| word == layout.name))
    };
    for layout in LAYOUTS.iter().filter(chosen) {
        println!("\n## {}\n", layout.name);
        taken_over(layout);
    }
}

fn taken_over(layout: &Layout) {
    let site = Site::up(&format!("import-{}", layout.name), Flavour::Warm, BEGINNING);
    let began = Instant::now();
    if !site.try_sh("hs1", &format!("test -e {}", layout.config)).0 {
        put(&site, "/tmp/set_up.sh", SET_UP);
        site.sh("hs1", &format!("bash /tmp/set_up.sh {}", layout.name));
    }
    println!("set up in {:.0} s", began.elapsed().as_secs_f32());
    for name in ["inventory.yaml", "inventory.lock"] {
        let _ = std::fs::remove_file(site.path(name));
    }
    let processes = site.sh("hs1", PROCESSES);
    let files = site.sh("hs1", FILES);
    let LabHost { address, key, host_key, .. } = site.host("hs1");
    let (root, key) = (format!("root@{address}"), key.display().to_string());
    let words = ["import", &root, "--name", "hs1", "--identity-file", &key, "--host-key", host_key];
    let answer = site.run(&words).exits(0);
    println!("{}", answer.text);
    assert_eq!(site.sh("hs1", FILES), files, "import writes nothing");
    let inventory = std::fs::read_to_string(site.path("inventory.yaml")).unwrap();
    let lock = std::fs::read_to_string(site.path("inventory.lock")).unwrap();
    println!("{inventory}");
    for text in [&answer.text, &inventory, &lock] {
        assert!(!text.contains(SECRET), "a secret left the host: {text}");
    }
    assert!(!answer.text.contains("Would be something else"), "{}", answer.text);
    for words in layout.notes {
        assert!(answer.text.contains(words), "{words}: {}", answer.text);
    }
    site.sh("hs1", layout.before);
    site.run(&["check"]).exits(0);

    let keep = ["--adopt", "--keep-running"];
    with_client(&site, "plan", || {
        let plan = site.run(&[&["plan"], &keep[..]].concat());
        println!("{}", plan.text);
        assert!(!plan.text.contains(SECRET), "a secret left the host");
        let plan = site.run(&[&["plan", "--json"], &keep[..]].concat()).exits(0);
        let plan = answer::Plan(serde_json::from_str(&plan.stdout).unwrap());
        assert!(plan.refusals().is_empty(), "{:?}", plan.refusals());
        // `hs1 restart matrix-synapse.service`: the target may start, no process may.
        let verbs = ["start", "restart", "reload", "stop", "disable"];
        let touches = |step: &&String| {
            let words: Vec<&str> = step.split(' ').collect();
            words.get(1).is_some_and(|verb| verbs.contains(verb))
                && words.iter().any(|word| word.starts_with("matrix") && word.ends_with(".service"))
        };
        let touched: Vec<String> = plan.steps().iter().filter(touches).cloned().collect();
        assert!(touched.is_empty(), "the plan touches processes: {touched:?}");
    });
    assert_eq!(site.sh("hs1", PROCESSES), processes, "a plan starts nothing");
    with_client(&site, "apply", || {
        let answer = site.run(&[&["apply", "--yes", "--diff", "none"], &keep[..]].concat()).exits(0);
        assert!(!answer.text.contains(SECRET), "a secret left the host");
    });
    assert_eq!(site.sh("hs1", PROCESSES), processes, "all that runs went on");
    let Layout { signing_key, restart, main, media, user, python, .. } = layout;
    site.sh("hs1", &format!("cmp {signing_key} /opt/matrix/conf/secrets/signing_key && grep -qx hand-made-macaroon <(cat /opt/matrix/conf/secrets/macaroon; echo)"));

    let drift = site.run(&["drift"]);
    assert!(drift.exits(0).text.is_empty(), "what was taken over is no drift");

    // Some day they restart, perhaps as another user, and the same client goes on.
    site.sh("hs1", restart);
    let answer = site.run(&["apply", "--yes", "--diff", "none"]).exits(0);
    println!("{}", answer.text);
    site.is_settled();
    with_client(&site, "afterwards", || {});
    let runs = format!(
        "for unit in {main} {media}; do ps -o user:32=,args= -p \"$(systemctl show --property=MainPID --value $unit)\"; done"
    );
    let runs = site.sh("hs1", &runs);
    println!("{runs}");
    let ours =
        |line: &str| line.starts_with(user) && line.contains(python) && line.contains("/opt/matrix/conf/");
    assert!(runs.lines().count() == 2 && runs.lines().all(ours), "{runs}");
}
