//! `synprov rollback`: plans, shows, asks and applies a generation that hosts were in before.

use clap::Args;

use super::apply::{ApplyArgs, READY_SECONDS, apply_loaded};
use super::history::{former, list};
use super::hosts::{Extent, survey};
use super::load::load_or_tell;
use super::lock_file::LockFile;
use super::rehearse::stand_in;
use super::{Exit, HostArgs, InventoryArgs, Output, TargetArgs, exit};
use crate::facts::conversation::clean;
use crate::facts::generation::Wanted;
use crate::render::plan::DiffStyle;
use crate::render::time::utc;

/// `synprov rollback`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, exit::APPLIES, &[]))]
pub struct RollbackArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    hosts: HostArgs,

    /// Which generation [default: the one before the present one]
    #[arg(long, value_name = "GENERATION")]
    to: Option<u64>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Seconds a service may take to be ready; the main process takes what its schema needs
    #[arg(long, value_name = "SECONDS", default_value_t = READY_SECONDS, value_parser = clap::value_parser!(u32).range(1..=86400))]
    ready_timeout: u32,

    /// Leave everything as it is if a step fails, instead of returning to the present generation
    #[arg(long)]
    no_rollback: bool,

    /// How much of what changes inside files is shown
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    diff: DiffStyle,

    /// Report as JSON on standard output
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Hosts go back, inventory.yaml does not: see `synprov history --print-inventory`. \
Data in PostgreSQL and media stay as they are.

Examples:
  synprov rollback         to the generation before; shows the plan and asks
  synprov rollback --to 7  to generation 7 (`synprov history` lists them)";

/// Runs it.
pub fn run(arguments: &RollbackArgs, output: &Output) -> Exit {
    match go(arguments, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn go(arguments: &RollbackArgs, output: &Output) -> Result<Exit, Exit> {
    let stand_in = stand_in(&arguments.inventory, output)?;
    let mut loaded = load_or_tell(&arguments.inventory, stand_in.as_ref(), output)?;
    // What stands on the hosts is asked once it is clear what should.
    loaded.resources.clear();
    let surveyed = survey(&loaded, &arguments.hosts, Extent::Generations(Wanted::List), output)?;
    if !surveyed.errors.is_empty() {
        return Err(surveyed.exit());
    }
    let listed = list(&surveyed.facts);
    let present = listed.iter().filter(|one| !one.current.is_empty()).map(|one| one.meta.number).max();
    let before = || listed.iter().map(|one| one.meta.number).filter(|number| Some(*number) < present).max();
    let Some(number) = arguments.to.or_else(before) else {
        output.error(
            "there is no generation to go back to",
            Some("`synprov history` lists those that are kept"),
        );
        return Err(Exit::Error);
    };
    let mut former = former(&loaded, &arguments.hosts, number, stand_in.as_ref(), output)?;
    let known = |host: &str| loaded.inventory.hosts.get(host).is_some_and(|host| !host.lost);
    let away = former.topology.instances.iter().find(|instance| !known(&instance.host));
    if let Some(instance) = away {
        output.error(
            &format!(
                "generation {number} has {} on {}, which the inventory does not have",
                instance.name, instance.host
            ),
            Some("add the host under `hosts:` as it is reached now, or go back by changing the inventory"),
        );
        return Err(Exit::Error);
    }
    former.among(known, loaded.topology.hosts.keys().cloned());
    output.talk(&format!(
        "Generation {number}: {}, {}, Synapse {}.\n",
        utc(former.meta.at),
        clean(&former.meta.who),
        clean(&former.meta.synapse)
    ));
    loaded.lock = LockFile::apart(&former.lock).map_err(|(summary, help)| {
        output.error(&summary, help.as_deref());
        Exit::Error
    })?;
    loaded.source = former.inventory;
    loaded.modules = former.meta.modules;
    loaded.addresses = former.addresses;
    loaded.topology = former.topology;
    loaded.resources = former.resources;
    loaded.back_to = Some(number);
    let apply = ApplyArgs {
        more: Default::default(),
        inventory: arguments.inventory.clone(),
        hosts: arguments.hosts.clone(),
        targets: TargetArgs::default(),
        at_once: 1,
        yes: arguments.yes,
        ready_timeout: arguments.ready_timeout,
        no_rollback: arguments.no_rollback,
        diff: arguments.diff,
        json: arguments.json,
        rotate: Vec::new(),
    };
    let exit = apply_loaded(loaded, stand_in.as_ref(), &apply, None, output);
    if exit == Exit::Done {
        let inventory = arguments.inventory.inventory.display();
        output.talk(&format!(
            "{inventory} is as it was: the next plan shows what it asks for. `synprov history --print-inventory {number}` prints that of generation {number}.\n"
        ));
    }
    Ok(exit)
}
