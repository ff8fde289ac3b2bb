//! `synprov apply`: shows the plan, asks, and does it.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Args;
use indexmap::IndexMap;
use serde_json::json;

use super::hosts::{Surveyed, exit_of, survey, tell};
use super::load::{Loaded, load_or_tell};
use super::progress::Progress;
use super::rehearse::stand_in;
use super::{Exit, HostArgs, InventoryArgs, Output};
use crate::apply::{Interrupts, Job, Outcome, Refused, Report, apply};
use crate::facts::HostErrorKind;
use crate::plan::Plan;
use crate::render::plan::{DiffStyle, Style, text};
use crate::render::report;

/// Default of `--ready-timeout`.
const READY_SECONDS: u32 = 120;

/// `synprov apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  synprov apply               shows the plan and asks\n  synprov apply --yes         for scripts: does not ask\n  synprov apply --limit hs2   only this host"
)]
pub struct ApplyArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    hosts: HostArgs,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Seconds a service may take to be ready; the main process takes what its schema needs
    #[arg(long, value_name = "SECONDS", default_value_t = READY_SECONDS, value_parser = clap::value_parser!(u32).range(1..=86400))]
    ready_timeout: u32,

    /// How much of what changes inside files is shown
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    diff: DiffStyle,

    /// Report as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(arguments: &ApplyArgs, output: &Output) -> Exit {
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    let loaded = match load_or_tell(&arguments.inventory, stand_in.as_ref(), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    apply_loaded(loaded, arguments, output)
}

impl ApplyArgs {
    /// What `rehearse` applies with: nobody is asked.
    pub fn rehearsal(inventory: InventoryArgs, hosts: HostArgs, diff: DiffStyle) -> Self {
        Self { inventory, hosts, yes: true, ready_timeout: READY_SECONDS, diff, json: false }
    }
}

/// Applies what was loaded.
pub fn apply_loaded(mut loaded: Loaded, arguments: &ApplyArgs, output: &Output) -> Exit {
    let mut surveyed = match survey(&loaded, &arguments.hosts, output) {
        Ok(surveyed) => surveyed,
        Err(exit) => return exit,
    };
    if let Err(exit) = loaded.lock.save(arguments.inventory.locked, output) {
        return exit;
    }
    let plan = surveyed.plan(&loaded);
    let color = if arguments.json { output.color_talk } else { output.color };
    let style = Style { diff: arguments.diff, color, verbose: output.verbose > 0 };
    let shown = text(&plan, style, surveyed.errors.len());
    if arguments.json {
        output.talk(&shown)
    } else {
        output.result(&shown)
    }
    if !surveyed.errors.is_empty() {
        output.talk("Nothing was changed. Mend these hosts, or leave them out with --limit.\n");
        return surveyed.exit();
    }
    if !plan.refusals.is_empty() {
        return Exit::Error;
    }
    if plan.is_empty() && !plan.unsettled.is_empty() {
        output.talk(&format!(
            "An apply was cut short at its end; its record is completed on {}.\n",
            plan.unsettled.join(", ")
        ));
    } else if plan.is_empty() {
        if arguments.json {
            output.result(&format!("{:#}\n", json!({"format_version": 1, "succeeded": true, "steps": []})));
        }
        return Exit::Done;
    }
    if !plan.is_empty() && !arguments.yes && !confirmed(output) {
        return Exit::Error;
    }
    let connections = std::mem::take(&mut surveyed.connections);
    perform(&mut loaded, &surveyed, &plan, connections, arguments, output)
}

/// Asks. Without a terminal there is nobody to ask.
fn confirmed(output: &Output) -> bool {
    if !std::io::stdin().is_terminal() {
        output.error("there is no terminal to ask on", Some("`--yes` applies without asking"));
        return false;
    }
    output.talk("Apply this? Only \"yes\" is taken for an answer: ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return true;
    }
    output.talk("Nothing was changed.\n");
    false
}

