//! One audit record: what a leaf says.

use serde::{Deserialize, Serialize};

use model::{Timestamp, TenantId};

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

/// A decision, effect, approval, control change or administrative act. The leaf's bytes are its 8-byte
/// big-endian sequence number followed by this record as JSON.
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
    /// What was done, dotted: `effect.judged`, `effect.started`, `effect.answered`, `outcome.settled`,
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
