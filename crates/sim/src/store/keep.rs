//! Commits: every check first, then every row, so that a batch is stored whole or not at all.

use std::sync::Arc;

use model::{Event, ExecutionId, TenantId, Timestamp};
use store::{Batch, CommitError, Committed, ExecutionRow, Expect, LeafRow, Put};

use super::disk::{Kept, Leaf, Stored};

impl Stored {
    /// Stores the batches of one call, each all or nothing; one head covers them.
    pub fn commit(&mut self, batches: Vec<Batch>, now: Timestamp) -> Vec<Result<Committed, CommitError>> {
        let before = self.frontier.size();
        let answers = batches.into_iter().map(|batch| self.commit_one(batch)).collect();
        if self.frontier.size() > before {
            self.heads.push((self.frontier.size(), self.frontier.root(), now));
        }
        answers
    }

    fn commit_one(&mut self, batch: Batch) -> Result<Committed, CommitError> {
        if batch.lease.unwrap_or(0) != self.lease {
            return Err(CommitError::Fenced { held: batch.lease.unwrap_or(0), newest: self.lease });
        }
        for expect in &batch.expect {
            self.check(expect)?;
        }
        if let Some((tenant, id, before, _)) = &batch.events {
            self.check_events(tenant, id, *before, &batch.puts)?;
        }
        let unwritable =
            |what: &dyn std::fmt::Display| CommitError::Failed(format!("cannot be encoded: {what}"));
        let mut leaves = Vec::with_capacity(batch.leaves.len() + batch.records.len());
        for leaf in batch.leaves {
            let (_, record) = audit::read_leaf(&leaf.bytes).ok_or_else(|| unwritable(&"no leaf"))?;
            leaves.push((leaf.bytes, record));
        }
        for record in batch.records {
            leaves.push((audit::leaf_bytes(0, &record).map_err(|error| unwritable(&error))?, record));
        }
        for put in batch.puts {
            self.put(put);
        }
        if let Some((tenant, id, _, events)) = batch.events {
            self.append(tenant, id, events);
        }
        let first_leaf = self.frontier.size();
        for (bytes, record) in leaves {
            self.append_leaf(bytes, record);
        }
        Ok(Committed { first_leaf, leaves: self.frontier.size() - first_leaf })
    }

    fn check(&self, expect: &Expect) -> Result<(), CommitError> {
        let conflict = |message: String| Err(CommitError::Conflict(message));
        match expect {
            Expect::NoExecution(tenant, id) => {
                if self.executions.contains_key(&(tenant.clone(), id.clone())) {
                    return conflict(format!("execution `{id}` exists already"));
                }
            }
            Expect::NoDocument(tenant, kind, key) => {
                if self.documents.contains_key(&(tenant.clone(), kind.clone(), key.clone())) {
                    return conflict(format!("{kind} `{key}` exists already"));
                }
            }
            Expect::Document(tenant, kind, key, digest) => {
                let Some(found) = self.documents.get(&(tenant.clone(), kind.clone(), key.clone())) else {
                    return conflict(format!("{kind} `{key}` does not exist"));
                };
                if model::digest_of(&**found) != *digest {
                    return conflict(format!("{kind} `{key}` was changed by somebody else; read it again"));
                }
            }
            Expect::Ended(tenant, id, at) => {
                let found = self.executions.get(&(tenant.clone(), id.clone()));
                if found.is_none_or(|kept| kept.row.ended_at != Some(*at)) {
                    return conflict(format!("execution `{id}` did not end then, or began again"));
                }
            }
            Expect::NoAnswer(tenant, key, now) => {
                let found = self.answers.get(&(tenant.clone(), key.clone()));
                if found.is_some_and(|(expires_at, _)| expires_at > now) {
                    return conflict(format!("idempotency key `{key}` was answered already"));
                }
            }
        }
        Ok(())
    }

    fn check_events(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        before: u64,
        puts: &[Put],
    ) -> Result<(), CommitError> {
        let found = self.executions.get(&(tenant.clone(), id.clone()));
        let length = found.map_or(0, |kept| kept.events.len() as u64);
        if length != before {
            let message = format!("execution `{id}` has {length} events, not {before}");
            return Err(CommitError::Conflict(message));
        }
        let row = |put: &Put| matches!(put, Put::Execution(row) if row.id == *id && row.tenant == *tenant);
        if found.is_none() && !puts.iter().any(row) {
            let message = format!("the first events of execution `{id}` come without its row");
            return Err(CommitError::Failed(message));
        }
        Ok(())
    }

