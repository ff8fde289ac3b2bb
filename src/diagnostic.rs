//! What is wrong in a file that a person wrote: where, what, and what to write instead.
//!
//! Data only. `render` turns it into text with the source line, or into JSON.

use std::collections::HashSet;

use serde::Serialize;

use crate::secret::names_a_secret;

/// A place in a source file. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// Line, from 1; 0 means "the file as a whole".
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How many characters the marked text has, at least 1.
    pub length: u32,
}

/// A value together with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Joins a value and its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// How bad it is. Errors stop; warnings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is planned or applied while one of these stands.
    Error,
    /// Shown, and the run goes on.
    Warning,
}

/// One finding about the inventory, its lock or a module file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// One line, lower case, no full stop, naming the thing: `unknown key "handels" in worker "sync"`.
    pub summary: String,
    /// Where.
    pub span: Span,
    /// What to write or do instead; `did you mean "handles"?`
    pub help: Option<String>,
    /// Other places that explain it, with a short text: `first used here`.
    pub related: Vec<(Span, String)>,
    /// `true`: at `span` a secret may stand; `render` never shows the text there.
    #[serde(skip)]
    pub sensitive: bool,
    /// `true`: at `span` is a key, misspelt perhaps, whose value may be a secret; `render` never shows that value.
    #[serde(skip)]
    pub before_secret: bool,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(span: Span, summary: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            summary: summary.into(),
            span,
            help: None,
            related: Vec::new(),
            sensitive: false,
            before_secret: false,
        }
    }

    /// A warning at `span`.
    pub fn warning(span: Span, summary: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, summary) }
    }

    /// Adds what to write or do instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds which key the one at `span` was probably meant to be.
    pub fn meant(mut self, key: &str) -> Self {
        self.before_secret = key == "secret" || names_a_secret(key);
        self.help(format!("did you mean {key:?}?"))
    }

    /// Says that a secret may stand at `span`.
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Adds another place that explains the finding.
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }
}

/// Findings of two looks at one file, in its order. Where the first look found an error, the second says nothing.
pub fn joined(first: Vec<Diagnostic>, second: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let errors = first.iter().filter(|found| found.severity == Severity::Error).map(|found| found.span);
    let errors: HashSet<Span> = errors.filter(|span| *span != Span::default()).collect();
    let second = second.into_iter().filter(|found| !errors.contains(&found.span));
    let mut all: Vec<Diagnostic> = first.into_iter().chain(second).collect();
    all.sort_by_key(|found| (found.span.line, found.span.column));
    all.dedup();
    all
}
