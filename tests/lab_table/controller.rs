//! What happens to synprov itself: signals, a machine that stands still, readers that go away, a second run.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::answer::Answer;
use crate::fault::{Fault, How};
use crate::table::{APPLY, Table, Work};

const RESTART: &str = "restart matrix_generic_worker@client.service";
const INTERRUPTED: &[Option<i32>] = &[Some(130)];

fn signals(name: &str, step: &'static str, signals: &'static [(u64, Signal)]) -> Fault {
    Fault::new(name, Work::Client, How::Signals { step, signals }).held(60)
}

fn told(name: &str, tell: fn(&Table) -> Answer) -> Fault {
    Fault::new(name, Work::Client, How::Told(tell)).held(60)
}

pub fn faults() -> Vec<Fault> {
    vec![
        signals("SIGKILL while files are staged", "stage ", &[(0, Signal::KILL)]).ends(&[None]),
        signals("SIGKILL during a validation", "validate ", &[(100, Signal::KILL)]).ends(&[None]),
        signals("SIGKILL as a file is put in place", "client.yaml in place", &[(0, Signal::KILL)])
            .ends(&[None]),
        signals("SIGKILL as a restart begins", RESTART, &[(0, Signal::KILL)]).ends(&[None]),
        signals("SIGKILL in the middle of a restart", RESTART, &[(400, Signal::KILL)]).ends(&[None]),
        signals("SIGHUP, as when the terminal goes", RESTART, &[(0, Signal::HUP), (200, Signal::HUP)])
            .ends(&[Some(129)])
            .says(&["running steps finish"]),
        signals("SIGINT", "validate ", &[(0, Signal::INT)])
            .ends(INTERRUPTED)
            .says(&["running steps finish, nothing new begins"]),
        signals("SIGINT twice", RESTART, &[(0, Signal::INT), (200, Signal::INT)]).ends(INTERRUPTED),
        signals("SIGTERM", "validate ", &[(0, Signal::TERM)])
            .ends(&[Some(143)])
            .says(&["running steps finish"]),
        signals("SIGTERM twice", RESTART, &[(0, Signal::TERM), (200, Signal::TERM)]).ends(&[Some(143)]),
        signals("synprov stands still for 3 s", "validate ", &[(0, Signal::STOP), (3000, Signal::CONT)]),
        signals("synprov stands still for 80 s", "validate ", &[(0, Signal::STOP), (80_000, Signal::CONT)])
            .ends(&[Some(6)])
            .says(&["ended early", "Logging in there once more"])
            .long(),
        told("nobody reads standard error any more", |table| {
            let mut command = table.site.command(&APPLY);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stderr.take());
            child.wait_with_output().unwrap().into()
        }),
        told("nobody reads standard output any more", |table| {
            let mut command = table.site.command(&APPLY);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            child.wait_with_output().unwrap().into()
        }),
        told("standard output is on a full disk", |table| {
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            table.site.command(&APPLY).stdout(full).output().unwrap().into()
        }),
        told("a second apply while one is under way", |table| {
            let mut first = table.start(&[]);
            assert!(first.until_step("validate ").is_some());
            let second = table.site.run(&APPLY).exits(5);
            let second = second.says(&format!("process {}", first.id())).says("Nothing was changed.");
            drop(second);
            first.ends()
        }),
        told("the lock file is deleted under an apply, then a second one", |table| {
            let mut first = table.start(&[]);
            assert!(first.until_step("validate ").is_some());
            table.site.sh("hs1", "rm /run/synprov/lock");
            table.site.run(&APPLY).exits(5).says("another run holds its lock").says("Nothing was changed.");
            first.ends()
        }),
        told("the inventory changes while it is applied", |table| {
            let mut apply = table.start(&[]);
            assert!(apply.until_step("validate ").is_some());
            table.want(Work::Sync);
            apply.ends()
        }),
        told("the controller's directory is read-only", |table| {
            let directory = table.site.path("");
            let mount = |arguments: &[&str]| {
                assert!(std::process::Command::new("mount").args(arguments).status().unwrap().success());
            };
            let path = directory.to_str().unwrap();
            mount(&["--bind", path, path]);
            mount(&["-o", "remount,ro,bind", path]);
            let answer = table.start(&[]).ends();
            assert!(std::process::Command::new("umount").args(["--lazy", path]).status().unwrap().success());
            answer
        }),
        told("a leftover lock file of a host that lost power", |table| {
            table.site.sh(
                "hs1",
                "mkdir -p -m 0700 /run/synprov; echo 'somebody@elsewhere, process 1' > /run/synprov/lock",
            );
            std::thread::sleep(Duration::ZERO);
            table.start(&[]).ends()
        }),
    ]
}
