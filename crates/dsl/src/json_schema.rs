//! The JSON Schema (2020-12) of workflow documents, made from the very tables that the validator checks against.
//!
//! It says what a document looks like, so that editors can complete and mark it. What a schema cannot say (names that exist,
//! expressions that parse, what the profile refuses) stays with the validator.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::diagnostic::Diagnostic;
use crate::document::reader;
use crate::document::report::Report;
use crate::document::shape::{Object, Shape, check_object};
use crate::document::shape_task::{CALL_FUNCTION, CALLS, KINDS, TASKS};
use crate::document::shape_workflow::{OMNIHUB, WORKFLOW};

/// The path under which a server serves it; it stays.
pub const PATH: &str = "/schemas/workflow.json";

/// The schema of workflow documents.
pub fn workflow() -> Json {
    let mut writer = Writer::default();
    let root = writer.object(&WORKFLOW);
    let task = writer.task();
    writer.definitions.insert("task".to_owned(), task);
    let claims = writer.reference(&OMNIHUB);
    // `metadata` is the author's own but for what is written for us.
    let metadata = "/document/properties/metadata";
    if let Some(metadata) = definition(&mut writer.definitions, metadata) {
        *metadata = json!({ "type": "object", "properties": { "omnihub": claims } });
    }
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://omnihub.dev/schemas/workflow.json",
        "title": "Open Workflow 1.0, as OmniHub runs it",
    });
    for (name, value) in root.as_object().into_iter().flatten() {
        schema[name.as_str()] = value.clone();
    }
    schema["$defs"] = Json::Object(writer.definitions.into_iter().collect());
    schema
}

/// What is wrong with the looks of a workflow document, as far as a schema can say; empty when it validates.
pub fn problems(text: &str) -> Vec<Diagnostic> {
    let mut report = Report::new(text);
    let Some(root) = reader::read(text, &mut report) else { return report.finish() };
    check_object(&root, &WORKFLOW, &mut report);
    let metadata = root.get("document").and_then(|head| head.get("metadata"));
    if let Some(claims) = metadata.and_then(|metadata| metadata.get("omnihub")) {
        check_object(claims, &OMNIHUB, &mut report);
    }
    report.finish()
}

fn definition<'d>(definitions: &'d mut BTreeMap<String, Json>, path: &str) -> Option<&'d mut Json> {
    let (name, rest) = path.trim_start_matches('/').split_once('/')?;
    definitions.get_mut(name)?.pointer_mut(&format!("/{rest}"))
}

#[derive(Default)]
struct Writer {
    definitions: BTreeMap<String, Json>,
    /// Names of the objects of the tables, by where they stand; the order is never seen.
    names: BTreeMap<usize, String>,
}

impl Writer {
    fn shape(&mut self, shape: &'static Shape) -> Json {
        match shape {
            Shape::Any => json!(true),
            Shape::Text => json!({ "type": "string" }),
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::Whole => json!({ "type": "integer" }),
            Shape::Word(words) => json!({ "type": "string", "enum": words }),
            Shape::Matches(_, what, pattern) => {
                json!({ "type": "string", "pattern": pattern, "description": what })
            }
            Shape::List(of, least) => {
                let mut list = json!({ "type": "array", "items": self.shape(of) });
                least_of(&mut list, "minItems", *least);
                list
            }
            Shape::Named(of, least) => {
                let mut named = json!({ "type": "object", "additionalProperties": self.shape(of) });
                least_of(&mut named, "minProperties", *least);
                named
            }
            Shape::Entries(of, least) => {
                let entry = json!({
                    "type": "object", "additionalProperties": self.shape(of), "minProperties": 1, "maxProperties": 1
                });
                let mut list = json!({ "type": "array", "items": entry });
                least_of(&mut list, "minItems", *least);
                list
            }
            Shape::Object(object) => self.reference(object),
            Shape::Either(shapes) => {
                let shapes: Vec<Json> = shapes.iter().map(|shape| self.shape(shape)).collect();
                json!({ "anyOf": shapes })
            }
            Shape::Task => json!({ "$ref": "#/$defs/task" }),
        }
    }

    /// A reference to an object of the tables, written down the first time. Objects may hold themselves.
    fn reference(&mut self, object: &'static Object) -> Json {
        let place = std::ptr::from_ref(object).addr();
        let name = match self.names.get(&place) {
            Some(name) => name.clone(),
            None => {
                let name = self.free_name(object.what);
                self.names.insert(place, name.clone());
                self.definitions.insert(name.clone(), Json::Null);
                let written = self.object(object);
                self.definitions.insert(name.clone(), written);
                name
            }
        };
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn free_name(&self, what: &str) -> String {
        let words: String = what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
        let words: Vec<&str> =
            words.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the" | "of")).collect();
        let first = words.join("-").to_ascii_lowercase();
        let mut name = first.clone();
        let mut number = 2;
        while self.definitions.contains_key(&name) || name == "task" {
            name = format!("{first}-{number}");
            number += 1;
        }
        name
    }

    fn object(&mut self, object: &'static Object) -> Json {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in object.all() {
            let shape = self.shape(field.shape);
            properties.insert(field.name.to_owned(), shape);
            if field.required {
                required.push(field.name);
            }
        }
        let mut written = json!({ "type": "object", "description": object.what.replace('`', "") });
        written["properties"] = Json::Object(properties);
        if !required.is_empty() {
            written["required"] = json!(required);
        }
        if !object.open {
            written["additionalProperties"] = json!(false);
        }
        if !object.one_of.is_empty() {
            let one: Vec<Json> = object.one_of.iter().map(|name| json!({ "required": [name] })).collect();
            written["oneOf"] = Json::Array(one);
        }
        least_of(&mut written, "minProperties", object.members_min);
        written
    }

    /// A task: exactly one kind, which decides the rest; a `for` has a `do` of its own.
    fn task(&mut self) -> Json {
        let is = |kind: &str| match kind {
            "do" => json!({ "required": ["do"], "not": { "required": ["for"] } }),
            kind => json!({ "required": [kind] }),
        };
        let kinds: Vec<Json> = KINDS.iter().map(|kind| is(kind)).collect();
        let mut rules = Vec::new();
        for (kind, object) in TASKS {
            rules.push(json!({ "if": is(kind), "then": self.reference(object) }));
        }
        for (function, object) in CALLS {
            let called = json!({ "required": ["call"], "properties": { "call": { "const": function } } });
            rules.push(json!({ "if": called, "then": self.reference(object) }));
        }
        let known: Vec<&str> = CALLS.iter().map(|(function, _)| *function).collect();
        let other = json!({ "required": ["call"], "properties": { "call": { "not": { "enum": known } } } });
        rules.push(json!({ "if": other, "then": self.reference(&CALL_FUNCTION) }));
        json!({ "type": "object", "description": "a task", "oneOf": kinds, "allOf": rules })
    }
}

fn least_of(schema: &mut Json, word: &str, least: usize) {
    if least > 0 {
        schema[word] = json!(least);
    }
}
