//! The compact tree that the parser builds and the machine walks: names are slots, functions are numbers.

use std::sync::Arc;

use model::{Data, Value};

use super::native::Native;

/// A node with what the machine wants to know before it looks inside.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Gives exactly one value, or an error: no generator is needed.
    pub(super) single: bool,
    /// The longest way down, so that no walk of the tree is too deep.
    pub(super) height: u16,
}

impl Node {
    /// Adds the members of the objects that are written out at the top.
    pub(super) fn members_set(&self, names: &mut std::collections::BTreeSet<Arc<str>>) {
        match &self.kind {
            Kind::Object(members) => names.extend(members.iter().filter_map(|(key, _)| match &key.kind {
                Kind::Literal(Value { data: Data::String(name), .. }) => Some(Arc::clone(name)),
                _ => None,
            })),
            Kind::Literal(Value { data: Data::Object(members), .. }) => names.extend(members.keys().cloned()),
            Kind::Binary(Op::Add | Op::Multiply, left, right) => {
                left.members_set(names);
                right.members_set(names);
            }
            Kind::Pipe(steps) => {
                if let Some(last) = steps.last() {
                    last.members_set(names);
                }
            }
            _ => {}
        }
    }
}

/// Variables, closures, functions and labels live in one chain; an index counts from its newest end.
#[derive(Debug)]
pub(super) enum Kind {
    Identity,
    Literal(Value),
    Text(Option<Format>, Vec<Part>),
    Array(Option<Box<Node>>),
    Object(Vec<(Node, Node)>),
    Negate(Box<Node>),
    Pipe(Vec<Node>),
    Comma(Vec<Node>),
    Binary(Op, Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Alternative(Box<Node>, Box<Node>),
    /// `path = value`: the value is computed from the whole input.
    Assign(Box<Node>, Box<Node>),
    /// `path |= filter`
    Update(Box<Node>, Box<Node>),
    /// `path += value` and its kin; `None` is `//=`.
    UpdateWith(Option<Op>, Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Try(Box<Node>, Option<Box<Node>>),
    Reduce(Box<Fold>),
    Foreach(Box<Fold>),
    Bind(Box<Node>, Vec<Pattern>, usize, Box<Node>),
    Label(Box<Node>),
    Break(usize),
    Define(Box<Function>, Box<Node>),
    Variable(usize),
    Global(usize),
    Closure(usize),
    Call(usize, Vec<Node>),
    /// A function of the prelude.
    CallTop(usize, Vec<Node>),
    Native(Native, Vec<Node>),
    Index(Box<Node>, Box<Node>),
    Slice(Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
    Iterate(Box<Node>),
}

/// `reduce` and `foreach`.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) source: Node,
    pub(super) pattern: Pattern,
    pub(super) slots: usize,
    pub(super) init: Node,
    pub(super) update: Node,
    pub(super) extract: Option<Node>,
}

#[derive(Debug)]
pub(super) enum Part {
    Text(Arc<str>),
    Node(Node),
}

/// What a destructuring pattern binds: slots in order of appearance.
#[derive(Debug)]
pub(super) enum Pattern {
    Variable(usize),
    Array(Vec<Pattern>),
    /// Key, the variable of `$name`, the pattern of the member.
    Object(Vec<(Node, Option<usize>, Option<Pattern>)>),
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) params: usize,
    /// Which parameters are also values (`$name`), in order.
    pub(super) values: Vec<usize>,
    pub(super) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Base64,
    Base64Decode,
    Uri,
    Csv,
    Tsv,
    Html,
    Sh,
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Format> {
        Some(match name {
            "text" => Format::Text,
            "json" => Format::Json,
            "base64" => Format::Base64,
            "base64d" => Format::Base64Decode,
            "uri" => Format::Uri,
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "html" => Format::Html,
            "sh" => Format::Sh,
            _ => return None,
        })
    }
}

/// A compiled expression: its tree, the prelude functions it uses, the names of its free variables.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) text: Arc<str>,
    pub(super) root: Node,
    pub(super) functions: Vec<Function>,
    pub(super) globals: Vec<Arc<str>>,
}

impl Node {
    pub(super) fn new(kind: Kind) -> Node {
        let (single, height) = shape(&kind);
        Node { kind, single, height: height.saturating_add(1) }
    }

    pub(super) fn literal(value: Value) -> Node {
        Node::new(Kind::Literal(value))
    }
}

/// Whether a node gives exactly one value, and the height of its tallest child.
fn shape(kind: &Kind) -> (bool, u16) {
    let all = |nodes: &[&Node]| {
        (nodes.iter().all(|n| n.single), nodes.iter().map(|n| n.height).max().unwrap_or_default())
    };
    let tall = |nodes: &[&Node]| (false, all(nodes).1);
    match kind {
        Kind::Identity | Kind::Literal(_) | Kind::Variable(_) | Kind::Global(_) | Kind::Array(None) => {
            (true, 0)
        }
        Kind::Break(_) | Kind::Closure(_) => (false, 0),
        Kind::Array(Some(node)) => (true, node.height),
        Kind::Text(_, parts) => all(&parts
            .iter()
            .filter_map(|p| match p {
                Part::Text(_) => None,
                Part::Node(node) => Some(node),
            })
            .collect::<Vec<_>>()),
        Kind::Object(members) => all(&members.iter().flat_map(|(k, v)| [k, v]).collect::<Vec<_>>()),
        Kind::Negate(node) => all(&[node]),
        Kind::Pipe(nodes) => all(&nodes.iter().collect::<Vec<_>>()),
        Kind::Comma(nodes) | Kind::Call(_, nodes) | Kind::CallTop(_, nodes) => {
            tall(&nodes.iter().collect::<Vec<_>>())
        }
        Kind::Binary(_, a, b)
        | Kind::And(a, b)
        | Kind::Or(a, b)
        | Kind::Alternative(a, b)
        | Kind::Index(a, b) => all(&[a, b]),
        Kind::Assign(path, value) | Kind::UpdateWith(_, path, value) => {
            (value.single, path.height.max(value.height))
        }
        Kind::Update(path, filter) => (true, path.height.max(filter.height)),
        Kind::If(a, b, c) => all(&[a, b, c]),
        Kind::Try(a, b) => (false, a.height.max(b.as_ref().map_or(0, |b| b.height))),
        Kind::Reduce(fold) => {
            (fold.init.single, fold.source.height.max(fold.init.height).max(fold.update.height))
        }
        Kind::Foreach(fold) => (
            false,
            (fold.source.height.max(fold.init.height).max(fold.update.height))
                .max(fold.extract.as_ref().map_or(0, |e| e.height)),
        ),
        Kind::Bind(source, patterns, _, body) => {
            let plain = matches!(patterns.as_slice(), [Pattern::Variable(_)]);
            (plain && source.single && body.single, source.height.max(body.height))
        }
        Kind::Label(body) | Kind::Iterate(body) => (false, body.height),
        Kind::Define(function, body) => (body.single, function.body.height.max(body.height)),
        Kind::Native(native, args) => {
            let (single, height) = all(&args.iter().collect::<Vec<_>>());
            (single && !native.generates(), height)
        }
        Kind::Slice(base, from, to) => {
            let bounds = [from, to].into_iter().flatten();
            let single = base.single && bounds.clone().all(|n| n.single);
            (single, bounds.map(|n| n.height).max().unwrap_or_default().max(base.height))
        }
    }
}
