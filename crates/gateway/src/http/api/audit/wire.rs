//! The audit log on the wire.

use app::view::{AuditCheck as AppCheck, AuditEntry as AppEntry, ProofView};
use model::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::wire::{moment, word};

/// A record with its place in the tree.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// Position in the tree, from 0.
    pub(crate) sequence: u64,
    /// Leaf hash in hexadecimal.
    pub(crate) hash: String,
    /// What the leaf says.
    pub(crate) record: AuditRecord,
}

/// What was done, by whom, on what.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditRecord {
    /// When.
    pub(crate) at: String,
    /// Whose.
    pub(crate) tenant: String,
    /// Who.
    pub(crate) actor: String,
    /// `user`, `service`, `agent` or `system`.
    pub(crate) actor_kind: String,
    /// For example `effect.started`.
    pub(crate) action: String,
    /// For example `executions/<id>/effects/1`.
    pub(crate) resource: String,
    /// Ties together what belongs together: an execution's or a request's id.
    pub(crate) correlation: String,
    /// `public`, `internal`, `confidential` or `restricted`.
    pub(crate) classification: String,
    /// Network address of the caller.
    pub(crate) address: Option<String>,
    /// User agent of the caller.
    pub(crate) agent: Option<String>,
    /// Everything else.
    #[schema(value_type = Object)]
    pub(crate) details: Value,
}

impl From<AppEntry> for AuditEntry {
    fn from(entry: AppEntry) -> Self {
        let record = entry.record;
        let record = AuditRecord {
            at: moment(record.at),
            tenant: record.tenant.to_string(),
            actor: record.actor,
            actor_kind: record.actor_kind,
            action: record.action,
            resource: record.resource,
            correlation: record.correlation,
            classification: word(&record.classification),
            address: record.address,
            agent: record.agent,
            details: record.details,
        };
        Self { sequence: entry.sequence, hash: entry.hash, record }
    }
}

/// A signed statement that the log had this root at this size.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedHead {
    /// Number of leaves.
    pub(crate) size: u64,
    /// Root of the tree in hexadecimal.
    pub(crate) root: String,
    /// When it was signed.
    pub(crate) at: String,
    /// The same moment in milliseconds since 1970: this number is part of the signed text.
    pub(crate) at_ms: i64,
    /// Which key signed.
    pub(crate) key_id: String,
    /// Ed25519 signature in hexadecimal.
    pub(crate) signature: String,
}

impl SignedHead {
    /// A head from its parts.
    pub(crate) fn new(size: u64, root: &[u8], at: Timestamp, key_id: String, signature: &[u8]) -> Self {
        Self {
            size,
            root: hex::encode(root),
            at: moment(at),
            at_ms: at.0,
            key_id,
            signature: hex::encode(signature),
        }
    }
}

/// An inclusion proof that anyone can check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Proof {
    /// Position of the leaf.
    pub(crate) index: u64,
    /// The leaf's bytes in base64: 8 bytes of sequence number, then the record, as `docs/storage.md` says.
    pub(crate) leaf: String,
    /// What the leaf says.
    pub(crate) record: AuditRecord,
    /// Leaf hash in hexadecimal.
    pub(crate) leaf_hash: String,
    /// Sibling hashes in hexadecimal, leaf to root.
    pub(crate) path: Vec<String>,
    /// The head that it is proven against.
    pub(crate) head: SignedHead,
    /// True: it was checked before it was answered.
    pub(crate) verified: bool,
}

impl From<ProofView> for Proof {
    fn from(view: ProofView) -> Self {
        let head = view.head;
        let entry = AppEntry { sequence: view.index, hash: view.leaf_hash, record: view.record };
        let entry = AuditEntry::from(entry);
        Self {
            index: view.index,
            leaf: view.leaf,
            record: entry.record,
            leaf_hash: entry.hash,
            path: view.path,
            head: SignedHead::new(head.size, &head.root, head.at, head.key_id, &head.signature),
            verified: view.verified,
        }
    }
}

/// Result of checking the whole log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditCheck {
    /// Leaves checked.
    size: u64,
    /// Root in hexadecimal.
    root: String,
    /// Whether everything matched.
    intact: bool,
    /// When not: a pair of the first bad index, and why.
    first_bad: Option<FirstBad>,
}

/// The first bad index, and why it is bad.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FirstBad(u64, String);

impl From<AppCheck> for AuditCheck {
    fn from(check: AppCheck) -> Self {
        Self {
            size: check.size,
            root: check.root,
            intact: check.intact,
            first_bad: check.first_bad.map(|(index, why)| FirstBad(index, why)),
        }
    }
}
