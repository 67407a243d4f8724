//! Compiles the parts that tasks share: data flow, schemas, durations, timeouts, errors, retries.

use std::sync::Arc;

use indexmap::IndexMap;
use model::{Data, Value};

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope, is_expression};
use crate::compile::schema;
use crate::document::node::{Member, Node, NodeData};
use crate::document::report::{nearest, split_hint};
use crate::duration;
use crate::plan::{Backoff, Input, Output, RaiseError, Retry, Schema};
use crate::template::Template;

/// The standard kinds of errors, as filters may name them.
const STANDARD_ERRORS: &[&str] = &[
    "communication",
    "timeout",
    "validation",
    "expression",
    "authorization",
    "authentication",
    "configuration",
    "runtime",
];

impl<'a> Compiler<'a, '_> {
    /// `input`
    pub fn input(&mut self, node: Option<&Node>, place: Place, scope: &Scope) -> Input {
        let Some(node) = node else { return Input::default() };
        Input {
            schema: node.get("schema").and_then(|n| self.schema(n)),
            from: node.get("from").and_then(|n| self.filter(n, place, scope)),
        }
    }

    /// `output` or `export`
    pub fn output(&mut self, node: Option<&Node>, place: Place, scope: &Scope) -> Output {
        let Some(node) = node else { return Output::default() };
        Output {
            transform: node.get("as").and_then(|n| self.filter(n, place, scope)),
            schema: node.get("schema").and_then(|n| self.schema(n)),
        }
    }

    /// `{format?, document}`
    pub fn schema(&mut self, node: &Node) -> Option<Arc<Schema>> {
        if let Some(format) =
            node.get("format").filter(|f| f.text().is_some_and(|t| t != "json" && t != "json:2020-12"))
        {
            self.report
                .node(codes::SCHEMA_FORMAT, format, "only JSON Schema is supported")
                .hint("write `format: json`");
            return None;
        }
        if let Some(resource) = node.get("resource") {
            self.report
                .node(codes::EXTERNAL_RESOURCE, resource, "schemas are not fetched from elsewhere")
                .hint("write the schema here, under `document`");
            return None;
        }
        self.schema_document(node.get("document")?)
    }

    /// A JSON schema itself.
    pub fn schema_document(&mut self, node: &Node) -> Option<Arc<Schema>> {
        match schema::compile(&node.value().to_json()) {
            Ok(schema) => Some(Arc::new(schema)),
            Err(problem) => {
                self.report.node(codes::SCHEMA, node, format!("the schema does not compile: {problem}"))
                    .hint("it must be a JSON Schema (2020-12) that refers only to its own `$defs`, without a circle");
                None
            }
        }
    }

    /// A duration: a constant that is checked here, or an expression.
    pub fn duration(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<Template> {
        match &node.data {
            NodeData::String(text) if is_expression(text) => {
                self.expression(node, place, scope).map(Template::Expr)
            }
            // Wrong units and wrong types are told by the shape.
            NodeData::Object(parts) if !parts_fit(parts) => None,
            NodeData::String(_) | NodeData::Object(_) => {
                let value = node.value();
                match duration::of(&value) {
                    Ok(_) => Some(Template::Constant(value)),
                    Err(message) => {
                        let (message, hint) = split_hint(&message);
                        let example =
                            "write for example `PT1M30S`, `P1DT2H` or `{ minutes: 1, seconds: 30 }`";
                        self.report
                            .node(codes::DURATION, node, message)
                            .hint(hint.as_deref().unwrap_or(example));
                        None
                    }
                }
            }
            _ => None,
        }
    }

    /// `timeout`: inline, or a name of `use.timeouts`.
    pub fn timeout(&mut self, node: Option<&Node>, place: Place, scope: &Scope) -> Option<Template> {
        let node = node?;
        let inline = match node.text() {
            Some(_) => self.referred("timeouts", node)?,
            None => node,
        };
        self.duration(inline.get("after")?, place, scope)
    }

    /// The entry of `use` that a text names.
    pub fn referred(&mut self, section: &str, node: &Node) -> Option<&'a Node> {
        let name = node.text()?;
        let known = self.root.get("use").and_then(|u| u.get(section));
        if let Some(found) = known.and_then(|k| k.get(name)) {
            return Some(found);
        }
        if self.report.full() {
            return None;
        }
        let names = known.and_then(Node::members).into_iter().flat_map(|m| m.keys().map(|k| &**k));
        let near = nearest(name, names).map(|n| format!("did you mean `{n}`?"));
        self.report
            .node(codes::UNKNOWN_REFERENCE, node, format!("`use.{section}` has no `{name}`"))
            .hint(near.unwrap_or_else(|| format!("add it to `use.{section}`, or write it out here")));
        None
    }

    /// `raise.error` or an entry of `use.errors`.
    pub fn error(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<RaiseError> {
        let node = match node.text() {
            Some(_) => self.referred("errors", node)?,
            None => node,
        };
        let kind = node.get("type").and_then(|n| self.error_type(n, place, scope));
        let status = node.get("status").and_then(|n| self.status(n, place, scope));
        let mut part =
            |name: &str| node.get(name).filter(|n| n.text().is_some()).map(|n| self.data(n, place, scope));
        let (title, detail, instance) = (part("title"), part("detail"), part("instance"));
        Some(RaiseError { kind: kind?, status: status?, title, detail, instance })
    }

    fn error_type(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<Template> {
        let text = node.text()?;
        if is_expression(text) {
            return self.expression(node, place, scope).map(Template::Expr);
        }
        if STANDARD_ERRORS.contains(&text) {
            return Some(Template::Constant(standard_type(text)));
        }
        if is_absolute_uri(text) {
            return Some(Template::Constant(node.value()));
        }
        self.error_type_wrong(node, text);
        None
    }

    fn error_type_wrong(&mut self, node: &Node, text: &str) {
        let near = nearest(text, STANDARD_ERRORS.iter().copied()).map(|n| format!("did you mean `{n}`?"));
        self.report.node(codes::ERROR_TYPE, node, format!("`{text}` is not an error type")).hint(
            near.unwrap_or_else(|| {
                "write an absolute URI, for example `https://example.com/errors/not-found`".to_owned()
            }),
        );
    }

    fn status(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<Template> {
        match &node.data {
            NodeData::Int(100..=599) => Some(Template::Constant(node.value())),
            NodeData::String(text) if is_expression(text) => {
                self.expression(node, place, scope).map(Template::Expr)
            }
            NodeData::Int(_) | NodeData::String(_) => {
                self.report
                    .node(codes::STATUS, node, "the status must be a whole number from 100 to 599")
                    .hint("write for example `status: 404`");
                None
            }
            _ => None,
        }
    }

    /// `catch.errors.with`: members that must be equal, in the document's order.
    pub fn error_filter(&mut self, node: Option<&Node>) -> Vec<(String, Value)> {
        let Some(members) = node.and_then(Node::members) else { return Vec::new() };
        let mut filter = Vec::new();
        for (name, member) in members {
            let value = &member.value;
            match (&**name, &value.data) {
                ("type", NodeData::String(text))
                    if !STANDARD_ERRORS.contains(&&**text) && !is_absolute_uri(text) =>
                {
                    self.error_type_wrong(value, text);
                }
                ("status", NodeData::Int(status)) if !(100..=599).contains(status) => {
                    self.report
                        .node(codes::STATUS, value, "the status must be a whole number from 100 to 599")
                        .hint("write for example `status: 404`");
                }
                (_, NodeData::String(text)) if text.contains("${") => {
                    self.report
                        .node(codes::INTERPOLATION, value, "a filter holds plain values, no expressions")
                        .hint("use `catch.when` for a condition");
                }
                ("type", NodeData::String(text)) if STANDARD_ERRORS.contains(&&**text) => {
                    filter.push((name.to_string(), standard_type(text)));
                }
                // The schema's spelling and the error's own member.
                ("details", _) => filter.push(("detail".to_owned(), value.value())),
                _ => filter.push((name.to_string(), value.value())),
            }
        }
        filter
    }

    /// `catch.retry` or an entry of `use.retries`.
    pub fn retry(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<Retry> {
        let node = match node.text() {
            Some(_) => self.referred("retries", node)?,
            None => node,
        };
        node.members()?;
        let limit = node.get("limit");
        let attempt = limit.and_then(|l| l.get("attempt"));
        let mut duration = |n: Option<&Node>| n.and_then(|n| self.duration(n, place, scope));
        let delay = duration(node.get("delay"));
        let attempt_limit = duration(attempt.and_then(|a| a.get("duration")));
        let overall = duration(limit.and_then(|l| l.get("duration")));
        let jitter =
            node.get("jitter").and_then(|j| Some((duration(j.get("from"))?, duration(j.get("to"))?)));
        let when = node.get("when").and_then(|n| self.expression(n, place, scope));
        let except_when = node.get("exceptWhen").and_then(|n| self.expression(n, place, scope));
        Some(Retry {
            when,
            except_when,
            delay: delay.unwrap_or_else(|| Template::Constant(zero_duration())),
            backoff: backoff(node.get("backoff")),
            count: attempt.and_then(|a| a.get("count")).and_then(|n| self.count(n)),
            attempt_limit,
            limit: overall,
            jitter,
        })
    }

    fn count(&mut self, node: &Node) -> Option<u32> {
        let NodeData::Int(count) = node.data else { return None };
        let fine = u32::try_from(count).ok();
        if fine.is_none() {
            self.report
                .node(codes::WRONG_VALUE, node, format!("`{count}` is not a number of retries"))
                .hint("write a whole number from 0; 5 means 5 retries after the first attempt");
        }
        fine
    }
}

/// The specification's own form of a standard type.
fn standard_type(word: &str) -> Value {
    Value::string(format!("https://serverlessworkflow.io/spec/1.0.0/errors/{word}"))
}

fn backoff(node: Option<&Node>) -> Backoff {
    match node {
        Some(n) if n.get("linear").is_some() => Backoff::Linear,
        Some(n) if n.get("exponential").is_some() => Backoff::Exponential,
        Some(_) | None => Backoff::Constant,
    }
}

fn parts_fit(parts: &IndexMap<Arc<str>, Member>) -> bool {
    let known = |name: &str| matches!(name, "days" | "hours" | "minutes" | "seconds" | "milliseconds");
    !parts.is_empty() && parts.iter().all(|(name, m)| known(name) && matches!(m.value.data, NodeData::Int(_)))
}

fn zero_duration() -> Value {
    Value::object([("milliseconds", Value::new(Data::Int(0)))])
}

fn is_absolute_uri(text: &str) -> bool {
    url::Url::parse(text).is_ok()
}
