//! What is said to an execution, and asked of it.

use model::ExecutionId;
use serde::Serialize;
use serde_json::Value as Json;

/// A signal to an execution.
#[derive(Debug, Clone)]
pub struct SignalRequest {
    /// Its name: 1 to 128 printable ASCII characters without spaces.
    pub name: String,
    /// What it carries; 64 KiB at the most.
    pub data: Json,
    /// Chosen by the caller, so that sending it again changes nothing.
    pub id: Option<String>,
}

/// A signal that is in the inbox, or was taken from it.
#[derive(Debug, Clone, Serialize)]
pub struct SignalAccepted {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its status when the answer was made.
    pub status: String,
    /// What it waits for.
    pub blocked_on: Option<String>,
    /// The signal's id.
    pub id: String,
    /// True when this very signal had come before.
    pub repeated: bool,
}

/// Something that is asked of an execution.
#[derive(Debug, Clone)]
pub struct UpdateRequest {
    /// Its name: 1 to 128 letters, digits and `._:+-`.
    pub name: String,
    /// What it carries; 64 KiB at the most.
    pub data: Json,
    /// Chosen by the caller, so that asking again changes nothing.
    pub id: Option<String>,
    /// What to wait for.
    pub wait_for: WaitFor,
    /// How long to wait, for somebody who takes it and for the answer; a minute at the most.
    pub wait: std::time::Duration,
}

/// What whoever sends an update waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// That it is durable, and something will handle it.
    Accepted,
    /// The answer.
    Completed,
}

/// Where an update stands.
#[derive(Debug, Clone)]
pub struct UpdateView {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it was answered; none while it is only accepted.
    pub answer: Option<Result<Json, model::problem::WorkflowError>>,
    /// Status of the execution at that moment.
    pub execution_status: String,
    /// True when this very update had come before.
    pub repeated: bool,
}
