//! What can be asked, and what comes back.

use model::approval::ApprovalStatus;
use model::{Event, ExecutionId, TenantId, Timestamp};

use crate::batch::ExecutionRow;

/// The store could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("store failed: {0}")]
    Failed(String),
    /// The store stopped after an error of the disk, and writes nothing until it is opened again.
    #[error("the store stopped: {0}")]
    Stopped(String),
    /// There is no room on the disk; nothing was changed.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Something stored makes no sense: names table, key and what is wrong.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// A page cursor that was not made by this store.
    #[error("`{0}` is not a cursor; use the `next` of an earlier page")]
    Cursor(String),
}

/// Whether the store takes anything, as far as its last write says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The last write went well.
    Working,
    /// The last write found no room; the next one may.
    Full,
    /// It stopped after an error of the disk, and writes nothing until it is opened again.
    Stopped,
}

/// A page and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Opaque cursor of the next page; none at the end.
    pub next: Option<String>,
}

/// Events of an execution, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The events that were asked for.
    pub events: Vec<Event>,
    /// How many there are in all.
    pub total: u64,
}

/// Everything that bringing an execution back takes, of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its row.
    pub row: ExecutionRow,
    /// Its newest snapshot: how many events it stands for, and its bytes.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// The events behind the snapshot, or all when there is none.
    pub history: History,
}

/// Which executions.
#[derive(Debug, Clone, Default)]
pub struct ExecutionQuery {
    /// Any of these; empty means all.
    pub statuses: Vec<String>,
    /// `namespace/name`, or `name` alone.
    pub workflow: Option<String>,
    /// `verified unknown failed`
    pub outcome: Option<String>,
    /// What it waits for: all of `blocked_on`, or the beginning of it up to a colon (`limit`, `limit:one-at-a-time`).
    pub blocked_on: Option<String>,
    /// Who asked.
    pub requester: Option<String>,
    /// Run by this execution.
    pub parent: Option<String>,
    /// Text in id, workflow name, intent, requester or error.
    pub text: Option<String>,
    /// Started at or after.
    pub after: Option<Timestamp>,
    /// Started before.
    pub before: Option<Timestamp>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// Which approvals.
#[derive(Debug, Clone, Default)]
pub struct ApprovalQuery {
    /// Only with this status.
    pub status: Option<ApprovalStatus>,
    /// Only of this execution.
    pub execution: Option<model::ExecutionId>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// Which audit leaves. Empty fields match all.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only of this tenant; none means all (export and verification).
    pub tenant: Option<TenantId>,
    /// Only with this correlation.
    pub correlation: Option<String>,
    /// Only actions that begin with this.
    pub action: Option<String>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// From this sequence on.
    pub from: u64,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// Where to go on.
    pub cursor: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// A stored leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafRow {
    /// Position in the tree, from 0.
    pub sequence: u64,
    /// Exactly the bytes that were hashed: 8-byte sequence and JSON.
    pub bytes: Vec<u8>,
    /// RFC 6962 leaf hash.
    pub hash: [u8; 32],
}

/// An execution that waits for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Where a later list goes on.
    pub key: i64,
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub execution: ExecutionId,
    /// What it waits for.
    pub on: String,
}
