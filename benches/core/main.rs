//! What the pure core costs: instructions (by valgrind, so the same on any machine under any load) and CPU time of
//! reading an inventory, resolving it, expanding modules, and planning, for 10, 100 and 500 workers.
//!
//! `cargo bench --bench core` prints a table beside the counts that are committed (`counts.tsv`); more than 3 % above
//! one of them is a failure. `SYNPROV_WRITE=1` writes them. With another compiler they are compared, not judged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code
)]

#[path = "../../tests/plan/machine.rs"]
mod machine;
#[path = "../../tests/plan/perform.rs"]
mod perform;
#[path = "../../tests/plan/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use synprov::inventory::{self, Inventory, Lock};
use synprov::modules::{Modules, expand};
use synprov::plan::Plan;
use synprov::topology;
use world::World;

const WORKERS: [usize; 3] = [10, 100, 500];
const PHASES: [&str; 7] =
    ["parse", "resolve", "expand", "plan of bare hosts", "empty plan", "drift", "check of the routes"];
/// What is measured, by the name of its function.
const COUNTED: &str = "*measured*";
/// The third argument under valgrind, where the kernel's clock page is not and rustix crashes: nothing is timed.
const COUNTING: &str = "counting";
/// Above the committed count by this factor is a failure.
const BOUND: f64 = 1.03;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match &words[..] {
        [] => table(),
        [workers, phase] | [workers, phase, _] => {
            let milliseconds = one(workers.parse().unwrap(), phase);
            println!("{milliseconds:.3}");
            ExitCode::SUCCESS
        }
        _ => panic!("no arguments, or a number of workers and a phase of {PHASES:?}"),
    }
}

/// Prepares what `phase` needs and runs it once; CPU time of that, in milliseconds.
fn one(workers: usize, phase: &str) -> f64 {
    let text = inventory_of(workers);
    let read = |text: &str| inventory::parse(text).0.expect("the inventory is right");
    let resolved = |inventory: &Inventory| {
        topology::resolve(inventory, &Lock::default()).topology.expect("and means something")
    };
    match phase {
        "parse" => timed(|| measured(|| read(&text))),
        "resolve" => {
            let inventory = read(&text);
            timed(|| measured(|| resolved(&inventory)))
        }
        "expand" => {
            let (modules, topology) = (Modules::builtin(), resolved(&read(&text)));
            timed(|| measured(|| expand(&modules, &topology).expect("modules fit")))
        }
        "plan of bare hosts" => {
            let world = World::bare(&text);
            let facts = world.facts();
            timed(|| measured(|| assert!(!world.plan_over(&facts).is_empty())))
        }
        "empty plan" => {
            let world = World::model(&text);
            let facts = world.facts();
            timed(|| measured(|| assert!(world.plan_over(&facts).is_empty())))
        }
        "drift" => {
            let world = World::model(&text);
            let facts = world.facts();
            timed(|| measured(|| assert!(world.drift_over(&facts).findings.is_empty())))
        }
        "check of the routes" => {
            let topology = resolved(&read(&text));
            let said = registered();
            timed(|| measured(|| assert!(topology.complaints(&said).len() != 1)))
        }
        other => panic!("{other} is none of {PHASES:?}"),
    }
}

