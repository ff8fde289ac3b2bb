//! SIGKILL of synprov at every single step: each run is killed as a step begins at which none was killed before,
//! until a run comes to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use crate::aftermath;
use crate::table::{Table, Work};

/// A step that has begun may finish: the longest one builds a Python environment.
const RUNNING_STEP: Duration = Duration::from_secs(300);
/// No apply has so many steps.
const MANY: usize = 200;

/// Whatever is left to do is done by runs that are killed; a line for each. How many there were.
pub fn killed_at_every_step(table: &Table, work: &str) -> usize {
    let mut steps = aftermath::plan_is_exact(table, false).steps().len();
    // What a step is called, without its number.
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let title = |line: &str| line.split_once("] ").map(|(_, title)| title.to_owned());
    for kills in 0..MANY {
        let mut apply = table.start(&["--allow-datastore-restart"]);
        let begins =
            |line: &str| line.starts_with('[') && title(line).is_some_and(|title| !seen.contains(&title));
        let Some(line) = apply.until_line(begins) else {
            apply.ends().exits(0);
            table.site.is_settled();
            return kills;
        };
        // A step is told just before it is sent: every other run is killed when it has been.
        std::thread::sleep(Duration::from_millis(if kills % 2 == 0 { 0 } else { 150 }));
        apply.signal(Signal::KILL);
        let answer = apply.ends();
        let held = table.site.unlocked(RUNNING_STEP);
        table.know_secrets();
        aftermath::said_no_secret(table, &answer);
        aftermath::nothing_is_left(table);
        let left = aftermath::plan_is_exact(table, false).steps().len();
        assert!(left <= steps, "{left} steps are left of {steps}");
        steps = left;
        let title = title(&line).unwrap_or(line);
        println!(
            "| SIGKILL as \"{}\" begins, {work} | killed | {:.1} s | {left} steps | plan exact |",
            title.replace('|', "/"),
            held.as_secs_f32()
        );
        seen.insert(title);
    }
    panic!("{MANY} runs were not enough")
}

/// A first apply, and one that changes everything.
pub fn walk(table: &Table) {
    killed_at_every_step(table, "first apply");
    table.want(Work::All);
    killed_at_every_step(table, "everything changes");
}
