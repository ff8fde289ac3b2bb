//! Source lines fit to be shown: values that are, or look like, secrets become asterisks.
//!
//! A person may write a password where a reference belongs, and the finding about it, or about
//! something else on that line, must not carry it to a screen or a CI log. Works on text, because
//! files that do not parse are shown too. Columns stay what they are.

use crate::diagnostic::{Diagnostic, Span};
use crate::secret::names_a_secret;

/// The lines of `source`, masked.
pub(super) fn lines(source: &str, diagnostics: &[Diagnostic]) -> Vec<String> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut lines: Vec<String> =
        source.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).collect();
    let misspelt: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.before_secret)
        .filter_map(|diagnostic| key_at(diagnostic.span, &lines))
        .collect();
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.sensitive) {
        if let Some(line) = (diagnostic.span.line as usize).checked_sub(1).and_then(|at| lines.get_mut(at)) {
            *line = mask(
                line,
                (diagnostic.span.column as usize).saturating_sub(1),
                diagnostic.span.length as usize,
            );
        }
    }
    // Indentation of the `secrets:` block that the line stands in.
    let mut block: Option<usize> = None;
    for line in &mut lines {
        let indent = line.len() - line.trim_start().len();
        if !line.trim().is_empty() && block.is_some_and(|outer| indent <= outer) {
            block = None;
        }
        if line.trim_start().starts_with("secrets:") {
            block = Some(indent);
        }
        if let Some(from) = secret_value(line, &misspelt, block.is_some()) {
            let column = line[..from].chars().count();
            *line = mask(line, column, usize::MAX);
        }
    }
    lines
}

/// The key that stands at `span`, without quotes.
fn key_at(span: Span, lines: &[String]) -> Option<String> {
    let line = lines.get((span.line as usize).checked_sub(1)?)?;
    let key = line.chars().skip((span.column as usize).saturating_sub(1)).take(span.length as usize);
    Some(key.collect::<String>().trim_matches(['"', '\'']).to_owned())
}

/// Byte at which a value begins that should have been a reference; `misspelt` are keys that were meant to have one.
fn secret_value(line: &str, misspelt: &[String], in_secrets: bool) -> Option<usize> {
    line.match_indices(':').find_map(|(at, _)| {
        let key = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let key = key.rsplit([' ', '{', ',', '"', '\'', '\t']).next().unwrap_or("");
        let exempt = matches!(key, "secrets" | "secret" | "env" | "file");
        let meant = misspelt.iter().any(|other| other == key);
        let rest = &line[at + 1..];
        if !(meant || !exempt && (names_a_secret(key) || in_secrets)) || !rest.starts_with([' ', '\t']) {
            return None;
        }
        let value = rest.trim_start();
        let start = value.trim_start_matches(['"', '\'']);
        let reference = ["env:", "file:", "generate"].iter().any(|word| start.starts_with(word))
            || value.starts_with(['{', '&', '*', '|', '>', '#'])
            || (key == "command" && value.starts_with('['));
        (!value.is_empty() && !reference).then_some(line.len() - value.len())
    })
}

fn mask(line: &str, column: usize, length: usize) -> String {
    let end = column.saturating_add(length);
    line.chars().enumerate().map(|(at, c)| if at >= column && at < end { '*' } else { c }).collect()
}
