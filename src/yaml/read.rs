//! Text to tree: events of the YAML library become [`Node`]s with places.
//!
//! Everything wrong that the grammar lets us step over is reported in one go: duplicate and
//! non-text keys, unknown anchors, tags, ambiguous scalars. Bounded in size, depth and in what
//! aliases expand to, so that no file makes it slow.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Tag};

use super::scalar::{Trouble, resolve};
use super::{Kind, Node};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::secret::names_a_secret;

/// Longest document, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// Most values in a document, expanded aliases counted each time.
const MAX_NODES: usize = 500_000;
/// Deepest nesting, expanded aliases included.
const MAX_DEPTH: usize = 100;

/// Reads one document. `Err` has everything that is wrong with it, in file order.
pub fn parse(text: &str) -> Result<Node, Vec<Diagnostic>> {
    match parse_lenient(text) {
        (Some(node), diagnostics) if diagnostics.is_empty() => Ok(node),
        (_, diagnostics) => Err(diagnostics),
    }
}

/// Reads one document; where the fault is local (a duplicate key, an ambiguous value) the tree
/// comes along, so that the caller can report what else is wrong.
pub fn parse_lenient(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        let summary = format!("the file is larger than {} MB", MAX_BYTES >> 20);
        return (None, vec![Diagnostic::error(Span::default(), summary)]);
    }
    if let Some(diagnostic) = control_character(text) {
        return (None, vec![diagnostic]);
    }
    let mut builder = Builder::new(text);
    let root = builder.run();
    let mut found = builder.found;
    found.sort_by_key(|diagnostic| (diagnostic.span.line, diagnostic.span.column));
    (root, found)
}

/// Bytes of a file as text; `Err` names the line of the first byte that is not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, Vec<Diagnostic>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let span = place_of(&good, good.len());
        let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let summary = if wide {
            "the file is UTF-16, not UTF-8".to_owned()
        } else {
            format!("byte 0x{:02x} is not UTF-8", bytes.get(error.valid_up_to()).copied().unwrap_or_default())
        };
        vec![Diagnostic::error(span, summary).help("save the file as UTF-8")]
    })
}

/// The first character that no YAML file may hold (YAML 1.2.2 section 5.1).
fn control_character(text: &str) -> Option<Diagnostic> {
    let (at, character) = text.char_indices().find(|(_, c)| {
        matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f' | '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}')
    })?;
    let span = place_of(text, at);
    let (number, name) = (character as u32, if character == '\0' { " (NUL)" } else { "" });
    let escape = if number < 0x100 { format!("\\x{number:02x}") } else { format!("\\u{number:04x}") };
    Some(
        Diagnostic::error(span, format!("control character U+{number:04X}{name} in the file"))
            .help(format!("delete it, or write it as an escape in double quotes: \"{escape}\"")),
    )
}

