//! JSON values that know where they came from.
//!
//! A label sits on every node. Taking a part of a value keeps the part's own label; building a container keeps
//! the labels of its members; computing a scalar from several values joins their labels. See
//! `dsl::expr` for the exact rule of each operation.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a value came from: a set of origins. The empty set is trusted (written in a published definition).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(pub u8);

impl Label {
    /// Written by the author of a published definition.
    pub const DEFINITION: Label = Label(0);
    /// Given as structured input by an authenticated caller who is not an agent.
    pub const CALLER: Label = Label(1);
    /// Taken from free text by the intent parser.
    pub const INTENT: Label = Label(2);
    /// Answered by an outside system or a sandboxed program.
    pub const EXTERNAL: Label = Label(4);
    /// Made by a model, or given by an agent.
    pub const MODEL: Label = Label(8);
    /// Stands in for an answer that nobody has yet. Only in forecasts; no value of an execution has it.
    pub const PREDICTED: Label = Label(16);

    /// Declassified: a person looked at exactly this value and its origins, and answers for it.
    pub const APPROVED: Label = Label(32);

    /// Both sets of origins.
    #[must_use]
    pub fn join(self, other: Label) -> Label {
        Label(self.0 | other.0)
    }

    /// True when some origin is outside the people and definitions that are answered for.
    pub fn untrusted(self) -> bool {
        self.0 & (Self::EXTERNAL.0 | Self::MODEL.0) != 0
    }

    /// True when the value depends on an answer that a forecast made up.
    pub fn predicted(self) -> bool {
        self.0 & Self::PREDICTED.0 != 0
    }

    /// The origins by name, for people and policies. That a value is a stand-in is no origin.
    pub fn names(self) -> Vec<&'static str> {
        [
            (Self::CALLER, "caller"),
            (Self::INTENT, "intent"),
            (Self::EXTERNAL, "external"),
            (Self::MODEL, "model"),
            (Self::APPROVED, "approved"),
        ]
        .into_iter()
        .filter(|(label, _)| self.0 & label.0 != 0)
        .map(|(_, name)| name)
        .collect()
    }
}

/// An object: members in the order in which they were written, as jq keeps them.
pub type Map = IndexMap<Arc<str>, Value>;

/// A JSON value with the label of its own node. Cheap to clone: containers and strings are shared.
#[derive(Clone, Debug)]
pub struct Value {
    /// The data itself.
    pub data: Data,
    /// The origins of this node (members carry their own).
    pub label: Label,
}

/// The seven kinds of JSON data; whole numbers that fit are kept exact.
#[derive(Clone, Debug)]
pub enum Data {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number
    Int(i64),
    /// Any other number
    Float(f64),
    /// Text
    String(Arc<str>),
    /// A list
    Array(Arc<Vec<Value>>),
    /// Names and values
    Object(Arc<Map>),
}

impl Value {
    /// `null`, trusted.
    pub const NULL: Value = Value { data: Data::Null, label: Label::DEFINITION };

    /// A node with the label [`Label::DEFINITION`].
    pub fn new(data: Data) -> Self {
        Self { data, label: Label::DEFINITION }
    }

    /// A node with a label.
    pub fn labelled(data: Data, label: Label) -> Self {
        Self { data, label }
    }

    /// Text.
    pub fn string(text: impl AsRef<str>) -> Self {
        Self::new(Data::String(Arc::from(text.as_ref())))
    }

    /// An object from pairs.
    pub fn object<K: AsRef<str>>(members: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::new(Data::Object(Arc::new(
            members.into_iter().map(|(k, v)| (Arc::from(k.as_ref()), v)).collect(),
        )))
    }

