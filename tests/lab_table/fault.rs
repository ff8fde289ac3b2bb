//! One fault: what is done, what must be seen, and the walk through it.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::aftermath;
use crate::answer::Answer;
use crate::table::{Table, Work};
use crate::wire::Cut;

/// What goes wrong, and when.
#[derive(Clone)]
pub enum How {
    /// Made on a host before the apply begins, taken away after its end.
    Around { host: &'static str, make: String, heal: String },
    /// Made as soon as a step has begun, taken away after the apply's end.
    During { step: &'static str, host: &'static str, make: String, heal: String },
    /// Signals to synprov once a step has begun, each so many milliseconds after what came before.
    Signals { step: &'static str, signals: &'static [(u64, Signal)] },
    /// The connection to a host is harmed.
    Wire { host: &'static str, cut: Cut },
    /// Told in code: how the apply ended.
    Told(fn(&Table) -> Answer),
}

/// See the module.
#[derive(Clone)]
pub struct Fault {
    /// What is done, for people. Words of it select it.
    pub name: String,
    /// What the apply is about.
    pub work: Work,
    /// More arguments for the apply.
    pub arguments: &'static [&'static str],
    /// What goes wrong.
    pub how: How,
    /// Exit codes of the apply that are right; `None` in it: a signal ended it.
    pub ends: &'static [Option<i32>],
    /// What it must say.
    pub says: Vec<String>,
    /// No file may have changed.
    pub untouched: bool,
    /// The lock is free after so many seconds.
    pub held: u64,
    /// It leaves something that is called somebody else's doing, rightly.
    pub theirs: bool,
    /// Takes minutes by itself.
    pub long: bool,
}

impl Fault {
    /// A fault that the apply survives, in every respect.
    pub fn new(name: impl Into<String>, work: Work, how: How) -> Self {
        Self {
            name: name.into(),
            work,
            arguments: &[],
            how,
            ends: &[Some(0)],
            says: Vec::new(),
            untouched: false,
            held: 5,
            theirs: false,
            long: false,
        }
    }

    /// The apply ends with one of these instead.
    pub fn ends(mut self, codes: &'static [Option<i32>]) -> Self {
        self.ends = codes;
        self
    }

    /// The apply fails, says why, and has changed no file.
    pub fn refuses(mut self, code: &'static [Option<i32>], words: &[&str]) -> Self {
        self.untouched = true;
        self.ends(code).says(words)
    }

    pub fn says(mut self, words: &[&str]) -> Self {
        self.says.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Somebody else has changed something.
    pub fn theirs(mut self) -> Self {
        self.theirs = true;
        self
    }

    /// A step or the silence deadline keeps the lock for longer.
    pub fn held(mut self, seconds: u64) -> Self {
        self.held = seconds;
        self
    }

    /// Something that is made before the fault itself.
    pub fn first(mut self, script: &str) -> Self {
        if let How::Around { make, .. } | How::During { make, .. } = &mut self.how {
            make.insert_str(0, script);
        }
        self
    }

    pub fn long(mut self) -> Self {
        self.long = true;
        self
    }

    pub fn with(mut self, arguments: &'static [&'static str]) -> Self {
        self.arguments = arguments;
        self
    }

    /// Walks through it; a line of the table.
    pub fn walk(&self, table: &Table) -> String {
        let before = table.site.files();
        table.want(self.work);
        let answer = self.happen(table);
        let mut seen = answer.code.map_or("killed".to_owned(), |code| format!("exit {code}"));
        assert!(self.ends.contains(&answer.code), "exit code {:?} of\n{}", answer.code, answer.text);
        for words in &self.says {
            assert!(answer.text.contains(words.as_str()), "does not say {words:?}:\n{}", answer.text);
        }
        if let How::Wire { host, .. } = &self.how {
            let (up, down) = table.wire(host).carried();
            seen += &format!(", {up} bytes there, {down} back");
        }
        if let Some(first) = self.says.first() {
            seen += &format!(", \"{first}\"");
        }
        aftermath::said_no_secret(table, &answer);
        let held = aftermath::is_unlocked(table, Duration::from_secs(self.held));
        let found = table.site.files();
        if self.untouched {
            // A secret's own file comes before the files that name it, and is not yet read by anybody.
            let secret = |path: &str| answer.code != Some(0) && path.contains("/conf/secrets/");
            let changed =
                found.keys().chain(before.keys()).filter(|path| found.get(*path) != before.get(*path));
            let changed: Vec<&String> = changed.filter(|path| !secret(path)).collect();
            assert!(changed.is_empty(), "files were changed: {changed:?}\n{}", answer.text);
        }
        aftermath::nothing_is_left(table);
        let plan = aftermath::plan_is_exact(table, self.theirs);
        let began = Instant::now();
        aftermath::converges(table, &plan);
        let seconds = began.elapsed().as_secs_f32();
        if answer.code == Some(6) {
            let lost = answer.text.contains("Logging in there once more");
            aftermath::files_are_led_back(&found, &before, lost);
        } else if !self.theirs {
            aftermath::files_are_whole(&found, &before, &table.site.files());
        }
        aftermath::nothing_is_left(table);
        format!(
            "| {} | {seen} | {:.1} s | {} steps | plan empty after {seconds:.0} s |",
            self.name.replace('|', "/"),
            held.as_secs_f32(),
            plan.steps().len()
        )
    }

    /// Lets it happen; how the apply ended.
    fn happen(&self, table: &Table) -> Answer {
        match &self.how {
            How::Around { host, make, heal } => {
                table.site.sh(host, make);
                let _healed = Healed { table, host, heal };
                table.start(self.arguments).ends()
            }
            How::During { step, host, make, heal } => {
                let mut apply = table.start(self.arguments);
                if apply.until_step(step).is_none() {
                    panic!("it never came to {step:?}:\n{}", apply.ends().text);
                }
                table.site.sh(host, make);
                let _healed = Healed { table, host, heal };
                apply.ends()
            }
            How::Signals { step, signals } => {
                let mut apply = table.start(self.arguments);
                if apply.until_step(step).is_none() {
                    panic!("it never came to {step:?}:\n{}", apply.ends().text);
                }
                for (milliseconds, signal) in *signals {
                    std::thread::sleep(Duration::from_millis(*milliseconds));
                    apply.signal(*signal);
                }
                apply.ends()
            }
            How::Wire { host, cut } => {
                let wire = table.wire(host);
                wire.arm(Some(*cut));
                let answer = table.start(self.arguments).ends();
                assert!(answer.code == Some(0) || wire.happened(), "{}", answer.text);
                wire.mend();
                answer
            }
            How::Told(tell) => tell(table),
        }
    }
}

/// Takes a fault away, also when its walk fails.
struct Healed<'a> {
    table: &'a Table,
    host: &'a str,
    heal: &'a str,
}

impl Drop for Healed<'_> {
    fn drop(&mut self) {
        let (done, said) = self.table.site.try_sh(self.host, self.heal);
        assert!(done || std::thread::panicking(), "{}\n{said}", self.heal);
    }
}
