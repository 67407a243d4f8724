//! One node's view of the disk: the port with latency, failures and crashes in it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::approval::Approval;
use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{Clock as _, Digest, ExecutionId, PrincipalId, TenantId, Timestamp};
use serde_json::{Value as Json, json};
use store::{
    ApprovalQuery, AuditQuery, Batch, Blocked, CommitError, Committed, Condition, ExecutionQuery,
    ExecutionRow, History, LeafRow, Page, Store, StoreError,
};

use super::disk::Stored;
use crate::node::Life;
use crate::note;
use crate::world::{Boundary, World};

/// Most items of a page, whatever is asked for.
const PAGE_MAX: u32 = 1000;

/// The store as one node sees it.
#[derive(Clone)]
pub struct NodeStore {
    world: Arc<World>,
    life: Arc<Life>,
}

impl NodeStore {
    /// The view of one node.
    pub fn new(world: Arc<World>, life: Arc<Life>) -> Self {
        Self { world, life }
    }

    /// Reads, unless the node is dead or the store fails.
    async fn read<T>(
        &self,
        look: impl FnOnce(&Stored) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.world.called(&self.life);
        self.life.or_hang().await;
        let faults = self.world.store_faults();
        if let Some(pause) = faults.latency {
            tokio::time::sleep(pause).await;
            self.life.or_hang().await;
        }
        if faults.fail_read {
            self.world.trace.fault("a read failed");
            return Err(StoreError::Failed("the simulated store does not answer".to_owned()));
        }
        self.world.disk.with(|stored| look(stored))
    }
}

impl std::fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeStore({})", self.life.number)
    }
}

#[async_trait]
impl Store for NodeStore {
    async fn lead(&self, holder: &str) -> Result<u64, StoreError> {
        if holder.is_empty() || holder.len() > 255 {
            return Err(StoreError::Failed("a holder's name has 1 to 255 bytes".to_owned()));
        }
        self.read(|_| Ok(())).await?;
        let lease = self.world.disk.with(|stored| {
            stored.lease += 1;
            stored.lease
        });
        note!(self.world, "node {} leads with lease {lease}", self.life.number);
        Ok(lease)
    }

    async fn commit(&self, batches: Vec<Batch>) -> Vec<Result<Committed, CommitError>> {
        let world = &self.world;
        world.called(&self.life);
        self.life.or_hang().await;
        let faults = world.store_faults();
        if let Some(pause) = faults.latency {
            tokio::time::sleep(pause).await;
            self.life.or_hang().await;
        }
        let all = |error: CommitError| batches.iter().map(|_| Err(error.clone())).collect();
        if faults.overload {
            world.trace.fault("a commit met an overloaded store");
            return all(CommitError::Overloaded);
        }
        if faults.fail_before {
            world.trace.fault("a commit failed, and is not durable");
            return all(CommitError::Failed("the simulated store failed before".to_owned()));
        }
        let count = batches.len();
        world.at_boundary(&self.life, Boundary::CommitBefore);
        self.life.or_hang().await;
        let (told, events) = describe(&batches);
        let answers = world.disk.with(|stored| stored.commit(batches, world.clock.now()));
        let fine = answers.iter().filter(|answer| answer.is_ok()).count();
        note!(world, "node {} commits {fine} of {count}: {told} ({events} events)", self.life.number);
        world.at_boundary(&self.life, Boundary::CommitDurable);
        self.life.or_hang().await;
        if let Some(pause) = faults.latency {
            tokio::time::sleep(pause).await;
            self.life.or_hang().await;
        }
        if faults.fail_after {
            world.trace.fault("a commit is durable, and its answer is an error");
            let error = CommitError::Failed("the simulated connection broke".to_owned());
            return answers.into_iter().map(|answer| answer.and(Err(error.clone()))).collect();
        }
        // Whoever dies here has been answered, and tells nobody any more.
        world.at_boundary(&self.life, Boundary::CommitAnswered);
        answers
    }

    /// What fails here fails once: the simulated store never stops for good.
    fn condition(&self) -> Condition {
        Condition::Working
    }

