//! What must hold after any fault, once it is gone and before the next apply.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::answer::{Answer, Plan};
use crate::table::Table;

/// Path to digest.
pub type Files = BTreeMap<String, String>;

/// Asked of each host; the values to look for are on standard input. Each line that comes back is a complaint.
/// The brackets keep the patterns from finding this script itself.
const LEFT: &str = r#"
umask 077; cat > /dev/shm/needles
find /opt/matrix/conf /opt/matrix/nginx /etc /var/lib/redis /var/lib/synprov \( -name '.*.synprov-*' -o -name '*.new' -o -name swapping \) -printf 'left: %p\n' 2> /dev/null
find /run/synprov -mindepth 1 ! -name lock -printf 'left: %p\n' 2> /dev/null
pgrep -af '[s]ynprov_main|[a]pt-get|-m [p]ip|[s]etpriv --reuid' | sed 's/^/runs: /'
journalctl --sync; journalctl --output=export --cursor-file=/root/cursor | tr -d '\0' | grep -aFf /dev/shm/needles | cut -c 1-300 | sed 's/^/in the journal: /'
grep -rlaFf /dev/shm/needles /var/log /tmp /var/tmp /var/lib/synprov /run/synprov --exclude-dir journal 2> /dev/null | sed 's/^/in a file: /'
sed 's/^/in arguments or environment: /' /root/watch-found 2> /dev/null
systemctl is-active --quiet watch || echo 'nobody watched'
rm -f /dev/shm/needles /root/watch-found
"#;

/// No partial or forgotten file, no process, no secret outside its place.
#[track_caller]
pub fn nothing_is_left(table: &Table) {
    let needles: String = table.canaries().iter().map(|(_, value)| format!("{value}\n")).collect();
    let mut left = Vec::new();
    for host in table.site.hosts() {
        let output = table.site.lab.exec_with_input(host, &["bash", "-c", LEFT], needles.as_bytes()).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        left.extend(text.lines().map(|line| format!("{host}: {line}")));
    }
    for entry in std::fs::read_dir(table.site.kept().join("synprov/logs")).into_iter().flatten().flatten() {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        let told = |(_, value): &(String, String)| text.contains(value.as_str());
        left.extend(
            table.canaries().iter().filter(|canary| told(canary)).map(|(name, _)| format!("{name} in a log")),
        );
    }
    assert!(left.is_empty(), "{left:#?}");
}

/// What the program said is fit for a terminal and for a log that others read.
#[track_caller]
pub fn said_no_secret(table: &Table, answer: &Answer) {
    for (name, value) in table.canaries() {
        assert!(!answer.text.contains(&value), "secret {name} is told:\n{}", answer.text);
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(&value);
        assert!(!answer.text.contains(&encoded), "secret {name} is told as base64:\n{}", answer.text);
    }
    let control = answer.text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    assert_eq!(control, None, "a control character is printed:\n{:?}", answer.text);
}

/// No file is anything but what it was or what it will be.
#[track_caller]
pub fn files_are_whole(found: &Files, before: &Files, after: &Files) {
    for path in found.keys().chain(before.keys()).chain(after.keys()) {
        let now = found.get(path);
        assert!(now == before.get(path) || now == after.get(path), "{path} is neither old nor new: {now:?}");
    }
}

/// Every file is what it was. `lost`: but for secrets and what holds them, if the session was lost in which
/// the host knew the value that was replaced.
#[track_caller]
pub fn files_are_led_back(found: &Files, before: &Files, lost: bool) {
    let holders = ["/conf/secrets/", "/workers/client.yaml", "/conf/config.yaml"];
    let secret = |path: &str| lost && holders.iter().any(|part| path.contains(part));
    for path in found.keys().chain(before.keys()).filter(|path| !secret(path)) {
        assert_eq!(found.get(path), before.get(path), "{path} is not what it was");
    }
}

/// The plan says the same at a second look; unless `theirs`, nothing is called anybody's doing but ours.
#[track_caller]
pub fn plan_is_exact(table: &Table, theirs: bool) -> Plan {
    let first = table.site.run(&["plan", "--json"]).exits(0);
    let second = table.site.run(&["plan", "--json"]).exits(0);
    said_no_secret(table, &first);
    assert_eq!(first.stdout, second.stdout, "a second look sees something else");
    let plan = Plan(serde_json::from_str(&first.stdout).unwrap());
    let foreign: Vec<String> =
        plan.changes().into_iter().filter(|change| change.split(' ').nth(2) != Some("intended")).collect();
    assert!(theirs || foreign.is_empty(), "called somebody else's doing: {foreign:#?}");
    plan
}

/// The next apply does the steps of its plan, all of them, and nothing is left to do.
#[track_caller]
pub fn converges(table: &Table, plan: &Plan) {
    let answer = table.site.run(&["apply", "--yes", "-vvv", "--json"]).exits(0);
    said_no_secret(table, &answer);
    let events = answer.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut steps: Vec<serde_json::Value> = events.filter(|event| event["type"] == "step_ends").collect();
    steps.sort_by_key(|step| step["id"].as_u64());
    let word = |step: &serde_json::Value, key: &str| step[key].as_str().unwrap_or("?").to_owned();
    let done: Vec<String> =
        steps.iter().map(|step| format!("{} {}", word(step, "host"), word(step, "title"))).collect();
    assert_eq!(done, plan.steps(), "what is done is what the plan said");
    assert!(steps.iter().all(|step| step["outcome"] == "done"), "{steps:#?}");
    table.site.is_settled();
}

/// Waits until no host's lock is held; how long that took.
#[track_caller]
pub fn is_unlocked(table: &Table, at_most: Duration) -> Duration {
    table.site.unlocked(at_most)
}