/// CPU time of this thread, in milliseconds.
fn timed<T>(run: impl FnOnce() -> T) -> f64 {
    let counting = std::env::args().any(|word| word == COUNTING);
    let now = || {
        if counting {
            return 0.0;
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1000.0 + now.tv_nsec as f64 / 1e6
    };
    let began = now();
    black_box(run());
    now() - began
}

#[inline(never)]
fn measured<T>(run: impl FnOnce() -> T) -> T {
    black_box(run())
}

/// What a Synapse of that version says of itself: each kind of process and what it serves.
fn registered() -> Vec<String> {
    let text = include_str!("../../tests/data/registered/registered.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let rows: Vec<Vec<&str>> = rows.map(|line| line.splitn(6, ' ').collect()).collect();
    let kinds = [('l', vec![]), ('m', vec!["main"]), ('g', vec!["many0", "many1", "many2"])];
    let line = |(letter, processes): (char, Vec<&str>)| {
        let served: Vec<_> = rows
            .iter()
            .filter(|row| row[1].starts_with("1.163.2") && row[0] != "1.163.2+mas" && row[2].contains(letter))
            .map(|row| (row[4], row[3].replace(',', " "), row[5]))
            .collect();
        serde_json::json!({"processes": processes, "served": served}).to_string()
    };
    kinds.map(line).into()
}

/// A host for every 25 workers; what a large deployment splits.
fn inventory_of(workers: usize) -> String {
    let hosts = workers.div_ceil(25);
    let mut text = String::from("hosts:\n");
    for at in 1..=hosts {
        let _ =
            writeln!(text, "  hs{at}: {{address: 192.0.2.{at}, internal_address: 10.8.0.{at}, user: root}}");
    }
    text += "synapse:\n  server_name: example.org\n  version: 1.163.2\n  install: managed\n  config: {report_stats: false}\n\
             postgresql: {host: hs1}\nredis: {host: hs1}\nmain: {host: hs1}\n\
             proxy: {host: hs1, kind: nginx, tls: none}\nworkers:\n";
    let once =
        ["writes: [events]", "writes: [typing, to_device]", "writes: [receipts, presence]", "runs: [pusher]"];
    for (at, does) in once.iter().enumerate() {
        let _ = writeln!(text, "  once{at}: {{host: hs1, {does}}}");
    }
    let many = ["handles: [sync]", "handles: [client_reader, encryption]", "handles: [federation]"];
    let rest = workers - once.len();
    for (at, does) in many.iter().enumerate() {
        let here = rest / many.len() + usize::from(at < rest % many.len());
        let share = |host| here / hosts + usize::from(host <= here % hosts);
        let on: Vec<String> = (1..=hosts)
            .filter(|&host| share(host) > 0)
            .map(|host| format!("hs{host}: {}", share(host)))
            .collect();
        let _ = writeln!(text, "  many{at}: {{hosts: {{{}}}, {does}}}", on.join(", "));
    }
    text
}

/// Runs itself for each size and phase, with and without valgrind.
fn table() -> ExitCode {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/core/counts.tsv");
    let compiler = said(Command::new("rustc").arg("-V"));
    let text = std::fs::read_to_string(&committed).unwrap_or_default();
    let judged = text.starts_with(&format!("# {compiler}\n"));
    let before: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.rsplit_once('\t'))
        .map(|(name, count)| (name, count.parse().expect("a count")))
        .collect();
    let mut now = format!("# {compiler}\n");
    let mut above = Vec::new();
    println!(
        "{compiler}\n\n| workers | phase | instructions | of the committed | CPU ms, best of 5 |\n| --- | --- | --- | --- | --- |"
    );
    for workers in WORKERS {
        for phase in PHASES {
            let name = format!("{workers}\t{phase}");
            let count = instructions(workers, phase);
            let ratio = before.get(&*name).map(|&before| count as f64 / before as f64);
            let milliseconds = (0..5).map(|_| milliseconds(workers, phase)).fold(f64::INFINITY, f64::min);
            let shown = ratio.map_or("new".to_owned(), |ratio| format!("{ratio:.3}"));
            println!("| {workers} | {phase} | {count} | {shown} | {milliseconds:.1} |");
            let _ = writeln!(now, "{name}\t{count}");
            if judged && ratio.is_some_and(|ratio| ratio > BOUND) {
                above.push(name);
            }
        }
    }
    if std::env::var_os("SYNPROV_WRITE").is_some() {
        std::fs::write(&committed, now).expect("the counts can be written");
    } else if !above.is_empty() {
        eprintln!("more than {BOUND} times the committed instructions: {above:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn instructions(workers: usize, phase: &str) -> u64 {
    let this = std::env::current_exe().expect("a program");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    valgrind.arg(format!("--toggle-collect={COUNTED}")).arg(this).args([
        &workers.to_string(),
        phase,
        COUNTING,
    ]);
    let output = valgrind.output().expect("valgrind is installed: make bench does it");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let count = text.lines().find_map(|line| line.split_once("Collected : ")).expect("a count").1;
    let count = count.trim().parse().expect("a number");
    assert!(count > 10_000, "nothing was measured: {text}");
    count
}

fn milliseconds(workers: usize, phase: &str) -> f64 {
    let this = std::env::current_exe().expect("a program");
    said(Command::new(this).args([&workers.to_string(), phase])).parse().expect("milliseconds")
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What the model hosts' messages use.
fn tell(plan: &Plan) -> String {
    format!("{:?}", plan.changes)
}
