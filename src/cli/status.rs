//! `synprov status`: how each process is.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;

use super::hosts::{Extent, survey};
use super::load::Loaded;
use super::output::nothing;
use super::services::{NAMES, ServiceArgs};
use super::{Exit, Output, exit};
use crate::plan::control::status::status;
use crate::render;

/// `synprov status`.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct StatusArgs {
    #[command(flatten)]
    services: ServiceArgs,

    /// As JSON on standard output (schema/status.schema.json)
    #[arg(long, conflicts_with = "watch")]
    json: bool,

    /// Look again every so many seconds until interrupted; on a terminal only
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

fn help() -> String {
    let text = format!(
        "It asks each host once and changes nothing. A process is well if it runs, is ready (it answers, is \
         connected to Redis, reaches what it needs), starts at boot, and runs with what the inventory says today.\n\n\
         {NAMES}\n\n\
         Examples:\n  synprov status\n  synprov status sync 'fed*'\n  synprov status prod.yaml --watch\n  \
         synprov status --json | jq '.processes[] | select(.well | not)'"
    );
    let here = [(Exit::Done, "all are well"), (Exit::Changes, "one is not well")];
    exit::below(&text, exit::ASKS, &here)
}

/// Runs it.
pub fn run(arguments: &StatusArgs, output: &Output) -> Exit {
    output.answers(arguments.json, Some(&arguments.services.path()), nothing, || told(arguments, output))
}

/// `Err`: nothing was put out.
fn told(arguments: &StatusArgs, output: &Output) -> Result<Exit, Exit> {
    let loaded = arguments.services.loaded(output)?;
    let Some(seconds) = arguments.watch else { return once(&loaded, arguments, false, output) };
    if !std::io::stdout().is_terminal() {
        output.error("--watch needs a terminal", Some("leave it out; --json is for programs"));
        return Err(Exit::Usage);
    }
    loop {
        once(&loaded, arguments, true, output)?;
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

fn once(loaded: &Loaded, arguments: &StatusArgs, clear: bool, output: &Output) -> Result<Exit, Exit> {
    let chosen = arguments.services.chosen(loaded, |_| true, output)?;
    let surveyed = survey(loaded, &arguments.services.hosts(), Extent::States, output)?;
    let all = surveyed.with_plan(loaded, |input, plan| status(&chosen, input, plan));
    let server_name = &loaded.topology.server_name;
    if arguments.json {
        output.result(&render::status::json(server_name, &all, &surveyed.errors));
    } else {
        let text = render::status::text(&all, surveyed.errors.len(), output.color);
        output.result(&if clear { format!("\x1b[H\x1b[2J{text}") } else { text });
    }
    let well = all.iter().all(|one| one.well);
    Ok(surveyed.exit().worse(if well { Exit::Done } else { Exit::Changes }))
}
