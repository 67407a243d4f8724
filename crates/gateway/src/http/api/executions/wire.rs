//! Executions on the wire.

use app::view::{
    ArmedView, AttemptView, BranchView, CompensationView, EffectView, ExecutionSummary as AppSummary,
    ExecutionView, HistoryEntry as AppEntry, TaskView, UndoneView,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::rewind::KeptEffect;
use crate::http::wire::{Provenance, Verdict, WorkflowName, moment};

/// An execution in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExecutionSummary {
    /// Its id.
    execution_id: String,
    /// Its tenant.
    tenant: String,
    /// What it runs.
    workflow: WorkflowName,
    /// `pending`, `running`, `waiting`, `suspended`, `cancelled`, `faulted` or `completed`.
    status: String,
    /// `verified`, `unknown` or `failed`, once it ended.
    outcome: Option<String>,
    /// What it waits for: `approval:<id>`, `timer`, `signal:<names>`, `update:<names>`, `event:<types>`, `control:<name>`, `dead-letter:<id>`.
    blocked_on: Option<String>,
    /// Who asked.
    requester: String,
    /// The goal's text, when it was text.
    intent: Option<String>,
    /// One line of what went wrong, when something did.
    error: Option<String>,
    /// When it began.
    started_at: String,
    /// When it last changed.
    updated_at: String,
    /// When it ended.
    ended_at: Option<String>,
    /// When it goes on by itself.
    due_at: Option<String>,
    /// The execution that runs it.
    parent: Option<String>,
}

impl From<AppSummary> for ExecutionSummary {
    fn from(row: AppSummary) -> Self {
        Self {
            execution_id: row.id.to_string(),
            tenant: row.tenant.to_string(),
            workflow: WorkflowName { namespace: row.namespace, name: row.name, version: Some(row.version) },
            status: row.status,
            outcome: row.outcome,
            blocked_on: row.blocked_on,
            requester: row.requester,
            intent: row.intent,
            error: row.error,
            started_at: moment(row.started_at),
            updated_at: moment(row.updated_at),
            ended_at: row.ended_at.map(moment),
            due_at: row.due_at.map(moment),
            parent: row.parent.map(|id| id.to_string()),
        }
    }
}

/// An execution in full: the members of a list's item, and what follows. `error` is the whole error here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Execution {
    /// Its id.
    execution_id: String,
    /// Its tenant.
    tenant: String,
    /// What it runs.
    workflow: WorkflowName,
    /// `pending`, `running`, `waiting`, `suspended`, `cancelled`, `faulted` or `completed`.
    status: String,
    /// `verified`, `unknown` or `failed`, once it ended.
    outcome: Option<String>,
    /// What it waits for.
    blocked_on: Option<String>,
    /// Who asked.
    requester: String,
    /// The goal's text, when it was text.
    intent: Option<String>,
    /// When it began.
    started_at: String,
    /// When it last changed.
    updated_at: String,
    /// When it ended.
    ended_at: Option<String>,
    /// When it goes on by itself.
    due_at: Option<String>,
    /// The execution that runs it.
    parent: Option<String>,
    /// The workflow's title.
    title: Option<String>,
    /// `live`, or `advisory` when safe mode was on at the start.
    mode: String,
    /// Digest of its plan.
    plan_digest: String,
    /// The input.
    #[schema(value_type = Object)]
    input: Value,
    /// Its output, once it completed.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// Its error, once it faulted (members `type`, `status`, `title`, `detail`, `instance`).
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    /// The context that tasks exported.
    #[schema(value_type = Object)]
    context: Value,
    /// Every effect, in order.
    effects: Vec<Effect>,
    /// Tasks that ran, in order of start; the newest 1,000.
    tasks: Vec<Task>,
    /// Branches of forks that are not joined yet.
    branches: Vec<Branch>,
    /// What is armed, and what was undone.
    compensation: Compensation,
    /// Effects that the flow went back behind, and that may stand in for what it asks for.
    kept: Vec<KeptEffect>,
    /// The execution that it was forked from, when it was.
    origin: Option<Origin>,
    /// The moment of its workflow's schedule that it stands for, when it began by schedule.
    scheduled_for: Option<String>,
    /// Number of events.
    version: u64,
    /// A sentence for people: what it waits for and what to do.
    explanation: String,
}

