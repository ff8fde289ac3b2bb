//! Diagnostics as text with the source line and a caret, and as JSON in Terraform's shape.
//!
//! What stands in the source is not trusted: control and direction characters are shown as
//! pictures, never sent to the terminal. Never here: deciding what is an error.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::mask;
use crate::diagnostic::{Diagnostic, Severity, Span};

/// More than this many findings are counted, not shown.
const SHOWN: usize = 100;
/// Longer source lines are shown in part, in characters.
const WINDOW: usize = 4000;

/// All findings with their source lines, and the counts at the end.
///
/// `file` is the name to print, `source` its text, `color` whether ANSI colours are wanted.
/// Empty when there are no findings.
pub fn text(diagnostics: &[Diagnostic], file: &str, source: &str, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let lines = mask::lines(source, diagnostics);
    let file = visible(file);
    let mut out = String::new();
    for diagnostic in diagnostics.iter().take(SHOWN) {
        out += &one(&renderer, diagnostic, &file, &lines);
        out += "\n\n";
    }
    if diagnostics.len() > SHOWN {
        out += &format!("... and {} more findings\n\n", diagnostics.len() - SHOWN);
    }
    if !diagnostics.is_empty() {
        out += &counts(diagnostics);
        out.push('\n');
    }
    out
}

/// The findings in the shape of `terraform validate -json`, with `related` added to each.
///
/// Columns count characters from 1, `byte` and the highlight offsets count bytes from 0.
pub fn json(diagnostics: &[Diagnostic], file: &str, source: &str) -> Vec<Value> {
    let lines = mask::lines(source, diagnostics);
    let starts = starts(source);
    let place = |span: Span| range(span, file, &lines, &starts);
    let shown = diagnostics.iter().map(|diagnostic| {
        let mut object = json!({
            "severity": diagnostic.severity,
            "summary": diagnostic.summary,
            "detail": diagnostic.help.clone().unwrap_or_default(),
            "range": place(diagnostic.span),
        });
        if let Some(line) = line_of(diagnostic.span, &lines) {
            let excerpt = Excerpt::new(line, diagnostic.span);
            let mark = excerpt.range(diagnostic.span);
            object["snippet"] = json!({
                "context": null,
                "code": excerpt.text,
                "start_line": diagnostic.span.line,
                "highlight_start_offset": mark.start,
                "highlight_end_offset": mark.end,
                "values": [],
            });
        }
        object["related"] = diagnostic
            .related
            .iter()
            .map(|(span, text)| json!({"summary": text, "range": place(*span)}))
            .collect();
        object
    });
    shown.collect()
}

/// `2 errors, 1 warning`.
pub fn counts(diagnostics: &[Diagnostic]) -> String {
    let words = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    let errors = words(count(diagnostics, Severity::Error), "error");
    let warnings = words(count(diagnostics, Severity::Warning), "warning");
    errors.into_iter().chain(warnings).collect::<Vec<_>>().join(", ")
}

fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
}

fn one(renderer: &Renderer, diagnostic: &Diagnostic, file: &str, lines: &[String]) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(visible(&diagnostic.summary)).elements(Vec::<Origin<'_>>::new());
    let marks = std::iter::once((diagnostic.span, None))
        .chain(diagnostic.related.iter().map(|(span, text)| (*span, Some(visible(text)))));
    // A snippet per line, in reading order; the line of the finding itself comes first.
    let mut snippets: Vec<(u32, Excerpt, Vec<Mark>)> = Vec::new();
    for (span, label) in marks {
        let Some(line) = line_of(span, lines) else { continue };
        let primary = label.is_none();
        match snippets.iter_mut().find(|(number, excerpt, _)| *number == span.line && excerpt.holds(span)) {
            Some((_, excerpt, marks)) => marks.push(Mark { range: excerpt.range(span), label, primary }),
            None => {
                let excerpt = Excerpt::new(line, span);
                let range = excerpt.range(span);
                snippets.push((span.line, excerpt, vec![Mark { range, label, primary }]));
            }
        }
    }
    if snippets.is_empty() {
        group = group.element(Origin::path(file.to_owned()));
    }
    for (number, excerpt, marks) in snippets {
        // With a cut line the library would count the column from the cut.
        let column = marks.iter().find(|mark| mark.primary).map(|_| diagnostic.span.column as usize);
        if excerpt.cut
            && let Some(column) = column
        {
            group = group.element(Origin::path(file.to_owned()).line(number as usize).char_column(column));
        }
        let mut snippet = Snippet::source(excerpt.text.clone()).line_start(number as usize);
        if !excerpt.cut {
            snippet = snippet.path(file.to_owned());
        }
        group = group.element(snippet.annotations(marks.into_iter().map(|mark| {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            kind.span(mark.range).label(mark.label)
        })));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(visible(help)));
    }
    renderer.render(&[group])
}

struct Mark {
    range: Range<usize>,
    label: Option<String>,
    primary: bool,
}

/// A source line fit to be shown: no control characters, and not longer than the window.
struct Excerpt {
    text: String,
    /// First character shown, from 0.
    from: usize,
    /// Characters shown.
    length: usize,
    cut: bool,
}

impl Excerpt {
    fn new(line: &str, span: Span) -> Self {
        let column = (span.column as usize).saturating_sub(1);
        let total = line.chars().take(column + WINDOW + 1).count();
        let cut = total > WINDOW;
        let from = if cut { column.saturating_sub(WINDOW / 2) } else { 0 };
        let text: String = line.chars().skip(from).take(WINDOW).collect();
        Self { length: text.chars().count(), text: visible(&text), from, cut }
    }

    fn holds(&self, span: Span) -> bool {
        let column = (span.column as usize).saturating_sub(1);
        column >= self.from && column <= self.from + self.length
    }

    /// The marked bytes of the excerpt.
    fn range(&self, span: Span) -> Range<usize> {
        let moved =
            Span { column: span.column.saturating_sub(u32::try_from(self.from).unwrap_or(0)), ..span };
        bytes_of(moved, &self.text)
    }
}

fn line_of(span: Span, lines: &[String]) -> Option<&str> {
    lines.get((span.line as usize).checked_sub(1)?).map(String::as_str)
}

/// The bytes of `line` that `span` marks; at the end of the line: an empty range there.
fn bytes_of(span: Span, line: &str) -> Range<usize> {
    let at = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let start = (span.column as usize).saturating_sub(1);
    at(start)..at(start.saturating_add(span.length.max(1) as usize))
}

/// Byte at which each line of `source` starts, behind a byte order mark.
fn starts(source: &str) -> Vec<usize> {
    let mark = source.len() - source.strip_prefix('\u{feff}').unwrap_or(source).len();
    std::iter::once(mark).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// A place in Terraform's words. Masked lines have the columns of the source, but not its bytes,
/// where a masked character was longer than one.
fn range(span: Span, file: &str, lines: &[String], starts: &[usize]) -> Value {
    let mark = line_of(span, lines).map_or(0..0, |line| bytes_of(span, line));
    let start = (span.line as usize).checked_sub(1).and_then(|at| starts.get(at)).copied().unwrap_or(0);
    let (line, column) = (span.line.max(1), span.column.max(1));
    json!({
        "filename": file,
        "start": {"line": line, "column": column, "byte": start + mark.start},
        "end": {"line": line, "column": column + span.length, "byte": start + mark.end},
    })
}

/// One visible character for each that a terminal would act upon.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => '\t',
            '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
            '\x7f' => '\u{2421}',
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => '\u{fffd}',
            c => c,
        })
        .collect()
}
