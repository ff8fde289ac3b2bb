//! HAProxy configuration as sections of lines of words, and its writer.
//!
//! The file is built as words and quoted here, never pasted together as text. Reading rules:
//! HAProxy configuration manual, "Quoting and escaping" (`parse_line`). Needs HAProxy 2.6 (Debian 12),
//! the first with `balance hash`. Never in this file: what Synapse needs (`site`).

mod backend;
mod beside;
mod reading;
mod routing;
mod select;
mod site;

pub(super) use select::secrets;
pub(super) use site::sections;

use serde::{Deserialize, Serialize};

/// Words that HAProxy takes on one line (`MAX_LINE_ARGS`).
const MAX_WORDS: usize = 64;

/// A section: `global`, `defaults`, `frontend NAME`, `backend NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The keyword, and the name if it has one.
    pub head: Vec<String>,
    /// Lines of words as HAProxy shall read them: not quoted, not escaped. A comment is a line of
    /// two words, `#` and the text.
    pub lines: Vec<Vec<String>>,
}

impl Section {
    fn new(head: &[&str]) -> Self {
        Self { head: words(head), lines: Vec::new() }
    }

    /// Appends a line.
    fn line(&mut self, line: &[&str]) -> &mut Self {
        self.lines.push(words(line));
        self
    }

    /// Appends a line of single words, separated by spaces: for keywords without values.
    fn plain(&mut self, line: &str) -> &mut Self {
        self.lines.push(line.split(' ').map(ToOwned::to_owned).collect());
        self
    }

    fn comment(&mut self, text: &str) -> &mut Self {
        self.line(&["#", text])
    }
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

/// The text of the file. Errors: a control character, which no quoting can hold on a line; more
/// words on a line than HAProxy takes.
pub fn write(sections: &[Section]) -> Result<String, String> {
    let mut out = String::new();
    for section in sections {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&line(&section.head)?);
        for words in &section.lines {
            out.push_str("    ");
            out.push_str(&line(words)?);
        }
    }
    Ok(out)
}

fn line(words: &[String]) -> Result<String, String> {
    if let Some(word) = words.iter().find(|word| word.chars().any(char::is_control)) {
        return Err(format!("HAProxy cannot hold a control character: {word:?}"));
    }
    if let [mark, text] = words
        && mark == "#"
    {
        return Ok(format!("# {text}\n"));
    }
    if words.len() > MAX_WORDS {
        return Err(format!("HAProxy takes {MAX_WORDS} words on a line, not {}", words.len()));
    }
    Ok(words.iter().map(|word| token(word)).collect::<Vec<_>>().join(" ") + "\n")
}

/// A word as HAProxy reads it back: in single quotes, where nothing else means anything, unless a
/// bare one cannot be read otherwise.
fn token(word: &str) -> String {
    let special = |c: char| c.is_whitespace() || matches!(c, '\\' | '"' | '\'' | '#' | '$');
    if !word.is_empty() && !word.contains(special) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{Section, token, write};

    #[test]
    fn words_are_quoted_where_haproxy_would_read_them_otherwise() {
        for (word, written) in [
            ("var(txn.path)", "var(txn.path)"),
            ("", "''"),
            ("a b", "'a b'"),
            (r"^/a\.b$", r"'^/a\.b$'"),
            ("it's", r"'it'\''s'"),
            ("a#b", "'a#b'"),
            ("\"$HOME\"", "'\"$HOME\"'"),
        ] {
            assert_eq!(token(word), written);
        }
    }

    #[test]
    fn what_no_quoting_can_hold_is_refused() {
        let section =
            |word: &str| Section { head: vec!["global".to_owned()], lines: vec![vec![word.to_owned()]] };
        assert!(write(&[section("a\nbind :1")]).is_err());
        assert!(write(&[section("a\0")]).is_err());
        let long = Section { head: vec!["global".to_owned()], lines: vec![vec!["a".to_owned(); 65]] };
        assert!(write(&[long]).is_err());
    }
}
