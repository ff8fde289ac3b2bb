//! `synprov completion`, `synprov man`, `synprov schema`: what other programs read to help a person write.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, ValueEnum};

use super::{Cli, Exit, Output, exit};

/// `synprov completion`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(COMPLETION_HELP, &[], &[]))]
pub struct CompletionArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

/// `synprov man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Where the pages go
    directory: PathBuf,
}

/// `synprov schema`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(SCHEMA_HELP, &[], &[]))]
pub struct SchemaArgs {
    /// Of what: an inventory, or what `--json` of a command puts out (apply: each of its lines)
    #[arg(value_enum, default_value_t)]
    of: SchemaOf,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum SchemaOf {
    #[default]
    Inventory,
    Check,
    Plan,
    Apply,
    Drift,
    Route,
    Status,
    History,
}

const COMPLETION_HELP: &str = "\
Examples:
  synprov completion bash > /etc/bash_completion.d/synprov
  synprov completion fish > ~/.config/fish/completions/synprov.fish";

const SCHEMA_HELP: &str = "\
Editors with a YAML language server complete keys and words from it and show what each is for. The \
first line of inventory.yaml names it:
  # yaml-language-server: $schema=inventory.schema.json

It describes one file at a time. `synprov check` knows more: whether hosts exist, whether the \
Synapse version has a stream, what only one process may do.

Examples:
  synprov schema > inventory.schema.json
  synprov schema plan | jq .properties";

impl SchemaOf {
    /// The schema. Tests hold the inventory's against the parser, key by key, and the others against
    /// what the commands put out.
    fn text(self) -> &'static str {
        match self {
            SchemaOf::Inventory => include_str!("../../schema/inventory.schema.json"),
            SchemaOf::Check => include_str!("../../schema/check.schema.json"),
            SchemaOf::Plan => include_str!("../../schema/plan.schema.json"),
            SchemaOf::Apply => include_str!("../../schema/apply.schema.json"),
            SchemaOf::Drift => include_str!("../../schema/drift.schema.json"),
            SchemaOf::Route => include_str!("../../schema/route.schema.json"),
            SchemaOf::Status => include_str!("../../schema/status.schema.json"),
            SchemaOf::History => include_str!("../../schema/history.schema.json"),
        }
    }
}

/// Prints a JSON Schema.
pub fn schema(arguments: &SchemaArgs, output: &Output) -> Exit {
    output.result(arguments.of.text());
    Exit::Done
}

/// Prints a completion script.
pub fn completion(arguments: &CompletionArgs, output: &Output) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "synprov", &mut script);
    output.result(&String::from_utf8_lossy(&script));
    Exit::Done
}

/// Writes the man pages.
pub fn man(arguments: &ManArgs, output: &Output) -> Exit {
    // Pages of the same version are the same, whoever built the program.
    let command = Cli::command().long_version(None::<&str>);
    match clap_mangen::generate_to(command, &arguments.directory) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let directory = arguments.directory.display();
            output.error(&format!("cannot write man pages to {directory}: {error}"), None);
            Exit::Error
        }
    }
}
