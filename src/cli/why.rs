//! `synprov why`: which key of which file, old and new, makes a process restart.

use clap::Args;
use serde_json::json;

use super::hosts::{Extent, survey};
use super::load::load_or_tell;
use super::rehearse::stand_in;
use super::{Exit, HostArgs, InventoryArgs, Output, exit};
use crate::plan::why::{Why, named, why};
use crate::render;

/// `synprov why`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, exit::ASKS, &[]))]
pub struct WhyArgs {
    /// An instance (sync2), a pool (sync), main, or a unit (nginx)
    name: String,

    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    hosts: HostArgs,

    /// As JSON on standard output
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
It asks the hosts as plan does and changes nothing. What stands in a file that holds secrets stays on \
its host: then the file is named, but not what changes in it.

Examples:
  synprov why sync
  synprov why nginx prod.yaml
  synprov why matrix_main.service --json";

/// Runs it.
pub fn run(arguments: &WhyArgs, output: &Output) -> Exit {
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    let loaded = match load_or_tell(&arguments.inventory, stand_in.as_ref(), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let unit = |resource: &crate::resource::Resource| match &resource.body {
        crate::resource::Body::Service { unit, .. } => Some(unit.clone()),
        _ => None,
    };
    let services = named(&arguments.name, &loaded.topology, &loaded.resources);
    if services.is_empty() {
        let mut known: Vec<String> = loaded.topology.instances.iter().map(|one| one.name.clone()).collect();
        let others = loaded.resources.iter().filter_map(unit);
        let ours = |unit: &String| loaded.topology.instances.iter().any(|one| one.unit == *unit);
        for unit in others.filter(|unit| !ours(unit)) {
            if !known.contains(&unit) {
                known.push(unit);
            }
        }
        output.error(
            &format!("{:?} is no instance, pool or unit of this inventory", arguments.name),
            Some(&format!("known: {}", known.join(", "))),
        );
        return Exit::Usage;
    }
    let surveyed = match survey(&loaded, &arguments.hosts, Extent::Plan, output) {
        Ok(surveyed) => surveyed,
        Err(exit) => return exit,
    };
    let all: Vec<Why> = surveyed.with_plan(&loaded, |input, plan| {
        services.iter().filter_map(|service| why(service, plan, input)).collect()
    });
    if arguments.json {
        output.result(&format!("{:#}\n", json!({"format_version": 1, "units": all})));
    } else {
        output.result(&render::why::text(&all, output.color));
    }
    surveyed.exit()
}
