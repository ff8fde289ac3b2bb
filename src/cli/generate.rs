//! `synprov completion`, `synprov man`, `synprov schema`: what other programs read to help a person write.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::{Cli, Exit, Output};

/// `synprov completion`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  synprov completion bash > /etc/bash_completion.d/synprov")]
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
#[command(after_help = SCHEMA_HELP)]
pub struct SchemaArgs {}

const SCHEMA_HELP: &str = "\
Editors with a YAML language server complete keys and words from it and show what each is for:
  synprov schema > inventory.schema.json
and as the first line of inventory.yaml:
  # yaml-language-server: $schema=inventory.schema.json

It describes one file at a time. `synprov check` knows more: whether hosts exist, whether the
Synapse version has a stream, what only one process may do.";

/// The schema. A test holds it against the parser, key by key.
const SCHEMA: &str = include_str!("../../schema/inventory.schema.json");

/// Prints the JSON Schema of an inventory.
pub fn schema(output: &Output) -> Exit {
    output.result(SCHEMA);
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
    match clap_mangen::generate_to(Cli::command(), &arguments.directory) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let directory = arguments.directory.display();
            output.error(&format!("cannot write man pages to {directory}: {error}"), None);
            Exit::Error
        }
    }
}
