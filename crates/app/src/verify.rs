//! Verification: that what is stored agrees with itself, execution by execution.
//!
//! The history is the truth; everything else is held against it: its own numbers, the recorded end, the snapshot, the
//! row that lists show, blobs, approvals, and the audit leaves. One execution is in memory at a time.

mod family;
mod permits;
mod trail;

use std::time::{Duration, Instant};

use engine::{End, Execution, Phase, Snapshot};
use model::event::{Event, EventBody};
use model::principal::Permission;
use model::{ExecutionId, Problem, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{AuditQuery, Batch, ExecutionQuery, ExecutionRow};

use crate::app::{App, store_problem, system_tenant};
use crate::caller::Caller;
use crate::record;
use crate::rows::row_of;

/// Findings that are listed; all are counted.
const FINDINGS_MAX: usize = 1000;
/// Executions listed at once.
const PAGE: u32 = 200;
/// Leaves read at once.
const LEAVES: u32 = 1000;
/// An execution that changes while it is looked at is looked at again so often, then left for another time.
const LOOKS_MAX: u32 = 4;
/// Tenants that are looked at.
const TENANTS_MAX: u32 = 10_000;

/// What is wrong with something, by a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `OH-5040` to `OH-5050`; each has a page in `docs/errors`.
    pub code: String,
    /// Whose.
    pub tenant: String,
    /// What, for example `executions/<id>/effects/1`.
    pub resource: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verification {
    /// Executions that were verified.
    pub executions: u64,
    /// Events replayed.
    pub events: u64,
    /// Audit leaves held against events.
    pub leaves: u64,
    /// Snapshots restored and compared.
    pub snapshots: u64,
    /// Blobs read and compared with their digests.
    pub blobs: u64,
    /// Started attempts whose right to start was looked for.
    pub permits: u64,
    /// Approvals held against what they allowed.
    pub approvals: u64,
    /// Executions that changed while they were looked at, and were left out.
    pub busy: u64,
    /// Number of findings.
    pub found: u64,
    /// The findings, at most 1,000.
    pub findings: Vec<Finding>,
    /// Where to go on; none when everything was looked at.
    pub next: Option<String>,
}

impl Verification {
    pub(crate) fn find(
        &mut self,
        code: u16,
        tenant: &TenantId,
        resource: impl Into<String>,
        detail: impl Into<String>,
    ) {
        self.found += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding {
                code: format!("OH-{code}"),
                tenant: tenant.to_string(),
                resource: resource.into(),
                detail: detail.into(),
            });
        }
    }

    fn add(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.executions, other.executions),
            (&mut self.events, other.events),
            (&mut self.leaves, other.leaves),
            (&mut self.snapshots, other.snapshots),
            (&mut self.blobs, other.blobs),
            (&mut self.permits, other.permits),
            (&mut self.approvals, other.approvals),
            (&mut self.busy, other.busy),
            (&mut self.found, other.found),
        ] {
            *sum += more;
        }
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }
}

/// One execution as the store holds it.
pub(crate) struct Kept {
    pub(crate) row: ExecutionRow,
    pub(crate) events: Vec<Event>,
    pub(crate) state: Execution,
    pub(crate) records: Vec<audit::Record>,
}

impl App {
    /// Verifies the caller's tenant, or every tenant for the platform's, for at most `time`; `after` goes on where an
    /// earlier answer ended. The act is recorded with its result.
    pub async fn verify(
        &self,
        caller: &Caller,
        after: Option<&str>,
        time: Duration,
    ) -> Result<Verification, Problem> {
        caller.demand(Permission::ReadAudit)?;
        let _place = self.check_place()?;
        let own = &caller.principal.tenant;
        let tenants = if *own == system_tenant() { self.all_tenants().await? } else { vec![own.clone()] };
        let found = self.verify_tenants(&tenants, after, Some(time)).await?;
        let details = json!({
            "executions": found.executions, "events": found.events, "leaves": found.leaves, "found": found.found,
            "whole": found.next.is_none(),
        });
        let record =
            record::by_caller(caller, self.clock.now(), "store.verified", "store".to_owned(), details);
        self.commit_one(Batch { records: vec![record], ..Batch::default() }).await?;
        Ok(found)
    }

    /// Verifies every execution of every tenant. Records nothing.
    pub async fn verify_everything(&self) -> Result<Verification, Problem> {
        let tenants = self.all_tenants().await?;
        self.verify_tenants(&tenants, None, None).await
    }

    async fn all_tenants(&self) -> Result<Vec<TenantId>, Problem> {
        let made = self.store.documents(&system_tenant(), "tenant", "", None, TENANTS_MAX).await;
        let made = made.map_err(|e| store_problem(&e))?;
        let mut tenants: Vec<TenantId> =
            made.into_iter().filter_map(|(id, _)| TenantId::new(id).ok()).collect();
        tenants.push(system_tenant());
        tenants.sort();
        tenants.dedup();
        Ok(tenants)
    }

