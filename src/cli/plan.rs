//! `synprov plan`: what would change, in which order, and why.

use std::path::PathBuf;

use clap::Args;

use super::firewall;
use super::hosts::survey;
use super::load::load_or_tell;
use super::rehearse::stand_in;
use super::saved_plan;
use super::{Exit, HostArgs, InventoryArgs, Output};
use crate::render;
use crate::render::plan::{DiffStyle, Style, json, text};

/// `synprov plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  synprov plan                        everything that differs, with diffs\n  synprov plan --diff summary         without diffs\n  synprov plan --detailed-exitcode    exit 2 if anything differs\n  synprov plan --json | jq .steps\n  synprov plan --out prod.plan        saves it: synprov show prod.plan, synprov apply prod.plan"
)]
pub struct PlanArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    hosts: HostArgs,

    /// How much of what changes inside files is shown
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    diff: DiffStyle,

    /// The plan as JSON on standard output
    #[arg(long)]
    json: bool,

    /// Save the plan to this file, for `synprov show FILE` and `synprov apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Exit 2 if there are changes
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Runs it.
pub fn run(arguments: &PlanArgs, output: &Output) -> Exit {
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    let mut loaded = match load_or_tell(&arguments.inventory, stand_in.as_ref(), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let surveyed = match survey(&loaded, &arguments.hosts, output) {
        Ok(surveyed) => surveyed,
        Err(exit) => return exit,
    };
    if let Err(exit) = loaded.lock.save(arguments.inventory.locked, output) {
        return exit;
    }
    let plan = surveyed.plan(&loaded);
    if arguments.json {
        output.result(&json(&plan, &surveyed.errors));
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
    let mut exit = surveyed.exit();
    if !plan.refusals.is_empty() {
        exit = exit.worse(Exit::Error);
    }
    if let Some(path) = &arguments.out {
        if exit == Exit::Done {
            let from = (&arguments.inventory, &arguments.hosts);
            if let Err(failed) = saved_plan::write(path, (&loaded, &surveyed, &plan), from, output) {
                return failed;
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
    exit
}