fn perform(
    loaded: &mut Loaded,
    surveyed: &Surveyed,
    plan: &Plan,
    connections: Vec<crate::facts::Connection>,
    arguments: &ApplyArgs,
    output: &Output,
) -> Exit {
    let interrupts = Arc::new(Interrupts::default());
    listen(&interrupts);
    let began = Instant::now();
    let who = who();
    let addresses = loaded
        .inventory
        .hosts
        .iter()
        .filter(|(_, host)| !host.lost && !host.retired)
        .map(|(name, host)| (name.clone(), host.address.value.clone()))
        .collect();
    let mut lock = std::mem::take(&mut loaded.lock);
    let result = {
        let replan = |facts: &_| surveyed.plan_from(loaded, facts);
        let job = Job {
            topology: &loaded.topology,
            resources: &loaded.resources,
            shown: plan,
            nonce: &surveyed.nonce,
            who: &who,
            secrets: &surveyed.secrets,
            modules: &loaded.modules,
            addresses: &addresses,
            replan: &replan,
            ready_seconds: arguments.ready_timeout,
            interrupts: &interrupts,
        };
        // At once, so that an apply that is killed later has it in the lock all the same.
        let mut keep = |resolved: &IndexMap<String, Vec<String>>| {
            lock.remember(loaded.topology.venv.key(), resolved);
            // A lock that cannot be written was said; the apply goes on, the hosts know what they have.
            let _ = lock.save(false, output);
        };
        let mut progress = Progress::new(output, plan.steps.len(), arguments.json, &mut keep);
        apply(&job, connections, &mut progress)
    };
    match result {
        Ok(report) => {
            let seconds = began.elapsed().as_secs();
            if arguments.json {
                output.result(&json_report(&report, seconds));
            } else if !plan.is_empty() || !report.succeeded() {
                output.result(&report::text(&report, output.color, seconds));
            }
            exit(&report)
        }
        Err(Refused::Hosts(errors)) => {
            tell(&errors, output);
            output.talk("Nothing was changed.\n");
            exit_of(&errors)
        }
        Err(Refused::Stale(names)) => {
            output.error(
                "the hosts changed since this plan was shown; nothing was done",
                Some("look at the new plan and apply that"),
            );
            for name in names.iter().take(20) {
                output.talk(&format!("    {name}\n"));
            }
            Exit::Stale
        }
    }
}

fn exit(report: &Report) -> Exit {
    if report.signal != 0 {
        return Exit::Interrupted(u8::try_from(report.signal).unwrap_or(2));
    }
    if report.succeeded() {
        return Exit::Done;
    }
    let locked = report.host_errors.iter().any(|(_, error)| error.kind == HostErrorKind::Locked);
    if locked { Exit::Error.worse(Exit::Locked) } else { Exit::Error }
}

/// Names this run to others: who, where, which process, since when.
fn who() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let text =
        format!("{user}@{}, process {}, synprov apply since {}", host.trim(), std::process::id(), utc(since));
    text.chars().filter(|c| !c.is_control()).collect()
}

/// `2026-11-22 04:33:46 UTC`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, counted in eras of 400 years that begin on 1 March.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year_of_era + era * 400, month + 3)
    } else {
        (year_of_era + era * 400 + 1, month - 9)
    };
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The first SIGINT or SIGTERM lets running steps finish, the second ends the program's part at once.
fn listen(interrupts: &Arc<Interrupts>) {
    let Ok(mut signals) =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])
    else {
        return;
    };
    let interrupts = Arc::clone(interrupts);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let number = usize::try_from(signal).unwrap_or(2);
            // Only the first signal's number is kept.
            let _ = interrupts.signal.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
            interrupts.count.fetch_add(1, Ordering::Relaxed);
        }
    });
}

fn json_report(report: &Report, seconds: u64) -> String {
    let steps: Vec<_> = report
        .outcomes
        .iter()
        .map(|(step, outcome)| {
            let (outcome, output) = match outcome {
                Outcome::Done => ("done", Vec::new()),
                Outcome::Failed(lines) => ("failed", lines.clone()),
                Outcome::Lost(reason) => ("lost", vec![reason.clone()]),
                Outcome::Skipped => ("skipped", Vec::new()),
            };
            json!({"id": step.id, "host": step.host, "title": step.action.title(), "outcome": outcome, "output": output})
        })
        .collect();
    let hosts: Vec<_> = report
        .host_errors
        .iter()
        .map(|(host, error)| json!({"host": host, "summary": error.summary}))
        .collect();
    let document = json!({
        "format_version": 1,
        "succeeded": report.succeeded(),
        "interrupted": report.signal != 0,
        "seconds": seconds,
        "steps": steps,
        "failed_hosts": hosts,
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_civil() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(1_795_322_026), "2026-11-22 04:33:46 UTC");
    }
}
