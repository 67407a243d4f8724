//! What is durable: every row of every tenant, the Merkle tree, and its heads. Survives every node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use audit::{Frontier, SignedHead, SigningKey};
use model::approval::Approval;
use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{Digest, Event, ExecutionId, PrincipalId, TenantId, Timestamp};
use parking_lot::Mutex;
use serde_json::Value as Json;
use store::{ExecutionRow, LeafRow};

/// The fixed key that heads are signed with: a world has nothing to hide.
const AUDIT_KEY: [u8; 32] = [7; 32];

/// An execution as it is stored.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Order of creation.
    pub key: i64,
    /// What lists show.
    pub row: ExecutionRow,
    /// The history.
    pub events: Vec<Event>,
    /// How many events there were after each commit.
    pub commits: Vec<usize>,
    /// The newest snapshot.
    pub snapshot: Option<(u64, Vec<u8>)>,
}

/// A leaf with what it tells.
#[derive(Debug)]
pub struct Leaf {
    /// As the port answers it.
    pub row: LeafRow,
    /// The record that it was made from.
    pub record: audit::Record,
}

/// Everything that is stored.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The last order of creation that was given out.
    pub next_key: i64,
    /// Executions by tenant and id.
    pub executions: BTreeMap<(TenantId, ExecutionId), Kept>,
    /// Executions that a rule of retention removed, as they were.
    pub buried: BTreeMap<(TenantId, ExecutionId), Kept>,
    /// What controls ever held, and which.
    pub held: BTreeSet<(TenantId, ExecutionId, String)>,
    /// Approvals with their order of creation.
    pub approvals: BTreeMap<(TenantId, ApprovalId), (i64, Approval)>,
    /// Approvals that went with their executions.
    pub buried_approvals: BTreeMap<(TenantId, ApprovalId), (i64, Approval)>,
    /// Documents by tenant, kind and key.
    pub documents: BTreeMap<(TenantId, String, String), Arc<Json>>,
    /// Dead letters, and whether they are open.
    pub dead_letters: BTreeMap<(TenantId, DeadLetterId), (bool, Json)>,
    /// Answers to idempotency keys, and when they run out.
    pub answers: BTreeMap<(TenantId, String), (Timestamp, Json)>,
    /// Tokens.
    pub tokens: BTreeMap<TokenId, Json>,
    /// Secrets, sealed.
    pub secrets: BTreeMap<(TenantId, String), Vec<u8>>,
    /// Blobs by digest.
    pub blobs: BTreeMap<(TenantId, Digest), Vec<u8>>,
    /// The audit log.
    pub leaves: Vec<Arc<Leaf>>,
    /// Its tree.
    pub frontier: Frontier,
    /// Size, root and time of every head, oldest first; signed when somebody asks.
    pub heads: Vec<(u64, [u8; 32], Timestamp)>,
    /// The newest leader's lease; 0 before the first.
    pub lease: u64,
}

/// The disk that all nodes of a world share.
#[derive(Debug)]
pub struct Disk {
    stored: Mutex<Stored>,
    key: SigningKey,
}

impl Disk {
    /// A disk that holds this.
    pub fn holding(stored: Stored) -> Self {
        Self { stored: Mutex::new(stored), key: SigningKey::from_bytes(&AUDIT_KEY) }
    }

    /// Looks at what is stored, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Stored) -> T) -> T {
        look(&mut self.stored.lock())
    }

    /// The key that checks heads.
    pub fn audit_key(&self) -> audit::VerifyingKey {
        self.key.verifying_key()
    }

    /// Signs a document.
    pub fn seal_document(&self, kind: &str, document: &Json) -> audit::Seal {
        self.key.seal_document(kind, document)
    }

    /// Seals a plan: one key is enough for a world.
    pub fn seal(
        &self,
        tenant: TenantId,
        digest: Digest,
        approvers: Vec<PrincipalId>,
        at: Timestamp,
    ) -> audit::PlanSeal {
        self.key.seal(tenant, digest, approvers, at)
    }

    /// The newest head, signed.
    pub fn head(&self) -> SignedHead {
        let last = self.with(|stored| stored.heads.last().copied());
        let (size, root, at) = last.unwrap_or((0, audit::EMPTY_ROOT, Timestamp(0)));
        self.key.sign(size, root, at)
    }
}

impl Stored {
    /// The hash of the complete subtree at a level and position; none when it is not complete.
    pub fn node(&self, level: u32, position: u64) -> Option<[u8; 32]> {
        let start = usize::try_from(position << level).ok()?;
        let end = start.checked_add(1usize << level)?;
        let mut frontier = Frontier::default();
        for leaf in self.leaves.get(start..end)? {
            frontier.append(leaf.row.hash, |_, _, _| {});
        }
        Some(frontier.root())
    }
}