    /// A list.
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::new(Data::Array(Arc::new(items.into_iter().collect())))
    }

    /// The same data with `label` joined onto every node.
    #[must_use]
    pub fn with_label_everywhere(&self, label: Label) -> Value {
        if label == Label::DEFINITION {
            return self.clone();
        }
        let data = match &self.data {
            Data::Array(items) => {
                Data::Array(Arc::new(items.iter().map(|v| v.with_label_everywhere(label)).collect()))
            }
            Data::Object(map) => Data::Object(Arc::new(
                map.iter().map(|(k, v)| (k.clone(), v.with_label_everywhere(label))).collect(),
            )),
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => self.data.clone(),
        };
        Value { data, label: self.label.join(label) }
    }

    /// The same data with `label` in place of every node's own.
    #[must_use]
    pub fn with_only_label(&self, label: Label) -> Value {
        let data = match &self.data {
            Data::Array(items) => {
                Data::Array(Arc::new(items.iter().map(|v| v.with_only_label(label)).collect()))
            }
            Data::Object(map) => Data::Object(Arc::new(
                map.iter().map(|(k, v)| (k.clone(), v.with_only_label(label))).collect(),
            )),
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => self.data.clone(),
        };
        Value { data, label }
    }

    /// The union of the labels of this node and everything in it.
    pub fn label_of_all(&self) -> Label {
        match &self.data {
            Data::Array(items) => items.iter().fold(self.label, |l, v| l.join(v.label_of_all())),
            Data::Object(map) => map.values().fold(self.label, |l, v| l.join(v.label_of_all())),
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => self.label,
        }
    }

    /// The label of every leaf by JSON Pointer, in document order.
    pub fn provenance(&self) -> Vec<(String, Label)> {
        let mut found = Vec::new();
        self.collect_provenance(&mut String::new(), self.label, &mut found);
        found
    }

    fn collect_provenance(&self, at: &mut String, above: Label, found: &mut Vec<(String, Label)>) {
        let label = above.join(self.label);
        let mut visit = |name: &str, value: &Value| {
            let length = at.len();
            at.push('/');
            if name.contains(['~', '/']) {
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
            } else {
                at.push_str(name);
            }
            value.collect_provenance(at, label, found);
            at.truncate(length);
        };
        match &self.data {
            Data::Object(map) => map.iter().for_each(|(k, v)| visit(k, v)),
            Data::Array(items) => items.iter().enumerate().for_each(|(i, v)| visit(&i.to_string(), v)),
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => {
                found.push((at.clone(), label));
            }
        }
    }

    /// The member called `name`, when this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match &self.data {
            Data::Object(map) => map.get(name),
            _ => None,
        }
    }

    /// The text, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(text) => Some(text),
            _ => None,
        }
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// The kind by its JSON name.
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "boolean",
            Data::Int(_) | Data::Float(_) => "number",
            Data::String(_) => "string",
            Data::Array(_) => "array",
            Data::Object(_) => "object",
        }
    }

    /// Takes plain JSON; every node gets `label`.
    pub fn from_json(json: &serde_json::Value, label: Label) -> Value {
        let data = match json {
            serde_json::Value::Null => Data::Null,
            serde_json::Value::Bool(b) => Data::Bool(*b),
            serde_json::Value::Number(n) => match n.as_i64() {
                Some(int) => Data::Int(int),
                None => Data::Float(n.as_f64().unwrap_or(f64::MAX)),
            },
            serde_json::Value::String(s) => Data::String(Arc::from(s.as_str())),
            serde_json::Value::Array(items) => {
                Data::Array(Arc::new(items.iter().map(|v| Value::from_json(v, label)).collect()))
            }
            serde_json::Value::Object(map) => Data::Object(Arc::new(
                map.iter().map(|(k, v)| (Arc::from(k.as_str()), Value::from_json(v, label))).collect(),
            )),
        };
        Value { data, label }
    }

    /// Plain JSON without labels.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.data {
            Data::Null => serde_json::Value::Null,
            Data::Bool(b) => (*b).into(),
            Data::Int(i) => (*i).into(),
            Data::Float(f) => serde_json::Number::from_f64(*f).map_or(serde_json::Value::Null, Into::into),
            Data::String(s) => serde_json::Value::String(s.to_string()),
            Data::Array(items) => items.iter().map(Value::to_json).collect(),
            Data::Object(map) => {
                serde_json::Value::Object(map.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect())
            }
        }
    }
}

/// Equality of data; labels do not count. `1` equals `1.0`.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (&self.data, &other.data) {
            (Data::Null, Data::Null) => true,
            (Data::Bool(a), Data::Bool(b)) => a == b,
            (Data::Int(a), Data::Int(b)) => a == b,
            #[expect(clippy::cast_precision_loss, reason = "jq compares numbers as doubles")]
            (Data::Int(a), Data::Float(b)) | (Data::Float(b), Data::Int(a)) => (*a as f64) == *b,
            (Data::Float(a), Data::Float(b)) => a == b,
            (Data::String(a), Data::String(b)) => a == b,
            (Data::Array(a), Data::Array(b)) => a == b,
            (Data::Object(a), Data::Object(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.data {
            Data::Null => serializer.serialize_unit(),
            Data::Bool(b) => serializer.serialize_bool(*b),
            Data::Int(i) => serializer.serialize_i64(*i),
            Data::Float(f) => serializer.serialize_f64(*f),
            Data::String(s) => serializer.serialize_str(s),
            Data::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Data::Object(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (name, value) in map.iter() {
                    out.serialize_entry(&**name, value)?;
                }
                out.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::NULL)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::NULL)
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
                d.deserialize_any(Any)
            }
            fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
                Ok(Value::new(Data::Bool(b)))
            }
            fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
                Ok(Value::new(Data::Int(i)))
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "whole numbers beyond 64 bits are doubles, as in jq"
            )]
            fn visit_u64<E>(self, u: u64) -> Result<Value, E> {
                Ok(Value::new(i64::try_from(u).map_or(Data::Float(u as f64), Data::Int)))
            }
            fn visit_f64<E>(self, f: f64) -> Result<Value, E> {
                Ok(Value::new(Data::Float(f)))
            }
            fn visit_str<E>(self, s: &str) -> Result<Value, E> {
                Ok(Value::string(s))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::array(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    map.insert(Arc::from(name), value);
                }
                Ok(Value::new(Data::Object(Arc::new(map))))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
