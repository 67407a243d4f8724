//! Reads YAML 1.2 (core schema) or JSON into positioned nodes, and refuses what hides meaning: duplicate keys,
//! anchors, aliases, merge keys, tags, several documents.

use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};
use indexmap::IndexMap;

use crate::codes;
use crate::document::node::{Member, Node, NodeData, Path, Style};
use crate::document::report::Report;

/// How large a document may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes at the most.
    pub bytes: usize,
    /// Lists and objects inside each other at the most.
    pub nesting: usize,
    /// Values at the most.
    pub values: usize,
}

/// What a workflow or an action may be.
pub(crate) const DEFINITION: Limits = Limits { bytes: 1024 * 1024, nesting: 64, values: 100_000 };

/// Reads one document. Problems that keep it from being read at all give none.
pub(crate) fn read(text: &str, report: &mut Report<'_>) -> Option<Node> {
    read_within(text, DEFINITION, report)
}

/// As [`read`], with other limits.
pub(crate) fn read_within(text: &str, limits: Limits, report: &mut Report<'_>) -> Option<Node> {
    if text.len() > limits.bytes {
        report
            .at(
                codes::TOO_LARGE,
                1,
                1,
                "",
                format!("the document has {} bytes; the limit is {}", text.len(), limits.bytes),
            )
            .hint("split it into several workflows");
        return None;
    }
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        // More than ours, so that ours is the message people see.
        flow_nesting_limit: limits.nesting + 64,
        block_nesting_limit: limits.nesting + 64,
        // JSON has no limit on the length of a name; the document's own limit holds.
        simple_key_max_lookahead: 16 * 1024,
    };
    let mut builder = Builder { report, limits, nodes: 0, documents: 0, stack: Vec::new(), root: None };
    for next in Parser::new_from_str_with_options(text, options) {
        let step = match next {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => builder.broken(&error),
        };
        step?;
    }
    let root = builder.root;
    if root.is_none() {
        report
            .at(codes::NOT_ONE_DOCUMENT, 1, 1, "", "the document is empty")
            .hint("begin with `document:` and `do:` for a workflow, or `action:` for an action");
    }
    root
}

struct Builder<'r, 's> {
    report: &'r mut Report<'s>,
    limits: Limits,
    nodes: usize,
    documents: usize,
    stack: Vec<Open>,
    root: Option<Node>,
}

/// A list or object that has not ended.
struct Open {
    node: Node,
    /// The name whose value comes next, with its place and whether it is a repetition.
    key: Option<(Arc<str>, u32, u32, bool)>,
}

impl Builder<'_, '_> {
    /// None when reading must stop.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(..) => self.document(span),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.alias(span);
                self.scalar("", ScalarStyle::DoubleQuoted, span)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.properties(anchor, tag.is_some(), span);
                self.scalar(&text, style, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.properties(anchor, tag.is_some(), span);
                self.open(NodeData::Array(Vec::new()), span)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.properties(anchor, tag.is_some(), span);
                self.open(NodeData::Object(IndexMap::new()), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            // Anchors and comments are switched off; a new kind of event carries no node.
            _ => Some(()),
        }
    }

    fn broken(&mut self, error: &ScanError) -> Option<()> {
        let (line, column) = place(*error.marker());
        let pointer = self.here().to_string();
        self.report
            .at(codes::SYNTAX, line, column, pointer, format!("this is not YAML or JSON: {}", error.info()))
            .hint("check the indentation and the quotes; a text with `: ` or ` #` in it needs quotes");
        None
    }

    fn document(&mut self, span: Span) -> Option<()> {
        self.documents += 1;
        if self.documents < 2 {
            return Some(());
        }
        let (line, column) = place(span.start);
        self.report
            .at(codes::NOT_ONE_DOCUMENT, line, column, "", "a second document begins here")
            .hint("publish each document by itself and remove the `---`");
        None
    }

    fn alias(&mut self, span: Span) {
        let (line, column) = place(span.start);
        let pointer = self.here().to_string();
        self.report
            .at(codes::ANCHOR, line, column, pointer, "aliases are not allowed")
            .hint("write the value again, or put it in `use`");
    }

