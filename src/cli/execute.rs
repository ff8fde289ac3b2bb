//! Does a few steps that are no whole apply: the same locks, gates and records, and one way to say how it went.

use std::collections::BTreeMap;
use std::time::Instant;

use indexmap::IndexMap;

use super::hosts::{Surveyed, exit_of, tell};
use super::load::Loaded;
use super::progress::Progress;
use super::run::{exit, who};
use super::signals::Heed;
use super::{Exit, Output};
use crate::apply::kept::Keeps;
use crate::apply::{Job, Refused, apply};
use crate::facts::HostFacts;
use crate::plan::Plan;
use crate::render;

/// Does what `plan` says, if that is still what `again` makes of the facts under the locks. The records learn of
/// each step; all they say besides stays. `verb`: what others that find the locks taken are told, and the report.
pub fn execute(
    verb: &str,
    loaded: &Loaded,
    surveyed: &mut Surveyed,
    plan: &Plan,
    again: &dyn Fn(&Surveyed, &IndexMap<String, HostFacts>) -> Plan,
    ready_seconds: u32,
    output: &Output,
) -> Exit {
    let reached = surveyed.take();
    let surveyed: &Surveyed = surveyed;
    let heed = match Heed::begin(output) {
        Ok(heed) => heed,
        Err(exit) => return exit,
    };
    let began = Instant::now();
    let who = who(verb);
    let replan = |facts: &IndexMap<String, HostFacts>| again(surveyed, facts);
    let connect = surveyed.ways.connecting();
    let job = Job {
        topology: &loaded.topology,
        resources: &loaded.resources,
        shown: plan,
        nonce: &surveyed.nonce,
        who: &who,
        secrets: &surveyed.secrets,
        modules: &loaded.modules,
        addresses: &BTreeMap::new(),
        targeted: None,
        keeps: Keeps::Same,
        excluded: &surveyed.excluded,
        allow: surveyed.allow,
        // What was started or stopped is no generation to go back from.
        understand: None,
        replan: &replan,
        connect: &connect,
        wheelhouse: None,
        ready_seconds,
        settles: false,
        interrupts: heed.interrupts(),
    };
    // Nothing here resolves packages.
    let mut keep = |_: &IndexMap<String, Vec<String>>| {};
    let mut progress = Progress::new(output, &plan.steps, false, None, &mut keep);
    match apply(&job, reached, &surveyed.facts, &mut progress) {
        Ok(report) => {
            output.result(&render::control::report(verb, &report, output.color, began.elapsed().as_secs()));
            exit(&report)
        }
        Err(Refused::Hosts(errors)) => {
            tell(&errors, output);
            output.talk("Nothing was done.\n");
            exit_of(&errors)
        }
        Err(Refused::Stale(names)) => {
            output.error("the hosts changed in the meantime; nothing was done", Some("look again"));
            names.iter().take(20).for_each(|name| output.talk(&format!("    {name}\n")));
            Exit::Stale
        }
    }
}
