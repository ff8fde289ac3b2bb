//! A host that nobody touches: no alarm in many runs, nothing written there, memory flat here.

use std::process::Command;

use crate::site::Site;

/// Where logins, logs and running databases write by themselves.
const WRITTEN_BY_OTHERS: &str =
    "/proc /sys /run /dev /tmp /var/log /opt/matrix/log /var/lib/postgresql /var/lib/redis /var/lib/systemd";

/// N runs: exit 0 and silence; afterwards no path of the host is another.
pub fn an_untouched_host(site: &Site) {
    let runs: usize = std::env::var("SYNPROV_DRIFTS").map_or(20, |text| text.parse().unwrap());
    let prune: Vec<String> = WRITTEN_BY_OTHERS.split(' ').map(|path| format!("-path {path}")).collect();
    let prune = prune.join(" -o ");
    // Names, kinds, rights and times of everything, and contents of what is not a program's own.
    let snapshot = format!(
        "find / -xdev \\( {prune} \\) -prune -o -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort > /run/SNAPSHOT; \
         find /etc /opt/matrix /root /home /var/lib/synprov -xdev -path /opt/matrix/log -prune -o -type f -print0 | sort -z | xargs -0 sha256sum >> /run/SNAPSHOT; \
         wc -l < /run/SNAPSHOT"
    );
    let lines = site.sh(&snapshot.replace("SNAPSHOT", "before"));
    let mut sizes: Vec<u64> = Vec::new();
    let mut alarms = 0;
    for _ in 0..runs {
        let drift = site.command(&["drift"]);
        let mut command = Command::new("/usr/bin/time");
        command.args(["--format", "%M", "--output"]).arg(site.directory.join("rss")).arg(drift.get_program());
        command.args(drift.get_args()).current_dir(&site.directory);
        command.envs(drift.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.env_remove("SYNPROV_INVENTORY").output().unwrap();
        if !output.status.success() || !output.stdout.is_empty() || !output.stderr.is_empty() {
            alarms += 1;
            eprintln!(
                "{:?} {}",
                output.status,
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            );
        }
        let size = std::fs::read_to_string(site.directory.join("rss")).unwrap();
        sizes.push(size.lines().last().unwrap().parse().unwrap());
    }
    assert_eq!(alarms, 0, "false alarms in {runs} runs");
    site.sh(&snapshot.replace("SNAPSHOT", "after"));
    let changed = site.sh("diff /run/before /run/after || true");
    assert_eq!(changed, "", "paths that drift runs changed");
    // A process a run: what it takes does not depend on how often it ran before.
    let tenth = sizes.len().div_ceil(10);
    let largest = |sizes: &[u64]| sizes.iter().max().copied().unwrap();
    let (first, last) = (largest(&sizes[..tenth]), largest(&sizes[sizes.len() - tenth..]));
    println!(
        "seen {runs} runs, {alarms} alarms, {lines} paths and contents compared, peak memory {first} kB in the first tenth, {last} kB in the last, {} kB at most",
        largest(&sizes)
    );
    assert!(last <= first + first / 10, "{first} kB, then {last} kB");
}
