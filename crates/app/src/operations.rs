//! Acts on many executions as one command, by query.
//!
//! A command is a document that says what was asked for and how far it has come. It is written before anything is done,
//! and taken up again after a restart. Each execution is acted on in a batch that also writes a mark of the command, so
//! that no crash makes it act twice on the same one.

use std::sync::Arc;

use engine::Input;
use model::event::CancelMode;
use model::principal::Permission;
use model::{ExecutionId, Principal, PrincipalId, Problem, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Batch, ExecutionQuery, Expect, Put};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use crate::app::{App, commit_problem, store_problem, system_tenant};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::record;
use crate::runner::Change;
use crate::view::{BulkFailure, BulkRequest, OperationView};

/// Commands under way at once; more are refused.
pub(crate) const OPERATIONS_MAX: usize = 32;
/// Executions that one command acts on at once.
const AT_ONCE: usize = 16;
/// Executions listed at once; progress is written after so many.
const PAGE: u32 = 100;
/// Executions of one command at the most, when it does not say.
const LIMIT: u64 = 10_000;
/// Executions of one command at the very most.
const LIMIT_MAX: u64 = 1_000_000;
/// Failures that a command remembers one by one.
const FAILURES_MAX: usize = 100;
/// How long marks of a command are kept after they are made.
const MARKS_KEEP: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);
/// Pause after a failure of the store.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

const KIND: &str = "operation";
const OPEN: &str = "open-operation";

/// What is done to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// Stop for good.
    Cancel,
    /// Hold.
    Pause,
    /// Let go on.
    Resume,
    /// Try again.
    Retry,
}

impl Act {
    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }

    /// Statuses in which it can do something; the rest is not looked at when the query names none.
    fn statuses(self) -> &'static [&'static str] {
        match self {
            Self::Cancel => &["pending", "running", "waiting", "suspended", "faulted"],
            Self::Pause => &["pending", "running", "waiting"],
            Self::Resume => &["suspended"],
            Self::Retry => &["suspended", "faulted"],
        }
    }

    fn input(self, by: PrincipalId, reason: String) -> Input {
        match self {
            Self::Cancel => Input::Cancel(by, reason, CancelMode::Graceful),
            Self::Pause => Input::Pause(by, reason),
            Self::Resume => Input::Resume(by, reason),
            Self::Retry => Input::Retry(by, reason),
        }
    }
}

/// The stored form of a command; its names stay readable for ever.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Operation {
    id: String,
    act: Act,
    statuses: Vec<String>,
    workflow: Option<String>,
    outcome: Option<String>,
    text: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    limit: u64,
    reason: String,
    by: Principal,
    address: Option<String>,
    agent: Option<String>,
    request_id: String,
    status: String,
    cursor: Option<String>,
    done: u64,
    skipped: u64,
    failed: u64,
    failures: Vec<BulkFailure>,
    started_at: Timestamp,
    updated_at: Timestamp,
    ended_at: Option<Timestamp>,
}

/// How one execution fared.
enum Fate {
    Done,
    Skipped,
    Failed(BulkFailure),
}

