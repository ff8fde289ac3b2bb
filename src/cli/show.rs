//! `synprov show`: a saved plan, without asking a host.

use std::path::PathBuf;

use clap::Args;

use super::saved_plan::{self, Named};
use super::{Exit, Output, exit};
use crate::render::plan::{DiffStyle, Style, no_plan, saved_json, saved_text};

/// `synprov show`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, &[], &[]))]
pub struct ShowArgs {
    /// A file that `synprov plan --out FILE` wrote
    file: PathBuf,

    /// How much of what changes inside files is shown
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    diff: DiffStyle,

    /// The plan as JSON on standard output
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  synprov plan --out prod.plan   saves a plan
  synprov show prod.plan         shows it, anywhere, without a host
  synprov show prod.plan --json | jq .summary
  synprov apply prod.plan        does exactly it, or refuses";

/// Runs it: 0 if the file is whole, else 1.
pub fn run(arguments: &ShowArgs, output: &Output) -> Exit {
    if arguments.json {
        output.collects(None);
    }
    let exit = shown(arguments, output);
    if arguments.json && exit != Exit::Done {
        output.document(no_plan());
    }
    exit
}

fn shown(arguments: &ShowArgs, output: &Output) -> Exit {
    let path = &arguments.file;
    let saved = match saved_plan::look(path) {
        Named::Plan(saved) => saved,
        Named::Unusable(error) => {
            saved_plan::unusable(path, &error, output);
            return Exit::Error;
        }
        Named::Other => {
            let why = match std::fs::metadata(path) {
                Ok(_) => "it is no saved plan".to_owned(),
                Err(error) => error.to_string(),
            };
            let help = "`synprov plan --out FILE` writes one";
            output.error(&format!("cannot show {}: {why}", path.display()), Some(help));
            return Exit::Error;
        }
    };
    if arguments.json {
        output.document(saved_json(&saved));
    } else {
        let style = Style { diff: arguments.diff, color: output.color, verbose: output.verbose > 0 };
        output.result(&saved_text(&saved, style));
    }
    Exit::Done
}
