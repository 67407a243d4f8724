//! One audit record: what a leaf says.

use serde::{Deserialize, Serialize};

use model::{TenantId, Timestamp, compact};

/// How widely a record may be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classification {
    /// Anyone.
    Public,
    /// The organisation.
    #[default]
    Internal,
    /// Those who need it.
    Confidential,
    /// Those who are named.
    Restricted,
}

/// Days for which a record is kept.
pub const RETENTION_DAYS: u32 = 2555;

/// A decision, effect, approval, control change or administrative act. What a leaf's bytes
/// are made of says [`leaf_bytes`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantId,
    /// Who: a principal's id.
    pub actor: String,
    /// What sort of actor: `user`, `service`, `agent`, `system`.
    pub actor_kind: String,
    /// What was done, dotted: `effect.judged`, `effect.permitted`, `effect.answered`, `outcome.settled`,
    /// `approval.requested`, `approval.approved`, `control.set`, `workflow.published`, `egress.connected`, …
    pub action: String,
    /// On what: `executions/<id>/effects/<n>`, `controls/kill-switch`, …
    pub resource: String,
    /// Ties together what belongs together: the execution's id, or the request's id.
    pub correlation: String,
    /// How widely it may be shown.
    #[serde(default)]
    pub classification: Classification,
    /// Network address of the caller, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// User agent of the caller, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Everything else, redacted.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
}

/// Bytes of the sequence number that a leaf begins with.
pub const SEQUENCE_BYTES: usize = 8;

/// The byte behind the sequence number, when the record follows as compact JSON (see [`model::compact`]). Leaves that were
/// written until version 0.1 have JSON text there, which begins with `{`.
const COMPACT: u8 = 2;

/// The bytes of a leaf: the sequence number as 8 big-endian bytes, a 2, then the record as compact JSON.
///
/// Fails only when the record's details cannot be written as JSON.
pub fn leaf_bytes(sequence: u64, record: &Record) -> Result<Vec<u8>, compact::Error> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.push(COMPACT);
    compact::write(&mut bytes, record)?;
    Ok(bytes)
}

/// The sequence number and the record that a leaf's bytes hold; none when they are not a leaf.
pub fn read_leaf(bytes: &[u8]) -> Option<(u64, Record)> {
    let (sequence, body) = bytes.split_first_chunk::<SEQUENCE_BYTES>()?;
    let record = match body.split_first()? {
        (&COMPACT, document) => compact::from_slice(document).ok()?,
        _ => serde_json::from_slice(body).ok()?,
    };
    Some((u64::from_be_bytes(*sequence), record))
}
