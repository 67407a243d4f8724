//! What one step changes.

use std::sync::Arc;

use model::approval::Approval;
use model::id::{DeadLetterId, TokenId};
use model::{Digest, Event, ExecutionId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Everything one step changes; all or nothing.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The lease that [`crate::Store::lead`] gave to whoever commits. A batch of another lease than the newest, or of
    /// none once somebody leads, is refused with [`CommitError::Fenced`].
    pub lease: Option<u64>,
    /// What must hold, or the batch is refused with [`CommitError::Conflict`].
    pub expect: Vec<Expect>,
    /// New events of one execution, with the history's length before them.
    pub events: Option<(TenantId, ExecutionId, u64, Vec<Event>)>,
    /// Rows to put.
    pub puts: Vec<Put>,
    /// Audit leaves that are made already, in order; those of `records` follow them.
    pub leaves: Vec<audit::Leaf>,
    /// Audit records; each becomes one leaf, in order.
    pub records: Vec<audit::Record>,
}

/// A guard of a batch, checked inside the transaction.
#[derive(Debug, Clone)]
pub enum Expect {
    /// The tenant has no execution of this id.
    NoExecution(TenantId, ExecutionId),
    /// No document of this kind and key exists (immutable things).
    NoDocument(TenantId, String, String),
    /// The document exists with this digest of its canonical JSON (`If-Match`).
    Document(TenantId, String, String, Digest),
    /// The execution ended at this moment, and nothing of it began again.
    Ended(TenantId, ExecutionId, Timestamp),
    /// No unexpired answer is recorded for this idempotency key at this time.
    NoAnswer(TenantId, String, Timestamp),
}

/// One row to insert or replace.
#[derive(Debug, Clone)]
pub enum Put {
    /// The execution's row: what lists and searches show, and when it wants to be woken.
    Execution(Arc<ExecutionRow>),
    /// The state of an execution after so many events, in place of an older one. A cache: a later read may find none.
    Snapshot {
        /// Whose.
        tenant: TenantId,
        /// Of which execution; ignored when there is none.
        execution: ExecutionId,
        /// Number of events that it stands for.
        version: u64,
        /// The engine's bytes.
        bytes: Vec<u8>,
    },
    /// Removes an execution's snapshot.
    RemoveSnapshot {
        /// Whose.
        tenant: TenantId,
        /// Of which execution.
        execution: ExecutionId,
    },
    /// Removes an ended execution: its row, history, snapshot, approvals and dead letters. Audit leaves stay.
    RemoveExecution {
        /// Whose.
        tenant: TenantId,
        /// Which execution.
        execution: ExecutionId,
        /// What the ids of its dead letters begin with, and no others.
        letters: String,
    },
    /// An approval, by id.
    Approval(Box<Approval>),
    /// A document by tenant, kind and key: `workflow` (`namespace/name/version`), `action` (`name/version`), `policy`
    /// (name), `control` (name), `tenant`, `principal`. Kinds are the caller's words.
    Document {
        /// Whose.
        tenant: TenantId,
        /// What sort.
        kind: String,
        /// Unique in tenant and kind.
        key: String,
        /// The document.
        document: serde_json::Value,
    },
    /// Removes a document.
    Remove {
        /// Whose.
        tenant: TenantId,
        /// What sort.
        kind: String,
        /// Unique in tenant and kind.
        key: String,
    },
    /// A dead letter by id; `open` until it is redriven or dismissed.
    DeadLetter {
        /// Whose.
        tenant: TenantId,
        /// Its id (time-ordered).
        id: DeadLetterId,
        /// Still parked.
        open: bool,
        /// The document.
        document: serde_json::Value,
    },
    /// The answer to a request with an idempotency key.
    Answer {
        /// Whose.
        tenant: TenantId,
        /// The key.
        key: String,
        /// When it may be forgotten.
        expires_at: Timestamp,
        /// The answer.
        document: serde_json::Value,
    },
    /// A token by id.
    Token {
        /// Its id.
        id: TokenId,
        /// Whose.
        tenant: TenantId,
        /// The document (holds the hash, never the token).
        document: serde_json::Value,
    },
    /// Removes a token.
    RemoveToken(TokenId),
    /// A sealed secret.
    Secret {
        /// Whose.
        tenant: TenantId,
        /// Its name.
        name: String,
        /// What [`crate::Store::seal_secret`] made.
        sealed: Vec<u8>,
    },
    /// Removes a secret.
    RemoveSecret {
        /// Whose.
        tenant: TenantId,
        /// Its name.
        name: String,
    },
}

/// An execution as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRow {
    /// Whose.
    pub tenant: TenantId,
    /// Its id.
    pub id: ExecutionId,
    /// Workflow namespace.
    pub namespace: String,
    /// Workflow name.
    pub name: String,
    /// Workflow version.
    pub version: String,
    /// `pending running waiting suspended cancelled faulted completed`
    pub status: String,
    /// `verified unknown failed`, once it ended.
    pub outcome: Option<String>,
    /// What it waits for, for example `approval:<id>`, `timer`, `control:kill-switch`, `dead-letter:<id>`.
    pub blocked_on: Option<String>,
    /// Who asked.
    pub requester: String,
    /// The goal's text, when it was text.
    pub intent: Option<String>,
    /// One line of what went wrong, when something did.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it wants to be woken, if nothing else happens before.
    pub due_at: Option<Timestamp>,
    /// The execution that runs it.
    #[serde(default)]
    pub parent: Option<ExecutionId>,
}

/// A batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Sequence of the batch's first audit leaf; the size of the tree when it had none.
    pub first_leaf: u64,
    /// Number of audit leaves.
    pub leaves: u64,
}

/// Why a batch was not committed. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold, or the history has another length.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Somebody else leads: whoever committed this must stop.
    #[error("fenced: lease {held} was given up for lease {newest}")]
    Fenced {
        /// The lease of the batch; 0 when it had none.
        held: u64,
        /// The lease of the newest leader.
        newest: u64,
    },
    /// The queue of the writer is full.
    #[error("the store is overloaded")]
    Overloaded,
    /// There is no room on the disk; nothing of the batch is durable.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The store stopped after an error of the disk, and writes nothing until it is opened again. Of the batch that met
    /// the error it is not known whether it is durable until then.
    #[error("the store stopped: {0}")]
    Stopped(String),
    /// The store failed; whether the batch is durable is not known until it is read again.
    #[error("store failed: {0}")]
    Failed(String),
}
