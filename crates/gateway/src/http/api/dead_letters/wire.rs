//! Parked work on the wire.

use app::view::DeadLetterView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::wire::moment;

/// Parked work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    /// Its id.
    id: String,
    /// The execution.
    execution_id: String,
    /// The effect.
    effect: u32,
    /// JSON Pointer of the task.
    task: String,
    /// For example `refund-create:1.0.0`.
    operation: String,
    /// `namespace/name:version`
    workflow: String,
    /// Why it is parked.
    reason: String,
    /// Attempts made.
    attempts: u32,
    /// Still parked.
    open: bool,
    /// Since when.
    parked_at: String,
    /// When it was put back to work.
    redriven_at: Option<String>,
    /// By whom.
    redriven_by: Option<String>,
}

impl From<DeadLetterView> for DeadLetter {
    fn from(view: DeadLetterView) -> Self {
        Self {
            id: view.id.to_string(),
            execution_id: view.execution.to_string(),
            effect: view.effect,
            task: view.task,
            operation: view.operation,
            workflow: view.workflow,
            reason: view.reason,
            attempts: view.attempts,
            open: view.open,
            parked_at: moment(view.parked_at),
            redriven_at: view.redriven_at.map(moment),
            redriven_by: view.redriven_by,
        }
    }
}
