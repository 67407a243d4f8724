//! Executions that run other executions: who runs whom, and what travels between them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical::Digest;
use crate::effect::{EffectNumber, Outcome};
use crate::id::{ExecutionId, PrincipalId};
use crate::problem::WorkflowError;
use crate::value::{Data, Label, Value};

/// Parts of a value whose origins are told apart; of one with more, everything has all its origins.
const PARTS_MAX: usize = 256;

/// What an execution has to do with others. In the first event of its history.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Family {
    /// The execution that runs this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Where the parts of the input came from.
    #[serde(default, skip_serializing_if = "Origins::is_none")]
    pub origins: Origins,
    /// What `version: latest` of the workflows that it may run meant when it began, by `namespace/name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latest: BTreeMap<String, String>,
}

impl Family {
    /// True for an execution that nobody runs and that names no `latest`.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The execution that runs another one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parent {
    /// Which.
    pub execution: ExecutionId,
    /// Its effect that this execution is.
    pub effect: EffectNumber,
    /// False when it only starts it, and goes on.
    pub waits: bool,
    /// Everybody up to the root, the root first, the parent last.
    pub callers: Vec<Ancestor>,
    /// Who edited the input in the parent: as much an author of every effect as who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub editor: Option<PrincipalId>,
}

/// An execution in whose service another one runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ancestor {
    /// Which.
    pub execution: ExecutionId,
    /// `namespace/name:version`
    pub workflow: String,
}

/// How an execution that another one runs ended, or that it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChildStatus {
    /// It began; nobody waits for its end.
    Started,
    /// With an output.
    Completed,
    /// By an error.
    Faulted,
    /// By somebody.
    Cancelled,
    /// It had completed, and then undid what it did.
    Undone,
}

impl ChildStatus {
    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Faulted => "faulted",
            Self::Cancelled => "cancelled",
            Self::Undone => "undone",
        }
    }
}

/// What a parent is told about an execution that it runs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChildAnswer {
    /// Which.
    pub execution: ExecutionId,
    /// What became of it.
    pub status: ChildStatus,
    /// Whether what it did is real; whether it is undone, for [`ChildStatus::Undone`].
    pub outcome: Outcome,
    /// Its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Digest of the output's JSON in the blob store, when it is too large for the history (`output` is then absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_blob: Option<Digest>,
    /// Where the parts of the output came from.
    #[serde(default, skip_serializing_if = "Origins::is_none")]
    pub origins: Origins,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WorkflowError>,
}

impl ChildAnswer {
    /// How the attempt ended, in the words of attempts.
    pub fn word(&self) -> &'static str {
        match self.status {
            ChildStatus::Started | ChildStatus::Completed | ChildStatus::Undone => "done",
            ChildStatus::Faulted | ChildStatus::Cancelled => "refused",
        }
    }

    /// The output with its origins.
    pub fn labelled_output(&self) -> Value {
        self.origins.onto(self.output.as_ref().unwrap_or(&Value::NULL))
    }
}

/// Where the parts of a value came from: what its stored form, plain JSON, does not say.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origins {
    /// The parts by JSON Pointer, outer ones first; a part has the origins of everything around it, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(String, Label)>,
}

impl Origins {
    /// True when everything was written in a definition.
    pub fn is_none(&self) -> bool {
        self.parts.is_empty()
    }

    /// Reads them off a value.
    pub fn of(value: &Value) -> Self {
        let mut parts = Vec::new();
        collect(value, Label::DEFINITION, &mut String::new(), &mut parts);
        if parts.len() > PARTS_MAX {
            parts = vec![(String::new(), value.label_of_all())];
        }
        Self { parts }
    }

    /// The value with these origins joined to those it has.
    #[must_use]
    pub fn onto(&self, value: &Value) -> Value {
        if self.parts.is_empty() {
            return value.clone();
        }
        let parts: BTreeMap<&str, Label> =
            self.parts.iter().map(|(at, label)| (at.as_str(), *label)).collect();
        joined(value, Label::DEFINITION, &mut String::new(), &parts)
    }
}

fn collect(value: &Value, above: Label, at: &mut String, parts: &mut Vec<(String, Label)>) {
    let label = above.join(value.label);
    if label != above {
        parts.push((at.clone(), label));
    }
    if parts.len() > PARTS_MAX {
        return;
    }
    each_part(value, at, |part, at| collect(part, label, at, parts));
}

fn joined(value: &Value, above: Label, at: &mut String, parts: &BTreeMap<&str, Label>) -> Value {
    let label = parts.get(at.as_str()).map_or(above, |own| above.join(*own));
    let data = match &value.data {
        Data::Object(members) => {
            let mut made = Vec::with_capacity(members.len());
            each_part(value, at, |part, at| made.push(joined(part, label, at, parts)));
            Data::Object(std::sync::Arc::new(members.keys().cloned().zip(made).collect()))
        }
        Data::Array(items) => {
            let mut made = Vec::with_capacity(items.len());
            each_part(value, at, |part, at| made.push(joined(part, label, at, parts)));
            Data::Array(std::sync::Arc::new(made))
        }
        other => other.clone(),
    };
    Value { data, label: value.label.join(label) }
}

/// Looks at the members or items of a value, in order, each with its JSON Pointer.
fn each_part(value: &Value, at: &mut String, mut look: impl FnMut(&Value, &mut String)) {
    let mut visit = |name: &str, part: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        look(part, at);
        at.truncate(length);
    };
    match &value.data {
        Data::Object(members) => members.iter().for_each(|(name, part)| visit(name, part)),
        Data::Array(items) => items.iter().enumerate().for_each(|(i, part)| visit(&i.to_string(), part)),
        Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn origins_survive_plain_json() {
        let outside = Value::from_json(&json!({ "iban": "DE1", "list": [1, {}] }), Label::EXTERNAL);
        let mixed = Value::object([
            ("a/b", outside.clone()),
            ("own", Value::string("x")),
            ("from", Value::from_json(&json!([]), Label::MODEL)),
            (
                "both",
                Value::labelled(
                    Data::Array(vec![Value::string("m").with_label_everywhere(Label::MODEL)].into()),
                    Label::CALLER,
                ),
            ),
        ]);
        for value in [Value::NULL, outside, mixed] {
            let origins: Origins =
                serde_json::from_value(json!(Origins::of(&value))).expect("they are stored as JSON");
            let plain = Value::from_json(&value.to_json(), Label::DEFINITION);
            let back = origins.onto(&plain);
            assert_eq!(back, value);
            assert_eq!(back.provenance(), value.provenance());
            assert_eq!(back.label_of_all(), value.label_of_all(), "empty lists have origins, too");
            assert_eq!(Origins::of(&back), origins);
        }
    }

    #[test]
    fn too_many_parts_have_all_origins() {
        let items = (0..400).map(|i| {
            let label = if i % 2 == 0 { Label::MODEL } else { Label::CALLER };
            Value::string("x").with_label_everywhere(label)
        });
        let value = Value::array(items);
        let back = Origins::of(&value).onto(&Value::from_json(&value.to_json(), Label::DEFINITION));
        assert!(back.provenance().iter().all(|(_, label)| *label == Label::MODEL.join(Label::CALLER)));
    }
}
