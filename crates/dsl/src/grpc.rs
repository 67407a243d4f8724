//! Descriptions of gRPC services: what a `.proto` says, as whoever fetched it wrote it down.
//!
//! Reading `.proto` needs a compiler that does not belong here. Whoever fetches the text compiles it, and what is kept holds
//! the text, the compiled descriptors for the calls, and this list of services for the check at publish.

use std::collections::BTreeMap;

use model::Digest;
use serde::{Deserialize, Serialize};

use crate::document::report::nearest;

/// A `.proto` that was compiled.
#[derive(Debug)]
pub struct Proto {
    /// Digest of the kept text.
    pub digest: Digest,
    kept: Kept,
}

/// What is kept of a `.proto`. Stored: names never change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The text, as it was fetched.
    pub proto: String,
    /// Every service, by its full name, with its methods.
    pub services: BTreeMap<String, BTreeMap<String, Method>>,
    /// A `FileDescriptorSet` with everything that is needed, in base64.
    pub descriptors: String,
}

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// True when the caller sends a stream.
    pub client_streaming: bool,
    /// True when the service answers with a stream.
    pub server_streaming: bool,
}

impl Proto {
    /// Reads what was kept.
    pub fn read(text: &str) -> Result<Self, String> {
        let kept: Kept = serde_json::from_str(text).map_err(|error| format!("it cannot be read: {error}"))?;
        Ok(Self { digest: Digest::of(text.as_bytes()), kept })
    }

    /// A method by its names, or what to say about it.
    pub fn method(&self, service: &str, method: &str) -> Result<Method, (String, String)> {
        let services = &self.kept.services;
        let Some(methods) = services.get(service) else {
            let hint = hint(service, services.keys().map(String::as_str), "services");
            return Err((format!("the `.proto` has no service `{service}`"), hint));
        };
        methods.get(method).copied().ok_or_else(|| {
            let hint = hint(method, methods.keys().map(String::as_str), "methods");
            (format!("`{service}` has no method `{method}`"), hint)
        })
    }
}

fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, what: &str) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let some: Vec<String> = known.take(8).map(|name| format!("`{name}`")).collect();
    match some.is_empty() {
        true => format!("it has no {what}"),
        false => format!("it has for example {}", some.join(", ")),
    }
}
