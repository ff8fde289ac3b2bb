//! What a person sees while an apply runs: a line for each host that is at work or waits, with a
//! spinner on a terminal, plain lines elsewhere; the same in full in the log, and as events.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::Output;
use super::run_log::RunLog;
use crate::apply::{Observer, Outcome};
use crate::facts::conversation::clean;
use crate::plan::{Plan, Step};
use crate::render::paint::Paint;

/// Shows progress on standard error.
pub struct Progress<'a> {
    output: &'a Output,
    steps: Vec<Step>,
    states: Vec<State>,
    bars: MultiProgress,
    /// A line for each host that does something.
    running: BTreeMap<usize, (Instant, ProgressBar)>,
    /// A line for each host that waits for another.
    waiting: BTreeMap<String, ProgressBar>,
    /// When a step last said what it waits for.
    said: BTreeMap<usize, Instant>,
    paint: Paint,
    quiet: bool,
    log: Option<RunLog>,
    keep: &'a mut Keep<'a>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Over,
}

/// Takes what pip resolved: Python tag to requirement lines.
pub type Keep<'a> = dyn FnMut(&IndexMap<String, Vec<String>>) + 'a;

/// Plain lines about waiting come no more often than this.
const BETWEEN_WAITS: Duration = Duration::from_secs(15);
/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

impl<'a> Progress<'a> {
    /// For these steps of a plan. `quiet`: machines read along, nothing but failures is said.
    /// `keep` is given the Python packages that pip resolved, as soon as they are known.
    pub fn new(
        output: &'a Output,
        steps: &[Step],
        quiet: bool,
        log: Option<RunLog>,
        keep: &'a mut Keep<'a>,
    ) -> Self {
        let target = if output.terminal && !quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            output,
            states: vec![State::Waiting; steps.len()],
            steps: steps.to_vec(),
            bars: MultiProgress::with_draw_target(target),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            said: BTreeMap::new(),
            paint: Paint(output.color_talk),
            quiet,
            log,
            keep,
        }
    }

    /// The log, once all is over.
    pub fn into_log(self) -> Option<RunLog> {
        for bar in self.waiting.values() {
            bar.finish_and_clear();
        }
        self.log
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

    fn log(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            log.line(text);
        }
    }

    fn label(&self, step: &Step) -> String {
        format!("[{}/{}] {}: {}", step.id + 1, self.steps.len(), step.host, clean(&step.action.title()))
    }

    fn bar(&self, template: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }

    fn set(&mut self, step: &Step, state: State) {
        if let Some(known) = self.states.get_mut(step.id) {
            *known = state;
        }
        if !self.output.terminal || self.quiet {
            return;
        }
        let idle = waits(&self.steps, &self.states);
        let gone: Vec<String> =
            self.waiting.keys().filter(|host| !idle.contains_key(*host)).cloned().collect();
        for host in gone {
            if let Some(bar) = self.waiting.remove(&host) {
                bar.finish_and_clear();
                self.bars.remove(&bar);
            }
        }
        for (host, what) in idle {
            if !self.waiting.contains_key(&host) {
                let bar = self.bar("  {prefix} {wide_msg:.dim}");
                bar.set_prefix(format!("{host}:"));
                self.waiting.insert(host.clone(), bar);
            }
            if let Some(bar) = self.waiting.get(&host) {
                bar.set_message(format!("waits for {what}"));
            }
        }
    }
}

/// Hosts with steps left that do nothing now, and the step of another host that each waits for.
fn waits(steps: &[Step], states: &[State]) -> BTreeMap<String, String> {
    let mut hosts: BTreeMap<String, String> = BTreeMap::new();
    let busy = |host: &str| {
        steps.iter().zip(states).any(|(step, state)| step.host == host && *state == State::Running)
    };
    for (step, state) in steps.iter().zip(states) {
        // Only a host's next step.
        if *state != State::Waiting || hosts.contains_key(&step.host) || busy(&step.host) {
            continue;
        }
        let blocks = |wanted: State| {
            step.after
                .iter()
                .filter_map(|id| steps.get(*id))
                .find(|other| other.host != step.host && states.get(other.id) == Some(&wanted))
        };
        if let Some(other) = blocks(State::Running).or_else(|| blocks(State::Waiting)) {
            hosts.insert(step.host.clone(), format!("{}: {}", other.host, other.action.title()));
        }
    }
    hosts
}

