//! `synprov history`: the generations that hosts keep, with who, when and what.

use std::collections::BTreeMap;

use clap::Args;
use indexmap::IndexMap;

use super::hosts::{Extent, survey};
use super::load::{Loaded, StandIn, load_or_tell, understand};
use super::output::nothing;
use super::rehearse::stand_in;
use super::{Exit, HostArgs, InventoryArgs, Output, exit};
use crate::apply::former::{Former, NoFormer};
use crate::facts::HostFacts;
use crate::facts::generation::{Meta, Wanted};
use crate::render::history::{self, Listed};

/// `synprov history`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, exit::ASKS, &[]))]
pub struct HistoryArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    hosts: HostArgs,

    /// All that one generation changed
    #[arg(long, value_name = "GENERATION", conflicts_with = "print_inventory")]
    show: Option<u64>,

    /// Print the inventory of a generation as main's host keeps it
    #[arg(long, value_name = "GENERATION", conflicts_with = "json")]
    print_inventory: Option<u64>,

    /// The generations as JSON on standard output
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  synprov history                      a line a generation
  synprov history --show 7             what generation 7 changed
  synprov history --print-inventory 7  the inventory as it was then
  synprov rollback --to 7              go back to it";

/// Runs it.
pub fn run(arguments: &HistoryArgs, output: &Output) -> Exit {
    let inventory = Some(arguments.inventory.inventory.as_path());
    output.answers(arguments.json, inventory, nothing, || told(arguments, output))
}

/// `Err`: nothing was put out.
fn told(arguments: &HistoryArgs, output: &Output) -> Result<Exit, Exit> {
    let stand_in = stand_in(&arguments.inventory, output)?;
    let mut loaded = load_or_tell(&arguments.inventory, stand_in.as_ref(), output)?;
    // Nothing is asked about what stands on the hosts.
    loaded.resources.clear();
    if let Some(number) = arguments.print_inventory {
        let former = former(&loaded, &arguments.hosts, number, stand_in.as_ref(), output)?;
        output.result(&former.inventory);
        return Ok(Exit::Done);
    }
    let surveyed = survey(&loaded, &arguments.hosts, Extent::Generations(Wanted::List), output)?;
    let mut listed = list(&surveyed.facts);
    if let Some(number) = arguments.show {
        listed.retain(|one| one.meta.number == number);
        if listed.is_empty() {
            // It may be kept by one that did not answer.
            return Err(if surveyed.errors.is_empty() { gone(number, output) } else { surveyed.exit() });
        }
    }
    if arguments.json {
        output.result(&history::json(&listed, &surveyed.errors));
    } else if arguments.show.is_some() {
        output.result(&history::whole(&listed, output.color));
    } else {
        output.result(&history::text(&listed, surveyed.errors.len(), output.color));
    }
    Ok(surveyed.exit())
}

/// Generations with the hosts that keep each, oldest first. With `--limit`, one number may name several.
pub fn list(facts: &IndexMap<String, HostFacts>) -> Vec<Listed> {
    let mut listed: BTreeMap<(u64, u64, String), Listed> = BTreeMap::new();
    for (host, facts) in facts {
        for (number, meta) in &facts.generations {
            let key = (*number, meta.at, meta.who.clone());
            let meta = Meta { number: *number, ..meta.clone() };
            let one =
                listed.entry(key).or_insert_with(|| Listed { meta, kept: Vec::new(), current: Vec::new() });
            one.kept.push(host.clone());
            if *number == facts.generation_number() {
                one.current.push(host.clone());
            }
        }
    }
    listed.into_values().collect()
}

/// Generation `number`, or the latest before it that each host was in, as hosts keep it.
pub fn former(
    loaded: &Loaded,
    hosts: &HostArgs,
    number: u64,
    stand_in: Option<&StandIn>,
    output: &Output,
) -> Result<Former, Exit> {
    let surveyed = survey(loaded, hosts, Extent::Generations(Wanted::UpTo(number)), output)?;
    if !surveyed.errors.is_empty() {
        return Err(surveyed.exit());
    }
    let main = loaded.topology.instances.first().map(|main| main.host.as_str()).unwrap_or_default();
    let understand = |inventory: &str, lock: &str| understand(inventory, lock, stand_in);
    let former = match Former::of(&surveyed.facts, main, false, &understand) {
        Ok(former) => former,
        Err(NoFormer::First | NoFormer::Gone) => return Err(gone(number, output)),
        Err(why) => {
            output.error(&format!("generation {number}: {why}"), None);
            return Err(Exit::Error);
        }
    };
    if former.numbers.values().max() == Some(&number) { Ok(former) } else { Err(gone(number, output)) }
}

fn gone(number: u64, output: &Output) -> Exit {
    output.error(
        &format!("no host keeps generation {number}"),
        Some("`synprov history` lists those that are kept"),
    );
    Exit::Error
}
