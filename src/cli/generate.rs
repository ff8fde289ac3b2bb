//! `synprov completion`, `synprov man`: generated from the same flags that are parsed.

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