    async fn verify_tenants(
        &self,
        tenants: &[TenantId],
        after: Option<&str>,
        time: Option<Duration>,
    ) -> Result<Verification, Problem> {
        let began = Instant::now();
        let mut whole = Verification::default();
        let (from, mut cursor) = match after.and_then(|after| after.rsplit_once('/')) {
            Some((tenant, cursor)) => (Some(tenant), Some(cursor.to_owned())),
            None => (None, None),
        };
        for tenant in tenants.iter().filter(|tenant| from.is_none_or(|from| tenant.as_str() >= from)) {
            loop {
                let query =
                    ExecutionQuery { cursor: cursor.take(), limit: PAGE, ..ExecutionQuery::default() };
                let page = self.store.executions(tenant, query).await.map_err(|e| store_problem(&e))?;
                for row in page.items {
                    self.verify_execution(tenant, &row.id, &mut whole).await?;
                }
                let Some(next) = page.next else { break };
                if time.is_some_and(|time| began.elapsed() >= time) {
                    whole.next = Some(format!("{tenant}/{next}"));
                    return Ok(whole);
                }
                cursor = Some(next);
            }
        }
        Ok(whole)
    }

    /// What is found wrong while an execution changes may be the change: it is looked at again.
    async fn verify_execution(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        whole: &mut Verification,
    ) -> Result<(), Problem> {
        for _ in 0..LOOKS_MAX {
            let before = self.look(tenant, id).await?;
            let mut found = Verification::default();
            self.verify_kept(tenant, id, &mut found).await?;
            if found.found == 0 || before == self.look(tenant, id).await? {
                whole.add(found);
                return Ok(());
            }
        }
        whole.busy += 1;
        Ok(())
    }

