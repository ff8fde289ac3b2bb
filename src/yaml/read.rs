//! Text to tree: events of the YAML library become [`Node`]s with places.
//!
//! Everything wrong that the grammar lets us step over is reported in one go: duplicate and
//! non-text keys, unknown anchors, tags, ambiguous scalars. Bounded in size, depth and in what
//! aliases expand to, so that no file makes it slow.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Tag};

use super::mapping::{Key, finish, read_key};
use super::scalar::resolve;
use super::trouble::{ambiguous, control_character, count, place_of, syntax};
use super::{Kind, Node};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::secret::names_a_secret;

/// Longest document, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// Most values in a document, expanded aliases counted each time.
const MAX_NODES: usize = 500_000;
/// Reading stops when more than this is wrong: it is another kind of file then.
const MAX_FOUND: usize = 1000;
/// Deepest nesting, expanded aliases included.
pub(super) const MAX_DEPTH: usize = 100;

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
    /// Place of the `{{ … }}` that this mapping really is.
    template: Option<Span>,
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
                    self.found.push(syntax(self.text, self.last, &error));
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
            if self.found.len() > MAX_FOUND {
                return None;
            }
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
            (documents == 0 && self.found.is_empty()).then_some(Node {
                kind: Kind::Null,
                span: Span { line: 1, column: 1, length: 1 },
                written: None,
            })
        })
    }

    fn open(&mut self, items: Items, start: granit_parser::Span, anchor: usize) -> Option<Node> {
        self.stack.push(Frame { items, start, anchor, nodes: 1, height: 1, template: None });
        None
    }

    fn close(&mut self, end: &granit_parser::Span) -> Option<Node> {
        let frame = self.stack.pop()?;
        let span = self.range(frame.start.start, end.end);
        if let Some(span) = frame.template {
            // Reported there, so that nobody complains about a mapping where text belongs.
            return self.complete(Node { kind: Kind::Null, span, written: None }, 0, 1, 1);
        }
        let kind = match frame.items {
            Items::Seq(items) => Kind::Seq(items),
            Items::Map { entries, merges, .. } => Kind::Map(finish(&mut self.found, entries, merges)),
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
                None => {
                    let start = frame.start.start.byte_offset().and_then(|at| self.text.get(at..));
                    if start.is_some_and(|text| text.starts_with("{{")) && matches!(node.kind, Kind::Map(_)) {
                        frame.template = Some(node.span);
                    }
                    *key = Some(read_key(node, frame.template.is_some(), &mut self.found));
                }
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
            self.refuse_tag(tag, span);
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
                        ambiguous(text, &trouble, place)
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
            self.refuse_tag(tag, span);
        }
    }

    fn refuse_tag(&mut self, tag: &Tag, span: &granit_parser::Span) {
        let place = span.tag_span().map_or_else(|| self.span(span), |span| self.span(&span));
        let name = tag.original();
        let help = match name.as_str() {
            "!secret" | "!vault" => "write {secret: NAME} and declare NAME under synapse.secrets",
            _ => "write the value without a tag",
        };
        self.found.push(Diagnostic::error(place, format!("YAML tag {name} is not supported")).help(help));
    }

    fn too_deep(&mut self, place: Span) {
        self.found.push(Diagnostic::error(place, format!("nested more than {MAX_DEPTH} levels deep")));
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        self.range(span.start, span.end)
    }

    /// From `start` to `end`, at most to the end of the first line.
    fn range(&self, start: granit_parser::Marker, end: granit_parser::Marker) -> Span {
        let from = start.byte_offset().unwrap_or(0).min(self.text.len());
        let to = end.byte_offset().unwrap_or(from).clamp(from, self.text.len());
        let whole = self.text.get(from..to).unwrap_or("");
        let marked = whole.split(['\n', '\r']).next().unwrap_or("").trim_end();
        Span {
            line: count(start.line().max(1)),
            column: count(start.col() + 1),
            length: count(marked.chars().count().max(1)),
        }
    }
}
