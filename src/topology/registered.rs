//! What processes serve in the words of an installed Synapse, as `modules/venv/registered.py` writes it.
//!
//! It comes from a host: bounded and typed. Never in it: where requests should go.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::sample::samples;

/// Run with the venv's Python; says what processes serve.
pub const SCRIPT: &str = include_str!("../../modules/venv/registered.py");

/// More patterns than this are no Synapse.
const PATTERNS: usize = 5000;

/// Bytes; Synapse's longest has about 200.
const LENGTH: usize = 2000;

/// What one kind of process serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// Names of the processes; none: a main process that handles media too, as there would be
    /// without workers.
    pub processes: Vec<String>,
    /// In the order in which Synapse tries them.
    pub served: Vec<Served>,
}

/// One pattern that a process serves.
#[derive(Debug, Clone)]
pub struct Served {
    /// Path of the resource that the pattern hangs below: it sees only requests for what lies there.
    pub at: String,
    /// Methods it has a handler for.
    pub methods: Vec<Handled>,
    /// Synapse's regular expression.
    pub pattern: String,
    regex: Arc<Regex>,
}

/// A method with a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// `GET`.
    pub method: String,
    /// The handler raises unless its process writes the stream.
    pub refused: bool,
}

/// What a process does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// There is a handler.
    Served,
    /// There is a handler that raises on a process that does not write the stream.
    Refused,
    /// 404 or 405 `M_UNRECOGNIZED`.
    Unrecognized,
}

/// Compiled patterns by text: processes share most of them.
#[derive(Debug, Default)]
pub struct Patterns(std::collections::BTreeMap<String, Arc<Regex>>);

impl Patterns {
    /// Compiles a pattern that Python would match from the beginning of a path. A path on the wire is ASCII; Unicode
    /// and lazy automata would take more than twice the memory.
    fn compiled(&mut self, pattern: &str) -> Option<Arc<Regex>> {
        if let Some(known) = self.0.get(pattern) {
            return Some(Arc::clone(known));
        }
        let anchored = format!("^(?:{pattern})");
        let regex = Arc::new(
            RegexBuilder::new(&anchored).unicode(false).size_limit(1 << 20).dfa_size_limit(0).build().ok()?,
        );
        self.0.insert(pattern.to_owned(), Arc::clone(&regex));
        Some(regex)
    }
}

impl Registered {
    /// Reads one line of the script.
    ///
    /// Errors, in words: no such JSON, more than a Synapse has, a pattern that cannot be matched in
    /// bounded time (look-around).
    pub fn read(line: &str, patterns: &mut Patterns) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Line {
            processes: Vec<String>,
            served: Vec<(String, String, String)>,
        }
        let line: Line =
            serde_json::from_str(line).map_err(|_| "what it serves is told in another form".to_owned())?;
        Self::new(line.processes, line.served, patterns)
    }

    /// From where, methods (separated by spaces; a refused one begins with `-`) and pattern.
    pub fn new(
        processes: Vec<String>,
        lines: Vec<(String, String, String)>,
        patterns: &mut Patterns,
    ) -> Result<Self, String> {
        if lines.len() > PATTERNS {
            return Err(format!("it serves {} patterns, more than any Synapse", lines.len()));
        }
        let served = lines.into_iter().map(|(at, methods, pattern)| {
            let regex = Some(&pattern).filter(|pattern| pattern.len() <= LENGTH);
            let regex = regex.and_then(|pattern| patterns.compiled(pattern));
            let regex = regex.ok_or_else(|| {
                format!(
                    "the pattern {:?} cannot be matched here",
                    pattern.chars().take(120).collect::<String>()
                )
            })?;
            let methods = methods.split_whitespace().map(|word| Handled {
                method: word.trim_start_matches('-').to_owned(),
                refused: word.starts_with('-'),
            });
            Ok(Served { at, methods: methods.collect(), pattern, regex })
        });
        Ok(Self { processes, served: served.collect::<Result<_, String>>()? })
    }

    /// What such a process does with a request for this path (as on the wire, without query).
    pub fn answer(&self, method: &str, path: &str) -> Answer {
        let mut deepest = 0;
        let below =
            |at: &str| path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        for one in self.served.iter().filter(|one| below(&one.at)) {
            deepest = deepest.max(one.at.len());
        }
        let mut there = self.served.iter().filter(|one| one.at.len() == deepest && below(&one.at));
        let Some(found) = there.find(|one| one.regex.is_match(path.as_bytes())) else {
            return Answer::Unrecognized;
        };
        match found.methods.iter().find(|known| known.method == method) {
            None => Answer::Unrecognized,
            Some(known) if known.refused => Answer::Refused,
            Some(_) => Answer::Served,
        }
    }
}

impl Served {
    /// Paths for which such a process asks this pattern.
    pub fn samples(&self) -> Vec<String> {
        samples(&self.pattern, |path| self.regex.is_match(path.as_bytes()))
    }
}

impl PartialEq for Served {
    fn eq(&self, other: &Self) -> bool {
        (&self.at, &self.methods, &self.pattern) == (&other.at, &other.methods, &other.pattern)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Served => "serve it",
            Self::Refused => "raise an error",
            Self::Unrecognized => "answer 404 M_UNRECOGNIZED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(lines: &[(&str, &str, &str)]) -> Registered {
        let lines = lines
            .iter()
            .map(|(at, methods, pattern)| ((*at).to_owned(), (*methods).to_owned(), (*pattern).to_owned()));
        Registered::new(Vec::new(), lines.collect(), &mut Patterns::default()).unwrap()
    }

    #[test]
    fn the_first_pattern_of_the_deepest_resource_answers() {
        let process = registered(&[
            ("/a", "GET", "^/a/x$"),
            ("/a", "GET -PUT", "^/a/(?P<y>[^/]*)$"),
            ("/a", "PUT", "^/a/x$"),
            ("/a/b", "POST", "/a/(b|c)/up$"),
        ]);
        for (request, answer) in [
            ("GET /a/x", Answer::Served),
            ("PUT /a/x", Answer::Unrecognized),
            ("PUT /a/y", Answer::Refused),
            ("POST /a/b/up", Answer::Served),
            // Registered below /a/b only, and Python matches from the beginning.
            ("POST /a/c/up", Answer::Unrecognized),
            ("POST /b/a/b/up", Answer::Unrecognized),
            ("GET /ab", Answer::Unrecognized),
        ] {
            let (method, path) = request.split_once(' ').unwrap();
            assert_eq!(process.answer(method, path), answer, "{request}");
        }
    }

    #[test]
    fn what_a_host_sends_is_bounded() {
        let mut patterns = Patterns::default();
        for line in [
            "",
            "[]",
            r#"{"processes": [], "served": [["/a", "GET", "^/a(?=b)"]]}"#,
            r#"{"processes": [], "served": [["/a", "GET", "^((((x{50}){50}){50}){50})$"]]}"#,
            r#"{"processes": [], "served": [], "more": 1}"#,
        ] {
            assert!(Registered::read(line, &mut patterns).is_err(), "{line}");
        }
        let long = format!(r#"{{"processes": [], "served": [["/a", "GET", "{}"]]}}"#, "a".repeat(LENGTH + 1));
        assert!(Registered::read(&long, &mut patterns).is_err());
        let many = vec![("/a".to_owned(), "GET".to_owned(), "a".to_owned()); PATTERNS + 1];
        assert!(Registered::new(Vec::new(), many, &mut patterns).is_err());
    }
}