/// Line and column of byte `at`, which is on a character's boundary.
fn place_of(text: &str, at: usize) -> Span {
    let before = text.get(..at).unwrap_or(text);
    Span {
        line: count(before.matches('\n').count() + 1),
        column: count(before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1),
        length: 1,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A finished value that an alias can repeat.
struct Anchored {
    node: Node,
    nodes: usize,
    height: usize,
}

/// A collection that is still open.
struct Frame {
    items: Items,
    start: granit_parser::Span,
    anchor: usize,
    nodes: usize,
    height: usize,
}

enum Items {
    Seq(Vec<Node>),
    /// Entries, `<<` values, and the key whose value comes next (`None` in it: unusable).
    Map {
        entries: Vec<(Spanned<String>, Node)>,
        merges: Vec<Node>,
        key: Option<Key>,
    },
}

enum Key {
    Name(Spanned<String>),
    Merge,
    Unusable,
}

struct Builder<'a> {
    text: &'a str,
    found: Vec<Diagnostic>,
    anchors: HashMap<usize, Anchored>,
    stack: Vec<Frame>,
    nodes: usize,
    /// Where the last event ended, in bytes.
    last: usize,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new(), anchors: HashMap::new(), stack: Vec::new(), nodes: 0, last: 0 }
    }

    fn run(&mut self) -> Option<Node> {
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        let mut root = None;
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(self.text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.syntax(&error);
                    return None;
                }
            };
            let done = match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        self.found.push(
                            Diagnostic::error(self.span(&span), "a second YAML document starts here")
                                .help("keep one document in the file: delete the `---` between them"),
                        );
                        return root;
                    }
                    None
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let node = self.scalar(&text, style, tag.as_deref(), &span);
                    self.complete(node, anchor, 1, 1)
                }
                Event::Alias(id) => self.alias(id, &span),
                Event::UnresolvedAlias(name) => {
                    self.found.push(
                        Diagnostic::error(self.span(&span), format!("unknown anchor \"{name}\""))
                            .help(format!("define it before its use with &{name}, or quote the text")),
                    );
                    let node = Node { kind: Kind::Null, span: self.span(&span), written: None };
                    self.complete(node, 0, 1, 1)
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.collection_tag(tag.as_deref(), "seq", &span);
                    self.open(Items::Seq(Vec::new()), span, anchor)
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.collection_tag(tag.as_deref(), "map", &span);
                    self.open(Items::Map { entries: Vec::new(), merges: Vec::new(), key: None }, span, anchor)
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(&span),
                _ => None,
            };
            self.last = span.byte_range().map_or(self.last, |range| range.end.max(self.last));
            root = done.or(root);
            if self.nodes > MAX_NODES {
                self.found.push(
                    Diagnostic::error(self.span(&span), format!("more than {MAX_NODES} values in the file"))
                        .help("aliases (`*name`) count each time they repeat their anchor"),
                );
                return None;
            }
            if self.stack.len() > MAX_DEPTH {
                self.too_deep(self.span(&span));
                return None;
            }
        }
        root.or_else(|| {
            (documents == 0 && self.found.is_empty()).then(|| Node {
                kind: Kind::Null,
                span: Span { line: 1, column: 1, length: 1 },
                written: None,
            })
        })
    }

    fn open(&mut self, items: Items, start: granit_parser::Span, anchor: usize) -> Option<Node> {
        self.stack.push(Frame { items, start, anchor, nodes: 1, height: 1 });
        None
    }

    fn close(&mut self, end: &granit_parser::Span) -> Option<Node> {
        let frame = self.stack.pop()?;
        let span = self.range(frame.start.start, Some(end.end));
        let kind = match frame.items {
            Items::Seq(items) => Kind::Seq(items),
            Items::Map { entries, merges, .. } => Kind::Map(self.finish_map(entries, merges)),
        };
        self.complete(Node { kind, span, written: None }, frame.anchor, frame.nodes, frame.height)
    }

    /// Puts a finished value where it belongs; returns it if it is the root.
    fn complete(&mut self, node: Node, anchor: usize, nodes: usize, height: usize) -> Option<Node> {
        self.nodes += 1;
        if anchor != 0 {
            self.nodes += nodes;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, height });
        }
        let Some(frame) = self.stack.last_mut() else { return Some(node) };
        frame.nodes += nodes;
        frame.height = frame.height.max(height + 1);
        match &mut frame.items {
            Items::Seq(items) => items.push(node),
            Items::Map { entries, merges, key } => match key.take() {
                Some(Key::Name(name)) => entries.push((name, node)),
                Some(Key::Merge) => merges.push(node),
                Some(Key::Unusable) => {}
                None => *key = Some(read_key(node, &mut self.found)),
            },
        }
        None
    }

    fn alias(&mut self, id: usize, span: &granit_parser::Span) -> Option<Node> {
        let place = self.span(span);
        let Some(anchored) = self.anchors.get(&id) else {
            self.found.push(
                Diagnostic::error(place, "an alias inside its own anchor")
                    .help("a value cannot contain itself: write it out once"),
            );
            return self.complete(Node { kind: Kind::Null, span: place, written: None }, 0, 1, 1);
        };
        let (nodes, height) = (anchored.nodes, anchored.height);
        self.nodes += nodes;
        // Over budget: `run` reports it; the copy is not even made.
        let deep = self.stack.len() + height > MAX_DEPTH;
        let node = if deep || self.nodes > MAX_NODES {
            Node { kind: Kind::Null, span: place, written: None }
        } else {
            anchored.node.clone()
        };
        if deep {
            self.too_deep(place);
        }
        self.complete(node, 0, nodes, if deep { 1 } else { height })
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &granit_parser::Span,
    ) -> Node {
        let place = self.span(span);
        let plain = style == ScalarStyle::Plain;
        let text_tag = tag.is_some_and(|tag| tag.core_suffix() == Some("str") || tag.original() == "!");
        if let Some(tag) = tag.filter(|_| !text_tag) {
            self.refuse_tag(tag, place);
        }
        let as_text = || Kind::String(text.to_owned());
        let kind = if !plain || tag.is_some() {
            as_text()
        } else if text == "<<" && self.expects_key() {
            // Told from a quoted "<<" by `written`.
            as_text()
        } else {
            match resolve(text) {
                Ok(kind) => kind,
                Err(trouble) => {
                    let diagnostic = if self.in_secret() {
                        // Not even quoted in a message.
                        Diagnostic::error(place, "a value that YAML readers understand differently")
                            .sensitive()
                            .help("put it in quotes if text is meant")
                    } else {
                        trouble_diagnostic(text, &trouble, place)
                    };
                    self.found.push(diagnostic);
                    as_text()
                }
            }
        };
        Node { kind, span: place, written: (plain && tag.is_none()).then(|| text.to_owned()) }
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { items: Items::Map { key: None, .. }, .. }))
    }

    /// Whether the value to come is a secret, going by the keys above it.
    fn in_secret(&self) -> bool {
        let mut keys = self.stack.iter().rev().filter_map(|frame| match &frame.items {
            Items::Map { key: Some(Key::Name(name)), .. } => Some(name.value.as_str()),
            _ => None,
        });
        keys.next().is_some_and(names_a_secret) || keys.any(|key| key == "secrets")
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, span: &granit_parser::Span) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(expected)) {
            let place = self.span(span);
            self.refuse_tag(tag, place);
        }
    }

    fn refuse_tag(&mut self, tag: &Tag, place: Span) {
        let name = tag.original();
        let help = match name.as_str() {
            "!secret" | "!vault" => "write {secret: NAME} and declare NAME under synapse.secrets",
            _ => "write the value without a tag",
        };
        self.found.push(Diagnostic::error(place, format!("YAML tag {name} is not supported")).help(help));
    }

    /// Reports every duplicate, then resolves `<<`: own keys win, then earlier merges.
    fn finish_map(
        &mut self,
        entries: Vec<(Spanned<String>, Node)>,
        merges: Vec<Node>,
    ) -> Vec<(Spanned<String>, Node)> {
        let mut first: HashMap<String, Span> = HashMap::new();
        let mut kept = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            if let Some(before) = first.get(&key.value) {
                self.found.push(
                    Diagnostic::error(key.span, format!("duplicate key \"{}\"", key.value))
                        .related(*before, "first written here")
                        .help("keep one of them"),
                );
                continue;
            }
            first.insert(key.value.clone(), key.span);
            kept.push((key, node));
        }
        let mut sources = Vec::new();
        for merge in merges {
            match merge.kind {
                Kind::Seq(items) => sources.extend(items),
                _ => sources.push(merge),
            }
        }
        for source in sources {
            let Kind::Map(merged) = source.kind else {
                let summary = format!("`<<` merges mappings, this is {}", source.describe());
                self.found.push(
                    Diagnostic::error(source.span, summary).help("write <<: *name, or <<: [*one, *two]"),
                );
                continue;
            };
            for (key, node) in merged {
                if !first.contains_key(&key.value) {
                    first.insert(key.value.clone(), key.span);
                    kept.push((key, node));
                }
            }
        }
        kept
    }

    fn too_deep(&mut self, place: Span) {
        self.found.push(Diagnostic::error(place, format!("nested more than {MAX_DEPTH} levels deep")));
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        self.range(span.start, Some(span.end))
    }

    /// From `start` to `end`, at most to the end of the first line.
    fn range(&self, start: granit_parser::Marker, end: Option<granit_parser::Marker>) -> Span {
        let from = start.byte_offset().unwrap_or(0).min(self.text.len());
        let rest = self.text.get(from..).unwrap_or("");
        let line = rest.split(['\n', '\r']).next().unwrap_or("");
        let to = end.and_then(|end| end.byte_offset()).unwrap_or(from).saturating_sub(from);
        let marked = line.get(..to.min(line.len())).unwrap_or(line).trim_end();
        Span {
            line: count(start.line().max(1)),
            column: count(start.col() + 1),
            length: count(marked.chars().count().max(1)),
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        use granit_parser::ErrorKind as E;
        let mark = error.marker();
        let place = self.range(*mark, None);
        let plain = |summary: &str| Diagnostic::error(place, summary);
        let diagnostic = match error.kind() {
            E::RecursionLimitExceeded => plain(&format!("nested more than {MAX_DEPTH} levels deep")),
            E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabInPlainScalar => {
                let place = self.tab_after(mark).unwrap_or(place);
                Diagnostic::error(place, "a tab where YAML wants spaces").help("indent with spaces")
            }
            E::UnclosedQuotedScalar
            | E::InvalidQuotedScalarIndent
            | E::DocumentIndicatorInQuotedScalar => match self.opening_quote(mark) {
                Some(quote) => Diagnostic::error(quote, "the quote opened here is not closed")
                    .help("close it on the same line"),
                None => plain("a quote is not closed"),
            },
            E::InvalidTrailingSingleQuotedScalar => plain("text after the closing quote")
                .help("inside single quotes write a single quote twice: 'it''s'"),
            E::InvalidTrailingDoubleQuotedScalar => plain("text after the closing quote")
                .help("inside double quotes write a double quote as \\\""),
            E::UnexpectedCharacter { character: character @ ('@' | '`' | '%') } => {
                plain(&format!("text cannot begin with {character}")).help("put the text in quotes")
            }
            E::MappingValueNotAllowed | E::SimpleKeyExpected | E::InvalidSimpleKey => {
                plain(&format!("not valid YAML: {}", error.info()))
                    .help("after a key come a colon and a space; text with `: ` in it needs quotes; the keys of a mapping stand in one column")
            }
            E::UnclosedFlowCollection { open } => plain(&format!("the bracket {open} is not closed")),
            _ => plain(&format!("not valid YAML: {}", error.info())),
        };
        self.found.push(diagnostic);
    }

    /// The first tab from `mark` on: the library's mark is the end of the value before it.
    fn tab_after(&self, mark: &granit_parser::Marker) -> Option<Span> {
        let from = mark.byte_offset()?.min(self.text.len());
        let at = from + self.text.get(from..)?.find('\t')?;
        Some(place_of(self.text, at))
    }

    /// The first quote between the last good event and `mark`: the one that nothing closed.
    fn opening_quote(&self, mark: &granit_parser::Marker) -> Option<Span> {
        let mut at = self.last;
        let end = mark.byte_offset()?.min(self.text.len());
        let mut comment = false;
        for character in self.text.get(at..end)?.chars() {
            match character {
                '\n' => comment = false,
                '#' => comment = true,
                '"' | '\'' if !comment => {
                    return Some(place_of(self.text, at));
                }
                _ => {}
            }
            at += character.len_utf8();
        }
        None
    }
}

