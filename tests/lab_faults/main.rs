//! Faults, and several hosts: real ones, provisioned by the real binary, that go wrong in every way we know.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../throwaway/answer.rs"]
mod answer;
mod back;
#[path = "../throwaway/site.rs"]
#[allow(dead_code)]
mod deployment;
mod disk;
mod guards;
mod installs;
mod kills;
mod membership;
mod reach;
#[path = "../throwaway/sample.rs"]
mod sample;
mod site;
#[path = "../throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;

#[test]
#[ignore = "lab: needs root and podman"]
fn an_apply_killed_at_any_moment_is_finished_by_the_next() {
    kills::at_random_moments();
}

#[test]
#[ignore = "lab: needs root and podman"]
fn existing_installs_are_adopted() {
    installs::are_adopted();
}

/// Everything once more on Debian 13: other Python, PostgreSQL, Redis, systemd.
#[test]
#[ignore = "lab: needs root and podman"]
fn two_hosts_are_rehearsed_on_debian_13() {
    let directory = tempfile::tempdir().unwrap();
    let name = format!("test-trixie-{}", std::process::id());
    let _removed = throwaway::Removed(name.clone());
    let inventory = directory.path().join(format!("{name}.yaml"));
    std::fs::write(&inventory, site::INVENTORY).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_synprov"));
    command.args(["rehearse", "--warm", "--distro", "debian-13"]).arg(&inventory);
    let answer = answer::Answer::from(command.output().unwrap()).exits(0);
    let answer =
        answer.says("No changes. 2 hosts are as the inventory says").says("hs2: open from outside: 22\n");
    print!("{}", answer.text.lines().filter(|line| line.contains(" requests ")).collect::<String>());
}

/// A scenario: its name, and what happens.
type Scenario = (&'static str, fn(&site::Site));

/// What happens to a deployment that runs, in this order; each begins and ends with an empty plan.
/// `sample.rs` says which of them run.
const SCENARIOS: &[Scenario] = &[
    ("a worker never becomes ready", back::a_worker_never_becomes_ready),
    ("a failure is left alone", back::a_failure_is_left_alone),
    ("the way back fails too", back::the_way_back_fails_too),
    ("somebody goes back", back::somebody_goes_back),
    ("a change of mind", kills::between_restart_and_record),
    ("Redis is firewalled", reach::redis_is_firewalled),
    ("a host is paused", reach::a_host_is_paused),
    ("one host alone", reach::one_host_alone),
    ("a host hangs during an apply", reach::a_host_hangs_during_an_apply),
    ("no space", disk::no_space_is_left),
    ("an immutable file", disk::a_file_is_immutable),
    ("a directory in place of a file", disk::a_directory_stands_in_the_way),
    ("a hostile parent", disk::a_parent_is_somebody_elses),
    ("hostile temporary names", disk::temporary_names_are_taken),
    ("an edit alone", guards::an_edit_alone_does_not_do_it),
    ("a writer moves", membership::a_writer_moves),
    ("a host is dropped, then retired", membership::a_host_is_dropped_then_retired),
    ("a host is lost", membership::a_host_is_lost),
];

#[test]
#[ignore = "lab: needs root and podman"]
fn a_deployment_on_two_hosts_survives() {
    let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    let chosen = sample::chosen(&names, &["a worker never becomes ready"], 3);
    let site = site::provisioned("running");
    let mut failed = Vec::new();
    for ((name, scenario), _) in SCENARIOS.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
        let began = std::time::Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scenario(&site)));
        println!(
            "{} {name} ({:.1} s)",
            if result.is_ok() { "ok    " } else { "FAILED" },
            began.elapsed().as_secs_f32()
        );
        if result.is_err() {
            failed.push(*name);
            // Back to the beginning, so that one failure is one failure.
            site.rewrite(&[]);
            site.run(&[
                "apply",
                "--yes",
                "--adopt",
                "--allow-datastore-restart",
                "--allow-deletes",
                "--diff",
                "none",
            ]);
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
