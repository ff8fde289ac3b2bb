//! `synprov check`: everything that can be known without a host, and, if asked, what hosts say to it.

use clap::Args;
use serde_json::json;

use super::against_host::{self, Found, look};
use super::load::load_or_tell;
use super::rehearse::stand_in;
use super::several::{self, MoreArgs, Others};
use super::{Exit, InventoryArgs, Output, exit};

/// `synprov check`.
#[derive(Debug, Clone, Args)]
#[command(after_help = exit::below(HELP, exit::ASKS, &[(Exit::Done, "no error, though there may be warnings")]))]
pub struct CheckArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    more: MoreArgs,

    /// Also ask these hosts (all, if none is named) whether the routes fit the Synapse that is installed, and try the ports that they must reach of each other; changes nothing
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', num_args = 0.., require_equals = true)]
    against_host: Option<Vec<String>>,

    /// Report as JSON on standard output
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  synprov check                      offline
  synprov check a.yaml b.yaml        several inventories
  synprov check --json | jq '.diagnostics[].summary'
  synprov check --against-host       also asks the hosts, and tries their ports
  synprov check --against-host=hs2   only this one";

/// Runs it: 0 if nothing is wrong (warnings are allowed), else 1.
pub fn run(arguments: &CheckArgs, output: &Output) -> Exit {
    let Some(all) = arguments.more.all(&arguments.inventory) else { return run_one(arguments, output) };
    several::side_by_side(&all, all.len().min(8), Others::GoOn, output, |inventory, output| {
        run_one(
            &CheckArgs { inventory: inventory.clone(), more: MoreArgs::default(), ..arguments.clone() },
            output,
        )
    })
}

fn run_one(arguments: &CheckArgs, output: &Output) -> Exit {
    if !arguments.json {
        return checked(arguments, output).exit;
    }
    output.collects(Some(&arguments.inventory.inventory));
    let Checked { exit, valid, hosts } = checked(arguments, output);
    let mut document = json!({ "valid": valid });
    if let Some(hosts) = hosts {
        document["hosts"] = against_host::json(&hosts);
    }
    output.document(document);
    exit
}

/// What came of it.
struct Checked {
    exit: Exit,
    /// The inventory is without errors.
    valid: bool,
    /// What hosts said, if they were asked.
    hosts: Option<Vec<Found>>,
}

fn checked(arguments: &CheckArgs, output: &Output) -> Checked {
    let invalid = |exit| Checked { exit, valid: false, hosts: None };
    let path = &arguments.inventory.inventory;
    let name = path.display().to_string();
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return invalid(exit),
    };
    let loaded = match load_or_tell(&arguments.inventory, stand_in.as_ref(), output) {
        Ok(loaded) => loaded,
        Err(exit) => return invalid(exit),
    };
    let (topology, extended) = (&loaded.topology, loaded.lock.is_extended());
    let looked = arguments.against_host.as_ref().map(|hosts| look(&loaded, hosts, output));
    let (hosts, exit) = looked.map_or((None, Exit::Done), |(found, exit)| (Some(found), exit));
    if !arguments.json {
        let (count, workers) = (topology.hosts.len(), topology.instances.len() - 1);
        let routes = topology.routes.len();
        output.result(&format!(
            "{name} is valid: {count} {}, main and {workers} workers, {routes} routes, {} resources\n",
            if count == 1 { "host" } else { "hosts" },
            loaded.resources.len(),
        ));
        output.result(&crate::render::topology::selecting(topology));
        if extended && !arguments.inventory.locked {
            output.talk(&format!(
                "{} will be extended by the next plan or apply\n",
                loaded.lock.path().display()
            ));
        }
        if let Some(found) = &hosts {
            against_host::text(found, topology, output);
        }
    }
    if extended && arguments.inventory.locked {
        output.error(
            &format!("{} would have to be extended", loaded.lock.path().display()),
            Some("run `synprov plan` and commit the file"),
        );
        return Checked { exit: exit.worse(Exit::Error), valid: false, hosts };
    }
    Checked { exit, valid: true, hosts }
}