    async fn look(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<(Option<ExecutionRow>, Option<u64>), Problem> {
        let row = self.store.execution(tenant, id).await.map_err(|e| store_problem(&e))?;
        let history = self.store.load_from(tenant, id, u64::MAX, 1).await;
        Ok((row, history.ok().flatten().map(|history| history.total)))
    }

    async fn verify_kept(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        found: &mut Verification,
    ) -> Result<(), Problem> {
        let resource = format!("executions/{id}");
        found.executions += 1;
        let row = self.store.execution(tenant, id).await.map_err(|e| store_problem(&e))?;
        let history = match self.store.load(tenant, id).await {
            Ok(history) => history,
            Err(error) => {
                found.find(5040, tenant, resource, format!("its history cannot be read: {error}"));
                return Ok(());
            }
        };
        let (Some(row), Some(history)) = (row, history) else {
            found.find(5040, tenant, resource, "it is listed and has no history");
            return Ok(());
        };
        if history.total != history.events.len() as u64 {
            let detail = format!("{} of {} events are there", history.events.len(), history.total);
            found.find(5040, tenant, resource, detail);
            return Ok(());
        }
        found.events += history.total;
        if !self.blobs_whole(tenant, &resource, &history.events, found).await {
            return Ok(());
        }
        let state = match self.replayed(tenant, id, false).await {
            Ok(state) => state,
            Err(problem) => {
                let detail = problem.internal.unwrap_or(problem.detail);
                found.find(5041, tenant, resource, format!("it cannot be replayed: {detail}"));
                return Ok(());
            }
        };
        let records = self.records_of(tenant, id).await?;
        let kept = Kept { row, events: history.events, state, records };
        check_end(&kept, found);
        check_row(&kept, found);
        self.check_snapshot(tenant, id, &kept, found).await?;
        trail::check(&kept, found);
        self.check_family(&kept, found).await?;
        self.check_permits(&kept, found).await
    }

    /// True when every payload outside the history is there and right.
    async fn blobs_whole(
        &self,
        tenant: &TenantId,
        resource: &str,
        events: &[Event],
        found: &mut Verification,
    ) -> bool {
        let mut whole = true;
        for event in events {
            let digest = match &event.body {
                EventBody::EffectAnswered { answer: model::effect::Answer::Stored { digest }, .. } => {
                    Some(*digest)
                }
                EventBody::EffectAnswered { answer: model::effect::Answer::Child(end), .. } => {
                    end.output_blob
                }
                EventBody::Started(started) => started.input_blob,
                _ => None,
            };
            let Some(digest) = digest else { continue };
            found.blobs += 1;
            let detail = match self.store.blob(tenant, &digest).await {
                Ok(Some(_)) => continue,
                Ok(None) => format!("the blob {digest} is gone"),
                Err(error) => format!("the blob {digest} cannot be used: {error}"),
            };
            whole = false;
            found.find(5043, tenant, resource, detail);
        }
        whole
    }

    /// Every audit record of an execution, in order.
    async fn records_of(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Vec<audit::Record>, Problem> {
        let (mut records, mut cursor) = (Vec::new(), None);
        loop {
            let query = AuditQuery {
                tenant: Some(tenant.clone()),
                correlation: Some(id.to_string()),
                cursor,
                limit: LEAVES,
                ..AuditQuery::default()
            };
            let page = self.store.leaves(query).await.map_err(|e| store_problem(&e))?;
            let read = page.items.iter().filter_map(|leaf| audit::read_leaf(&leaf.bytes));
            records.extend(read.map(|(_, record)| record));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(records),
            }
        }
    }

    async fn check_snapshot(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        kept: &Kept,
        found: &mut Verification,
    ) -> Result<(), Problem> {
        let stored = self.store.snapshot(tenant, id).await.map_err(|e| store_problem(&e))?;
        let Some((version, bytes)) = stored else { return Ok(()) };
        found.snapshots += 1;
        let resource = format!("executions/{id}/snapshot");
        // Another version's format is passed over by every reader, and the history replayed instead.
        let snapshot = match Snapshot::from_bytes(&bytes) {
            Ok(snapshot) => snapshot,
            Err(engine::SnapshotError::Format(_)) => return Ok(()),
            Err(error) => {
                found.find(5042, tenant, resource, error.to_string());
                return Ok(());
            }
        };
        if snapshot.version() != version || version > kept.events.len() as u64 {
            found.find(5042, tenant, resource, "it stands for another number of events than its history has");
            return Ok(());
        }
        let mut state = match Execution::restore(kept.state.definition.clone(), snapshot) {
            Ok(state) => state,
            Err(error) => {
                found.find(5042, tenant, resource, error.to_string());
                return Ok(());
            }
        };
        let skip = usize::try_from(version).unwrap_or(usize::MAX);
        // As for every reader: a state from before the history went back in itself is passed over.
        if kept.events.iter().skip(skip).any(|event| matches!(event.body, EventBody::Rewound(_))) {
            return Ok(());
        }
        for event in kept.events.iter().skip(skip) {
            let mut event = event.clone();
            self.inflate(tenant, &mut event).await?;
            state.apply(&event);
        }
        if state.snapshot().to_bytes().ok() != kept.state.snapshot().to_bytes().ok() {
            found.find(
                5042,
                tenant,
                resource,
                "with the events behind it, it is another state than its history",
            );
        }
        Ok(())
    }
}

/// The recorded end is the one that the replay comes to.
fn check_end(kept: &Kept, found: &mut Verification) {
    let state = &kept.state;
    let recorded = kept.events.iter().rev().find_map(|event| match &event.body {
        EventBody::Ended { status, outcome, digest } => Some((status.as_str(), *outcome, *digest)),
        _ => None,
    });
    let resource = format!("executions/{}", state.started.execution);
    let (Some(end), Some((status, outcome, digest))) = (&state.end, recorded) else {
        if state.end.is_some() {
            found.find(5041, &state.started.tenant, resource, "it ended, and no end was recorded");
        } else if matches!(kept.events.last().map(|event| &event.body), Some(EventBody::Ended { .. })) {
            // An end that a person took back is not the last event.
            found.find(5041, &state.started.tenant, resource, "an end was recorded, and the replay goes on");
        }
        return;
    };
    let own = match end {
        End::Completed(output) => model::digest_of(output),
        End::Faulted(error) => model::digest_of(error),
        End::Cancelled(reason) => model::digest_of(reason),
    };
    if (state.status().name(), state.outcome(), own) != (status, Some(outcome), digest) {
        let detail = format!(
            "the replay ends `{}` with {own}; recorded is `{status}` with {digest}",
            state.status().name()
        );
        found.find(5041, &state.started.tenant, resource, detail);
    }
}

/// The row says what the state says.
fn check_row(kept: &Kept, found: &mut Verification) {
    let (row, state) = (&kept.row, &kept.state);
    let holds = |on: &&str| ["control:", "limit:", "worker:"].iter().any(|kind| on.starts_with(kind));
    let held = row.blocked_on.as_deref().filter(holds);
    let held = held.filter(|_| state.open_effects().any(|effect| effect.phase == Phase::Requested));
    let mut own = row_of(state, held, row.updated_at);
    if !state.requested().is_empty() {
        // More effects than one step judges: it wants to be woken at once.
        own.due_at = row.due_at;
    }
    if state.pending && row.blocked_on.as_deref().is_some_and(|on| on.starts_with("limit:")) {
        // It may have moved to the line of another limit, which only memory knows.
        own.blocked_on.clone_from(&row.blocked_on);
    }
    if own == *row {
        return;
    }
    let (own, row_json) = (json!(own), json!(row));
    let differing: Vec<&str> = own
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| row_json[name.as_str()] != **value)
        .map(|(name, _)| name.as_str())
        .collect();
    let detail = format!("its row differs from its history in {}", differing.join(", "));
    found.find(5044, &state.started.tenant, format!("executions/{}", state.started.execution), detail);
}
