//! A description of an API as it was fetched: its version, its references, its operations.

use model::Digest;
use serde_json::{Map, Value as Json};
use url::Url;

use super::operation::{self, Operation};
use super::two;
use crate::data::{self, Limits};
use crate::document::report::nearest;

/// How large a description may be.
pub const DOCUMENT: Limits = Limits { bytes: 4 * 1024 * 1024, nesting: 64, values: 200_000 };
/// References that lead to references, at the most.
const REFERENCES_MAX: usize = 32;
/// Methods of a path, as descriptions write them.
pub(super) const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch"];

/// A description that can be read.
#[derive(Debug)]
pub struct Document {
    /// Where it was fetched; relative servers are meant from here.
    pub uri: Url,
    /// Digest of its text.
    pub digest: Digest,
    version: Version,
    root: Json,
}

/// Which language a description is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    /// Swagger 2.0
    Two,
    /// OpenAPI 3.0 and 3.1
    Three,
}

/// A text that is no description, or one that cannot be used. Says what is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// An operation that cannot be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UnknownOperation {
    /// There is none of this id; the nearest one, or a few that there are.
    Missing(String),
    /// There is one, and it cannot be used.
    Broken(Unreadable),
}

pub(super) fn unreadable<T>(text: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable(text.into()))
}

impl Document {
    /// Reads a description that was fetched at `uri`.
    pub fn read(uri: &str, text: &str) -> Result<Self, Unreadable> {
        let uri = Url::parse(uri).map_err(|error| Unreadable(format!("`{uri}` is not a URI: {error}")))?;
        let root = parse(text)?;
        let named = |name: &str| root.get(name).and_then(Json::as_str);
        let version = match (named("swagger"), named("openapi")) {
            (Some("2.0"), None) => Version::Two,
            (None, Some(version)) if version.starts_with("3.0.") || version.starts_with("3.1.") => {
                Version::Three
            }
            (Some(other), _) | (None, Some(other)) => {
                return unreadable(format!("OpenAPI `{other}` is not supported: 2.0, 3.0 and 3.1 are"));
            }
            (None, None) => {
                return unreadable("it has neither `openapi` nor `swagger`, so it is no OpenAPI description");
            }
        };
        Ok(Self { uri, digest: Digest::of(text.as_bytes()), version, root })
    }

    /// An operation by its id.
    pub fn operation(&self, id: &str) -> Result<Operation, UnknownOperation> {
        let mut found = None;
        let mut known = Vec::new();
        for (path, item) in self.paths().map_err(UnknownOperation::Broken)? {
            let item = self.followed(item).map_err(UnknownOperation::Broken)?;
            for method in METHODS {
                let Some(operation) = item.get(*method) else { continue };
                let Some(name) = operation.get("operationId").and_then(Json::as_str) else { continue };
                known.push(name);
                if name == id && found.replace((path, item, *method, operation)).is_some() {
                    let told = format!("it has two operations `{id}`, and ids must be unique");
                    return Err(UnknownOperation::Broken(Unreadable(told)));
                }
            }
        }
        let Some((path, item, method, operation)) = found else {
            return Err(UnknownOperation::Missing(hint(id, &known)));
        };
        let place = operation::Place { document: self, path, item, method, operation };
        match self.version {
            Version::Two => two::operation(id, &place),
            Version::Three => operation::operation(id, &place),
        }
        .map_err(UnknownOperation::Broken)
    }

    fn paths(&self) -> Result<&Map<String, Json>, Unreadable> {
        match self.root.get("paths").and_then(Json::as_object) {
            Some(paths) => Ok(paths),
            None => unreadable("it has no `paths`, so there is nothing to call"),
        }
    }

    /// A member of the description itself.
    pub(super) fn member(&self, name: &str) -> Option<&Json> {
        self.root.get(name)
    }

    /// What stands in a place, references followed. Only references into the description itself are.
    pub(super) fn followed<'d>(&'d self, mut value: &'d Json) -> Result<&'d Json, Unreadable> {
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = value.get("$ref").and_then(Json::as_str) else { return Ok(value) };
            let Some(fragment) = reference.strip_prefix('#') else {
                return unreadable(format!(
                    "`$ref: {reference}` leads to another document; serve a description that holds everything"
                ));
            };
            let pointer = decoded(fragment);
            value = match self.root.pointer(&pointer) {
                Some(found) => found,
                None => return unreadable(format!("`$ref: {reference}` leads nowhere")),
            };
        }
        unreadable("a `$ref` leads to itself")
    }
}

/// JSON by its own reader, which is quicker; anything else as YAML.
pub(crate) fn parse(text: &str) -> Result<Json, Unreadable> {
    if text.len() > DOCUMENT.bytes {
        return unreadable(format!("it has {} bytes; the limit is {}", text.len(), DOCUMENT.bytes));
    }
    if text.trim_start().starts_with('{')
        && let Ok(json) = serde_json::from_str::<Json>(text)
    {
        let mut values = 0;
        return if within(&json, 0, &mut values) { Ok(json) } else { unreadable(too_much()) };
    }
    data::read_within(text, DOCUMENT).map(|value| value.to_json()).map_err(|problems| {
        let first = problems.first().map(|first| format!("line {}: {}", first.line, first.message));
        Unreadable(first.unwrap_or_else(|| "it is neither JSON nor YAML".to_owned()))
    })
}

fn too_much() -> String {
    format!(
        "it has more than {} values, or more than {} inside each other",
        DOCUMENT.values, DOCUMENT.nesting
    )
}

/// True when a document keeps the limits. The reader's own limit bounds the depth of this walk.
fn within(json: &Json, depth: usize, values: &mut usize) -> bool {
    *values += 1;
    if depth > DOCUMENT.nesting || *values > DOCUMENT.values {
        return false;
    }
    match json {
        Json::Array(items) => items.iter().all(|item| within(item, depth + 1, values)),
        Json::Object(members) => members.values().all(|member| within(member, depth + 1, values)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

/// Percent escapes of a fragment taken out.
fn decoded(fragment: &str) -> String {
    let mut out = Vec::with_capacity(fragment.len());
    let bytes = fragment.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(found) => {
                out.push(found);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hint(id: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(id, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let some: Vec<String> = known.iter().take(8).map(|name| format!("`{name}`")).collect();
    match some.is_empty() {
        true => "the description gives no operation an `operationId`".to_owned(),
        false => format!("it has for example {}", some.join(", ")),
    }
}
