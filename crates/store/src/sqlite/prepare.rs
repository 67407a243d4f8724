//! A batch with everything encoded that can be, so that the writer only writes.

use std::sync::Arc;

use model::{ExecutionId, TenantId, Timestamp};

use crate::batch::{Batch, CommitError, ExecutionRow, Expect, Put};
use crate::codec::{correlation_key, encode, encode_events};

/// Largest batch, in encoded bytes.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// A batch, encoded.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) lease: Option<u64>,
    pub(crate) expect: Vec<Expect>,
    pub(crate) events: Option<NewEvents>,
    pub(crate) rows: Vec<Row>,
    pub(crate) leaves: Vec<NewLeaf>,
    /// About how much this writes.
    pub(crate) bytes: usize,
}

/// New events of an execution.
#[derive(Debug)]
pub(crate) struct NewEvents {
    pub(crate) tenant: TenantId,
    pub(crate) id: ExecutionId,
    pub(crate) before: u64,
    pub(crate) count: u64,
    pub(crate) blob: Vec<u8>,
}

/// A leaf whose sequence number is still to be filled in.
#[derive(Debug)]
pub(crate) struct NewLeaf {
    pub(crate) tenant: TenantId,
    pub(crate) correlation: i64,
    pub(crate) bytes: Vec<u8>,
}

/// A row, encoded.
#[derive(Debug)]
pub(crate) enum Row {
    Execution(Arc<ExecutionRow>),
    Snapshot { tenant: TenantId, execution: ExecutionId, version: u64, bytes: Vec<u8> },
    RemoveExecution { tenant: TenantId, execution: ExecutionId, letters: String },
    RemoveSnapshot { tenant: TenantId, execution: ExecutionId },
    Approval { tenant: TenantId, id: String, execution: String, status: &'static str, document: String },
    Document { tenant: TenantId, kind: String, key: String, document: String },
    Remove { tenant: TenantId, kind: String, key: String },
    DeadLetter { tenant: TenantId, id: String, open: bool, document: String },
    Answer { tenant: TenantId, key: String, expires_at: Timestamp, document: String },
    Token { id: String, tenant: TenantId, document: String },
    RemoveToken(String),
    Secret { tenant: TenantId, name: String, sealed: Vec<u8> },
    RemoveSecret { tenant: TenantId, name: String },
}

/// Encodes a batch.
pub(crate) fn prepare(batch: Batch) -> Result<Prepared, CommitError> {
    let prepared =
        encode_batch(batch).map_err(|error| CommitError::Failed(format!("cannot be encoded: {error}")))?;
    if prepared.bytes > BATCH_BYTES_MAX {
        let message =
            format!("a batch has at most {BATCH_BYTES_MAX} bytes, this one {}; use blobs", prepared.bytes);
        return Err(CommitError::Failed(message));
    }
    Ok(prepared)
}

/// Why something has no stored form.
#[derive(Debug, thiserror::Error)]
enum Unwritable {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Compact(#[from] model::compact::Error),
}

fn encode_batch(batch: Batch) -> Result<Prepared, Unwritable> {
    let Batch { lease, expect, events, puts, leaves, records } = batch;
    let events = events.map(new_events).transpose()?;
    let rows = puts.into_iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
    let records = records.iter().map(|record| Ok(new_leaf(record.leaf()?)));
    let leaves = leaves.into_iter().map(|leaf| Ok(new_leaf(leaf))).chain(records);
    let leaves = leaves.collect::<Result<Vec<_>, Unwritable>>()?;
    let bytes = events.as_ref().map_or(0, |events| events.blob.len())
        + rows.iter().map(weight).sum::<usize>()
        + leaves.iter().map(|leaf| leaf.bytes.len()).sum::<usize>();
    Ok(Prepared { lease, expect, events, rows, leaves, bytes })
}

fn new_events(
    (tenant, id, before, events): (TenantId, ExecutionId, u64, Vec<model::Event>),
) -> Result<NewEvents, Unwritable> {
    let blob = encode_events(&events)?;
    Ok(NewEvents { tenant, id, before, count: events.len() as u64, blob })
}

fn new_leaf(leaf: audit::Leaf) -> NewLeaf {
    let correlation = correlation_key(leaf.correlation.as_str());
    NewLeaf { tenant: leaf.tenant, correlation, bytes: leaf.bytes }
}

fn row_of(put: Put) -> Result<Row, serde_json::Error> {
    Ok(match put {
        Put::Execution(row) => Row::Execution(row),
        Put::Snapshot { tenant, execution, version, bytes } => {
            Row::Snapshot { tenant, execution, version, bytes }
        }
        Put::RemoveExecution { tenant, execution, letters } => {
            Row::RemoveExecution { tenant, execution, letters }
        }
        Put::RemoveSnapshot { tenant, execution } => Row::RemoveSnapshot { tenant, execution },
        Put::Approval(approval) => Row::Approval {
            id: approval.id.to_string(),
            execution: approval.execution.to_string(),
            status: approval.status.name(),
            document: encode(&approval)?,
            tenant: approval.tenant,
        },
        Put::Document { tenant, kind, key, document } => {
            Row::Document { tenant, kind, key, document: encode(&document)? }
        }
        Put::Remove { tenant, kind, key } => Row::Remove { tenant, kind, key },
        Put::DeadLetter { tenant, id, open, document } => {
            Row::DeadLetter { tenant, id: id.to_string(), open, document: encode(&document)? }
        }
        Put::Answer { tenant, key, expires_at, document } => {
            Row::Answer { tenant, key, expires_at, document: encode(&document)? }
        }
        Put::Token { id, tenant, document } => {
            Row::Token { id: id.to_string(), tenant, document: encode(&document)? }
        }
        Put::RemoveToken(id) => Row::RemoveToken(id.to_string()),
        Put::Secret { tenant, name, sealed } => Row::Secret { tenant, name, sealed },
        Put::RemoveSecret { tenant, name } => Row::RemoveSecret { tenant, name },
    })
}

/// About how many bytes a row writes.
fn weight(row: &Row) -> usize {
    const FIXED: usize = 256;
    match row {
        Row::Execution(row) => {
            FIXED + row.intent.as_ref().map_or(0, String::len) + row.error.as_ref().map_or(0, String::len)
        }
        Row::Approval { document, .. }
        | Row::Document { document, .. }
        | Row::DeadLetter { document, .. }
        | Row::Answer { document, .. }
        | Row::Token { document, .. } => FIXED + document.len(),
        Row::Secret { sealed, .. } => FIXED + sealed.len(),
        Row::Snapshot { bytes, .. } => FIXED + bytes.len(),
        Row::Remove { .. }
        | Row::RemoveToken(_)
        | Row::RemoveSecret { .. }
        | Row::RemoveSnapshot { .. }
        | Row::RemoveExecution { .. } => FIXED,
    }
}
