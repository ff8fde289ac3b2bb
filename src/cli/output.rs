//! Where words go: the result to standard output, talk to standard error, colours as the person wants.
//!
//! With `--json` what goes wrong is said twice: to the person on standard error, and, as diagnostics, in
//! the one document or the stream of events on standard output.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{Exit, clock};
use crate::diagnostic::Diagnostic;
use crate::render::diagnostic;

/// Version of everything that `--json` puts out: see `schema/`.
pub const FORMAT_VERSION: u32 = 1;

use crate::facts::conversation::clean;

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

/// What machines get besides the result.
#[derive(Debug, Default)]
enum Machine {
    /// Nothing: no `--json`.
    #[default]
    Silent,
    /// Diagnostics, kept for the one document, and what that is about.
    Collects { inventory: Option<String>, found: Vec<Value> },
    /// Events at once, and this at the end.
    Streams(Map<String, Value>),
}

/// Why a result is not whole.
pub fn unwritable(error: &std::io::Error) -> String {
    format!("standard output does not take the result: {error}")
}

/// A document that has nothing to say besides its diagnostics.
pub fn nothing() -> Value {
    json!({})
}

/// A piece of what was said, kept for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// To standard output.
    Result(String),
    /// To standard error.
    Talk(String),
}

/// What does not depend on what is said.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    color: bool,
    color_talk: bool,
    verbose: u8,
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
    machine: RefCell<Machine>,
    /// Standard output did not take all of the result.
    lost: Cell<bool>,
    /// Where it is kept, if it is not said at once.
    kept: Option<RefCell<Vec<Said>>>,
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
            machine: RefCell::default(),
            lost: Cell::new(false),
            kept: None,
        }
    }

    /// Colours and the like, for [`Output::captured`].
    pub fn settings(&self) -> Settings {
        Settings { color: self.color, color_talk: self.color_talk, verbose: self.verbose }
    }

    /// Keeps what is said, for [`Output::replay`]; it is no terminal.
    pub fn captured(settings: Settings) -> Self {
        let Settings { color, color_talk, verbose } = settings;
        let kept = Some(RefCell::default());
        let (machine, lost) = (RefCell::default(), Cell::new(false));
        Self { color, color_talk, terminal: false, verbose, machine, lost, kept }
    }

    /// What was kept.
    pub fn into_said(self) -> Vec<Said> {
        self.kept.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Says what another one has kept, under a heading; nothing if nothing was.
    pub fn replay(&self, heading: &str, said: &[Said]) {
        if !said.is_empty() {
            self.talk(heading);
        }
        for piece in said {
            match piece {
                Said::Result(text) => self.result(text),
                Said::Talk(text) => self.talk(text),
            }
        }
    }

    /// Puts out a result. A reader that has gone away (`| head`) is no error of ours.
    pub fn result(&self, text: &str) {
        if let Some(kept) = &self.kept {
            return kept.borrow_mut().push(Said::Result(text.to_owned()));
        }
        self.stream(text);
    }

    /// Puts out a part of a result that goes on; `false`: its reader has gone away.
    pub fn stream(&self, text: &str) -> bool {
        let put = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
        if let Err(error) = &put
            && error.kind() != ErrorKind::BrokenPipe
            && !self.lost.replace(true)
        {
            self.error(&unwritable(error), None);
        }
        put.is_ok()
    }

    /// The exit status of a run that ended so: a result that was cut short is an error, whatever else became of it.
    pub fn settled(&self, exit: Exit) -> Exit {
        if self.lost.get() { exit.worse(Exit::Error) } else { exit }
    }

    /// Talks to the person.
    pub fn talk(&self, text: &str) {
        if let Some(kept) = &self.kept {
            return kept.borrow_mut().push(Said::Talk(text.to_owned()));
        }
        drop(std::io::stderr().write_all(text.as_bytes()));
    }

    /// What nobody should overlook, in the colours of the talk.
    pub fn loud(&self, text: &str) -> String {
        if self.color_talk { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// An error with its help, for the person and in diagnostics.
    pub fn error(&self, summary: &str, help: Option<&str>) {
        let (bold, reset) = if self.color_talk { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        // Some of it may be a host's words.
        self.talk(&format!("{bold}error{reset}: {}\n", clean(summary)));
        if let Some(help) = help {
            let (bold, reset) = if self.color_talk { ("\x1b[1;36m", "\x1b[0m") } else { ("", "") };
            self.talk(&format!("  {bold}help{reset}: {}\n", clean(help)));
        }
        self.diagnose(summary, help);
    }

    /// A warning with its help, for the person and in diagnostics.
    pub fn warn(&self, summary: &str, help: &str) {
        let (bold, reset) = if self.color_talk { ("\x1b[1;33m", "\x1b[0m") } else { ("", "") };
        self.talk(&format!("{bold}warning{reset}: {}\n  help: {}\n", clean(summary), clean(help)));
        self.note(json!({"severity": "warning", "summary": summary, "detail": help}));
    }

    /// An error that the person hears in another way, in diagnostics alone.
    pub fn diagnose(&self, summary: &str, help: Option<&str>) {
        self.note(json!({"severity": "error", "summary": summary, "detail": help.unwrap_or("")}));
    }

    /// Findings in a file, for the person and in diagnostics.
    pub fn findings(&self, found: &[Diagnostic], name: &str, source: &str) {
        if found.is_empty() {
            return;
        }
        self.talk(&diagnostic::text(found, name, source, self.color_talk));
        diagnostic::json(found, name, source).into_iter().for_each(|one| self.note(one));
    }

    fn note(&self, found: Value) {
        if let Machine::Collects { found: all, .. } = &mut *self.machine.borrow_mut() {
            all.push(found);
            return;
        }
        self.event("diagnostic", json!({ "diagnostic": found }));
    }

    /// From here on diagnostics are kept, for [`Output::document`], which names the inventory.
    pub fn collects(&self, inventory: Option<&Path>) {
        let inventory = inventory.map(|path| path.display().to_string());
        self.machine.replace(Machine::Collects { inventory, found: Vec::new() });
    }

    /// Runs what puts out one document with `json`. Where it could not (`Err`), there is one all the same: `otherwise`,
    /// with the diagnostics that say why.
    pub fn answers(
        &self,
        json: bool,
        inventory: Option<&Path>,
        otherwise: fn() -> Value,
        run: impl FnOnce() -> Result<Exit, Exit>,
    ) -> Exit {
        if json {
            self.collects(inventory);
        }
        run().unwrap_or_else(|exit| {
            if json {
                self.document(otherwise());
            }
            exit
        })
    }

    /// Puts out the one document, with the diagnostics so far.
    pub fn document(&self, mut document: Value) {
        document["format_version"] = FORMAT_VERSION.into();
        if let Machine::Collects { inventory, found: all } = &mut *self.machine.borrow_mut() {
            if let Some(inventory) = inventory.take() {
                document["inventory"] = inventory.into();
            }
            let count = |word: &str| all.iter().filter(|one| one["severity"] == word).count();
            document["error_count"] = count("error").into();
            document["warning_count"] = count("warning").into();
            document["diagnostics"] = std::mem::take(all).into();
        }
        self.result(&format!("{document:#}\n"));
    }

    /// From here on every event is a line of standard output; the first says whose they are.
    pub fn streams(&self) {
        self.machine.replace(Machine::Streams(Map::new()));
        self.event("version", json!({"synprov": env!("CARGO_PKG_VERSION")}));
    }

    /// One event, if they are wanted.
    pub fn event(&self, kind: &str, more: Value) {
        if !matches!(*self.machine.borrow(), Machine::Streams(_)) {
            return;
        }
        let mut event = Map::new();
        event.insert("type".to_owned(), kind.into());
        event.insert("format_version".to_owned(), FORMAT_VERSION.into());
        event.insert("time".to_owned(), clock::rfc3339_now().into());
        if let Value::Object(more) = more {
            event.extend(more);
        }
        self.result(&format!("{}\n", Value::Object(event)));
    }

    /// Something for the last event.
    pub fn sum_up(&self, key: &str, value: Value) {
        if let Machine::Streams(summary) = &mut *self.machine.borrow_mut() {
            summary.insert(key.to_owned(), value);
        }
    }

    /// The last event: how it ended.
    pub fn ends(&self, exit: Exit) {
        let mut summary = match &mut *self.machine.borrow_mut() {
            Machine::Streams(summary) => std::mem::take(summary),
            _ => return,
        };
        summary.insert("succeeded".to_owned(), (exit == Exit::Done).into());
        summary.insert("exit_code".to_owned(), exit.code().into());
        self.event("summary", Value::Object(summary));
    }
}
