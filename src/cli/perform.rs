//! Does a plan that was agreed to, and tells what became of it.

use std::time::Instant;

use indexmap::IndexMap;

use super::apply::ApplyArgs;
use super::hosts::{Surveyed, exit_of, tell};
use super::load::{Loaded, StandIn, understand};
use super::progress::Progress;
use super::run::{exit, sum_up, who};
use super::run_log::RunLog;
use super::signals::Heed;
use super::{Exit, Output, clock};
use crate::apply::kept::{Keeps, Next};
use crate::apply::{Job, Reached, Refused, Report, apply};
use crate::facts::conversation::clean;
use crate::plan::Plan;
use crate::render::plan::{DiffStyle, Style, text};
use crate::render::report;

/// What was found out, and what is to be done.
pub struct Ready<'a> {
    /// What the hosts said.
    pub surveyed: &'a Surveyed,
    /// The plan that was shown and agreed to.
    pub plan: &'a Plan,
    /// What a rehearsal has in place of the outside world.
    pub stand_in: Option<&'a StandIn>,
}

/// Applies the plan on hosts that are had, and tells what became of it.
pub fn perform(
    loaded: &mut Loaded,
    ready: &Ready<'_>,
    reached: Reached,
    arguments: &ApplyArgs,
    output: &Output,
) -> Exit {
    let Ready { surveyed, plan, stand_in } = *ready;
    let heed = match Heed::begin(output) {
        Ok(heed) => heed,
        Err(exit) => return exit,
    };
    let began = Instant::now();
    let who = who("apply");
    let mut lock = std::mem::take(&mut loaded.lock);
    let known = lock.clone();
    let understand = |inventory: &str, lock: &str| understand(inventory, lock, stand_in);
    let with = |resolved: &_| known.text_with(loaded.topology.venv.key(), resolved);
    let person = clock::who();
    let at = clock::seconds();
    let next = Next { who: &person, at, inventory: &loaded.source, lock: &with, back_to: loaded.back_to };
    let (result, mut log) = {
        let replan = |facts: &_| surveyed.plan_from(loaded, facts);
        let connect = surveyed.ways.connecting();
        let job = Job {
            topology: surveyed.targeted.as_ref().map_or(&loaded.topology, |targeted| &targeted.topology),
            resources: &loaded.resources,
            shown: plan,
            nonce: &surveyed.nonce,
            who: &who,
            secrets: &surveyed.secrets,
            modules: &loaded.modules,
            addresses: &loaded.addresses,
            // A part of a deployment makes no generation.
            keeps: if surveyed.targeted.is_some() { Keeps::Same } else { Keeps::Next(&next) },
            excluded: &surveyed.excluded,
            allow: surveyed.allow,
            understand: (!arguments.no_rollback).then_some(&understand),
            targeted: surveyed.targeted.as_ref(),
            replan: &replan,
            connect: &connect,
            wheelhouse: loaded.wheelhouse(),
            ready_seconds: arguments.ready_timeout,
            settles: true,
            interrupts: heed.interrupts(),
        };
        // At once, so that an apply that is killed later has it in the lock all the same.
        let mut keep = |resolved: &IndexMap<String, Vec<String>>| {
            lock.remember(loaded.topology.venv.key(), resolved);
            // A lock that cannot be written was said; the apply goes on, the hosts know what they have.
            let _ = lock.save(arguments.inventory.locked, output);
        };
        let log = begin_log(loaded, plan, &who, output);
        let mut progress = Progress::new(output, &plan.steps, arguments.json, log, &mut keep);
        let result = apply(&job, reached, &surveyed.facts, &mut progress);
        (result, progress.into_log())
    };
    let seconds = began.elapsed().as_secs();
    let exit = match result {
        Ok(report) => tell_report(&report, plan, seconds, &mut log, arguments.json, output),
        Err(refused) => tell_refused(&refused, &mut log, output),
    };
    if let Some(log) = &mut log {
        log.line(&format!("exit {}", exit.code()));
        let path = log.path.display();
        output.sum_up("log", path.to_string().into());
        if exit != Exit::Done {
            output.talk(&format!("The full log of this run is {path}\n"));
        }
    }
    exit
}

/// What an apply did, however far it got.
fn tell_report(
    report: &Report,
    plan: &Plan,
    seconds: u64,
    log: &mut Option<RunLog>,
    json: bool,
    output: &Output,
) -> Exit {
    sum_up(report, seconds, output);
    if let Some(log) = log {
        log.line(&report::text(report, false, seconds));
    }
    let told = !plan.is_empty() || !report.succeeded();
    if told && json {
        output.talk(&report::text(report, output.color_talk, seconds));
    } else if told {
        output.result(&report::text(report, output.color, seconds));
    }
    exit(report)
}

/// Why an apply did nothing at all.
fn tell_refused(refused: &Refused, log: &mut Option<RunLog>, output: &Output) -> Exit {
    match refused {
        Refused::Hosts(errors) => {
            if let Some(log) = log {
                errors.iter().for_each(|(host, error)| log.line(&format!("{host}: {error}")));
            }
            tell(errors, output);
            output.talk("Nothing was changed.\n");
            exit_of(errors)
        }
        Refused::Stale(names) => {
            output.error(
                "the hosts changed since this plan was shown; nothing was done",
                Some("look at the new plan and apply that"),
            );
            if let Some(log) = log {
                log.line(&format!("the hosts changed since this plan was shown: {}", names.join(", ")));
            }
            output.sum_up("stale", names.clone().into());
            for name in names.iter().take(20) {
                output.talk(&format!("    {}\n", clean(name)));
            }
            Exit::Stale
        }
    }
}

/// The log of this run, begun with what is about to be done. Without one, that is said.
fn begin_log(loaded: &Loaded, plan: &Plan, who: &str, output: &Output) -> Option<RunLog> {
    match RunLog::begin("apply") {
        Ok(mut log) => {
            log.line(&format!("synprov {}, {}: {who}", env!("CARGO_PKG_VERSION"), loaded.path.display()));
            let style = Style { diff: DiffStyle::Full, color: false, verbose: true };
            log.line(&text(plan, style, 0));
            Some(log)
        }
        Err(error) => {
            output.talk(&format!("note: no log of this run is kept: {error}\n"));
            None
        }
    }
}
