//! `synprov apply`: shows the plan, asks, and does it.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::hosts::{Extent, survey};
use super::load::{Loaded, StandIn, load, load_or_tell, told};
use super::perform::{Ready, perform};
use super::rehearse::stand_in;
use super::rotation::rotated;
use super::saved_plan::{self, DELETES, Named};
use super::several::{self, MoreArgs, Others};
use super::{Exit, HostArgs, InventoryArgs, Output, ReachArgs, TargetArgs, exit};
use crate::facts::conversation::clean;
use crate::plan::locked::unlocked;
use crate::plan::saved::Saved;
use crate::render::plan::{DiffStyle, Style, json as document, text};

/// Default of `--ready-timeout`.
pub const READY_SECONDS: u32 = 120;

/// `synprov apply`.
#[derive(Debug, Clone, Args)]
#[command(after_help = exit::below(HELP, exit::APPLIES, &[]))]
pub struct ApplyArgs {
    #[command(flatten)]
    pub inventory: InventoryArgs,

    #[command(flatten)]
    pub more: MoreArgs,

    #[command(flatten)]
    pub hosts: HostArgs,

    #[command(flatten)]
    pub targets: TargetArgs,

    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,

    /// How many deployments at a time, if several are named; after one failed no other is begun
    #[arg(long, value_name = "N", default_value_t = 1, requires = "yes", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub at_once: u16,

    /// Seconds a service may take to be ready; the main process takes what its schema needs
    #[arg(long, value_name = "SECONDS", default_value_t = READY_SECONDS, value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub ready_timeout: u32,

    /// Leave everything as it is if a step fails, instead of going back to what was before
    #[arg(long)]
    pub no_rollback: bool,

    /// Give this secret of the deployment a new random value everywhere; may be given several times
    #[arg(long, value_name = "SECRET")]
    pub rotate: Vec<String>,

    /// How much of what changes inside files is shown
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub diff: DiffStyle,

    /// Events as JSON on standard output while it runs, one a line; the last is a summary
    #[arg(long)]
    pub json: bool,
}

const HELP: &str = "\
Examples:
  synprov apply                shows the plan and asks
  synprov apply --yes          for scripts: does not ask
  synprov apply --limit hs2    only this host
  synprov apply --backup       first dumps database, configuration and secrets
  synprov apply prod.plan      exactly the plan that was saved, without asking
  synprov apply a.yaml b.yaml  one deployment after the other, until one fails
  synprov apply --yes --at-once 8 *.yaml   the same, eight at a time";

/// Runs it.
pub fn run(arguments: &ApplyArgs, output: &Output) -> Exit {
    let Some(all) = arguments.more.all(&arguments.inventory) else { return run_one(arguments, output) };
    let mut each = ApplyArgs { more: MoreArgs::default(), ..arguments.clone() };
    if arguments.at_once == 1 {
        let one = |inventory: &InventoryArgs, output: &Output| {
            run_one(&ApplyArgs { inventory: inventory.clone(), ..each.clone() }, output)
        };
        return several::one_by_one(&all, output, one);
    }
    let at_once = usize::from(arguments.at_once);
    each.hosts.reach.forks = arguments.hosts.reach.forks.div_ceil(arguments.at_once);
    several::side_by_side(&all, at_once, Others::Stay, output, |inventory, output| {
        run_one(&ApplyArgs { inventory: inventory.clone(), ..each.clone() }, output)
    })
}

fn run_one(arguments: &ApplyArgs, output: &Output) -> Exit {
    if arguments.json {
        output.streams();
    }
    let exit = named(arguments, output);
    output.ends(exit);
    exit
}

