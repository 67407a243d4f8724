//! The tasks of an execution as they ran, for people. Not part of the state: replay with tracing makes it again.

use std::sync::Arc;

use model::Timestamp;

/// Entries kept at the most; later tasks of a longer run are not traced.
pub const TRACE_MAX: usize = 10_000;

/// A task that ran.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceEntry {
    /// JSON Pointer.
    pub pointer: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// `do set switch for fork raise try wait call run`
    pub kind: &'static str,
    /// Nesting, from 0.
    pub depth: u32,
    /// How it went.
    pub status: TaskStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How a task went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskStatus {
    /// Still at it.
    Running,
    /// Done.
    Completed,
    /// Raised an error, or an error passed through it.
    Faulted,
    /// Its `if` was false.
    Skipped,
}

impl TaskStatus {
    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Faulted => "faulted",
            Self::Skipped => "skipped",
        }
    }
}
