//! What runs already, read into an inventory: what a host says of itself, or what Ansible knows of hosts.
//!
//! Facts in, text out. Whatever comes in was written by others: it gets into the text as a quoted value, or
//! as a comment of one line, or not at all. Never here: files, hosts, values of secrets.

#![warn(clippy::disallowed_methods)]

pub mod ansible;
mod differs;
pub mod found;
mod listeners;
mod nginx;
mod purpose;
mod secrets;
mod write;

pub use write::{Imported, Reached, write};

/// Something that was found and is not in what was written: for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where: `host hs1`, `worker sync`, a path.
    pub at: String,
    /// What was found. No value that could be a secret.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

/// Longest piece of foreign text that is repeated to a person.
const SHOWN: usize = 120;

impl Note {
    /// A note; each part in one line, without control characters.
    pub fn new(at: impl AsRef<str>, what: impl AsRef<str>, help: impl AsRef<str>) -> Self {
        let line = |text: &str| text.chars().map(plain).collect::<String>();
        Self { at: line(at.as_ref()), what: line(what.as_ref()), help: line(help.as_ref()) }
    }
}

/// Foreign text for a comment or a message: one line, no control characters, not endless.
pub fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).map(plain).collect();
    if text.chars().count() > SHOWN { format!("{cut}…") } else { cut }
}

/// What would end a comment's line, or move a terminal's cursor, becomes a space.
fn plain(c: char) -> char {
    let hidden = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{feff}');
    let turning = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if hidden || turning { ' ' } else { c }
}

/// A name that may be one of an inventory, like `text`, and that `taken` does not refuse.
pub fn name_like(text: &str, fallback: &str, taken: impl Fn(&str) -> bool) -> String {
    let lower = text.to_ascii_lowercase();
    let mut name: String = lower
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' { c } else { '_' })
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(50)
        .collect();
    if name.is_empty() {
        fallback.clone_into(&mut name);
    }
    if !taken(&name) {
        return name;
    }
    (2_u32..).map(|number| format!("{name}_{number}")).find(|other| !taken(other)).unwrap_or(name)
}
