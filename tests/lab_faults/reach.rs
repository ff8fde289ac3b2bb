//! Hosts and datastores that cannot be reached, and what an apply does about it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::site::Site;

/// A packet filter in a host's own network, gone when this goes.
struct Firewall {
    pid: String,
}

impl Firewall {
    /// Drops what the host sends to this address and port.
    fn drops(site: &Site, host: &str, address: &str, port: u16) -> Self {
        let name = &site.host(host).container;
        let asked =
            Command::new("podman").args(["inspect", "--format", "{{.State.Pid}}", name]).output().unwrap();
        let firewall = Self { pid: String::from_utf8(asked.stdout).unwrap().trim().to_owned() };
        firewall.nft(&format!(
            "table inet faults {{ chain out {{ type filter hook output priority 0; ip daddr {address} tcp dport {port} drop; }}; }}"
        ));
        firewall
    }

    fn nft(&self, command: &str) {
        let done =
            Command::new("nsenter").args(["--net", "--target", &self.pid, "nft", command]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.nft("delete table inet faults");
    }
}

/// A host whose processes all stand still, until this goes.
pub struct Paused(String);

impl Paused {
    pub fn host(site: &Site, host: &str) -> Self {
        let name = site.host(host).container.clone();
        let output = Command::new("podman").args(["pause", &name]).output().unwrap();
        assert!(output.status.success(), "podman pause: {}", String::from_utf8_lossy(&output.stderr));
        Self(name)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = Command::new("podman").args(["unpause", &self.0]).output();
    }
}

const SYNC: &str = "sync: {host: hs2, count: 2, handles: [sync]";

/// Redis cannot be reached from hs2 while its workers have to restart.
pub fn redis_is_firewalled(site: &Site) {
    let redis = site.host("hs1").internal_address.clone();
    site.rewrite(&[(SYNC, "sync: {host: hs2, count: 2, handles: [sync], config: {event_cache_size: 1234}")]);
    let steps = site.plan(0).steps();
    assert!(steps.contains(&"hs2 restart matrix_generic_worker@sync.service".to_owned()), "{steps:?}");
    site.run(&["check", "--against-host"]).exits(0).says("hs2: reaches ");
    let wall = Firewall::drops(site, "hs2", &redis, 6380);
    let unheard = format!("hs2: {redis}:6380 on hs1 (Redis) does not answer: a firewall");
    site.run(&["check", "--against-host"]).exits(1).says(&unheard).says("synprov firewall");
    let began = Instant::now();
    site.run(&["apply", "--yes", "--diff", "none", "--ready-timeout", "8"])
        // Redis is as far away on the way back.
        .exits(7)
        .says("hs2: restart matrix_generic_worker@sync.service failed")
        .says("matrix_generic_worker@sync.service is not ready after 8 s: waited until Redis at")
        .says(&format!("Redis at {redis}:6380 can be reached from this host"))
        .says("The way back to generation ");
    assert!(began.elapsed() < Duration::from_secs(180), "{:?}", began.elapsed());
    // What depends on the gate was not touched.
    assert_eq!(site.state("hs2", "matrix_generic_worker@sync2.service"), "active");
    let left = site.plan(0).changes();
    let due = |change: &String| change.contains("matrix_generic_worker@sync.service");
    assert!(left.iter().any(due) && !left.iter().any(|change| change.contains("drift")), "{left:?}");
    drop(wall);
    site.apply();
    site.is_settled();
    assert_eq!(site.state("hs2", "matrix_generic_worker@sync.service"), "active");
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
}

/// A host is down: the plan is incomplete and says so, an apply changes nothing anywhere.
pub fn a_host_is_paused(site: &Site) {
    site.rewrite(&[("report_stats: false", "report_stats: false\n    max_upload_size: 11M")]);
    let before = site.files();
    let paused = Paused::host(site, "hs2");
    let began = Instant::now();
    let plan = site.run(&["plan", "--timeout", "3"]).exits(3);
    let told = plan.says("error: hs2: ").says("1 host could not be asked: this answer is incomplete.");
    assert!(told.text.contains("help: "), "{}", told.text);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    site.run(&["apply", "--yes", "--timeout", "3"]).exits(3).says("Nothing was changed.");
    // What is shared would differ between the hosts.
    site.run(&["apply", "--yes", "--timeout", "3", "--limit", "hs1"]).exits(1).says(
        "/opt/matrix/conf/config.yaml must be the same on every host and would change here but not on hs2",
    );
    drop(paused);
    assert_eq!(site.files(), before, "nothing changed anywhere");
    site.rewrite(&[]);
    site.is_settled();
}

/// Drift on one host is healed with `--limit` while another one is down.
pub fn one_host_alone(site: &Site) {
    let path = "/opt/matrix/conf/workers/typing.yaml";
    site.sh("hs1", &format!("echo '# by hand' >> {path}"));
    let paused = Paused::host(site, "hs2");
    let healed = site.run(&["apply", "--yes", "--diff", "none", "--limit", "hs1"]).exits(0);
    assert!(!healed.text.contains("hs2"), "{}", healed.text);
    drop(paused);
    assert!(!site.sh("hs1", &format!("cat {path}")).contains("by hand"));
    site.is_settled();
    site.run(&["plan", "--limit", "hs9"]).exits(64).says("hosts are: hs1, hs2");
}

/// The host stands still while its apply is under way and comes round later: it is led back by a new session.
pub fn a_host_hangs_during_an_apply(site: &Site) {
    site.rewrite(&[(SYNC, "sync: {host: hs2, count: 2, handles: [sync], config: {event_cache_size: 77}")]);
    let mut child = site
        .command(&["apply", "--yes", "--diff", "none"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("restart matrix_generic_worker@sync.service") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut told, &mut line).unwrap() > 0, "it ended early");
    }
    let paused = Paused::host(site, "hs2");
    let began = Instant::now();
    let rest = std::thread::spawn(move || {
        let mut text = String::new();
        while !text.contains("the session with hs2 was lost") {
            let more = std::io::BufRead::read_line(&mut told, &mut text).unwrap();
            assert!(more > 0, "it never logged in again: {text}");
        }
        drop(paused);
        std::io::Read::read_to_string(&mut told, &mut text).unwrap();
        text
    });
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &rest.join().unwrap();
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("it has said nothing for 45 seconds"), "{text}");
    // Its first script lets go of the lock once it has not been spoken to for a minute.
    assert!(began.elapsed() < Duration::from_secs(240), "{:?}", began.elapsed());
    site.unlocked(Duration::from_secs(5));
    assert_eq!(site.state("hs2", "matrix_generic_worker@sync.service"), "active");
    site.apply();
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
}