impl From<ExecutionView> for Execution {
    fn from(view: ExecutionView) -> Self {
        let row = ExecutionSummary::from(view.summary);
        Self {
            execution_id: row.execution_id,
            tenant: row.tenant,
            workflow: row.workflow,
            status: row.status,
            outcome: row.outcome,
            blocked_on: row.blocked_on,
            requester: row.requester,
            intent: row.intent,
            started_at: row.started_at,
            updated_at: row.updated_at,
            ended_at: row.ended_at,
            due_at: row.due_at,
            parent: row.parent,
            title: view.title,
            mode: view.mode,
            plan_digest: view.plan_digest.to_string(),
            input: view.input,
            output: view.output,
            error: view.error,
            context: view.context,
            effects: view.effects.into_iter().map(Effect::from).collect(),
            tasks: view.tasks.into_iter().map(Task::from).collect(),
            branches: view.branches.into_iter().map(Branch::from).collect(),
            compensation: view.compensation.into(),
            kept: view.kept.into_iter().map(KeptEffect::from).collect(),
            origin: view.origin.map(|(execution_id, event)| Origin { execution_id, event }),
            scheduled_for: view.scheduled.map(moment),
            version: view.version,
            explanation: view.explanation,
        }
    }
}

/// A branch of a fork that is not joined yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionBranch)]
pub(crate) struct Branch {
    /// JSON Pointer of its task.
    task: String,
    /// `running`, `undoing`, `completed`, `faulted` or `cancelled`.
    status: String,
    /// JSON Pointer of the task at which it stands.
    at: Option<String>,
}

impl From<BranchView> for Branch {
    fn from(branch: BranchView) -> Self {
        Self { task: branch.task, status: branch.status, at: branch.at }
    }
}

/// What is armed, and what was undone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Compensation {
    /// `idle`, `armed`, `undoing`, `parked` (an undo waits for a person), `undone` (everything is, and that is verified),
    /// `incomplete` (some undo is not verified) or `left` (it ended, and what is armed stays done).
    state: String,
    /// What would be undone, oldest first, with the savepoints between.
    armed: Vec<Armed>,
    /// What was undone, in order (the first 10,000).
    undone: Vec<Undone>,
}

impl From<CompensationView> for Compensation {
    fn from(view: CompensationView) -> Self {
        Self {
            state: view.state,
            armed: view.armed.into_iter().map(Armed::from).collect(),
            undone: view.undone.into_iter().map(Undone::from).collect(),
        }
    }
}

/// Something on a compensation stack: an effect, an armed action, or a savepoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Armed {
    /// JSON Pointer of the branch whose stack it is on; none for the workflow's own.
    branch: Option<String>,
    /// The effect that would be undone.
    effect: Option<u32>,
    /// The operation that would be undone, or the armed action.
    operation: Option<String>,
    /// The name of a savepoint.
    savepoint: Option<String>,
}

impl From<ArmedView> for Armed {
    fn from(item: ArmedView) -> Self {
        Self {
            branch: item.branch,
            effect: item.effect,
            operation: item.operation,
            savepoint: item.savepoint,
        }
    }
}

/// Something that was undone, or was to be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Undone {
    /// The effect; none for an action that `on-rollback` armed.
    effect: Option<u32>,
    /// The operation that was undone, or the armed action.
    operation: String,
    /// The effect that undid it; none when it could not even be made.
    undone_by: Option<u32>,
    /// Whether the undo is real: `verified`, `failed` or `unknown`.
    outcome: String,
}

impl From<UndoneView> for Undone {
    fn from(undone: UndoneView) -> Self {
        Self {
            effect: undone.effect,
            operation: undone.operation,
            undone_by: undone.undone_by,
            outcome: undone.outcome,
        }
    }
}

/// Where an execution was forked from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Origin {
    /// The other execution.
    execution_id: String,
    /// Number of its events that make the point.
    event: u64,
}

/// A task that ran.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Task {
    /// JSON Pointer in the definition.
    pointer: String,
    /// Its name.
    name: String,
    /// `do`, `set`, `switch`, `for`, `fork`, `raise`, `try`, `wait`, `call` or `run`.
    kind: String,
    /// `running`, `completed`, `faulted`, `skipped` or `cancelled`.
    status: String,
    /// When it began.
    started_at: String,
    /// When it ended.
    ended_at: Option<String>,
    /// Nesting depth.
    depth: u32,
}