impl App {
    /// Takes a command: it is durable when this returns, and goes on by itself. With `dry_run` it is only counted what
    /// it would look at.
    pub async fn act_on_many(
        self: &Arc<Self>,
        caller: &Caller,
        act: Act,
        request: BulkRequest,
    ) -> Result<OperationView, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let reason = checked_reason(&request.reason)?;
        let operation = self.asked(caller, act, reason, &request)?;
        if request.dry_run {
            return self.counted(caller, operation).await;
        }
        let tenant = caller.principal.tenant.clone();
        if request.operation_id.is_some()
            && let Some(before) = self.read_operation(&tenant, &operation.id).await?
        {
            return same(&before, &operation);
        }
        let slot = Arc::clone(&self.operations).try_acquire_owned().map_err(|_| {
            let detail =
                format!("{OPERATIONS_MAX} commands are under way already: try again when one has ended");
            Problem::new(503, 5002, "overloaded", detail)
        })?;
        let details = json!({
            "act": act.name(), "reason": guard::pii::redact(&operation.reason), "limit": operation.limit,
            "query": {
                "status": operation.statuses, "workflow": operation.workflow, "outcome": operation.outcome,
                "q": operation.text, "after": operation.after, "before": operation.before,
            },
        });
        let resource = format!("operations/{}", operation.id);
        let mut record =
            record::by_caller(caller, operation.started_at, "operation.started", resource, details);
        record.correlation.clone_from(&operation.id);
        let open = json!({ "tenant": tenant });
        let batch = Batch {
            expect: vec![Expect::NoDocument(tenant.clone(), KIND.to_owned(), operation.id.clone())],
            puts: vec![put(&tenant, &operation)?, document(&system_tenant(), OPEN, &operation.id, open)],
            records: vec![record],
            ..Batch::default()
        };
        let taken = self.commit_step(batch).await;
        let view = view_of(&operation);
        let app = Arc::clone(self);
        match taken {
            Ok(()) => {
                tokio::spawn(async move { app.carry_out(tenant, operation, slot).await });
                Ok(view)
            }
            Err(error) => {
                // It may be durable all the same, and then nobody else carries it out before the next start.
                if matches!(error, store::CommitError::Failed(_)) {
                    tokio::spawn(async move { app.carry_out_if_taken(tenant, operation, slot).await });
                }
                Err(commit_problem(&error))
            }
        }
    }

    /// Carries a command out, if the store turns out to hold it.
    async fn carry_out_if_taken(
        self: &Arc<Self>,
        tenant: TenantId,
        operation: Operation,
        slot: OwnedSemaphorePermit,
    ) {
        while self.leads() {
            match self.read_operation(&tenant, &operation.id).await {
                Ok(Some(_)) => return self.carry_out(tenant, operation, slot).await,
                Ok(None) => return,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// How far a command has come.
    pub async fn operation(&self, caller: &Caller, id: &str) -> Result<OperationView, Problem> {
        caller.demand(Permission::Read)?;
        let found = self.read_operation(&caller.principal.tenant, id).await?;
        found.map(|operation| view_of(&operation)).ok_or_else(|| Problem::not_found("operation", id))
    }

    /// Takes up the commands that were under way when the last process ended.
    pub(crate) async fn resume_operations(self: &Arc<Self>) -> Result<(), Problem> {
        let open = self
            .store
            .documents(&system_tenant(), OPEN, "", None, u32::try_from(OPERATIONS_MAX).unwrap_or(u32::MAX))
            .await
            .map_err(|e| store_problem(&e))?;
        let mut found = Vec::with_capacity(open.len());
        for (id, document) in open {
            let tenant = document["tenant"].as_str().and_then(|tenant| TenantId::new(tenant).ok());
            let tenant =
                tenant.ok_or_else(|| Problem::machine(format!("open operation `{id}` names no tenant")))?;
            found.extend(self.read_operation(&tenant, &id).await?.map(|operation| (tenant, operation)));
        }
        // All are read before one goes on, so that whoever tries again takes none up twice.
        for (tenant, operation) in found {
            let Ok(slot) = Arc::clone(&self.operations).acquire_owned().await else { continue };
            tracing::info!(operation.id = %operation.id, done = operation.done, "a command goes on");
            let app = Arc::clone(self);
            tokio::spawn(async move { app.carry_out(tenant, operation, slot).await });
        }
        Ok(())
    }

    fn asked(
        &self,
        caller: &Caller,
        act: Act,
        reason: String,
        request: &BulkRequest,
    ) -> Result<Operation, Problem> {
        let query = &request.query;
        let says_which = !query.statuses.is_empty()
            || query.workflow.is_some()
            || query.outcome.is_some()
            || query.text.is_some()
            || query.after.is_some()
            || query.before.is_some();
        if !says_which {
            let detail = "`query` must say which executions: name at least one of status, workflow, outcome, q, after, before";
            return Err(Problem::new(422, 2131, "which executions", detail).field("/query", detail));
        }
        let limit = request.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("`limit` must be 1 to {LIMIT_MAX}");
            return Err(Problem::new(422, 4001, "invalid request", detail.clone()).field("/limit", detail));
        }
        let now = self.clock.now();
        let id = match &request.operation_id {
            Some(id) => ExecutionId::new(id).map_err(|e| {
                Problem::new(422, 4001, "invalid request", e.to_string())
                    .field("/operation_id", e.to_string())
            })?,
            None => ExecutionId::generate(&*self.ids, now),
        };
        let statuses = if query.statuses.is_empty() {
            act.statuses().iter().map(|status| (*status).to_owned()).collect()
        } else {
            query.statuses.clone()
        };
        Ok(Operation {
            id: id.to_string(),
            act,
            statuses,
            workflow: query.workflow.clone(),
            outcome: query.outcome.clone(),
            text: query.text.clone(),
            after: query.after,
            before: query.before,
            limit,
            reason,
            by: caller.principal.clone(),
            address: caller.address.clone(),
            agent: caller.agent.clone(),
            request_id: caller.request_id.clone(),
            status: "running".to_owned(),
            cursor: None,
            done: 0,
            skipped: 0,
            failed: 0,
            failures: Vec::new(),
            started_at: now,
            updated_at: now,
            ended_at: None,
        })
    }

    async fn counted(&self, caller: &Caller, mut operation: Operation) -> Result<OperationView, Problem> {
        let mut matched = 0;
        while matched < operation.limit {
            let page = self.page(&caller.principal.tenant, &operation).await?;
            matched += page.items.len() as u64;
            operation.cursor = page.next;
            if operation.cursor.is_none() {
                break;
            }
        }
        operation.status = "dry-run".to_owned();
        Ok(OperationView { matched: Some(matched.min(operation.limit)), ..view_of(&operation) })
    }

    async fn page(
        &self,
        tenant: &TenantId,
        operation: &Operation,
    ) -> Result<store::Page<store::ExecutionRow>, Problem> {
        let left = operation.limit.saturating_sub(operation.done + operation.skipped + operation.failed);
        let query = ExecutionQuery {
            statuses: operation.statuses.clone(),
            workflow: operation.workflow.clone(),
            outcome: operation.outcome.clone(),
            text: operation.text.clone(),
            after: operation.after,
            // What begins later is not meant.
            before: Some(operation.before.unwrap_or(operation.started_at).min(operation.started_at)),
            cursor: operation.cursor.clone(),
            limit: u32::try_from(left).unwrap_or(PAGE).clamp(1, PAGE),
            ..ExecutionQuery::default()
        };
        self.store.executions(tenant, query).await.map_err(|e| store_problem(&e))
    }

    /// Carries a command out, page by page, until it is done.
    async fn carry_out(
        self: &Arc<Self>,
        tenant: TenantId,
        mut operation: Operation,
        slot: OwnedSemaphorePermit,
    ) {
        // Whoever leads now has taken it up.
        while operation.ended_at.is_none() && self.leads() {
            if let Err(problem) = self.next_page(&tenant, &mut operation).await {
                tracing::error!(operation.id = %operation.id, error = %problem, internal = problem.internal, "a command cannot go on; it is tried again");
                tokio::time::sleep(PAUSE).await;
            }
        }
        drop(slot);
    }

    async fn next_page(
        self: &Arc<Self>,
        tenant: &TenantId,
        operation: &mut Operation,
    ) -> Result<(), Problem> {
        let page = self.page(tenant, operation).await?;
        let mut after = operation.clone();
        let mut running = JoinSet::new();
        for row in page.items {
            if running.len() >= AT_ONCE {
                count(&mut after, running.join_next().await);
            }
            let (app, tenant, operation) = (Arc::clone(self), tenant.clone(), operation.clone());
            running.spawn(async move { app.act_on_one(&tenant, &operation, &row.id).await });
        }
        while let Some(fate) = running.join_next().await {
            count(&mut after, Some(fate));
        }
        let now = self.clock.now();
        after.updated_at = now;
        after.cursor = page.next;
        let whole = after.cursor.is_none() || after.done + after.skipped + after.failed >= after.limit;
        let mut batch = Batch::default();
        if whole {
            after.status = "done".to_owned();
            after.ended_at = Some(now);
            let remove =
                Put::Remove { tenant: system_tenant(), kind: OPEN.to_owned(), key: after.id.clone() };
            batch.puts.push(remove);
            let details = json!({ "done": after.done, "skipped": after.skipped, "failed": after.failed });
            let resource = format!("operations/{}", after.id);
            batch.records.push(record::by_system(
                tenant,
                now,
                "operation.ended",
                resource,
                &after.id,
                details,
            ));
        }
        batch.puts.push(put(tenant, &after)?);
        self.commit_step(batch).await.map_err(|e| commit_problem(&e))?;
        *operation = after;
        Ok(())
    }

    async fn act_on_one(
        self: &Arc<Self>,
        tenant: &TenantId,
        operation: &Operation,
        id: &ExecutionId,
    ) -> Fate {
        let caller = Caller {
            principal: operation.by.clone(),
            address: operation.address.clone(),
            agent: operation.agent.clone(),
            request_id: operation.request_id.clone(),
        };
        match self.act_once(tenant, operation, id, &caller).await {
            Ok(()) => Fate::Done,
            Err(problem) if problem.status == 409 || problem.status == 404 => Fate::Skipped,
            Err(problem) => Fate::Failed(BulkFailure {
                execution_id: id.to_string(),
                code: problem.code.to_string(),
                detail: problem.detail,
            }),
        }
    }

    async fn act_once(
        self: &Arc<Self>,
        tenant: &TenantId,
        operation: &Operation,
        id: &ExecutionId,
        caller: &Caller,
    ) -> Result<(), Problem> {
        let mark = format!("operation|{}|{id}", operation.id);
        let held = self.hold(tenant, id).await?;
        let now = self.clock.now();
        match self.store.deduplicated(tenant, &mark, now).await {
            Ok(None) => {}
            // Acted on before a restart.
            Ok(Some(_)) => {
                self.let_go(held);
                return Ok(());
            }
            Err(error) => {
                self.let_go(held);
                return Err(store_problem(&error));
            }
        }
        let reason = format!("{} (operation {})", operation.reason, operation.id);
        let answer = Put::Answer {
            tenant: tenant.clone(),
            key: mark,
            expires_at: now.plus(MARKS_KEEP),
            document: json!({ "operation": operation.id }),
        };
        let input = operation.act.input(caller.principal.id.clone(), reason);
        let change = Change { input: Some(input), puts: vec![answer], ..Change::default() };
        self.go_on(held, change, Some(caller)).await.map(drop)
    }

    async fn read_operation(&self, tenant: &TenantId, id: &str) -> Result<Option<Operation>, Problem> {
        let found = self.store.document(tenant, KIND, id).await.map_err(|e| store_problem(&e))?;
        found
            .map(serde_json::from_value)
            .transpose()
            .map_err(|e| Problem::machine(format!("operation `{id}`: {e}")))
    }
}

fn count(operation: &mut Operation, fate: Option<Result<Fate, tokio::task::JoinError>>) {
    match fate {
        None => {}
        Some(Ok(Fate::Done)) => operation.done += 1,
        Some(Ok(Fate::Skipped)) => operation.skipped += 1,
        Some(Ok(Fate::Failed(failure))) => {
            operation.failed += 1;
            if operation.failures.len() < FAILURES_MAX {
                operation.failures.push(failure);
            }
        }
        Some(Err(error)) => {
            tracing::error!(%error, "an act of a command broke off");
            operation.failed += 1;
        }
    }
}

/// The command of an id that is taken: the same one, or a conflict.
fn same(before: &Operation, asked: &Operation) -> Result<OperationView, Problem> {
    let what = |o: &Operation| {
        json!([
            o.act, o.statuses, o.workflow, o.outcome, o.text, o.after, o.before, o.limit, o.reason, o.by.id
        ])
    };
    if what(before) == what(asked) {
        return Ok(view_of(before));
    }
    let detail = format!("operation `{}` exists and is another command; choose another id", asked.id);
    Err(Problem::new(409, 2130, "operation exists", detail))
}

fn put(tenant: &TenantId, operation: &Operation) -> Result<Put, Problem> {
    let json = serde_json::to_value(operation).map_err(Problem::machine)?;
    Ok(document(tenant, KIND, &operation.id, json))
}

fn document(tenant: &TenantId, kind: &str, key: &str, document: serde_json::Value) -> Put {
    Put::Document { tenant: tenant.clone(), kind: kind.to_owned(), key: key.to_owned(), document }
}

fn view_of(operation: &Operation) -> OperationView {
    OperationView {
        id: operation.id.clone(),
        act: operation.act.name().to_owned(),
        status: operation.status.clone(),
        reason: operation.reason.clone(),
        by: operation.by.id.to_string(),
        limit: operation.limit,
        matched: None,
        done: operation.done,
        skipped: operation.skipped,
        failed: operation.failed,
        failures: operation.failures.clone(),
        started_at: operation.started_at,
        updated_at: operation.updated_at,
        ended_at: operation.ended_at,
    }
}
