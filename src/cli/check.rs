//! `synprov check`: everything that can be known without a host, and, if asked, what hosts say to it.

use clap::Args;
use serde_json::{Value, json};

use super::against_host::{self, look};
use super::load::{Unloadable, load};
use super::rehearse::stand_in;
use super::{Exit, InventoryArgs, Output};
use crate::diagnostic::Diagnostic;
use crate::render::diagnostic;

/// `synprov check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    /// Also ask these hosts (all, if none is named) whether the routes fit the Synapse that is installed, and try the ports that they must reach of each other; changes nothing
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', num_args = 0.., require_equals = true)]
    against_host: Option<Vec<String>>,

    /// Report as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Runs it: 0 if nothing is wrong (warnings are allowed), else 1.
pub fn run(arguments: &CheckArgs, output: &Output) -> Exit {
    let path = &arguments.inventory.inventory;
    let name = path.display().to_string();
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    match load(&arguments.inventory, stand_in.as_ref()) {
        Ok(loaded) => {
            let extended = loaded.lock.is_extended();
            let looked = arguments.against_host.as_ref().map(|hosts| look(&loaded, hosts, output));
            let exit = looked.as_ref().map_or(Exit::Done, |(_, exit)| *exit);
            if arguments.json {
                let found = looked.as_ref().map(|(found, _)| against_host::json(found));
                report(&loaded.diagnostics, &name, &loaded.source, &[], found, output);
            } else {
                if !loaded.diagnostics.is_empty() {
                    output.talk(&diagnostic::text(
                        &loaded.diagnostics,
                        &name,
                        &loaded.source,
                        output.color_talk,
                    ));
                }
                let topology = &loaded.topology;
                let (hosts, workers) = (topology.hosts.len(), topology.instances.len() - 1);
                let routes = topology.routes.len();
                output.result(&format!(
                    "{name} is valid: {hosts} {}, main and {workers} workers, {routes} routes, {} resources\n",
                    if hosts == 1 { "host" } else { "hosts" },
                    loaded.resources.len(),
                ));
                output.result(&crate::render::topology::selecting(topology));
                if extended && !arguments.inventory.locked {
                    output.talk(&format!(
                        "{} will be extended by the next plan or apply\n",
                        loaded.lock.path().display()
                    ));
                }
                if let Some((found, _)) = &looked {
                    against_host::text(found, topology, output);
                }
            }
            if extended && arguments.inventory.locked {
                output.error(
                    &format!("{} would have to be extended", loaded.lock.path().display()),
                    Some("run `synprov plan` and commit the file"),
                );
                return exit.worse(Exit::Error);
            }
            exit
        }
        Err(unloadable) => {
            if arguments.json {
                let Unloadable { diagnostics, source, errors } = &unloadable;
                report(diagnostics, &name, source, errors, None, output);
            } else {
                unloadable.tell(path, output);
            }
            Exit::Error
        }
    }
}

fn report(
    diagnostics: &[Diagnostic],
    name: &str,
    source: &str,
    errors: &[(String, Option<String>)],
    hosts: Option<Value>,
    output: &Output,
) {
    let mut document = diagnostic::json(diagnostics, name, source);
    if let Some(hosts) = hosts {
        document["hosts"] = hosts;
    }
    if !errors.is_empty() {
        document["valid"] = false.into();
        let count = document["error_count"].as_u64().unwrap_or(0) + errors.len() as u64;
        document["error_count"] = count.into();
    }
    if let Some(list) = document["diagnostics"].as_array_mut() {
        for (summary, help) in errors {
            list.push(
                json!({"severity": "error", "summary": summary, "detail": help.as_deref().unwrap_or("")}),
            );
        }
    }
    output.result(&format!("{document:#}\n"));
}