    fn put(&mut self, put: Put) {
        match put {
            Put::Execution(row) => self.put_execution(Arc::unwrap_or_clone(row)),
            Put::Snapshot { tenant, execution, version, bytes } => {
                if let Some(kept) = self.executions.get_mut(&(tenant, execution)) {
                    kept.snapshot = Some((version, bytes));
                }
            }
            Put::RemoveSnapshot { tenant, execution } => {
                if let Some(kept) = self.executions.get_mut(&(tenant, execution)) {
                    kept.snapshot = None;
                }
            }
            Put::RemoveExecution { tenant, execution, letters } => {
                let name = (tenant.clone(), execution.clone());
                if let Some(kept) = self.executions.remove(&name) {
                    self.buried.insert(name, kept);
                    let gone = |a: &model::approval::Approval| a.tenant == tenant && a.execution == execution;
                    let all = std::mem::take(&mut self.approvals);
                    let (of_it, others) = all.into_iter().partition(|(_, (_, approval))| gone(approval));
                    self.approvals = others;
                    self.buried_approvals.extend::<std::collections::BTreeMap<_, _>>(of_it);
                    let of = |owner: &TenantId, id: &str| *owner == tenant && id.starts_with(&letters);
                    self.dead_letters.retain(|(owner, id), _| letters.is_empty() || !of(owner, id.as_str()));
                }
            }
            Put::Approval(approval) => {
                let name = (approval.tenant.clone(), approval.id.clone());
                let key = self.approvals.get(&name).map_or_else(|| self.next_key + 1, |(key, _)| *key);
                self.next_key = self.next_key.max(key);
                self.approvals.insert(name, (key, *approval));
            }
            Put::Document { tenant, kind, key, document } => {
                self.documents.insert((tenant, kind, key), Arc::new(document));
            }
            Put::Remove { tenant, kind, key } => {
                self.documents.remove(&(tenant, kind, key));
            }
            Put::DeadLetter { tenant, id, open, document } => {
                self.dead_letters.insert((tenant, id), (open, document));
            }
            Put::Answer { tenant, key, expires_at, document } => {
                self.answers.insert((tenant, key), (expires_at, document));
            }
            Put::Token { id, tenant: _, document } => {
                self.tokens.insert(id, document);
            }
            Put::RemoveToken(id) => {
                self.tokens.remove(&id);
            }
            Put::Secret { tenant, name, sealed } => {
                self.secrets.insert((tenant, name), sealed);
            }
            Put::RemoveSecret { tenant, name } => {
                self.secrets.remove(&(tenant, name));
            }
        }
    }

    fn put_execution(&mut self, row: ExecutionRow) {
        let name = (row.tenant.clone(), row.id.clone());
        if let Some(on) = row.blocked_on.as_ref().filter(|on| on.starts_with("control:")) {
            self.held.insert((name.0.clone(), name.1.clone(), on.clone()));
        }
        if let Some(kept) = self.executions.get_mut(&name) {
            kept.row = row;
            return;
        }
        self.next_key += 1;
        let kept = Kept { key: self.next_key, row, events: Vec::new(), commits: Vec::new(), snapshot: None };
        self.executions.insert(name, kept);
    }

    fn append(&mut self, tenant: TenantId, id: ExecutionId, events: Vec<Event>) {
        if let Some(kept) = self.executions.get_mut(&(tenant, id))
            && !events.is_empty()
        {
            kept.events.extend(events);
            kept.commits.push(kept.events.len());
        }
    }

    fn append_leaf(&mut self, mut bytes: Vec<u8>, record: audit::Record) {
        let sequence = self.frontier.size();
        if let Some(number) = bytes.first_chunk_mut() {
            *number = sequence.to_be_bytes();
        }
        let hash = audit::leaf_hash(&bytes);
        self.frontier.append(hash, |_, _, _| {});
        self.leaves.push(Arc::new(Leaf { row: LeafRow { sequence, bytes, hash }, record }));
    }
}