/// An inventory or a saved plan was named.
fn named(arguments: &ApplyArgs, output: &Output) -> Exit {
    let path = &arguments.inventory.inventory;
    match saved_plan::look(path) {
        Named::Plan(saved) => return apply_saved(&saved, arguments, output),
        Named::Unusable(error) => {
            saved_plan::unusable(path, &error, output);
            output.talk("Nothing was changed.\n");
            return Exit::Stale;
        }
        Named::Other => {}
    }
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    let loaded = match load_or_tell(&arguments.inventory, stand_in.as_ref(), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    apply_loaded(loaded, stand_in.as_ref(), arguments, None, output)
}

/// Applies exactly a saved plan, or nothing.
fn apply_saved(saved: &Saved, arguments: &ApplyArgs, output: &Output) -> Exit {
    let path = &arguments.inventory.inventory;
    if !arguments.hosts.reach.limit.is_empty() || !arguments.targets.target.is_empty() {
        output.error("a saved plan says itself what it is for", Some("leave out `--limit` and `--target`"));
        return Exit::Usage;
    }
    let lacking = saved_plan::lacking(saved, &arguments.hosts);
    if !lacking.is_empty() {
        let flags = lacking.join(" ");
        let help =
            format!("a file grants no permission: give it again, `synprov apply {} {flags}`", path.display());
        output.error(&format!("this plan was made with {flags}"), Some(&help));
        return Exit::Usage;
    }
    let inventory = InventoryArgs { locked: arguments.inventory.locked, ..saved_plan::inventory(saved) };
    let stand_in = match stand_in(&inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    let loaded = load(&inventory, stand_in.as_ref());
    let differences = saved_plan::sources(saved, &loaded);
    if !differences.is_empty() {
        return saved_plan::refuse(path, saved, &differences, false, output);
    }
    let loaded = match told(loaded, &inventory, output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let rolling = saved.made.rolling;
    let hosts = HostArgs {
        reach: ReachArgs { limit: saved.made.limit.clone(), ..arguments.hosts.reach.clone() },
        batch: rolling.batch,
        drain_timeout: rolling.drain_seconds,
        backup: saved.made.backup.clone(),
        ..arguments.hosts.clone()
    };
    let targets = TargetArgs { target: saved.made.target.clone() };
    let again = ApplyArgs { inventory, hosts, targets, yes: true, ..arguments.clone() };
    apply_loaded(loaded, stand_in.as_ref(), &again, Some((path, saved)), output)
}

impl ApplyArgs {
    /// What `rehearse` applies with: nobody is asked.
    pub fn rehearsal(inventory: InventoryArgs, hosts: HostArgs, diff: DiffStyle) -> Self {
        Self {
            inventory,
            more: MoreArgs::default(),
            hosts,
            targets: TargetArgs::default(),
            yes: true,
            at_once: 1,
            ready_timeout: READY_SECONDS,
            no_rollback: true,
            diff,
            json: false,
            rotate: Vec::new(),
        }
    }
}

/// Applies what was loaded. `saved`: exactly this plan of this file, or nothing.
pub fn apply_loaded(
    mut loaded: Loaded,
    stand_in: Option<&StandIn>,
    arguments: &ApplyArgs,
    saved: Option<(&Path, &Saved)>,
    output: &Output,
) -> Exit {
    let values = match rotated(&loaded, &arguments.rotate, output) {
        Ok(values) => values,
        Err(exit) => return exit,
    };
    if let Err(exit) = loaded.lock.save(arguments.inventory.locked, output) {
        return exit;
    }
    // Where nobody is asked, nobody has to wait for a second look.
    let extent = if arguments.yes { Extent::Held("apply") } else { Extent::Plan };
    let mut surveyed = match survey(&loaded, &arguments.hosts, extent, output) {
        Ok(surveyed) => surveyed,
        Err(exit) => return exit,
    };
    if surveyed.is_locked() {
        output.talk("Nothing was changed.\n");
        return surveyed.exit();
    }
    surveyed.bring(values);
    if let Err(exit) = surveyed.aim(&loaded, &arguments.targets.target, output) {
        return exit;
    }
    let mut plan = surveyed.plan(&loaded);
    if let Some((path, saved)) = saved.filter(|_| surveyed.errors.is_empty()) {
        let differences = saved_plan::differences(saved, &loaded, &surveyed, &plan);
        if !differences.is_empty() {
            return saved_plan::refuse(path, saved, &differences, plan.is_empty(), output);
        }
    }
    if arguments.inventory.locked {
        plan.refusals.extend(unlocked(&plan, &surveyed.facts));
    }
    let color = if arguments.json { output.color_talk } else { output.color };
    let style = Style { diff: arguments.diff, color, verbose: output.verbose > 0 };
    let shown = text(&plan, style, surveyed.errors.len());
    if arguments.json {
        output.talk(&shown);
        output.event("plan", json!({ "plan": document(&plan, &surveyed.errors) }));
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
        return Exit::Done;
    }
    if let Some(deletes) = plan.deletes.as_ref().filter(|_| arguments.yes) {
        let help = format!("if that is meant, say `{DELETES}`, or leave out `--yes` and answer the question");
        output.error(&format!("nothing was changed: {}", clean(&deletes.sentence())), Some(&help));
        return Exit::Error;
    }
    let question = plan.deletes.as_ref().map_or_else(
        || "Apply this?".to_owned(),
        |deletes| format!("{} Apply this?", output.loud(&format!("{}.", clean(&deletes.sentence())))),
    );
    if !plan.is_empty() && !arguments.yes && !confirmed(&question, "`--yes` applies without asking", output) {
        return Exit::Error;
    }
    let reached = surveyed.take();
    let ready = Ready { surveyed: &surveyed, plan: &plan, stand_in };
    perform(&mut loaded, &ready, reached, arguments, output)
}

/// Asks. Without a terminal there is nobody to ask.
pub(super) fn confirmed(question: &str, help: &str, output: &Output) -> bool {
    if !std::io::stdin().is_terminal() {
        output.error("there is no terminal to ask on", Some(help));
        return false;
    }
    output.talk(&format!("{question} Only \"yes\" is taken for an answer: "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return true;
    }
    output.talk("Nothing was changed.\n");
    false
}