/// A key: text as it is, other scalars reported and taken as text, the rest unusable.
fn read_key(node: Node, found: &mut Vec<Diagnostic>) -> Key {
    let Node { kind, span, written } = node;
    match (kind, written) {
        (Kind::String(text), Some(_)) if text == "<<" => Key::Merge,
        (Kind::String(text), _) => Key::Name(Spanned::new(text, span)),
        (_, Some(text)) => {
            found.push(
                Diagnostic::error(span, format!("key `{text}` is not text"))
                    .help(format!("quote it: \"{text}\"")),
            );
            Key::Name(Spanned::new(text, span))
        }
        _ => {
            found.push(Diagnostic::error(span, "a list or mapping as a key").help(
                "keys are text; `{{ … }}` is no template here: put it in quotes if it is meant as text",
            ));
            Key::Unusable
        }
    }
}

fn trouble_diagnostic(text: &str, trouble: &Trouble, place: Span) -> Diagnostic {
    match trouble {
        Trouble::Ambiguous { first: "boolean", .. } => {
            let value = matches!(text.to_ascii_lowercase().as_str(), "yes" | "on");
            Diagnostic::error(place, format!("`{text}` is a boolean to some YAML readers and text to others"))
                .help(format!("write {value}, or \"{text}\" in quotes if text is meant"))
        }
        Trouble::Ambiguous { first, second } => Diagnostic::error(
            place,
            format!("`{text}` is {} to some YAML readers and {} to others", article(first), article(second)),
        )
        .help(if *second == "text" || *first == "text" {
            format!("put it in quotes if text is meant: \"{text}\"")
        } else {
            format!("write it without leading zeros if a decimal number is meant, or in quotes: \"{text}\"")
        }),
        Trouble::TooLarge => Diagnostic::error(place, format!("the integer {text} does not fit in 64 bits"))
            .help(format!("put it in quotes if text is meant: \"{text}\"")),
        Trouble::NotFinite => Diagnostic::error(place, format!("{text} is not a finite number"))
            .help(format!("put it in quotes if text is meant: \"{text}\"")),
    }
}

fn article(kind: &str) -> String {
    match kind {
        "text" => kind.to_owned(),
        "integer" | "octal integer" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}
