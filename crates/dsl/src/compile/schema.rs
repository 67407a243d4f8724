//! Compiles JSON schemas so that none can fetch, hang or overflow the stack.
//!
//! A schema of a tenant is hostile until proven otherwise: a reference to itself recurses without end, and a chain
//! of doubled references takes exponential time. So references are local, never circular, and the schema with all
//! references put in place is bounded.

use std::collections::BTreeMap;

use jsonschema::{Draft, PatternOptions};
use serde_json::Value;

use crate::plan::Schema;

/// Subschemas at the most, counted with every reference put in place.
const EXPANDED_MAX: u64 = 50_000;

/// Parts inside each other at the most, counted likewise.
const DEPTH_MAX: usize = 200;

/// Compiles a schema; the error is one line.
pub(crate) fn compile(document: &Value) -> Result<Schema, String> {
    bounded(document)?;
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        // Linear time, also for hostile patterns.
        .with_pattern_options(PatternOptions::regex())
        .build(document)
        .map_err(|e| match e.instance_path().as_str() {
            "" => e.to_string(),
            path => format!("at `{path}`: {e}"),
        })?;
    Ok(Schema { document: document.clone(), validator })
}

fn bounded(document: &Value) -> Result<(), String> {
    let mut walk = Walk { root: document, known: BTreeMap::new() };
    match walk.size(document, 0)? {
        size if size > EXPANDED_MAX => {
            Err(format!("it has more than {EXPANDED_MAX} parts with its references put in place"))
        }
        _ => Ok(()),
    }
}

struct Walk<'s> {
    root: &'s Value,
    /// The size of each referred part; none while it is being counted.
    known: BTreeMap<String, Option<u64>>,
}

impl Walk<'_> {
    fn size(&mut self, schema: &Value, depth: usize) -> Result<u64, String> {
        if depth > DEPTH_MAX {
            return Err(format!("its parts are more than {DEPTH_MAX} deep with its references put in place"));
        }
        match schema {
            Value::Object(members) => members.iter().try_fold(1u64, |size, (name, value)| {
                Ok(size.saturating_add(self.keyword(name, value, depth)?))
            }),
            Value::Array(items) => self.all(items.iter(), depth),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(1),
        }
    }

    fn all<'v>(&mut self, mut parts: impl Iterator<Item = &'v Value>, depth: usize) -> Result<u64, String> {
        parts.try_fold(1u64, |size, part| Ok(size.saturating_add(self.size(part, depth + 1)?)))
    }

    fn keyword(&mut self, name: &str, value: &Value, depth: usize) -> Result<u64, String> {
        match (name, value) {
            ("$ref", Value::String(target)) => self.reference(target, depth),
            ("$dynamicRef" | "$recursiveRef", _) => Err(format!("`{name}` is not supported")),
            ("$id", _) if depth > 0 => Err("`$id` inside a schema is not supported".to_owned()),
            ("enum" | "const" | "default" | "examples", _) => Ok(1),
            // The names here are the author's, not keywords.
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(parts),
            ) => self.all(parts.values(), depth),
            _ => self.size(value, depth + 1),
        }
    }

    fn reference(&mut self, target: &str, depth: usize) -> Result<u64, String> {
        match self.known.get(target) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(format!("`{target}` refers to itself")),
            None => {}
        }
        let pointer = target.strip_prefix('#').filter(|p| p.is_empty() || p.starts_with('/'));
        let root = self.root;
        let Some(found) = pointer.and_then(|p| root.pointer(&percent_decoded(p))) else {
            return Err(format!("`{target}` is not a part of this schema"));
        };
        self.known.insert(target.to_owned(), None);
        let size = self.size(found, depth + 1)?;
        self.known.insert(target.to_owned(), Some(size));
        Ok(size)
    }
}

/// References are URI fragments, so their pointers may be percent-encoded.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match (first, tail) {
            (b'%', [a, b, ..]) => {
                let hex = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
                hex(*a).zip(hex(*b)).map(|(a, b)| a * 16 + b)
            }
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