impl From<TaskView> for Task {
    fn from(task: TaskView) -> Self {
        Self {
            pointer: task.pointer,
            name: task.name,
            kind: task.kind,
            status: task.status,
            started_at: moment(task.started_at),
            ended_at: task.ended_at.map(moment),
            depth: task.depth,
        }
    }
}

/// One outside act of an execution.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// From 1.
    number: u32,
    /// JSON Pointer of the task.
    task: String,
    /// For example `refund-create:1.0.0`.
    operation: String,
    /// Who is acted upon.
    target: String,
    /// `read`, `write`, `delete`, `money` or `permission`.
    effect: String,
    /// `pure`, `read`, `idempotent`, `probeable`, `compensable` or `irreversible`.
    class: String,
    /// `requested`, `held`, `awaiting-approval`, `started`, `retrying`, `verifying`, `parked`, `denied`, `predicted` or `settled`.
    state: String,
    /// `verified`, `unknown` or `failed`, once it is settled.
    outcome: Option<String>,
    /// Why the outcome is what it is.
    evidence: Option<String>,
    /// Binds permit and approval.
    digest: String,
    /// Canonical arguments.
    #[schema(value_type = Object)]
    arguments: Value,
    /// Where each argument came from.
    provenance: Vec<Provenance>,
    /// What is sent, in one line.
    predicted: String,
    /// The idempotency key.
    key: String,
    /// What policy decided.
    verdict: Option<Verdict>,
    /// The approval, when one is or was needed.
    approval: Option<String>,
    /// The permit of the last attempt.
    permit: Option<String>,
    /// Attempts in order.
    attempts: Vec<Attempt>,
    /// The effect that did it in its place, when the flow went back: nothing was sent for this one.
    reused: Option<u32>,
    /// The execution that this effect runs or undoes, when it does.
    execution: Option<String>,
    /// The effect that this one checks, when it is a probe.
    probe_of: Option<u32>,
    /// The effect that this one undoes.
    compensates: Option<u32>,
    /// True when this one undoes something.
    undo: bool,
    /// The effect that undid this one.
    undone_by: Option<u32>,
    /// What the outside answered.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// When it was requested.
    requested_at: String,
    /// When its outcome was known.
    settled_at: Option<String>,
}

impl From<EffectView> for Effect {
    fn from(effect: EffectView) -> Self {
        Self {
            number: effect.number,
            task: effect.task,
            operation: effect.operation,
            target: effect.target,
            effect: effect.effect,
            class: effect.class,
            state: effect.state,
            outcome: effect.outcome,
            evidence: effect.evidence,
            digest: effect.digest.to_string(),
            arguments: effect.arguments,
            provenance: effect.provenance.into_iter().map(Provenance::from).collect(),
            predicted: effect.predicted,
            key: effect.key,
            verdict: effect.verdict.map(Verdict::from),
            approval: effect.approval.map(|id| id.to_string()),
            permit: effect.permit,
            attempts: effect.attempts.into_iter().map(Attempt::from).collect(),
            reused: effect.reused,
            execution: effect.execution.map(|id| id.to_string()),
            probe_of: effect.probe_of,
            compensates: effect.compensates,
            undo: effect.undo,
            undone_by: effect.undone_by,
            output: effect.output,
            requested_at: moment(effect.requested_at),
            settled_at: effect.settled_at.map(moment),
        }
    }
}

/// One try of an effect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    /// From 1.
    number: u32,
    /// When it started.
    started_at: String,
    /// When the answer came.
    ended_at: Option<String>,
    /// `done`, `refused` or `lost`; null while it is under way.
    answer: Option<String>,
    /// What went wrong.
    error: Option<String>,
}

impl From<AttemptView> for Attempt {
    fn from(attempt: AttemptView) -> Self {
        Self {
            number: attempt.number,
            started_at: moment(attempt.started_at),
            ended_at: attempt.ended_at.map(moment),
            answer: attempt.answer,
            error: attempt.error,
        }
    }
}

/// One event of a history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryEntry {
    /// From 0, without gaps.
    sequence: u64,
    /// When.
    at: String,
    /// Its kind, for example `effect-started`.
    kind: String,
    /// One line for people.
    summary: String,
    /// The whole event.
    #[schema(value_type = Object)]
    event: Value,
}

impl From<AppEntry> for HistoryEntry {
    fn from(entry: AppEntry) -> Self {
        Self {
            sequence: entry.sequence,
            at: moment(entry.at),
            kind: entry.kind,
            summary: entry.summary,
            event: entry.event,
        }
    }
}
