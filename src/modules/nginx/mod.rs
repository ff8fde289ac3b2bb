//! nginx configuration as a tree, and its writer.
//!
//! Files for nginx are built as directives and quoted here, never pasted together as text.
//! Reading rules: nginx `ngx_conf_read_token`. Never in this file: what Synapse needs (`site`).

mod balance;
mod routing;
mod site;

pub(super) use site::{delegate, files, main};

use serde::{Deserialize, Serialize};

/// One directive. A comment is a directive named `#` with its text as the only argument.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Directive {
    /// `listen`, `location`, `map`; inside a `map` the value to match.
    pub name: String,
    /// What nginx shall read: not quoted, not escaped.
    #[serde(default)]
    pub args: Vec<String>,
    /// Directives in braces.
    #[serde(default)]
    pub block: Option<Vec<Directive>>,
}

/// `name args;`
pub(super) fn line(name: &str, args: &[&str]) -> Directive {
    Directive { name: name.to_owned(), args: args.iter().map(|arg| (*arg).to_owned()).collect(), block: None }
}

/// `name args { … }`
pub(super) fn block(name: &str, args: &[&str], directives: Vec<Directive>) -> Directive {
    Directive { block: Some(directives), ..line(name, args) }
}

/// `# text`
pub(super) fn comment(text: &str) -> Directive {
    line("#", &[text])
}

/// The text of a file. Errors: a NUL or line break where nginx cannot hold one, an empty name.
pub fn write(tree: &[Directive]) -> Result<String, String> {
    let mut out = String::new();
    write_block(tree, 0, &mut out)?;
    Ok(out)
}

fn write_block(tree: &[Directive], depth: usize, out: &mut String) -> Result<(), String> {
    for (index, directive) in tree.iter().enumerate() {
        // An empty line around blocks; a comment belongs to what follows it.
        let before = index.checked_sub(1).and_then(|before| tree.get(before));
        let apart = before.is_some_and(|before| {
            before.name != "#"
                && (before.block.is_some() || directive.block.is_some() || directive.name == "#")
        });
        if apart {
            out.push('\n');
        }
        out.push_str(&"    ".repeat(depth));
        if directive.name == "#" {
            let text = directive.args.join(" ");
            if text.chars().any(char::is_control) {
                return Err(format!("comment {text:?} holds a control character"));
            }
            out.push_str(&format!("# {text}\n"));
            continue;
        }
        out.push_str(&token(&directive.name)?);
        for arg in &directive.args {
            out.push(' ');
            out.push_str(&token(arg)?);
        }
        match &directive.block {
            None => out.push_str(";\n"),
            Some(inner) => {
                out.push_str(" {\n");
                write_block(inner, depth + 1, out)?;
                out.push_str(&"    ".repeat(depth));
                out.push_str("}\n");
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
