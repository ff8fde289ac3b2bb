//! What is said about text that is no YAML, or not one YAML: where the cause is, not where the
//! parser noticed.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::Kind;
use super::scalar::{Trouble, resolve};
use crate::diagnostic::{Diagnostic, Span};

/// Line and column of byte `at`, which is on a character's boundary.
pub(super) fn place_of(text: &str, at: usize) -> Span {
    let before = text.get(..at).unwrap_or(text);
    Span {
        line: count(before.matches('\n').count() + 1),
        column: count(before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1),
        length: 1,
    }
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The first character that no YAML file may hold (YAML 1.2.2 section 5.1).
pub(super) fn control_character(text: &str) -> Option<Diagnostic> {
    let (at, character) = text.char_indices().find(|(_, c)| {
        matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f' | '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}')
    })?;
    let (number, name) = (character as u32, if character == '\0' { " (NUL)" } else { "" });
    Some(
        Diagnostic::error(place_of(text, at), format!("control character U+{number:04X}{name} in the file"))
            .help(format!("delete it, or write it as an escape in double quotes: \"\\x{number:02x}\"")),
    )
}

/// An error of the grammar. `last` is the byte where the last good event ended.
pub(super) fn syntax(text: &str, last: usize, error: &ScanError) -> Diagnostic {
    use ErrorKind as E;
    let mark = error.marker();
    let at = mark.byte_offset().unwrap_or(0).min(text.len());
    let place = Span { line: count(mark.line().max(1)), column: count(mark.col() + 1), length: 1 };
    let here = |summary: String| Diagnostic::error(place, summary);
    let conflict =
        |line: &str| line.starts_with("<<<<<<< ") || line == "=======" || line.starts_with(">>>>>>> ");
    if let Some(line) = text.lines().position(conflict) {
        return Diagnostic::error(
            Span { line: count(line + 1), column: 1, length: 7 },
            "an unresolved merge conflict",
        )
        .help("keep what is right of the two sides and delete the marks");
    }
    match error.kind() {
        E::RecursionLimitExceeded => here(format!("nested more than {} levels deep", super::read::MAX_DEPTH)),
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabInPlainScalar => {
            // The library's mark is the end of the value before the tab.
            let tab = text.get(at..).and_then(|rest| rest.find('\t')).map(|tab| place_of(text, at + tab));
            Diagnostic::error(tab.unwrap_or(place), "a tab where YAML wants spaces")
                .help("indent with spaces")
        }
        E::UnclosedQuotedScalar | E::InvalidQuotedScalarIndent | E::DocumentIndicatorInQuotedScalar => {
            Diagnostic::error(
                opening_quote(text, last, at).unwrap_or(place),
                "the quote opened here is not closed",
            )
            .help("close it on the same line")
        }
        E::InvalidTrailingSingleQuotedScalar => here("text after the closing quote".to_owned())
            .help("inside single quotes write a single quote twice: 'it''s'"),
        E::InvalidTrailingDoubleQuotedScalar => here("text after the closing quote".to_owned())
            .help("inside double quotes write a double quote as \\\""),
        E::UnexpectedCharacter { character: character @ ('@' | '`' | '%') } => {
            here(format!("text cannot begin with {character}")).help("put the text in quotes")
        }
        E::MappingValueNotAllowed | E::SimpleKeyExpected | E::InvalidSimpleKey => colon(text, at)
            .unwrap_or_else(|| {
                here("a colon where no key ends".to_owned())
                    .help("text with a colon and a space in it needs quotes")
            }),
        E::UnclosedFlowCollection { open } => here(format!("the bracket {open} is not closed")),
        E::MismatchedFlowCollectionEnd { open, close } => {
            here(format!("the bracket {open} is closed by {close}"))
                .help("brackets close in pairs: [ ] and { }")
        }
        _ => here(format!("not valid YAML: {}", error.info())),
    }
}

/// Why a colon at byte `at` came as a surprise: mostly because of the line before.
fn colon(text: &str, at: usize) -> Option<Diagnostic> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next()?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut offset = start;
    let before = text[..start].lines().rev().find(|line| {
        offset -= line.len() + 1;
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    })?;
    let body = before.trim();
    let ends_key = |body: &str| body.contains(": ") || body.ends_with(':');
    if !ends_key(body)
        && let Some(colon) = before.find(':')
        && indent(line) == indent(before)
    {
        return Some(
            Diagnostic::error(place_of(text, offset + colon), "no space after the colon")
                .help("after a key come a colon and a space"),
        );
    }
    if indent(line) > indent(before) && ends_key(body) && !body.ends_with(':') {
        return Some(
            Diagnostic::error(
                place_of(text, start + indent(line)),
                "this line is indented deeper than the one before it",
            )
            .help("the keys of a mapping stand in one column"),
        );
    }
    None
}

/// The first quote between the last good event and the mark: the one that nothing closed.
fn opening_quote(text: &str, last: usize, end: usize) -> Option<Span> {
    let mut comment = false;
    for (at, character) in text.get(last..end)?.char_indices() {
        match character {
            '\n' => comment = false,
            '#' => comment = true,
            '"' | '\'' if !comment => return Some(place_of(text, last + at)),
            _ => {}
        }
    }
    None
}

/// An unquoted scalar that has no one value.
pub(super) fn ambiguous(text: &str, trouble: &Trouble, place: Span) -> Diagnostic {
    let quoted = format!("\"{text}\" in quotes if text is meant");
    let (summary, help) = match trouble {
        Trouble::Ambiguous { first: "boolean", .. } => {
            let value = matches!(text.to_ascii_lowercase().as_str(), "yes" | "on");
            (
                "is a boolean to some YAML readers and text to others".to_owned(),
                format!("write {value}, or {quoted}"),
            )
        }
        Trouble::Ambiguous { first, second } => {
            let help = match number(text, first) {
                Some(number) => format!("write {number}, or {quoted}"),
                None => format!("write {quoted}"),
            };
            (format!("is {} to some YAML readers and {} to others", article(first), article(second)), help)
        }
        Trouble::TooLarge => ("does not fit in 64 bits".to_owned(), format!("write {quoted}")),
        Trouble::NotFinite => ("is not a finite number".to_owned(), format!("write {quoted}")),
    };
    Diagnostic::error(place, format!("`{text}` {summary}")).help(help)
}

/// The number that was probably meant, in a spelling that is no matter of taste.
fn number(text: &str, first: &str) -> Option<String> {
    let plain = text.replace('_', "");
    if first == "octal integer" {
        let octal = i64::from_str_radix(plain.trim_start_matches('0'), 8).ok()?;
        return Some(format!(
            "{octal} for the octal number, {} for the decimal one",
            plain.trim_start_matches('0')
        ));
    }
    if let Some(binary) = plain.strip_prefix("0b") {
        return i64::from_str_radix(binary, 2).ok().map(|number| number.to_string());
    }
    if let Some(octal) = plain.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).ok().map(|number| number.to_string());
    }
    match resolve(&plain) {
        Ok(Kind::Int(number)) => Some(number.to_string()),
        _ => plain.parse::<f64>().ok().filter(|number| number.is_finite()).map(float),
    }
}

/// A number as YAML 1.1 reads it too: with a point, and with a sign in its exponent (PyYAML's
/// resolver.py).
fn float(number: f64) -> String {
    let text = format!("{number:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let point = if digits.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    format!("{digits}{point}e{sign}{exponent}")
}

fn article(kind: &str) -> String {
    match kind {
        "text" => kind.to_owned(),
        "integer" | "octal integer" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}
