//! From labelled arguments to what policies and risk see of their origins.

use model::{Label, Value};
use serde::Serialize;

/// Arguments that are described one by one; the rest is summed up in a last entry for the whole document.
pub const ENTRIES_MAX: usize = 256;

/// The origins of one argument.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Provenance {
    /// JSON Pointer into the arguments; empty for the whole document.
    pub pointer: String,
    /// `caller`, `intent`, `external`, `model`; empty when a published definition wrote the value.
    pub origins: Vec<&'static str>,
    /// True when some origin is outside the people and definitions that are answered for.
    pub untrusted: bool,
}

/// One entry for each leaf of the arguments, and for each container whose own origin its leaves do not show.
pub fn describe(arguments: &Value) -> Vec<Provenance> {
    describe_labels(&arguments.provenance(), arguments.label_of_all())
}

/// As [`describe`], from labels that are at hand already; `all` is the union of every label in the arguments.
pub fn describe_labels(labels: &[(String, Label)], all: Label) -> Vec<Provenance> {
    let entry = |pointer: &str, label: Label| Provenance {
        pointer: pointer.to_owned(),
        origins: label.names(),
        untrusted: label.untrusted(),
    };
    let mut found: Vec<Provenance> =
        labels.iter().take(ENTRIES_MAX).map(|(pointer, label)| entry(pointer, *label)).collect();
    let shown = labels.iter().take(ENTRIES_MAX).fold(Label::DEFINITION, |sum, (_, label)| sum.join(*label));
    // An empty list from outside has no leaf, and a long document has more than are listed: neither may look trusted.
    if shown.join(all) != shown {
        found.push(entry("", all));
    }
    found
}

/// The pointers of untrusted arguments, in document order.
pub fn untrusted(provenance: &[Provenance]) -> Vec<String> {
    provenance.iter().filter(|entry| entry.untrusted).map(|entry| entry.pointer.clone()).collect()
}

/// The `provenance` member of the policy's input document.
pub fn to_json(provenance: &[Provenance]) -> serde_json::Value {
    provenance
        .iter()
        .map(|e| serde_json::json!({ "pointer": e.pointer, "origins": e.origins, "untrusted": e.untrusted }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Data;

    fn labelled(text: &str, label: Label) -> Value {
        Value::string(text).with_label_everywhere(label)
    }

    #[test]
    fn every_leaf_has_its_origins() {
        let arguments = Value::object([
            ("order", labelled("1042", Label::INTENT)),
            ("to", Value::object([("a/b", labelled("x", Label::EXTERNAL.join(Label::CALLER)))])),
            ("fixed", Value::string("EUR")),
        ]);
        let described = describe(&arguments);
        assert_eq!(
            to_json(&described),
            serde_json::json!([
                { "pointer": "/order", "origins": ["intent"], "untrusted": false },
                { "pointer": "/to/a~1b", "origins": ["caller", "external"], "untrusted": true },
                { "pointer": "/fixed", "origins": [], "untrusted": false },
            ])
        );
        assert_eq!(untrusted(&described), ["/to/a~1b"]);
    }

    #[test]
    fn an_empty_container_from_outside_is_not_trusted() {
        let arguments =
            Value::object([("list", Value::labelled(Data::Array(Vec::new().into()), Label::MODEL))]);
        let described = describe(&arguments);
        assert_eq!(untrusted(&described), [""]);
    }

    #[test]
    fn a_long_document_is_summed_up() {
        let mut items: Vec<Value> = (0..ENTRIES_MAX).map(|i| Value::string(i.to_string())).collect();
        items.push(labelled("hidden", Label::EXTERNAL));
        let described = describe(&Value::array(items));
        assert_eq!(described.len(), ENTRIES_MAX + 1);
        assert_eq!(untrusted(&described), [""]);
    }
}
