//! A store that dies right after a chosen commit is durable: nothing that comes later is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use model::approval::Approval;
use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{Digest, ExecutionId, PrincipalId, TenantId, Timestamp};
use store::{
    ApprovalQuery, AuditQuery, Batch, Blocked, CommitError, Committed, Condition, ExecutionQuery,
    ExecutionRow, History, LeafRow, Page, Store, StoreError, Stored,
};
use tokio::sync::Notify;

/// Whether the process that the store plays in lives.
#[derive(Debug)]
pub struct Life {
    /// Commits of events that are left before it dies; none: it does not.
    left: Option<AtomicU32>,
    /// Commits of events so far.
    commits: AtomicU32,
    dead: AtomicBool,
    died: Notify,
}

impl Life {
    /// One that dies right after so many commits of events; none: never.
    pub fn of(commits: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            left: commits.map(AtomicU32::new),
            commits: AtomicU32::new(0),
            dead: AtomicBool::new(false),
            died: Notify::new(),
        })
    }

    /// Commits of events so far.
    pub fn commits(&self) -> u32 {
        self.commits.load(Ordering::Acquire)
    }

    /// True from its death on.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Answers when it dies.
    pub async fn death(&self) {
        let died = self.died.notified();
        tokio::pin!(died);
        died.as_mut().enable();
        if !self.is_dead() {
            died.await;
        }
    }

    /// Ends it now.
    pub fn end(&self) {
        self.dead.store(true, Ordering::Release);
        self.died.notify_waiters();
    }

    /// A dead process is never answered.
    async fn or_hang(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Counts durable commits of events, and dies when it is time.
    fn count(&self, commits: u32) {
        self.commits.fetch_add(commits, Ordering::AcqRel);
        let Some(left) = &self.left else { return };
        let before = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(commits));
        if before.is_err() || before == Ok(commits) {
            self.end();
        }
    }
}

/// The real store, as long as the process lives.
#[derive(Debug)]
pub struct Mortal {
    /// What keeps everything.
    pub inner: Arc<dyn Store>,
    /// Whether anybody is answered.
    pub life: Arc<Life>,
}

#[async_trait]
impl Store for Mortal {
    async fn commit(&self, batches: Vec<Batch>) -> Vec<Result<Committed, CommitError>> {
        self.life.or_hang().await;
        let mut results = Vec::with_capacity(batches.len());
        // One after the other, so that death comes between two and never takes two at once.
        for batch in batches {
            let tells = batch.events.is_some();
            let mut done = self.inner.commit(vec![batch]).await;
            let Some(done) = done.pop() else { continue };
            if tells && done.is_ok() {
                self.life.count(1);
            }
            self.life.or_hang().await;
            results.push(done);
        }
        results
    }

    fn condition(&self) -> Condition {
        self.inner.condition()
    }

    async fn lead(&self, holder: &str) -> Result<u64, StoreError> {
        self.life.or_hang().await;
        self.inner.lead(holder).await
    }

