//! synprov killed at random moments of an apply that has work to do.
//!
//! `SYNPROV_SEED` and `SYNPROV_KILLS` choose the moments and how many. Each is a line of the table on
//! standard output.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use synprov::lab::Flavour;

use crate::answer::Plan;
use crate::site::{self, Site, WRITTEN, replaced};

/// A step that has begun may finish: the longest one builds a Python environment.
const RUNNING_STEP: Duration = Duration::from_secs(180);

/// Random numbers that a seed repeats (xorshift).
struct Dice(u64);

impl Dice {
    fn from_environment() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = number("SYNPROV_SEED").unwrap_or(u64::from(now.subsec_nanos()) | 1);
        println!("SYNPROV_SEED={seed}");
        Self(seed.max(1))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// What the applies go back and forth between: options of one and of all, a worker more, one less, another writer.
fn variants() -> [String; 2] {
    let other = replaced(&[
        (
            "report_stats: false",
            "report_stats: false\n    max_upload_size: 7M\n    rc_login: {address: {per_second: 9}}",
        ),
        ("writes: [typing]", "writes: [typing, to_device]"),
        ("count: 2, handles: [sync]", "count: 1, handles: [sync], config: {event_cache_size: 4321}"),
        (
            "workers:",
            "workers:\n  receipts: {host: hs2, writes: [receipts]}\n  client: {host: hs1, handles: [client_reader]}",
        ),
    ]);
    [replaced(&[]), other]
}

/// Path to digest.
type Files = BTreeMap<String, String>;

/// Where an apply was killed.
struct Killed {
    /// The step whose begin it was killed after, `12/52 hs1: …`; `None`: it was through before that.
    step: Option<String>,
}

/// Starts an apply and kills it `delay` after step `step` began.
fn kill(site: &Site, step: usize, delay: Duration) -> Killed {
    let mut child = site
        .command(&["apply", "--yes", "--allow-deletes", "--diff", "none"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mark = format!("[{step}/");
    let begun = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(&mark));
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    // Killed after its last word it was no kill.
    Killed { step: begun.filter(|_| !rest.contains("Apply complete")) }
}

/// What must hold at any moment: the plan answers, and nothing that we did ourselves is called anybody else's.
fn plan_is_ours(plan: &Plan, when: &str) {
    let foreign: Vec<String> =
        plan.changes().into_iter().filter(|change| change.split(' ').nth(2) != Some("intended")).collect();
    assert!(foreign.is_empty(), "{when}: called somebody else's doing: {foreign:#?}");
    assert_eq!(plan.refusals(), Vec::<String>::new(), "{when}");
}

/// No file is anything but what it is when an apply has come to its end, with the one inventory or the other.
fn files_are_whole(settled: &[Files], killed: &[(String, Files)]) {
    for (when, killed) in killed {
        for path in killed.keys().chain(settled.iter().flat_map(BTreeMap::keys)) {
            let found = killed.get(path);
            assert!(settled.iter().any(|whole| whole.get(path) == found), "{when}: {path} is {found:?}");
        }
    }
}

/// What a run leaves behind on hosts when nothing of it runs any more: nothing.
fn nothing_is_left_lying(site: &Site, when: &str) {
    for (host, _) in WRITTEN {
        let found = site.sh(
            host,
            "find /opt/matrix /etc /var/lib/redis -name '.*.synprov-*'; ls -A /run/synprov 2> /dev/null | grep -vx lock; \
             pgrep -af 'synprov|apt-get|pip' || true",
        );
        let found: Vec<&str> = found.lines().filter(|line| !line.contains("pgrep")).collect();
        assert!(found.is_empty(), "{when}, left on {host}: {found:#?}");
    }
}

/// A worker runs with the new configuration and its host has not written that down yet: a change of mind restarts it.
pub fn between_restart_and_record(site: &Site) {
    site.rewrite(&[("report_stats: false", "report_stats: false\n    max_upload_size: 13M")]);
    let steps = site.plan(0).steps();
    let later =
        steps.iter().position(|step| step == "hs2 restart matrix_generic_worker@sync.service").unwrap();
    assert!(
        steps[..later].iter().any(|step| step == "hs1 restart matrix_generic_worker@typing.service"),
        "{steps:#?}"
    );
    let killed = kill(site, later + 1, Duration::from_millis(200));
    assert!(killed.step.is_some());
    site.unlocked(RUNNING_STEP);
    site.rewrite(&[]);
    let plan = site.plan(0);
    plan_is_ours(&plan, "after a change of mind");
    let steps = plan.steps();
    assert!(steps.contains(&"hs1 restart matrix_generic_worker@typing.service".to_owned()), "{steps:#?}");
    site.apply();
    site.is_settled();
}

/// See the module.
pub fn at_random_moments() {
    let mut dice = Dice::from_environment();
    let kills = number("SYNPROV_KILLS").unwrap_or(4);
    let site = site::up("kills", Flavour::Warm);
    // A third of the kills hit the first apply, one after the other, from hosts that have nothing.
    let mut first = kills.div_ceil(3);
    println!(
        "| kill | work | killed in | delay | lock free after | steps left | changes left | finished in |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let variants = variants();
    let mut settled = vec![site.files()];
    let mut seen = Vec::new();
    let mut done = 0;
    let mut round = 0;
    while done < kills {
        let mut steps = site.plan(0).steps();
        if steps.is_empty() {
            first = first.min(done);
        }
        let chained = done < first;
        if !chained {
            round += 1;
            site.write(&variants[round % 2]);
            steps = site.plan(0).steps();
        }
        let step = 1 + usize::try_from(dice.below(steps.len() as u64)).unwrap();
        let delay = Duration::from_millis(if dice.below(2) == 0 { dice.below(30) } else { dice.below(1500) });
        let killed = kill(&site, step, delay);
        let when = format!("kill {}, {} ms into {:?}", done + 1, delay.as_millis(), killed.step);
        plan_is_ours(&site.plan(0), &format!("{when}, at once"));
        let free = site.unlocked(RUNNING_STEP);
        nothing_is_left_lying(&site, &when);
        seen.push((when.clone(), site.files()));
        let plan = site.plan(0);
        plan_is_ours(&plan, &when);
        // Every other time the person has thought better of it: back to what was.
        let back = !chained && dice.below(2) == 0;
        if back {
            round += 1;
            site.write(&variants[round % 2]);
            plan_is_ours(&site.plan(0), &format!("{when}, after a change of mind"));
        }
        let mut finished = String::new();
        if !chained || done + 1 == first {
            let began = Instant::now();
            site.apply();
            finished = format!("{:.1} s", began.elapsed().as_secs_f32());
            site.is_settled();
            settled.push(site.files());
        }
        let Some(title) = killed.step else { continue };
        done += 1;
        println!(
            "| {done} | {} | {} | {} ms | {:.1} s | {} | {} | {finished} |",
            if chained {
                "first apply"
            } else if back {
                "change of mind"
            } else {
                "change"
            },
            title.replace('|', "/"),
            delay.as_millis(),
            free.as_secs_f32(),
            plan.steps().len(),
            plan.changes().len(),
        );
    }
    for variant in &variants {
        site.write(variant);
        site.apply();
        site.is_settled();
        settled.push(site.files());
    }
    files_are_whole(&settled, &seen);
}
