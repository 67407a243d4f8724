//! The one persistence port, and SQLite behind it.
//!
//! A [`Batch`] is everything one step changes; it is committed whole or not at all, together with the audit
//! leaves that tell of it. One writer thread takes what has queued up from everybody and commits it with one
//! `fsync`. Reads go to a small pool of read-only connections.

mod batch;
mod blobs;
mod codec;
mod files;
mod query;
mod secrets;
mod sqlite;
mod verify;

pub use batch::{Batch, CommitError, Committed, ExecutionRow, Expect, Put};
pub use files::{FileAct, FileWatch};
pub use query::{
    ApprovalQuery, AuditQuery, Blocked, Condition, ExecutionQuery, History, LeafRow, Page, StoreError, Stored,
};
pub use sqlite::open::{OpenError, bare_database};
pub use sqlite::{Options, SqliteStore, Stats};
pub use verify::{StoppedCopy, VerifyError, verify_directory};

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{Digest, ExecutionId, TenantId, Timestamp};

/// The one persistence port. Everything acknowledged is durable.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Takes the lead for `holder` (a name for people, at most 255 bytes): answers a lease that is higher than every
    /// one before. Durable when it returns. From then on batches of older leases are refused inside their transaction
    /// with [`CommitError::Fenced`], whoever sent them and however long they were under way.
    async fn lead(&self, holder: &str) -> Result<u64, StoreError>;

    /// Commits many batches; each is all-or-nothing and answers for itself. Batches of one call are applied in
    /// order, and share an `fsync` with whatever else is queued.
    async fn commit(&self, batches: Vec<Batch>) -> Vec<Result<Committed, CommitError>>;

    /// Where the caller may keep how many commits are about to come: steps that are decided at this moment, or wait for
    /// that. A hint for the size of groups; none when the store has no use for it.
    fn coming(&self) -> Option<Arc<AtomicUsize>> {
        None
    }

    /// The history of an execution; none when the tenant has no such execution.
    async fn load(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<History>, StoreError>;

    /// As `load`, but from event number `from` on (0 is the first), and at most `limit` events.
    async fn load_from(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        from: u64,
        limit: u64,
    ) -> Result<Option<History>, StoreError>;

    /// The newest snapshot of an execution: how many events it stands for, and its bytes.
    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError>;

    /// Everything that bringing an execution back takes; none when the tenant has no such execution. A store that can
    /// reads all of it at once.
    async fn stored(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<Stored>, StoreError> {
        let Some(row) = self.execution(tenant, id).await? else { return Ok(None) };
        let snapshot = self.snapshot(tenant, id).await?;
        let from = snapshot.as_ref().map_or(0, |(version, _)| *version);
        let history = self.load_from(tenant, id, from, u64::MAX).await?;
        Ok(history.map(|history| Stored { row, snapshot, history }))
    }

    /// As [`Store::stored`] for many executions of one tenant, in their order.
    async fn stored_all(
        &self,
        tenant: &TenantId,
        ids: &[ExecutionId],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            all.push(self.stored(tenant, id).await?);
        }
        Ok(all)
    }

    /// Executions whose `due_at` has come, at most `limit`, without those of the tenants in `except`. The limit is divided
    /// between the tenants of whom something is due; each one's are together, oldest first, and the tenant who has waited
    /// longest comes first.
    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        except: &[TenantId],
    ) -> Result<Vec<(TenantId, ExecutionId)>, StoreError>;

    /// The earliest `due_at` there is.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Executions with status `pending` or `running`: their work was in flight when the process ended.
    /// In order of creation, after `after`, at most `limit`.
    async fn unfinished(
        &self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, TenantId, ExecutionId)>, StoreError>;

    /// Executions whose `blocked_on` begins with `prefix` (for example `control:`), all tenants, in order of
    /// creation, after `after`, at most `limit`.
    async fn blocked(&self, prefix: &str, after: Option<i64>, limit: u32)
    -> Result<Vec<Blocked>, StoreError>;

    /// Executions of the tenant that ended at `before` or earlier, in order of creation, after the place `after`, at most
    /// `limit`; and where to go on, none at the end. Looks at a bounded number of rows, so a page may be short.
    async fn ended(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        after: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<ExecutionRow>, Option<i64>), StoreError>;

    /// How many executions wait for what, by `blocked_on`, of one tenant: the part before the colon, and all of it for
    /// `limit:` and `control:`.
    async fn count_by_block(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError>;

    /// One execution's row.
    async fn execution(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRow>, StoreError>;

    /// Executions that match, newest first.
    async fn executions(
        &self,
        tenant: &TenantId,
        query: ExecutionQuery,
    ) -> Result<Page<ExecutionRow>, StoreError>;

    /// How many executions of the tenant have each status.
    async fn count_by_status(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError>;

    /// One approval, as the JSON document that was put.
    async fn approval(
        &self,
        tenant: &TenantId,
        id: &ApprovalId,
    ) -> Result<Option<model::approval::Approval>, StoreError>;

    /// Approvals that match, newest first.
    async fn approvals(
        &self,
        tenant: &TenantId,
        query: ApprovalQuery,
    ) -> Result<Page<model::approval::Approval>, StoreError>;

    /// One document of a kind (see [`Put::Document`]).
    async fn document(
        &self,
        tenant: &TenantId,
        kind: &str,
        key: &str,
    ) -> Result<Option<serde_json::Value>, StoreError>;

    /// All documents of a kind whose key begins with `prefix`, by key, at most `limit`, after the key `after`.
    async fn documents(
        &self,
        tenant: &TenantId,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, serde_json::Value)>, StoreError>;

    /// One dead letter's document.
    async fn dead_letter(
        &self,
        tenant: &TenantId,
        id: &DeadLetterId,
    ) -> Result<Option<serde_json::Value>, StoreError>;

    /// Dead letters, newest first; `open` ones only when asked.
    async fn dead_letters(
        &self,
        tenant: &TenantId,
        open: bool,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page<serde_json::Value>, StoreError>;

    /// The answer recorded for an idempotency key that has not run out at `now`.
    async fn deduplicated(
        &self,
        tenant: &TenantId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<serde_json::Value>, StoreError>;

    /// The token with this id, of any tenant (tokens are looked up before a tenant is known).
    async fn token(&self, id: &TokenId) -> Result<Option<serde_json::Value>, StoreError>;

    /// Audit leaves that match, by sequence.
    async fn leaves(&self, query: AuditQuery) -> Result<Page<LeafRow>, StoreError>;

    /// The newest signed tree head.
    async fn head(&self) -> Result<audit::SignedHead, StoreError>;

    /// Signs a document with the key that signs tree heads.
    fn seal(&self, kind: &str, document: &serde_json::Value) -> audit::Seal;

    /// The public key that tree heads are signed with.
    fn audit_key(&self) -> audit::VerifyingKey;

    /// Seals a plan with the installation's key for plans.
    fn seal_plan(
        &self,
        tenant: &TenantId,
        digest: Digest,
        approvers: Vec<model::PrincipalId>,
        at: Timestamp,
    ) -> audit::PlanSeal;

    /// The public key that plans are sealed with.
    fn plan_key(&self) -> audit::VerifyingKey;

    /// Inclusion proof of leaf `index` in the tree of `size` leaves.
    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError>;

    /// Consistency proof between two sizes.
    async fn consistency(&self, first: u64, second: u64) -> Result<Vec<[u8; 32]>, StoreError>;

    /// Keeps bytes by digest; the same bytes are kept once. Durable when it returns.
    async fn put_blob(&self, tenant: &TenantId, bytes: Vec<u8>) -> Result<Digest, StoreError>;

    /// Bytes by digest, checked against it.
    async fn blob(&self, tenant: &TenantId, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// A secret by name, decrypted.
    async fn secret(&self, tenant: &TenantId, name: &str) -> Result<Option<serde_json::Value>, StoreError>;

    /// Seals a secret's document so that it can be put as [`Put::Secret`].
    fn seal_secret(
        &self,
        tenant: &TenantId,
        name: &str,
        document: &serde_json::Value,
    ) -> Result<Vec<u8>, StoreError>;

    /// Names of the tenant's secrets.
    async fn secret_names(&self, tenant: &TenantId) -> Result<Vec<String>, StoreError>;

    /// Whether the store takes anything, without asking the disk.
    fn condition(&self) -> Condition;

    /// Answers when the store can read and write, with the time it took.
    async fn ping(&self) -> Result<std::time::Duration, StoreError>;
}
