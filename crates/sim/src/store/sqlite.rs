//! One node's view of the real SQLite: the same boundaries as on the model disk, and every batch on both.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::approval::Approval;
use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{Clock as _, Digest, ExecutionId, PrincipalId, TenantId, Timestamp};
use serde_json::Value as Json;
use store::{
    ApprovalQuery, AuditQuery, Batch, Blocked, CommitError, Committed, ExecutionQuery, ExecutionRow, History,
    LeafRow, Page, SqliteStore, Store, StoreError,
};

use crate::node::Life;
use crate::note;
use crate::world::{Boundary, World};

/// The store as one node sees it.
#[derive(Debug)]
pub struct SqliteNode {
    world: Arc<World>,
    life: Arc<Life>,
    store: Arc<SqliteStore>,
}

impl SqliteNode {
    /// The view of one node.
    pub fn new(world: Arc<World>, life: Arc<Life>, store: Arc<SqliteStore>) -> Self {
        Self { world, life, store }
    }

    async fn living(&self) -> &SqliteStore {
        self.world.called(&self.life);
        self.life.or_hang().await;
        &self.store
    }

    fn disagree(&self, what: String) {
        note!(self.world, "{what}");
        self.world.acks.add(|acks| acks.internal.push(what));
    }
}

type Found<T> = Result<T, StoreError>;

#[async_trait]
impl Store for SqliteNode {
    async fn lead(&self, holder: &str) -> Found<u64> {
        let lease = self.living().await.lead(holder).await?;
        self.world.disk.with(|stored| stored.lease = lease);
        note!(self.world, "node {} leads with lease {lease}", self.life.number);
        Ok(lease)
    }

    async fn commit(&self, batches: Vec<Batch>) -> Vec<Result<Committed, CommitError>> {
        self.living().await;
        let world = &self.world;
        world.at_boundary(&self.life, Boundary::CommitBefore);
        self.life.or_hang().await;
        let (told, events) = super::port::describe(&batches);
        let count = batches.len();
        let answers = self.store.commit(batches.clone()).await;
        let modelled = world.disk.with(|stored| stored.commit(batches, world.clock.now()));
        for (real, model) in answers.iter().zip(&modelled) {
            if real.is_ok() != model.is_ok() {
                self.disagree(format!("SQLite says {real:?} to {told}, and the model {model:?}"));
            }
        }
        let fine = answers.iter().filter(|answer| answer.is_ok()).count();
        note!(world, "node {} commits {fine} of {count}: {told} ({events} events)", self.life.number);
        world.at_boundary(&self.life, Boundary::CommitDurable);
        self.life.or_hang().await;
        world.at_boundary(&self.life, Boundary::CommitAnswered);
        answers
    }

    async fn load(&self, tenant: &TenantId, id: &ExecutionId) -> Found<Option<History>> {
        self.living().await.load(tenant, id).await
    }

    async fn load_from(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        from: u64,
        limit: u64,
    ) -> Found<Option<History>> {
        self.living().await.load_from(tenant, id, from, limit).await
    }

    async fn snapshot(&self, tenant: &TenantId, id: &ExecutionId) -> Found<Option<(u64, Vec<u8>)>> {
        self.living().await.snapshot(tenant, id).await
    }

    async fn stored(&self, tenant: &TenantId, id: &ExecutionId) -> Found<Option<store::Stored>> {
        self.living().await.stored(tenant, id).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        except: &[TenantId],
    ) -> Found<Vec<(TenantId, ExecutionId)>> {
        self.living().await.due(now, limit, except).await
    }

    async fn next_due(&self) -> Found<Option<Timestamp>> {
        self.living().await.next_due().await
    }

    async fn unfinished(&self, after: Option<i64>, limit: u32) -> Found<Vec<(i64, TenantId, ExecutionId)>> {
        self.living().await.unfinished(after, limit).await
    }

    async fn blocked(&self, prefix: &str, after: Option<i64>, limit: u32) -> Found<Vec<Blocked>> {
        self.living().await.blocked(prefix, after, limit).await
    }

    async fn ended(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        after: Option<i64>,
        limit: u32,
    ) -> Found<(Vec<ExecutionRow>, Option<i64>)> {
        self.living().await.ended(tenant, before, after, limit).await
    }

