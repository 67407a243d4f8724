//! The port, on SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::approval::Approval;
use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{Digest, ExecutionId, TenantId, Timestamp};
use serde_json::Value;
use tokio::sync::oneshot;

use super::SqliteStore;
use super::due;
use super::read;
use super::tree;
use super::writer::Command;
use crate::Store;
use crate::batch::{Batch, CommitError, Committed, ExecutionRow};
use crate::blobs;
use crate::codec::corrupt;
use crate::query::{
    ApprovalQuery, AuditQuery, Blocked, Condition, ExecutionQuery, History, LeafRow, Page, StoreError, Stored,
};

/// Longest name of a holder, in bytes.
const HOLDER_BYTES_MAX: usize = 255;

#[async_trait]
impl Store for SqliteStore {
    async fn lead(&self, holder: &str) -> Result<u64, StoreError> {
        if holder.is_empty() || holder.len() > HOLDER_BYTES_MAX {
            return Err(StoreError::Failed(format!("a holder's name has 1 to {HOLDER_BYTES_MAX} bytes")));
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Lead { holder: holder.to_owned(), reply };
        self.send(command).map_err(|error| StoreError::Failed(error.to_string()))?;
        answer.await.map_err(|_| StoreError::Failed(super::WRITER_ENDED.to_owned()))?
    }

    async fn commit(&self, batches: Vec<Batch>) -> Vec<Result<Committed, CommitError>> {
        self.commit_batches(batches).await
    }

    fn coming(&self) -> Option<Arc<AtomicUsize>> {
        Some(Arc::clone(&self.gauges.coming))
    }

    async fn load(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<History>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.readers.read(move |db| read::history(db, &tenant, &id, 0, u64::MAX)).await
    }

    async fn load_from(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        from: u64,
        limit: u64,
    ) -> Result<Option<History>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.readers.read(move |db| read::history(db, &tenant, &id, from, limit)).await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.readers.read(move |db| read::snapshot(db, &tenant, &id)).await
    }

    async fn stored(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<Stored>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.readers.read(move |db| read::stored(db, &tenant, &id)).await
    }

    async fn stored_all(
        &self,
        tenant: &TenantId,
        ids: &[ExecutionId],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        let (tenant, ids) = (tenant.clone(), ids.to_vec());
        let read = self.readers.read(move |db| ids.iter().map(|id| read::stored(db, &tenant, id)).collect());
        read.await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        except: &[TenantId],
    ) -> Result<Vec<(TenantId, ExecutionId)>, StoreError> {
        let except = except.to_vec();
        self.readers.read(move |db| due::due(db, now, limit, &except)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(due_at) FROM executions WHERE due_at IS NOT NULL";
        let read = self.readers.read(move |db| {
            let least: Option<i64> = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(least.map(Timestamp))
        });
        read.await
    }

    async fn unfinished(
        &self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, TenantId, ExecutionId)>, StoreError> {
        self.readers.read(move |db| read::unfinished(db, after, limit)).await
    }

    async fn blocked(
        &self,
        prefix: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Blocked>, StoreError> {
        let prefix = prefix.to_owned();
        self.readers.read(move |db| read::blocked(db, &prefix, after, limit)).await
    }

    async fn ended(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        after: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<ExecutionRow>, Option<i64>), StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |db| read::ended(db, &tenant, before, after, limit)).await
    }

