//! `synprov graph`: the topology as a picture.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::load::load_or_tell;
use super::rehearse::stand_in;
use super::{Exit, InventoryArgs, Output, exit};
use crate::render::graph::{Graph, mermaid, svg};

/// `synprov graph`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, &[], &[]))]
pub struct GraphArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    /// As what it is drawn
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,

    /// What is drawn, as JSON on standard output; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write it into this file instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const HELP: &str = "\
Offline: hosts, processes with their ports, what each serves, writes and runs.

Examples:
  synprov graph -o matrix.svg       a picture for a browser or a README
  synprov graph --format mermaid    text that code hosts draw as a picture
  synprov graph --json | jq .hosts";

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// A picture
    #[default]
    Svg,
    /// A Mermaid flowchart
    Mermaid,
    /// A document
    Json,
}

/// Runs it.
pub fn run(arguments: &GraphArgs, output: &Output) -> Exit {
    let stand_in = match stand_in(&arguments.inventory, output) {
        Ok(stand_in) => stand_in,
        Err(exit) => return exit,
    };
    let loaded = match load_or_tell(&arguments.inventory, stand_in.as_ref(), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let graph = Graph::new(&loaded.topology);
    let text = match arguments.format {
        _ if arguments.json => graph.json(),
        Format::Svg => svg(&graph),
        Format::Mermaid => mermaid(&graph),
        Format::Json => graph.json(),
    };
    let Some(path) = &arguments.output else {
        output.result(&text);
        return Exit::Done;
    };
    match std::fs::write(path, text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output.error(&format!("cannot write {}: {error}", path.display()), None);
            Exit::Error
        }
    }
}
