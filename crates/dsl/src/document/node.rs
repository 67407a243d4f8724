//! A JSON tree in which every node knows its line, column and pointer.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use model::{Data, Label, Value};

/// One node of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What stands there.
    pub data: NodeData,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How a text was written; tells where in the source its characters stand.
    pub style: Style,
    /// The way from the root.
    pub path: Path,
}

/// The seven kinds of JSON data, with positions below.
#[derive(Clone, Debug)]
pub(crate) enum NodeData {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Arc<str>),
    Array(Vec<Node>),
    Object(IndexMap<Arc<str>, Member>),
}

/// A member of an object: the position of its name, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub line: u32,
    pub column: u32,
    pub value: Node,
}

/// How a scalar is written in the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// Without quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// `|` block: lines are kept.
    Literal,
    /// `>` block: lines are joined.
    Folded,
}

/// A JSON Pointer that shares its beginning with the pointers of the nodes above.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path(Option<Arc<Segment>>);

#[derive(Debug)]
struct Segment {
    parent: Path,
    name: Arc<str>,
}

impl Path {
    /// The path of a member or item of this one.
    pub fn child(&self, name: &Arc<str>) -> Path {
        Path(Some(Arc::new(Segment { parent: self.clone(), name: name.clone() })))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(segment) = &self.0 else { return Ok(()) };
        write!(f, "{}/{}", segment.parent, segment.name.replace('~', "~0").replace('/', "~1"))
    }
}

impl Node {
    /// The member called `name`, when this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members().and_then(|m| m.get(name)).map(|m| &m.value)
    }

    /// The text, when this is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            NodeData::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a member, when it is a string.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Node::text)
    }

    /// The members, when this is an object.
    pub fn members(&self) -> Option<&IndexMap<Arc<str>, Member>> {
        match &self.data {
            NodeData::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items, when this is a list; none of them otherwise.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            NodeData::Array(items) => items,
            _ => &[],
        }
    }

    /// The kind for people, with its article.
    pub fn kind(&self) -> &'static str {
        match self.data {
            NodeData::Null => "null",
            NodeData::Bool(_) => "a boolean",
            NodeData::Int(_) => "a whole number",
            NodeData::Float(_) => "a number",
            NodeData::String(_) => "a text",
            NodeData::Array(_) => "a list",
            NodeData::Object(_) => "an object",
        }
    }

    /// The plain data; every node is labelled as written in a definition.
    pub fn value(&self) -> Value {
        Value::labelled(
            match &self.data {
                NodeData::Null => Data::Null,
                NodeData::Bool(b) => Data::Bool(*b),
                NodeData::Int(i) => Data::Int(*i),
                NodeData::Float(f) => Data::Float(*f),
                NodeData::String(s) => Data::String(s.clone()),
                NodeData::Array(items) => Data::Array(Arc::new(items.iter().map(Node::value).collect())),
                NodeData::Object(members) => Data::Object(Arc::new(
                    members.iter().map(|(k, m)| (k.clone(), m.value.value())).collect(),
                )),
            },
            Label::DEFINITION,
        )
    }
}