    async fn load(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<History>, StoreError> {
        self.load_from(tenant, id, 0, u64::MAX).await
    }

    async fn load_from(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        from: u64,
        limit: u64,
    ) -> Result<Option<History>, StoreError> {
        let name = (tenant.clone(), id.clone());
        let read = self.read(|stored| {
            Ok(stored.executions.get(&name).map(|kept| {
                let total = kept.events.len() as u64;
                let wanted = from.min(total)..from.saturating_add(limit).min(total);
                let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                History { events: kept.events[at(wanted.start)..at(wanted.end)].to_vec(), total }
            }))
        });
        read.await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let name = (tenant.clone(), id.clone());
        self.read(|stored| Ok(stored.executions.get(&name).and_then(|kept| kept.snapshot.clone()))).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        except: &[TenantId],
    ) -> Result<Vec<(TenantId, ExecutionId)>, StoreError> {
        let read = self.read(|stored| {
            let mut lines: std::collections::BTreeMap<&TenantId, Vec<_>> = std::collections::BTreeMap::new();
            for (name, kept) in &stored.executions {
                if let Some(at) = kept.row.due_at.filter(|at| *at <= now && !except.contains(&name.0)) {
                    lines.entry(&name.0).or_default().push((at, kept.key, name));
                }
            }
            let mut lines: Vec<_> = lines.into_values().collect();
            lines.iter_mut().for_each(|line| line.sort());
            lines.sort();
            let (tenants, mut left, mut found) = (lines.len(), limit as usize, Vec::new());
            for (index, line) in lines.into_iter().enumerate() {
                let share = left.div_ceil(tenants - index).min(line.len());
                found.extend(line.into_iter().take(share).map(|(_, _, name)| name.clone()));
                left -= share;
            }
            Ok(found)
        });
        read.await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|stored| Ok(stored.executions.values().filter_map(|kept| kept.row.due_at).min())).await
    }

    async fn unfinished(
        &self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, TenantId, ExecutionId)>, StoreError> {
        let read = self.read(|stored| {
            let mut found: Vec<_> = stored
                .executions
                .values()
                .filter(|kept| matches!(kept.row.status.as_str(), "pending" | "running"))
                .filter(|kept| after.is_none_or(|after| kept.key > after))
                .map(|kept| (kept.key, kept.row.tenant.clone(), kept.row.id.clone()))
                .collect();
            found.sort();
            found.truncate(limit as usize);
            Ok(found)
        });
        read.await
    }

