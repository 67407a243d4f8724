//! Why a text is no expression, and why an evaluation gave no value.

use model::{Data, Label, Value};

/// Why a text is not an expression of the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where it is wrong: a byte offset in the text.
    pub offset: usize,
    /// What to write instead, when that can be said.
    pub hint: Option<String>,
}

/// Why an evaluation failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What went wrong and, for a budget, which one and how large it is.
    pub message: String,
    /// What kind of failure it was.
    pub kind: ErrorKind,
}

/// The kinds of failure a caller may act on differently.
#[derive(Debug, Clone, PartialEq)]
pub enum ErrorKind {
    /// The named budget (`steps`, `depth`, `bytes`, `outputs`) was spent.
    Budget(&'static str),
    /// The expression gave no value, or more than one.
    NotOne,
    /// A variable that the expression uses was not given.
    Variable(String),
    /// An operation did not fit its data, or the expression called `error` with this value.
    Raised(Value),
}

/// Why the machine stops what it is doing; only `Raised` can be caught by the expression.
#[derive(Debug)]
pub(super) enum Stop {
    Budget { name: &'static str, limit: u64 },
    Break(u64),
    Raised(Box<Value>),
}

impl Stop {
    /// An error message about data with these origins.
    pub(super) fn raise(message: impl AsRef<str>, label: Label) -> Stop {
        Stop::Raised(Box::new(Value { data: Data::String(message.as_ref().into()), label }))
    }
}

impl From<Stop> for EvalError {
    fn from(stop: Stop) -> EvalError {
        match stop {
            Stop::Budget { name, limit } => EvalError {
                message: format!("the expression used more than its budget of {limit} {name}"),
                kind: ErrorKind::Budget(name),
            },
            Stop::Break(_) => EvalError {
                message: "a `break` left the expression without a value".into(),
                kind: ErrorKind::NotOne,
            },
            Stop::Raised(value) => {
                let message = match &value.data {
                    Data::String(text) => text.to_string(),
                    _ => format!("the expression raised {}", super::json::brief(&value)),
                };
                EvalError { message, kind: ErrorKind::Raised(*value) }
            }
        }
    }
}