    async fn load(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<History>, StoreError> {
        self.life.or_hang().await;
        self.inner.load(tenant, id).await
    }

    async fn load_from(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        from: u64,
        limit: u64,
    ) -> Result<Option<History>, StoreError> {
        self.life.or_hang().await;
        self.inner.load_from(tenant, id, from, limit).await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        self.life.or_hang().await;
        self.inner.snapshot(tenant, id).await
    }

    async fn stored(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<Stored>, StoreError> {
        self.life.or_hang().await;
        self.inner.stored(tenant, id).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        except: &[TenantId],
    ) -> Result<Vec<(TenantId, ExecutionId)>, StoreError> {
        self.life.or_hang().await;
        self.inner.due(now, limit, except).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.life.or_hang().await;
        self.inner.next_due().await
    }

    async fn unfinished(
        &self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, TenantId, ExecutionId)>, StoreError> {
        self.life.or_hang().await;
        self.inner.unfinished(after, limit).await
    }

    async fn blocked(
        &self,
        prefix: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Blocked>, StoreError> {
        self.life.or_hang().await;
        self.inner.blocked(prefix, after, limit).await
    }

    async fn ended(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        after: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<ExecutionRow>, Option<i64>), StoreError> {
        self.life.or_hang().await;
        self.inner.ended(tenant, before, after, limit).await
    }

    async fn count_by_block(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        self.life.or_hang().await;
        self.inner.count_by_block(tenant).await
    }

    async fn execution(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRow>, StoreError> {
        self.life.or_hang().await;
        self.inner.execution(tenant, id).await
    }

    async fn executions(
        &self,
        tenant: &TenantId,
        query: ExecutionQuery,
    ) -> Result<Page<ExecutionRow>, StoreError> {
        self.life.or_hang().await;
        self.inner.executions(tenant, query).await
    }

    async fn count_by_status(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        self.life.or_hang().await;
        self.inner.count_by_status(tenant).await
    }

    async fn approval(&self, tenant: &TenantId, id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
        self.life.or_hang().await;
        self.inner.approval(tenant, id).await
    }

    async fn approvals(&self, tenant: &TenantId, query: ApprovalQuery) -> Result<Page<Approval>, StoreError> {
        self.life.or_hang().await;
        self.inner.approvals(tenant, query).await
    }

    async fn document(
        &self,
        tenant: &TenantId,
        kind: &str,
        key: &str,
    ) -> Result<Option<serde_json::Value>, StoreError> {
        self.life.or_hang().await;
        self.inner.document(tenant, kind, key).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, serde_json::Value)>, StoreError> {
        self.life.or_hang().await;
        self.inner.documents(tenant, kind, prefix, after, limit).await
    }

    async fn dead_letter(
        &self,
        tenant: &TenantId,
        id: &DeadLetterId,
    ) -> Result<Option<serde_json::Value>, StoreError> {
        self.life.or_hang().await;
        self.inner.dead_letter(tenant, id).await
    }

    async fn dead_letters(
        &self,
        tenant: &TenantId,
        open: bool,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page<serde_json::Value>, StoreError> {
        self.life.or_hang().await;
        self.inner.dead_letters(tenant, open, after, limit).await
    }

    async fn deduplicated(
        &self,
        tenant: &TenantId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<serde_json::Value>, StoreError> {
        self.life.or_hang().await;
        self.inner.deduplicated(tenant, key, now).await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<serde_json::Value>, StoreError> {
        self.life.or_hang().await;
        self.inner.token(id).await
    }

    async fn leaves(&self, query: AuditQuery) -> Result<Page<LeafRow>, StoreError> {
        self.life.or_hang().await;
        self.inner.leaves(query).await
    }

    async fn head(&self) -> Result<audit::SignedHead, StoreError> {
        self.life.or_hang().await;
        self.inner.head().await
    }

    fn seal(&self, kind: &str, document: &serde_json::Value) -> audit::Seal {
        self.inner.seal(kind, document)
    }

    fn audit_key(&self) -> audit::VerifyingKey {
        self.inner.audit_key()
    }

    fn seal_plan(
        &self,
        tenant: &TenantId,
        digest: Digest,
        approvers: Vec<PrincipalId>,
        at: Timestamp,
    ) -> audit::PlanSeal {
        self.inner.seal_plan(tenant, digest, approvers, at)
    }

    fn plan_key(&self) -> audit::VerifyingKey {
        self.inner.plan_key()
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.life.or_hang().await;
        self.inner.inclusion(index, size).await
    }

    async fn consistency(&self, first: u64, second: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.life.or_hang().await;
        self.inner.consistency(first, second).await
    }

    async fn put_blob(&self, tenant: &TenantId, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        self.life.or_hang().await;
        self.inner.put_blob(tenant, bytes).await
    }

    async fn blob(&self, tenant: &TenantId, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.life.or_hang().await;
        self.inner.blob(tenant, digest).await
    }

    async fn secret(&self, tenant: &TenantId, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        self.life.or_hang().await;
        self.inner.secret(tenant, name).await
    }

    fn seal_secret(
        &self,
        tenant: &TenantId,
        name: &str,
        document: &serde_json::Value,
    ) -> Result<Vec<u8>, StoreError> {
        self.inner.seal_secret(tenant, name, document)
    }

    async fn secret_names(&self, tenant: &TenantId) -> Result<Vec<String>, StoreError> {
        self.life.or_hang().await;
        self.inner.secret_names(tenant).await
    }

    async fn ping(&self) -> Result<std::time::Duration, StoreError> {
        self.life.or_hang().await;
        self.inner.ping().await
    }
}
