//! What a person sees while an apply runs: a line a step, with a spinner on a terminal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;
use crate::apply::{Observer, Outcome};
use crate::plan::Step;
use crate::render::paint::Paint;

/// Shows progress on standard error.
pub struct Progress<'a> {
    output: &'a Output,
    total: usize,
    bars: MultiProgress,
    running: BTreeMap<usize, (Instant, ProgressBar)>,
    /// When a step last said what it waits for.
    said: BTreeMap<usize, Instant>,
    paint: Paint,
    quiet: bool,
    keep: &'a mut Keep<'a>,
}

/// Takes what pip resolved: Python tag to requirement lines.
pub type Keep<'a> = dyn FnMut(&IndexMap<String, Vec<String>>) + 'a;

/// Plain lines about waiting come no more often than this.
const BETWEEN_WAITS: Duration = Duration::from_secs(15);

impl<'a> Progress<'a> {
    /// For a plan of `total` steps. `quiet`: machine output is on, only failures are said.
    /// `keep` is given the Python packages that pip resolved, as soon as they are known.
    pub fn new(output: &'a Output, total: usize, quiet: bool, keep: &'a mut Keep<'a>) -> Self {
        let target = if output.terminal && !quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            output,
            total,
            bars: MultiProgress::with_draw_target(target),
            running: BTreeMap::new(),
            said: BTreeMap::new(),
            paint: Paint(output.color_talk),
            quiet,
            keep,
        }
    }

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.output.terminal {
            // A terminal that has gone away is no reason to stop an apply.
            drop(self.bars.println(text));
        } else {
            self.output.talk(&format!("{text}\n"));
        }
    }

    fn label(&self, step: &Step) -> String {
        format!("[{}/{}] {}: {}", step.id + 1, self.total, step.host, step.action.title())
    }
}

impl Observer for Progress<'_> {
    fn begins(&mut self, step: &Step) {
        let label = self.label(step);
        if !self.output.terminal {
            self.line(&label);
        }
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {prefix} {wide_msg:.dim}") {
            bar.set_style(style);
        }
        bar.set_prefix(label);
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running.insert(step.id, (Instant::now(), bar));
    }

    fn says(&mut self, step: &Step, line: &str) {
        if self.output.verbose > 0 {
            self.line(&format!("    {}: {line}", step.host));
        } else if let Some((_, bar)) = self.running.get(&step.id) {
            bar.set_message(line.to_owned());
        }
    }

    fn waits(&mut self, step: &Step, unit: &str, what: &str) {
        if let Some((_, bar)) = self.running.get(&step.id) {
            bar.set_message(format!("{unit}: {what}"));
        }
        let said = self.said.get(&step.id).is_some_and(|at| at.elapsed() < BETWEEN_WAITS);
        if !self.output.terminal && !said {
            self.said.insert(step.id, Instant::now());
            self.line(&format!("    {}: waiting for {unit}, {what}", step.host));
        }
    }

    fn ends(&mut self, step: &Step, outcome: &Outcome) {
        let Some((began, bar)) = self.running.remove(&step.id) else { return };
        bar.finish_and_clear();
        self.bars.remove(&bar);
        let seconds = began.elapsed().as_secs_f32();
        let mark = match outcome {
            Outcome::Done => self.paint.green("✓"),
            _ => self.paint.red("✗"),
        };
        if self.output.terminal || *outcome != Outcome::Done || seconds >= 5.0 {
            self.line(&format!("{mark} {} {}", self.label(step), self.paint.dim(&format!("{seconds:.1} s"))));
        }
    }

    fn resolved(&mut self, sets: &IndexMap<String, Vec<String>>) {
        (self.keep)(sets);
    }

    fn interrupted(&mut self) {
        self.output
            .talk("interrupted: running steps finish, nothing new begins; once more to stop at once\n");
    }
}
