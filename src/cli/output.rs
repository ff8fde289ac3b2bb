//! Where words go: the result to standard output, talk to standard error, colours as the person wants.

use std::io::{IsTerminal as _, Write};

use clap::ValueEnum;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Both streams with their colours.
pub struct Output {
    /// Colours on standard output.
    pub color: bool,
    /// Colours on standard error.
    pub color_talk: bool,
    /// Standard error is a terminal.
    pub terminal: bool,
    /// How often `-v` was given.
    pub verbose: u8,
}

impl Output {
    /// Decides colours from the choice, the environment and what the streams are.
    pub fn new(choice: ColorChoice, verbose: u8) -> Self {
        let decide = |stream_is_terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                set("CLICOLOR_FORCE") || (stream_is_terminal && !set("NO_COLOR") && !dumb)
            }
        };
        let terminal = std::io::stderr().is_terminal();
        Self {
            color: decide(std::io::stdout().is_terminal()),
            color_talk: decide(terminal),
            terminal,
            verbose,
        }
    }

    /// Puts out a result. A reader that has gone away (`| head`) is no error of ours.
    pub fn result(&self, text: &str) {
        drop(std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()));
    }

    /// Talks to the person.
    pub fn talk(&self, text: &str) {
        drop(std::io::stderr().write_all(text.as_bytes()));
    }

    /// An error with its help, for the person.
    pub fn error(&self, summary: &str, help: Option<&str>) {
        let (bold, reset) = if self.color_talk { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        self.talk(&format!("{bold}error{reset}: {summary}\n"));
        if let Some(help) = help {
            let (bold, reset) = if self.color_talk { ("\x1b[1;36m", "\x1b[0m") } else { ("", "") };
            self.talk(&format!("  {bold}help{reset}: {help}\n"));
        }
    }
}