impl Observer for Progress<'_> {
    fn begins(&mut self, step: &Step) {
        let label = self.label(step);
        self.log(&format!("{label} ({})", step.why));
        self.output.event(
            "step_begins",
            json!({
                "id": step.id, "host": step.host, "title": step.action.title(), "why": step.why,
                "steps": self.steps.len(),
            }),
        );
        self.set(step, State::Running);
        if !self.output.terminal {
            self.line(&label);
        }
        let bar = self.bar("{spinner} {prefix} {elapsed} {wide_msg:.dim}");
        bar.set_prefix(label);
        bar.enable_steady_tick(TICK);
        self.running.insert(step.id, (Instant::now(), bar));
    }

    fn says(&mut self, step: &Step, line: &str) {
        self.log(&format!("    {}: {line}", step.host));
        self.output.event("step_says", json!({"id": step.id, "host": step.host, "line": line}));
        if self.output.verbose > 0 {
            self.line(&format!("    {}: {line}", step.host));
        } else if let Some((_, bar)) = self.running.get(&step.id) {
            bar.set_message(line.to_owned());
        }
    }

    fn waits(&mut self, step: &Step, unit: &str, what: &str) {
        self.log(&format!("    {}: waiting for {unit}, {what}", step.host));
        self.output.event("step_waits", json!({"id": step.id, "host": step.host, "unit": unit, "for": what}));
        if let Some((_, bar)) = self.running.get(&step.id) {
            // There is little room, and a step about one unit has named it.
            let whom =
                if step.action.title().ends_with(unit) { String::new() } else { format!(" for {unit}") };
            bar.set_message(format!("waits{whom}, {what}"));
        }
        let said = self.said.get(&step.id).is_some_and(|at| at.elapsed() < BETWEEN_WAITS);
        if !self.output.terminal && !said {
            self.said.insert(step.id, Instant::now());
            self.line(&format!("    {}: waiting for {unit}, {what}", step.host));
        }
    }

    fn ends(&mut self, step: &Step, outcome: &Outcome) {
        let (began, bar) = self.running.remove(&step.id).unzip();
        let seconds = began.map_or(0.0, |began: Instant| began.elapsed().as_secs_f32());
        let (word, output) = match outcome {
            Outcome::Done => ("done", &[][..]),
            Outcome::Failed(lines) => ("failed", lines.as_slice()),
            Outcome::Lost(reason) => ("lost", std::slice::from_ref(reason)),
            Outcome::Skipped => ("skipped", &[][..]),
        };
        let label = self.label(step);
        self.log(&format!("{label}: {word} after {seconds:.1} s"));
        for line in output {
            self.log(&format!("    {line}"));
        }
        self.output.event(
            "step_ends",
            json!({
                "id": step.id, "host": step.host, "title": step.action.title(), "outcome": word,
                "seconds": (f64::from(seconds) * 10.0).round() / 10.0, "output": output,
            }),
        );
        self.set(step, State::Over);
        let Some(bar) = bar else { return };
        bar.finish_and_clear();
        self.bars.remove(&bar);
        let mark = match outcome {
            Outcome::Done => self.paint.green("✓"),
            _ => self.paint.red("✗"),
        };
        if self.output.terminal || *outcome != Outcome::Done || seconds >= 5.0 {
            self.line(&format!("{mark} {label} {}", self.paint.dim(&format!("{seconds:.1} s"))));
        }
    }

    fn resolved(&mut self, sets: &IndexMap<String, Vec<String>>) {
        (self.keep)(sets);
    }

    fn reconnects(&mut self, host: &str) {
        let text = format!("It failed, and the session with {host} was lost. Logging in there once more");
        self.log(&text);
        self.line(&text);
    }

    fn goes_back(&mut self, generation: u64, plan: &Plan) {
        self.steps.clone_from(&plan.steps);
        self.states = vec![State::Waiting; plan.steps.len()];
        self.said.clear();
        let count = match plan.steps.len() {
            0 => "nothing is to be undone".to_owned(),
            1 => "1 step".to_owned(),
            count => format!("{count} steps"),
        };
        let text = format!("It failed. Going back to generation {generation}: {count}");
        self.log(&text);
        self.output.event("rollback_begins", json!({"generation": generation, "steps": plan.steps.len()}));
        self.line(&text);
    }

    fn interrupted(&mut self) {
        self.log("interrupted");
        self.output.event("interrupted", json!({}));
        self.output
            .talk("interrupted: running steps finish, nothing new begins; once more to stop at once\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    #[test]
    fn a_host_that_waits_says_for_what() {
        let step = |id: usize, host: &str, user: &str, after: &[usize]| Step {
            id,
            host: host.to_owned(),
            action: Action::CreateUser { name: user.to_owned(), home: String::new() },
            why: String::new(),
            completes: Vec::new(),
            after: after.to_vec(),
        };
        let steps = [
            step(0, "a", "one", &[]),
            step(1, "b", "two", &[]),
            step(2, "a", "three", &[0, 1]),
            step(3, "b", "four", &[1, 2]),
        ];
        let told = |states: [State; 4]| -> Vec<String> {
            waits(&steps, &states).iter().map(|(host, what)| format!("{host}: {what}")).collect()
        };
        use State::{Over, Running, Waiting};
        assert_eq!(told([Running, Running, Waiting, Waiting]), [] as [&str; 0]);
        assert_eq!(told([Over, Running, Waiting, Waiting]), ["a: b: create user two"]);
        assert_eq!(told([Over, Over, Running, Waiting]), ["b: a: create user three"]);
        assert_eq!(told([Over, Over, Over, Running]), [] as [&str; 0]);
    }
}
