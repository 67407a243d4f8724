//! Errors with a stable code and two texts: what the caller may see, and what the operator needs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stable error code, written `OH-nnnn`; each has a page `docs/errors/OH-nnnn.md`.
///
/// 1xxx language, 2xxx execution, 3xxx governance, 4xxx requests and access, 5xxx the machine itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OH-{:04}", self.0)
    }
}

/// One thing that is wrong at one place of a request or document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FieldProblem {
    /// JSON Pointer of the field, for example `/input/amount`.
    pub field: String,
    /// What is wrong and what to write.
    pub message: String,
}

/// A refusal or failure as callers see it (RFC 9457 problem details).
#[derive(Clone, PartialEq, Debug)]
pub struct Problem {
    /// HTTP status of the answer.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// One line, the same for every occurrence of the code.
    pub title: &'static str,
    /// What happened this time, and what to do.
    pub detail: String,
    /// Which fields are wrong.
    pub fields: Vec<FieldProblem>,
    /// More members of the problem document, for example `candidates`.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// What the operator needs and the caller must not see; logged, never sent.
    pub internal: Option<String>,
}

impl Problem {
    /// A problem with a detail.
    pub fn new(status: u16, code: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: Code(code),
            title,
            detail: detail.into(),
            fields: Vec::new(),
            extra: serde_json::Map::new(),
            internal: None,
        }
    }

    /// Adds a wrong field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.fields.push(FieldProblem { field: field.into(), message: message.into() });
        self
    }

    /// Adds a member to the problem document.
    #[must_use]
    pub fn with(mut self, name: &str, value: serde_json::Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// Adds what only the operator may see.
    #[must_use]
    pub fn internal(mut self, text: impl fmt::Display) -> Self {
        self.internal = Some(text.to_string());
        self
    }

    /// A thing that does not exist, or that the caller may not know of.
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(404, 4040, "not found", format!("there is no {what} `{id}`"))
    }

    /// The machine failed, not the caller.
    pub fn machine(internal: impl fmt::Display) -> Self {
        Problem::new(
            500,
            5000,
            "internal error",
            "the server could not do this; the operator's log has the reason",
        )
        .internal(internal)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.title, self.detail)
    }
}

impl std::error::Error for Problem {}

/// An error of the workflow language: what `raise` makes and `catch` sees (RFC 9457 members of the specification).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkflowError {
    /// A URI that names the kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP-like status.
    pub status: u16,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// JSON Pointer of the task that raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl WorkflowError {
    /// An error of one of the standard kinds (`communication`, `timeout`, `validation`, `expression`,
    /// `authorization`, `authentication`, `configuration`, `runtime`), with the specification's URI.
    pub fn standard(kind: &str, status: u16, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("https://serverlessworkflow.io/spec/1.0.0/errors/{kind}"),
            status,
            title: Some(title.to_owned()),
            detail: Some(detail.into()),
            instance: None,
        }
    }

    /// An error of a kind of our own: `approval-denied`, `postcondition`, `policy-denied`, `not-allowed`, `lost`.
    pub fn governed(kind: &str, status: u16, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("https://omnihub.dev/errors/{kind}"),
            ..Self::standard(kind, status, title, detail)
        }
    }
}