    async fn count_by_block(&self, tenant: &TenantId) -> Found<Vec<(String, u64)>> {
        self.living().await.count_by_block(tenant).await
    }

    async fn execution(&self, tenant: &TenantId, id: &ExecutionId) -> Found<Option<ExecutionRow>> {
        self.living().await.execution(tenant, id).await
    }

    async fn executions(&self, tenant: &TenantId, query: ExecutionQuery) -> Found<Page<ExecutionRow>> {
        self.living().await.executions(tenant, query).await
    }

    async fn count_by_status(&self, tenant: &TenantId) -> Found<Vec<(String, u64)>> {
        self.living().await.count_by_status(tenant).await
    }

    async fn approval(&self, tenant: &TenantId, id: &ApprovalId) -> Found<Option<Approval>> {
        self.living().await.approval(tenant, id).await
    }

    async fn approvals(&self, tenant: &TenantId, query: ApprovalQuery) -> Found<Page<Approval>> {
        self.living().await.approvals(tenant, query).await
    }

    async fn document(&self, tenant: &TenantId, kind: &str, key: &str) -> Found<Option<Json>> {
        self.living().await.document(tenant, kind, key).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Found<Vec<(String, Json)>> {
        self.living().await.documents(tenant, kind, prefix, after, limit).await
    }

    async fn dead_letter(&self, tenant: &TenantId, id: &DeadLetterId) -> Found<Option<Json>> {
        self.living().await.dead_letter(tenant, id).await
    }

    async fn dead_letters(
        &self,
        tenant: &TenantId,
        open: bool,
        after: Option<String>,
        limit: u32,
    ) -> Found<Page<Json>> {
        self.living().await.dead_letters(tenant, open, after, limit).await
    }

    async fn deduplicated(&self, tenant: &TenantId, key: &str, now: Timestamp) -> Found<Option<Json>> {
        self.living().await.deduplicated(tenant, key, now).await
    }

    async fn token(&self, id: &TokenId) -> Found<Option<Json>> {
        self.living().await.token(id).await
    }

    async fn leaves(&self, query: AuditQuery) -> Found<Page<LeafRow>> {
        self.living().await.leaves(query).await
    }

    async fn head(&self) -> Found<audit::SignedHead> {
        self.living().await.head().await
    }

    fn seal(&self, kind: &str, document: &Json) -> audit::Seal {
        self.store.seal(kind, document)
    }

    fn audit_key(&self) -> audit::VerifyingKey {
        Store::audit_key(&*self.store)
    }

    fn seal_plan(
        &self,
        tenant: &TenantId,
        digest: Digest,
        approvers: Vec<PrincipalId>,
        at: Timestamp,
    ) -> audit::PlanSeal {
        self.store.seal_plan(tenant, digest, approvers, at)
    }

    fn plan_key(&self) -> audit::VerifyingKey {
        self.store.plan_key()
    }

    fn condition(&self) -> store::Condition {
        self.store.condition()
    }

    async fn inclusion(&self, index: u64, size: u64) -> Found<Vec<[u8; 32]>> {
        self.living().await.inclusion(index, size).await
    }

    async fn consistency(&self, first: u64, second: u64) -> Found<Vec<[u8; 32]>> {
        self.living().await.consistency(first, second).await
    }

    async fn put_blob(&self, tenant: &TenantId, bytes: Vec<u8>) -> Found<Digest> {
        self.living().await;
        let digest = self.store.put_blob(tenant, bytes.clone()).await?;
        self.world.disk.with(|stored| stored.blobs.insert((tenant.clone(), digest), bytes));
        Ok(digest)
    }

    async fn blob(&self, tenant: &TenantId, digest: &Digest) -> Found<Option<Vec<u8>>> {
        self.living().await.blob(tenant, digest).await
    }

    async fn secret(&self, tenant: &TenantId, name: &str) -> Found<Option<Json>> {
        self.living().await.secret(tenant, name).await
    }

    fn seal_secret(&self, tenant: &TenantId, name: &str, document: &Json) -> Found<Vec<u8>> {
        self.store.seal_secret(tenant, name, document)
    }

    async fn secret_names(&self, tenant: &TenantId) -> Found<Vec<String>> {
        self.living().await.secret_names(tenant).await
    }

    async fn ping(&self) -> Found<Duration> {
        self.living().await.ping().await
    }
}