    async fn blocked(
        &self,
        prefix: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Blocked>, StoreError> {
        let read = self.read(|stored| {
            let mut found: Vec<_> = stored
                .executions
                .values()
                .filter(|kept| after.is_none_or(|after| kept.key > after))
                .filter_map(|kept| {
                    let on = kept.row.blocked_on.clone().filter(|on| on.starts_with(prefix))?;
                    let (tenant, execution) = (kept.row.tenant.clone(), kept.row.id.clone());
                    Some(Blocked { key: kept.key, tenant, execution, on })
                })
                .collect();
            found.sort_by_key(|blocked| blocked.key);
            found.truncate(limit as usize);
            Ok(found)
        });
        read.await
    }

    async fn ended(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        after: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<ExecutionRow>, Option<i64>), StoreError> {
        let read = self.read(|stored| {
            let ended = |row: &ExecutionRow| row.ended_at.is_some_and(|at| at <= before);
            let mut found: Vec<_> = stored
                .executions
                .values()
                .filter(|kept| kept.row.tenant == *tenant && after.is_none_or(|after| kept.key > after))
                .filter(|kept| ended(&kept.row))
                .map(|kept| (kept.key, &kept.row))
                .collect();
            found.sort_by_key(|(key, _)| *key);
            let limit = limit.clamp(1, PAGE_MAX) as usize;
            let next = (found.len() > limit).then(|| found[limit - 1].0);
            Ok((found.into_iter().take(limit).map(|(_, row)| row.clone()).collect(), next))
        });
        read.await
    }

    async fn count_by_block(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        let read = self.read(|stored| {
            let mut counts = std::collections::BTreeMap::new();
            for kept in stored.executions.values().filter(|kept| kept.row.tenant == *tenant) {
                let Some(on) = &kept.row.blocked_on else { continue };
                let whole = on.starts_with("limit:") || on.starts_with("control:");
                let kind = if whole { on } else { on.split(':').next().unwrap_or(on) };
                *counts.entry(kind.to_owned()).or_insert(0) += 1;
            }
            Ok(counts.into_iter().collect())
        });
        read.await
    }

    async fn execution(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRow>, StoreError> {
        let name = (tenant.clone(), id.clone());
        self.read(|stored| Ok(stored.executions.get(&name).map(|kept| kept.row.clone()))).await
    }

    async fn executions(
        &self,
        tenant: &TenantId,
        query: ExecutionQuery,
    ) -> Result<Page<ExecutionRow>, StoreError> {
        let below = query.cursor.as_deref().map_or(Ok(i64::MAX), key_of)?;
        let read = self.read(|stored| {
            let mut found: Vec<_> = stored
                .executions
                .values()
                .filter(|kept| kept.row.tenant == *tenant && kept.key < below && fits(&query, &kept.row))
                .map(|kept| (kept.key, &kept.row))
                .collect();
            found.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
            Ok(page(found, query.limit, |key| cursor_of(*key), ExecutionRow::clone))
        });
        read.await
    }

    async fn count_by_status(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        let read = self.read(|stored| {
            let mut counts = std::collections::BTreeMap::new();
            for kept in stored.executions.values().filter(|kept| kept.row.tenant == *tenant) {
                *counts.entry(kept.row.status.clone()).or_insert(0) += 1;
            }
            Ok(counts.into_iter().collect())
        });
        read.await
    }

    async fn approval(&self, tenant: &TenantId, id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
        let name = (tenant.clone(), id.clone());
        self.read(|stored| Ok(stored.approvals.get(&name).map(|(_, approval)| approval.clone()))).await
    }

    async fn approvals(&self, tenant: &TenantId, query: ApprovalQuery) -> Result<Page<Approval>, StoreError> {
        let below = query.cursor.as_deref().map_or(Ok(i64::MAX), key_of)?;
        let read = self.read(|stored| {
            let fits = |key: i64, approval: &Approval| {
                approval.tenant == *tenant
                    && key < below
                    && query.status.is_none_or(|status| approval.status == status)
                    && query.execution.as_ref().is_none_or(|execution| approval.execution == *execution)
            };
            let mut found: Vec<_> = stored
                .approvals
                .values()
                .filter(|(key, approval)| fits(*key, approval))
                .map(|(key, approval)| (*key, approval))
                .collect();
            found.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
            Ok(page(found, query.limit, |key| cursor_of(*key), Approval::clone))
        });
        read.await
    }

    async fn document(&self, tenant: &TenantId, kind: &str, key: &str) -> Result<Option<Json>, StoreError> {
        let name = (tenant.clone(), kind.to_owned(), key.to_owned());
        self.read(|stored| Ok(stored.documents.get(&name).map(|document| (**document).clone()))).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Json)>, StoreError> {
        let from = (tenant.clone(), kind.to_owned(), prefix.to_owned());
        let after = after.map(str::to_owned);
        let read = self.read(|stored| {
            let found = stored
                .documents
                .range(from.clone()..)
                .take_while(|((owner, sort, key), _)| {
                    *owner == from.0 && *sort == from.1 && key.starts_with(&from.2)
                })
                .filter(|((_, _, key), _)| after.as_ref().is_none_or(|after| key > after))
                .take(limit as usize);
            Ok(found.map(|((_, _, key), document)| (key.clone(), (**document).clone())).collect())
        });
        read.await
    }

    async fn dead_letter(&self, tenant: &TenantId, id: &DeadLetterId) -> Result<Option<Json>, StoreError> {
        let name = (tenant.clone(), id.clone());
        self.read(|stored| Ok(stored.dead_letters.get(&name).map(|(_, document)| document.clone()))).await
    }

    async fn dead_letters(
        &self,
        tenant: &TenantId,
        open: bool,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page<Json>, StoreError> {
        let below = after.as_deref().map(text_of).transpose()?;
        let read = self.read(|stored| {
            let found: Vec<_> = stored
                .dead_letters
                .iter()
                .rev()
                .filter(|((owner, id), (still, _))| {
                    owner == tenant
                        && (*still || !open)
                        && below.as_ref().is_none_or(|below| id.as_str() < below.as_str())
                })
                .map(|((_, id), (_, document))| (id, document))
                .collect();
            Ok(page(found, limit, |id| hex::encode(id.as_str()), Json::clone))
        });
        read.await
    }

    async fn deduplicated(
        &self,
        tenant: &TenantId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Json>, StoreError> {
        let name = (tenant.clone(), key.to_owned());
        let read = self.read(|stored| {
            let found = stored.answers.get(&name).filter(|(expires_at, _)| *expires_at > now);
            Ok(found.map(|(_, document)| document.clone()))
        });
        read.await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<Json>, StoreError> {
        self.read(|stored| Ok(stored.tokens.get(id).cloned())).await
    }

    async fn leaves(&self, query: AuditQuery) -> Result<Page<LeafRow>, StoreError> {
        let cursor = query.cursor.as_deref().map(key_of).transpose()?;
        let read = self.read(|stored| {
            let fits = |leaf: &&std::sync::Arc<super::disk::Leaf>| {
                let (record, sequence) = (&leaf.record, leaf.row.sequence.cast_signed());
                leaf.row.sequence >= query.from
                    && cursor.is_none_or(|at| if query.newest_first { sequence < at } else { sequence > at })
                    && query.tenant.as_ref().is_none_or(|tenant| record.tenant == *tenant)
                    && query.correlation.as_ref().is_none_or(|wanted| record.correlation == *wanted)
                    && query.action.as_ref().is_none_or(|wanted| record.action.starts_with(wanted))
                    && query.actor.as_ref().is_none_or(|wanted| record.actor == *wanted)
            };
            let mut found: Vec<_> =
                stored.leaves.iter().filter(fits).map(|leaf| (leaf.row.sequence, &leaf.row)).collect();
            if query.newest_first {
                found.reverse();
            }
            Ok(page(found, query.limit, |sequence| cursor_of(sequence.cast_signed()), LeafRow::clone))
        });
        read.await
    }

    async fn head(&self) -> Result<audit::SignedHead, StoreError> {
        self.read(|_| Ok(())).await?;
        Ok(self.world.disk.head())
    }

    fn audit_key(&self) -> audit::VerifyingKey {
        self.world.disk.audit_key()
    }

    fn seal(&self, kind: &str, document: &Json) -> audit::Seal {
        self.world.disk.seal_document(kind, document)
    }

    fn seal_plan(
        &self,
        tenant: &TenantId,
        digest: Digest,
        approvers: Vec<PrincipalId>,
        at: Timestamp,
    ) -> audit::PlanSeal {
        self.world.disk.seal(tenant.clone(), digest, approvers, at)
    }

    fn plan_key(&self) -> audit::VerifyingKey {
        self.world.disk.audit_key()
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        let read = self.read(|stored| {
            within(index + 1, size)?;
            within(size, stored.frontier.size())?;
            audit::inclusion_proof(index, size, |level, position| node(stored, level, position))
        });
        read.await
    }

    async fn consistency(&self, first: u64, second: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        let read = self.read(|stored| {
            within(first, second)?;
            within(second, stored.frontier.size())?;
            audit::consistency_proof(first, second, |level, position| node(stored, level, position))
        });
        read.await
    }

    async fn put_blob(&self, tenant: &TenantId, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        self.read(|_| Ok(())).await?;
        let digest = Digest::of(&bytes);
        self.world.disk.with(|stored| stored.blobs.insert((tenant.clone(), digest), bytes));
        Ok(digest)
    }

    async fn blob(&self, tenant: &TenantId, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let name = (tenant.clone(), *digest);
        self.read(|stored| Ok(stored.blobs.get(&name).cloned())).await
    }

    async fn secret(&self, tenant: &TenantId, name: &str) -> Result<Option<Json>, StoreError> {
        let key = (tenant.clone(), name.to_owned());
        let sealed = self.read(|stored| Ok(stored.secrets.get(&key).cloned())).await?;
        let Some(sealed) = sealed else { return Ok(None) };
        let wrong = || StoreError::Corrupt(format!("secret `{name}` was sealed for another owner"));
        let opened: Json = serde_json::from_slice(&sealed).map_err(|_| wrong())?;
        if opened["owner"] != json!([tenant, name]) {
            return Err(wrong());
        }
        Ok(Some(opened["document"].clone()))
    }

    fn seal_secret(&self, tenant: &TenantId, name: &str, document: &Json) -> Result<Vec<u8>, StoreError> {
        let sealed = json!({ "owner": [tenant, name], "document": document });
        serde_json::to_vec(&sealed).map_err(|error| StoreError::Failed(error.to_string()))
    }

    async fn secret_names(&self, tenant: &TenantId) -> Result<Vec<String>, StoreError> {
        let read = self.read(|stored| {
            let names = stored.secrets.keys().filter(|(owner, _)| owner == tenant);
            Ok(names.map(|(_, name)| name.clone()).collect())
        });
        read.await
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        self.read(|_| Ok(Duration::ZERO)).await
    }
}

fn page<K, T, U>(
    found: Vec<(K, T)>,
    limit: u32,
    cursor: impl Fn(&K) -> String,
    item: impl Fn(T) -> U,
) -> Page<U> {
    let limit = limit.clamp(1, PAGE_MAX) as usize;
    let more = found.len() > limit;
    let mut next = None;
    let mut items = Vec::with_capacity(found.len().min(limit));
    for (key, found) in found.into_iter().take(limit) {
        next = more.then(|| cursor(&key));
        items.push(item(found));
    }
    Page { items, next }
}

fn fits(query: &ExecutionQuery, row: &ExecutionRow) -> bool {
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let holds = |text: &String| {
        let fields = [
            Some(row.id.as_str()),
            Some(&row.name),
            row.intent.as_deref(),
            Some(&row.requester),
            row.error.as_deref(),
        ];
        fields.into_iter().flatten().any(|field| field.to_lowercase().contains(text))
    };
    (query.statuses.is_empty() || query.statuses.contains(&row.status))
        && query.outcome.as_ref().is_none_or(|outcome| row.outcome.as_ref() == Some(outcome))
        && query.workflow.as_ref().is_none_or(|workflow| match workflow.split_once('/') {
            Some((namespace, name)) => row.namespace == namespace && row.name == name,
            None => row.name == *workflow,
        })
        && query.after.is_none_or(|after| row.started_at >= after)
        && query.before.is_none_or(|before| row.started_at < before)
        && text.as_ref().is_none_or(holds)
}

fn node(stored: &Stored, level: u32, position: u64) -> Result<[u8; 32], StoreError> {
    stored
        .node(level, position)
        .ok_or_else(|| StoreError::Corrupt(format!("the tree has no node {position} of level {level}")))
}

fn within(size: u64, leaves: u64) -> Result<(), StoreError> {
    if size <= leaves {
        return Ok(());
    }
    Err(StoreError::Failed(format!("there are {leaves} leaves, not {size}")))
}

fn cursor_of(key: i64) -> String {
    hex::encode(key.to_be_bytes())
}

fn key_of(cursor: &str) -> Result<i64, StoreError> {
    let mut bytes = [0; 8];
    hex::decode_to_slice(cursor, &mut bytes).map_err(|_| StoreError::Cursor(cursor.to_owned()))?;
    Ok(i64::from_be_bytes(bytes))
}

fn text_of(cursor: &str) -> Result<String, StoreError> {
    let bytes = hex::decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| StoreError::Cursor(cursor.to_owned()))
}

/// What batches are about, for the trace: executions and the actions of their leaves.
pub(super) fn describe(batches: &[Batch]) -> (String, usize) {
    let mut told = String::new();
    let mut events = 0;
    for batch in batches {
        if let Some((_, id, before, new)) = &batch.events {
            told.push_str(&format!("{id}@{before} "));
            events += new.len();
        }
        let made =
            batch.leaves.iter().filter_map(|leaf| audit::read_leaf(&leaf.bytes)).map(|(_, record)| record);
        for record in made.chain(batch.records.iter().cloned()) {
            told.push_str(&record.action);
            told.push(' ');
        }
    }
    (told, events)
}
