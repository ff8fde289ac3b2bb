//! SIGKILL of synprov at every single step: each run is killed as its first step begins, until nothing is left.

use std::time::Duration;

use rustix::process::Signal;

use crate::aftermath;
use crate::table::{Table, Work};

/// A step that has begun may finish: the longest one builds a Python environment.
const RUNNING_STEP: Duration = Duration::from_secs(300);
/// No apply has so many steps.
const MANY: usize = 200;

/// Whatever is left to do is done by runs that are all killed; a line for each. How many there were.
pub fn killed_at_every_step(table: &Table, work: &str) -> usize {
    let mut steps = aftermath::plan_is_exact(table, false).steps().len();
    let mut stuck = 0;
    for kills in 0..MANY {
        if steps == 0 {
            table.site.is_settled();
            return kills;
        }
        let mut apply = table.start(&["--allow-datastore-restart"]);
        let Some(line) = apply.until_line(|line| line.starts_with('[')) else {
            panic!("no step began:\n{}", apply.ends().text)
        };
        // A step that is told may not have been sent yet: then it gets a moment more, and is sent.
        std::thread::sleep(Duration::from_millis(100 * stuck));
        apply.signal(Signal::KILL);
        let answer = apply.ends();
        let held = table.site.unlocked(RUNNING_STEP);
        table.know_secrets();
        aftermath::said_no_secret(table, &answer);
        aftermath::nothing_is_left(table);
        let left = aftermath::plan_is_exact(table, false).steps().len();
        stuck = if left == steps { stuck + 1 } else { 0 };
        assert!(left <= steps && stuck < 20, "{left} steps are left of {steps}, {stuck} times");
        steps = left;
        let (_, title) = line.split_once("] ").unwrap_or(("", &line));
        println!(
            "| SIGKILL as \"{}\" begins, {work} | killed | {:.1} s | {left} steps | plan exact |",
            title.replace('|', "/"),
            held.as_secs_f32()
        );
    }
    panic!("{MANY} runs were not enough")
}

/// A first apply, and one that changes everything.
pub fn walk(table: &Table) {
    killed_at_every_step(table, "first apply");
    table.want(Work::All);
    killed_at_every_step(table, "everything changes");
}