    fn properties(&mut self, anchor: usize, tagged: bool, span: Span) {
        if anchor == 0 && !tagged {
            return;
        }
        let (line, column) = place(span.start);
        let pointer = self.here().to_string();
        if anchor != 0 {
            self.report
                .at(codes::ANCHOR, line, column, pointer.clone(), "anchors are not allowed")
                .hint("remove the `&name`; what is shared belongs in `use`");
        }
        if tagged {
            self.report
                .at(codes::TAG, line, column, pointer, "tags are not allowed")
                .hint("remove the `!tag`; write text in quotes and numbers without");
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Option<()> {
        let (line, column) = place(span.start);
        let wants_key =
            matches!(self.stack.last(), Some(Open { node, key: None }) if node.members().is_some());
        if wants_key {
            return self.key(text, style, line, column);
        }
        let data = self.resolve(text, style, line, column);
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        let node = Node { data, line, column, style, path: self.next_path() };
        self.counted(&node)?;
        self.place_node(node);
        Some(())
    }

    fn key(&mut self, text: &str, style: ScalarStyle, line: u32, column: u32) -> Option<()> {
        let plain = style == ScalarStyle::Plain;
        if plain && text == "<<" {
            let pointer = self.here().to_string();
            self.report
                .at(codes::ANCHOR, line, column, pointer, "merge keys are not allowed")
                .hint("write the members out");
        }
        if plain && matches!(text, "" | "~" | "null") {
            let pointer = self.here().to_string();
            self.report
                .at(codes::NOT_JSON, line, column, pointer, "a member without a name")
                .hint("put the name in quotes if it is meant as text");
        }
        let name: Arc<str> = Arc::from(text);
        let top = self.stack.last_mut()?;
        let repeated = top.node.members().is_some_and(|m| m.contains_key(&name));
        if repeated {
            self.report
                .at(
                    codes::DUPLICATE_KEY,
                    line,
                    column,
                    top.node.path.child(&name).to_string(),
                    format!("`{name}` is here twice"),
                )
                .hint("remove one of them");
        }
        top.key = Some((name, line, column, repeated));
        Some(())
    }

    fn open(&mut self, data: NodeData, span: Span) -> Option<()> {
        let (line, column) = place(span.start);
        let as_key = matches!(self.stack.last(), Some(Open { node, key: None }) if node.members().is_some());
        if as_key {
            let pointer = self.here().to_string();
            self.report
                .at(codes::NOT_JSON, line, column, pointer, "a list or object cannot be a name")
                .hint("use a text");
            return None;
        }
        let node = Node { data, line, column, style: Style::Plain, path: self.next_path() };
        self.counted(&node)?;
        if self.stack.len() >= self.limits.nesting {
            self.report
                .at(
                    codes::TOO_DEEP,
                    line,
                    column,
                    node.path.to_string(),
                    format!("more than {} lists and objects inside each other", self.limits.nesting),
                )
                .hint("make the data flatter");
            return None;
        }
        self.stack.push(Open { node, key: None });
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let open = self.stack.pop()?;
        self.place_node(open.node);
        Some(())
    }

    fn place_node(&mut self, node: Node) {
        let Some(top) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        match (&mut top.node.data, top.key.take()) {
            (NodeData::Array(items), _) => items.push(node),
            (NodeData::Object(members), Some((name, line, column, false))) => {
                members.insert(name, Member { line, column, value: node });
            }
            // A repetition was reported; the first value stays.
            _ => {}
        }
    }

    fn counted(&mut self, node: &Node) -> Option<()> {
        self.nodes += 1;
        if self.nodes <= self.limits.values {
            return Some(());
        }
        self.report
            .at(
                codes::TOO_DEEP,
                node.line,
                node.column,
                node.path.to_string(),
                format!("more than {} values", self.limits.values),
            )
            .hint("split it into several workflows");
        None
    }

    /// The path of what is read next.
    fn next_path(&self) -> Path {
        let Some(top) = self.stack.last() else { return Path::default() };
        match (&top.node.data, &top.key) {
            (NodeData::Array(items), _) => top.node.path.child(&Arc::from(items.len().to_string())),
            (_, Some((name, ..))) => top.node.path.child(name),
            _ => top.node.path.clone(),
        }
    }

    fn here(&self) -> Path {
        self.next_path()
    }

    /// The core schema of YAML 1.2: `no` and `on` are texts.
    fn resolve(&mut self, text: &str, style: ScalarStyle, line: u32, column: u32) -> NodeData {
        if style != ScalarStyle::Plain {
            return NodeData::String(Arc::from(text));
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => NodeData::Null,
            "true" | "True" | "TRUE" => NodeData::Bool(true),
            "false" | "False" | "FALSE" => NodeData::Bool(false),
            _ => number(text).unwrap_or_else(|| {
                let bare = text.trim_start_matches(['+', '-']);
                if matches!(bare, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
                    let pointer = self.here().to_string();
                    self.report
                        .at(codes::NOT_JSON, line, column, pointer, format!("`{text}` is not a JSON number"))
                        .hint("put it in quotes if it is meant as text");
                }
                NodeData::String(Arc::from(text))
            }),
        }
    }
}

fn number(text: &str) -> Option<NodeData> {
    let based = |digits: &str, base| {
        let clean = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
        clean.then(|| i64::from_str_radix(digits, base).ok()).flatten().map(NodeData::Int)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = body.split_once(['e', 'E']).map_or((body, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let some_digit = !whole.is_empty() || fraction.is_some_and(|f| !f.is_empty());
    let exponent_fine = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    if !some_digit || !digits(whole) || !fraction.is_none_or(digits) || !exponent_fine {
        return None;
    }
    if fraction.is_none()
        && exponent.is_none()
        && let Ok(int) = text.parse::<i64>()
    {
        return Some(NodeData::Int(int));
    }
    text.parse::<f64>().ok().filter(|f| f.is_finite()).map(NodeData::Float)
}

fn place(mark: Marker) -> (u32, u32) {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (narrow(mark.line()).max(1), narrow(mark.col()).saturating_add(1))
}
