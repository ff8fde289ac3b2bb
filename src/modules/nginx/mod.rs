//! nginx configuration as a tree, and its writer.
//!
//! Files for nginx are built as directives and quoted here, never pasted together as text.
//! Reading rules: nginx `ngx_conf_read_token`. Never in this file: what Synapse needs (`site`).

mod balance;
mod condition;
mod gate;
mod location;
mod routing;
mod server;
mod site;

pub(super) use server::delegate;
pub(super) use site::{files, main};

use serde::{Deserialize, Serialize};

use crate::resource::{Content, Piece, Quote};

/// One directive. A comment is a directive named `#` with its text as the only argument.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Directive {
    /// `listen`, `location`, `map`; inside a `map` the value to match.
    pub name: String,
    /// Instead of a name, in a `map`: matches exactly the value of this secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// What nginx shall read: not quoted, not escaped.
    #[serde(default)]
    pub args: Vec<String>,
    /// Directives in braces.
    #[serde(default)]
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// Whether it, or one in its block, is a secret.
    pub(super) fn holds_secret(&self) -> bool {
        self.secret.is_some() || self.block.iter().flatten().any(Self::holds_secret)
    }
}

/// `name args;`
pub(super) fn line(name: &str, args: &[&str]) -> Directive {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    Directive { name: name.to_owned(), args, ..Directive::default() }
}

/// `name args { … }`
pub(super) fn block(name: &str, args: &[&str], directives: Vec<Directive>) -> Directive {
    Directive { block: Some(directives), ..line(name, args) }
}

/// `# text`
pub(super) fn comment(text: &str) -> Directive {
    line("#", &[text])
}

/// The text of a file, with `<secret NAME>` for secrets. Errors: as [`content`].
pub fn write(tree: &[Directive]) -> Result<String, String> {
    content(tree).map(|content| content.redacted())
}

/// What stands in a file. Errors: a NUL or line break where nginx cannot hold one, an empty name.
pub(super) fn content(tree: &[Directive]) -> Result<Content, String> {
    let mut out = Out::default();
    write_block(tree, 0, &mut out)?;
    Ok(out.done())
}

/// Pieces of a file in the making.
#[derive(Default)]
struct Out {
    pieces: Vec<Piece>,
    text: String,
}

impl Out {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn secret(&mut self, name: &str) {
        let before = std::mem::take(&mut self.text);
        self.pieces.push(Piece::Text(before));
        self.pieces.push(Piece::Secret { name: name.to_owned(), quote: Quote::NginxPattern });
    }

    fn done(mut self) -> Content {
        if !self.text.is_empty() || self.pieces.is_empty() {
            self.pieces.push(Piece::Text(self.text));
        }
        Content(self.pieces)
    }
}

fn write_block(tree: &[Directive], depth: usize, out: &mut Out) -> Result<(), String> {
    for (index, directive) in tree.iter().enumerate() {
        // An empty line around blocks; a comment belongs to what follows it.
        let before = index.checked_sub(1).and_then(|before| tree.get(before));
        let apart = before.is_some_and(|before| {
            before.name != "#"
                && (before.block.is_some() || directive.block.is_some() || directive.name == "#")
        });
        if apart {
            out.push("\n");
        }
        out.push(&"    ".repeat(depth));
        if directive.name == "#" {
            let text = directive.args.join(" ");
            if text.chars().any(char::is_control) {
                return Err(format!("comment {text:?} holds a control character"));
            }
            out.push(&format!("# {text}\n"));
            continue;
        }
        match &directive.secret {
            None => out.push(&token(&directive.name)?),
            Some(name) => {
                out.push("\"~^");
                out.secret(name);
                out.push("$\"");
            }
        }
        for arg in &directive.args {
            out.push(" ");
            out.push(&token(arg)?);
        }
        match &directive.block {
            None => out.push(";\n"),
            Some(inner) => {
                out.push(" {\n");
                write_block(inner, depth + 1, out)?;
                out.push(&"    ".repeat(depth));
                out.push("}\n");
            }
        }
    }
    Ok(())
}

/// A word as nginx reads it back: quoted where a bare one would end early or mean something.
/// `$` cannot be escaped in nginx at all; where it must be literal, see `site`.
fn token(text: &str) -> Result<String, String> {
    if let Some(control) = text.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return Err(format!("nginx cannot hold the character {control:?} in {text:?}"));
    }
    let special = |c: char| c.is_whitespace() || matches!(c, ';' | '{' | '}' | '"' | '\'' | '#' | '\\');
    if !text.is_empty() && !text.contains(special) {
        return Ok(text.to_owned());
    }
    let mut out = String::from("\"");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            // nginx takes the backslash away only before these; `\.` and `\d` of a regex stay readable.
            '\\' if matches!(chars.peek(), None | Some('\\' | '"' | '\'' | 't' | 'r' | 'n')) => {
                out.push_str("\\\\");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}
