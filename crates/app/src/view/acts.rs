//! What operators ask for beyond holding and stopping, and what they are answered.

use model::{Digest, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

use super::ExecutionSummary;

/// An act on many executions.
#[derive(Debug, Clone, Default)]
pub struct BulkRequest {
    /// Which; as lists are searched. Cursor and limit are not looked at.
    pub query: store::ExecutionQuery,
    /// Why.
    pub reason: String,
    /// Executions at the most; 10,000 when absent.
    pub limit: Option<u64>,
    /// The command's id; the same id with the same command answers the same one.
    pub operation_id: Option<String>,
    /// True: count, and change nothing.
    pub dry_run: bool,
}

/// How far a command on many executions has come.
#[derive(Debug, Clone, Serialize)]
pub struct OperationView {
    /// Its id.
    pub id: String,
    /// `cancel`, `pause`, `resume` or `retry`.
    pub act: String,
    /// `running`, `done` or `dry-run`.
    pub status: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Executions at the most.
    pub limit: u64,
    /// Executions that it would look at; only of a dry run.
    pub matched: Option<u64>,
    /// Executions acted on.
    pub done: u64,
    /// Executions whose status did not allow it any more.
    pub skipped: u64,
    /// Executions that could not be acted on.
    pub failed: u64,
    /// The first failures.
    pub failures: Vec<BulkFailure>,
    /// When it was taken.
    pub started_at: Timestamp,
    /// When it last got on.
    pub updated_at: Timestamp,
    /// When it was done.
    pub ended_at: Option<Timestamp>,
}

/// Why one execution could not be acted on.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct BulkFailure {
    /// Which.
    pub execution_id: String,
    /// Stable code.
    pub code: String,
    /// What went wrong.
    pub detail: String,
}

/// Where to go back to, or on from.
#[derive(Debug, Clone)]
pub enum Target {
    /// After so many events.
    Event(u64),
    /// A named checkpoint.
    Checkpoint(String),
    /// Where the flow came to this task the last time; a JSON Pointer.
    Task(String),
}

/// A return to an earlier point, or a fork from one.
#[derive(Debug, Clone)]
pub struct ReturnRequest {
    /// The point.
    pub to: Target,
    /// What becomes of the effects behind it; none asks about each.
    pub effects: Option<model::event::Choice>,
    /// Another input; only at the beginning.
    pub input: Option<Json>,
    /// Why.
    pub reason: String,
    /// The id of a fork; one is made when absent.
    pub execution_id: Option<String>,
    /// True: say what would become of the effects, and change nothing.
    pub dry_run: bool,
}

/// What a return or a fork did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct ReturnView {
    /// The execution as it is now; the fork, when one was made.
    pub execution: ExecutionSummary,
    /// Number of events that make the point.
    pub event: u64,
    /// The task that the flow stood at there.
    pub task: Option<String>,
    /// The effects behind the point that happened, or may have.
    pub kept: Vec<KeptView>,
}

/// An effect that is kept aside.
#[derive(Debug, Clone, Serialize)]
pub struct KeptView {
    /// Its number.
    pub effect: u32,
    /// The execution that it belongs to, when that is another one.
    pub origin: Option<String>,
    /// JSON Pointer of its task.
    pub task: String,
    /// What was done.
    pub operation: String,
    /// `verified` or `unknown`.
    pub outcome: String,
    /// True when its answer is known, and can stand in.
    pub answered: bool,
    /// `keep`, `compensate` or `repeat`; none until a person chooses.
    pub choice: Option<String>,
}

/// A place that an execution can go back to.
#[derive(Debug, Clone, Serialize)]
pub struct CheckpointView {
    /// Its name; none for one that stands before an effect.
    pub name: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Number of events that make it.
    pub event: u64,
    /// The task that the flow stood at.
    pub task: Option<String>,
    /// The effect that was about to be judged.
    pub effect: Option<u32>,
    /// Size of the recorded state, in bytes.
    pub bytes: u64,
    /// SHA-256 of the recorded state.
    pub sha256: Digest,
}

/// What a person says about an effect of unknown outcome.
#[derive(Debug, Clone, Default)]
pub struct ResolveRequest {
    /// `verified` or `failed`.
    pub outcome: String,
    /// What was seen, and where.
    pub evidence: String,
    /// What the flow goes on with; what the contract predicts when absent.
    pub output: Option<Json>,
    /// Why it is settled by hand; may be empty.
    pub reason: String,
}
