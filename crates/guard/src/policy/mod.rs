//! Policy as code: Rego bundles in, rulings out.
//!
//! A bundle is compiled once ([`Bundle::compile`]) and evaluated by cheap clones ([`Evaluator`]), one per thread.
//! Several bundles together are a [`PolicySet`]: its ruling is the most restrictive one. Everything that is not
//! allowed is denied; a result of the wrong type, an unknown role or a failure at run time is an error, and the
//! caller denies. What a policy may read is its input and nothing else: builtins that read a clock, a network, the
//! environment or a random number are refused when the bundle is compiled, and fail if they are reached in
//! another way. Evaluation is bounded by [`EVALUATION_MAX`]; the interpreter measures that itself, and the only
//! thing its clock can do is turn a verdict into an error.

mod bundle;
mod convert;
mod graph;
mod lint;
mod ruling;
mod set;

pub use bundle::{
    Bundle, EVALUATION_AGAIN_MAX, EVALUATION_MAX, Evaluator, FILE_BYTES_MAX, FILES_MAX, PACKAGE, TestResult,
};
pub use ruling::{APPROVERS_MAX, Because, REASONS_MAX, Ruling, stricter};
pub use set::{BUNDLES_MAX, PolicySet, SetEvaluator};

/// The text of the default policy and of its tests, as `(path, text)`.
pub const DEFAULT_FILES: [(&str, &str); 2] = [
    ("default.rego", include_str!("../../policies/default.rego")),
    ("default_test.rego", include_str!("../../policies/default_test.rego")),
];

/// The policy that ships with the product, under the name `default`.
///
/// Errors never for the text in this repository, which the tests compile; an error means deny everything.
pub fn default_bundle() -> Result<Bundle, PolicyError> {
    Bundle::compile("default", &DEFAULT_FILES)
}

/// What is wrong with a policy, and where. `line` and `column` count from 1; 0 means unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy `{file}` at line {line}, column {column}: {message}")]
pub struct PolicyError {
    /// The file, or the bundle's name when no file is to blame.
    pub file: String,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// Column, from 1; 0 when unknown.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl PolicyError {
    pub(crate) fn of(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, message: message.into() }
    }

    /// Reads the interpreter's text: a block `--> file:line:column`, the source line, then `error: message`.
    pub(crate) fn from_text(fallback: &str, text: &str) -> Self {
        let message = text.rsplit("error: ").next().unwrap_or(text).trim();
        let message = if message.is_empty() { text.trim() } else { message };
        let message = message.lines().next().unwrap_or_default().chars().take(500).collect();
        let place = text.split("--> ").nth(1).and_then(|rest| rest.lines().next()).and_then(|place| {
            let (rest, column) = place.trim().rsplit_once(':')?;
            let (file, line) = rest.rsplit_once(':')?;
            Some((file.to_owned(), line.parse().ok()?, column.parse().ok()?))
        });
        let (file, line, column) = place.unwrap_or_else(|| (fallback.to_owned(), 0, 0));
        Self { file, line, column, message }
    }
}

#[cfg(test)]
mod tests;