    async fn count_by_block(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |db| read::count_by_block(db, &tenant)).await
    }

    async fn execution(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRow>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.readers.read(move |db| read::execution(db, &tenant, &id)).await
    }

    async fn executions(
        &self,
        tenant: &TenantId,
        query: ExecutionQuery,
    ) -> Result<Page<ExecutionRow>, StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |db| read::executions(db, &tenant, &query)).await
    }

    async fn count_by_status(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |db| read::count_by_status(db, &tenant)).await
    }

    async fn approval(&self, tenant: &TenantId, id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let sql = "SELECT document FROM approvals WHERE tenant = ?1 AND id = ?2";
        self.readers.read(move |db| read::one(db, "approvals", sql, &[tenant.as_str(), id.as_str()])).await
    }

    async fn approvals(&self, tenant: &TenantId, query: ApprovalQuery) -> Result<Page<Approval>, StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |db| read::approvals(db, &tenant, &query)).await
    }

    async fn document(&self, tenant: &TenantId, kind: &str, key: &str) -> Result<Option<Value>, StoreError> {
        let (tenant, kind, key) = (tenant.clone(), kind.to_owned(), key.to_owned());
        let sql = "SELECT document FROM documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
        self.readers.read(move |db| read::one(db, "documents", sql, &[tenant.as_str(), &kind, &key])).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Value)>, StoreError> {
        let (tenant, kind, prefix) = (tenant.clone(), kind.to_owned(), prefix.to_owned());
        let after = after.map(str::to_owned);
        let read = self
            .readers
            .read(move |db| read::documents(db, &tenant, &kind, &prefix, after.as_deref(), limit));
        read.await
    }

    async fn dead_letter(&self, tenant: &TenantId, id: &DeadLetterId) -> Result<Option<Value>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let sql = "SELECT document FROM dead_letters WHERE tenant = ?1 AND id = ?2";
        self.readers.read(move |db| read::one(db, "dead_letters", sql, &[tenant.as_str(), id.as_str()])).await
    }

    async fn dead_letters(
        &self,
        tenant: &TenantId,
        open: bool,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page<Value>, StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |db| read::dead_letters(db, &tenant, open, after.as_deref(), limit)).await
    }

    async fn deduplicated(
        &self,
        tenant: &TenantId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Value>, StoreError> {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        let sql = "SELECT document FROM answers WHERE tenant = ?1 AND key = ?2 AND expires_at > CAST(?3 AS INTEGER)";
        let now = now.0.to_string();
        self.readers.read(move |db| read::one(db, "answers", sql, &[tenant.as_str(), &key, &now])).await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<Value>, StoreError> {
        let id = id.clone();
        let sql = "SELECT document FROM tokens WHERE id = ?1";
        self.readers.read(move |db| read::one(db, "tokens", sql, &[id.as_str()])).await
    }

    async fn leaves(&self, query: AuditQuery) -> Result<Page<LeafRow>, StoreError> {
        self.readers.read(move |db| read::leaves(db, &query)).await
    }

    fn audit_key(&self) -> audit::VerifyingKey {
        SqliteStore::audit_key(self).clone()
    }

    fn seal_plan(
        &self,
        tenant: &TenantId,
        digest: Digest,
        approvers: Vec<model::PrincipalId>,
        at: Timestamp,
    ) -> audit::PlanSeal {
        self.plan_key.seal(tenant.clone(), digest, approvers, at)
    }

    fn plan_key(&self) -> audit::VerifyingKey {
        self.plan_key.verifying_key()
    }

    fn seal(&self, kind: &str, document: &Value) -> audit::Seal {
        self.signing_key.seal_document(kind, document)
    }

    async fn head(&self) -> Result<audit::SignedHead, StoreError> {
        let read = self.readers.read(|db| {
            tree::last_head(db)?.ok_or_else(|| corrupt("heads", "newest", "there is no signed head"))
        });
        read.await
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        let read = self.readers.read(move |db| {
            within(size, tree::size(db)?)?;
            if index >= size {
                return Err(StoreError::Failed(format!("leaf {index} is not in a tree of {size} leaves")));
            }
            audit::inclusion_proof(index, size, |level, position| tree::node(db, level, position))
        });
        read.await
    }

    async fn consistency(&self, first: u64, second: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        let read = self.readers.read(move |db| {
            within(second, tree::size(db)?)?;
            if first > second {
                return Err(StoreError::Failed(format!(
                    "a tree of {first} leaves is larger than one of {second}"
                )));
            }
            audit::consistency_proof(first, second, |level, position| tree::node(db, level, position))
        });
        read.await
    }

    async fn put_blob(&self, tenant: &TenantId, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        let (root, tenant) = (self.directory.join("blobs"), tenant.clone());
        let files = self.files.clone();
        self.blocking(move || blobs::put(&files, &root, &tenant, &bytes)).await
    }

    async fn blob(&self, tenant: &TenantId, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let (root, tenant, digest) = (self.directory.join("blobs"), tenant.clone(), *digest);
        self.blocking(move || blobs::get(&root, &tenant, &digest)).await
    }

    async fn secret(&self, tenant: &TenantId, name: &str) -> Result<Option<Value>, StoreError> {
        let key = (tenant.clone(), name.to_owned());
        let read = self.readers.read(move |db| {
            let sql = "SELECT sealed FROM secrets WHERE tenant = ?1 AND name = ?2";
            let mut select = db.prepare_cached(sql)?;
            let mut rows = select.query([key.0.as_str(), &key.1])?;
            let sealed: Option<Vec<u8>> = rows.next()?.map(|row| row.get(0)).transpose()?;
            Ok(sealed)
        });
        read.await?.map(|sealed| self.sealer.open(tenant, name, &sealed)).transpose()
    }

    fn seal_secret(&self, tenant: &TenantId, name: &str, document: &Value) -> Result<Vec<u8>, StoreError> {
        self.sealer.seal(tenant, name, document)
    }

    async fn secret_names(&self, tenant: &TenantId) -> Result<Vec<String>, StoreError> {
        let tenant = tenant.clone();
        let read = self.readers.read(move |db| {
            let mut select = db.prepare_cached("SELECT name FROM secrets WHERE tenant = ?1 ORDER BY name")?;
            let names = select.query_map([tenant.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(names)
        });
        read.await
    }

    fn condition(&self) -> Condition {
        if self.gauges.stopped.load(Ordering::Relaxed) {
            Condition::Stopped
        } else if self.gauges.full.load(Ordering::Relaxed) {
            Condition::Full
        } else {
            Condition::Working
        }
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let started = Instant::now();
        let (reply, answer) = oneshot::channel();
        self.send(Command::Ping { reply }).map_err(|error| StoreError::Failed(error.to_string()))?;
        answer.await.map_err(|_| StoreError::Failed(super::WRITER_ENDED.to_owned()))??;
        self.readers
            .read(|db| Ok(db.query_row("SELECT at FROM pulse", [], |row| row.get::<_, i64>(0))?))
            .await?;
        Ok(started.elapsed())
    }
}

fn within(size: u64, leaves: u64) -> Result<(), StoreError> {
    if size <= leaves {
        return Ok(());
    }
    Err(StoreError::Failed(format!("there are {leaves} leaves, not {size}")))
}
