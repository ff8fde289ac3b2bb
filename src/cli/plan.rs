//! `synprov plan`: what would change, in which order, and why.

use std::path::{Path, PathBuf};

use clap::Args;

use super::firewall;
use super::hosts::{Extent, Surveyed, survey};
use super::load::{Loaded, load_or_tell};
use super::lock_file::Unkept;
use super::rehearse::stand_in;
use super::rotation::rotated;
use super::saved_plan;
use super::several::{self, MoreArgs, Others};
use super::whole_file::{PRIVATE, replace};
use super::{Exit, HostArgs, InventoryArgs, Output, TargetArgs, clock, exit};
use crate::plan::Plan;
use crate::plan::locked::unlocked;
use crate::render;
use crate::render::graph::{Graph, svg};
use crate::render::html::{self, Around};
use crate::render::plan::{DiffStyle, Style, json, no_plan, text};

/// `synprov plan`.
#[derive(Debug, Clone, Args)]
#[command(after_help = exit::below(HELP, exit::ASKS, &[(Exit::Changes, "with --detailed-exitcode: there are changes")]))]
pub struct PlanArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    more: MoreArgs,

    #[command(flatten)]
    hosts: HostArgs,

    #[command(flatten)]
    targets: TargetArgs,

    /// Give this secret of the deployment a new random value everywhere; may be given several times
    #[arg(long, value_name = "SECRET", conflicts_with = "out")]
    rotate: Vec<String>,

    /// How much of what changes inside files is shown
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    diff: DiffStyle,

    /// The plan as JSON on standard output
    #[arg(long)]
    json: bool,

    /// Save the plan to this file, for `synprov show FILE` and `synprov apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write the plan as one page for a browser (0600): diffs side by side, steps as a graph, the topology; no script, nothing it loads
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Exit 2 if there are changes
    #[arg(long)]
    detailed_exitcode: bool,
}

const HELP: &str = "\
Examples:
  synprov plan                        everything that differs, with diffs
  synprov plan --diff summary         without diffs
  synprov plan --detailed-exitcode    exit 2 if anything differs
  synprov plan --target sync          only this pool, and what it needs
  synprov plan --rotate replication   what would restart if that secret changed
  synprov plan --json | jq .steps
  synprov plan --out prod.plan        saves it for `show` and `apply`
  synprov plan --html plan.html       one page for a browser, to review
  synprov plan a.yaml b.yaml          several deployments, side by side";

/// Runs it.
pub fn run(arguments: &PlanArgs, output: &Output) -> Exit {
    let Some(all) = arguments.more.all(&arguments.inventory) else { return run_one(arguments, output) };
    let files = [("--out", arguments.out.is_some()), ("--html", arguments.html.is_some())];
    if let Err(exit) = several::refuse(&files, output) {
        return exit;
    }
    let mut each = PlanArgs { more: MoreArgs::default(), ..arguments.clone() };
    let (at_once, forks) = several::shares(each.hosts.reach.forks, all.len());
    each.hosts.reach.forks = forks;
    several::side_by_side(&all, at_once, Others::GoOn, output, |inventory, output| {
        run_one(&PlanArgs { inventory: inventory.clone(), ..each.clone() }, output)
    })
}

fn run_one(arguments: &PlanArgs, output: &Output) -> Exit {
    let inventory = Some(arguments.inventory.inventory.as_path());
    output.answers(arguments.json, inventory, no_plan, || planned(arguments, output))
}

/// `Err`: there is no plan, and nothing was put out.
fn planned(arguments: &PlanArgs, output: &Output) -> Result<Exit, Exit> {
    let stand_in = stand_in(&arguments.inventory, output)?;
    let mut loaded = load_or_tell(&arguments.inventory, stand_in.as_ref(), output)?;
    let values = rotated(&loaded, &arguments.rotate, output)?;
    match loaded.lock.keep(arguments.inventory.locked) {
        // Where nobody may write, a plan can be looked at all the same; one that is to be applied needs its lock.
        Err(Unkept::Unwritable(why)) if arguments.out.is_none() => {
            output.talk(&format!("note: what this plan adds to the lock is not kept: {why}\n"));
        }
        kept => kept.map_err(|unkept| unkept.tell(loaded.lock.path(), output))?,
    }
    let mut surveyed = survey(&loaded, &arguments.hosts, Extent::Plan, output)?;
    surveyed.bring(values);
    surveyed.aim(&loaded, &arguments.targets.target, output)?;
    let mut plan = surveyed.plan(&loaded);
    if arguments.inventory.locked {
        // People apply it without: what the lock does not have yet is theirs to add.
        let unlocked = unlocked(&plan, &surveyed.facts).into_iter();
        plan.notes.extend(unlocked.map(|one| format!("{}: {}", one.host.unwrap_or_default(), one.summary)));
    }
    if arguments.json {
        output.document(json(&plan, &surveyed.errors));
    } else {
        output.result(&text(
            &plan,
            Style { diff: arguments.diff, color: output.color, verbose: output.verbose > 0 },
            surveyed.errors.len(),
        ));
        if output.verbose > 0 {
            let (reaches, hosts) = firewall::hosts(&loaded);
            let table = render::firewall::text(&loaded.topology, &hosts, &reaches, output.color);
            output.result(&format!("\nMust be reachable:\n{table}"));
        }
    }
    if let Some(path) = &arguments.html {
        if let Err(failed) = write_page(path, &loaded, &surveyed, &plan, output) {
            // The document is out already.
            return Ok(failed);
        }
        output.talk(&format!("The page is {}\n", path.display()));
    }
    let mut exit = surveyed.exit();
    if !plan.refusals.is_empty() {
        exit = exit.worse(Exit::Error);
    }
    if let Some(path) = &arguments.out {
        if exit == Exit::Done {
            let from = (&arguments.inventory, &arguments.hosts, &arguments.targets);
            if let Err(failed) = saved_plan::write(path, (&loaded, &surveyed, &plan), from, output) {
                return Ok(failed);
            }
            let name = path.display();
            output.talk(&format!("Saved to {name}; `synprov apply {name}` does exactly this.\n"));
        } else {
            output.talk(&format!("{} was not written: this plan cannot be applied.\n", path.display()));
        }
    }
    if arguments.detailed_exitcode && !plan.is_empty() {
        exit = exit.worse(Exit::Changes);
    }
    Ok(exit)
}

/// The plan as a page, with the picture of what the inventory means.
fn write_page(
    path: &Path,
    loaded: &Loaded,
    surveyed: &Surveyed,
    plan: &Plan,
    output: &Output,
) -> Result<(), Exit> {
    let picture = svg(&Graph::new(&loaded.topology));
    let title = format!("Plan for {}, from {}", loaded.topology.server_name, loaded.path.display());
    let made = format!("{} by {}", clock::utc_now(), clock::who());
    let around = Around { title: &title, made: &made, picture: Some(&picture) };
    let page = html::plan(plan, &surveyed.errors, &around);
    replace(path, page.as_bytes(), PRIVATE).map_err(|error| {
        let help = "name a file in a directory that exists and may be written";
        output.error(&format!("cannot write {}: {error}", path.display()), Some(help));
        Exit::Error
    })
}
