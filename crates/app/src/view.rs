//! What the use cases answer. Plain data for the front doors; the wire types are theirs.

mod simulation;

mod acts;
mod plans;
mod told;

use std::collections::BTreeMap;

use model::action::Contract;
use model::approval::Approval;
use model::control::Control;
use model::id::{ApprovalId, DeadLetterId};
use model::verdict::Verdict;
use model::{Digest, ExecutionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use simulation::{
    ChangedDecision, ChangedExecution, ShadowCase, ShadowView, Simulation, SimulationRequest, Transition,
    VerdictSummary,
};

pub use plans::{Cost, NotReached, PlanUse, PlanView, PlannedEffect, Planning};

pub use told::{SignalAccepted, SignalRequest, UpdateRequest, UpdateView, WaitFor};

pub use acts::{
    BulkFailure, BulkRequest, CheckpointView, KeptView, OperationView, ResolveRequest, ReturnRequest,
    ReturnView, Target,
};

/// What is asked for. Exactly one of `intent`, `workflow` and `plan`.
#[derive(Debug, Clone, Default)]
pub struct GoalRequest {
    /// Free text.
    pub intent: Option<String>,
    /// A workflow by name; `version` none means the newest.
    pub workflow: Option<WorkflowName>,
    /// Structured input; with `intent`, members that the text leaves open.
    pub input: Option<Json>,
    /// Start by id is idempotent: the same id with the same plan answers the same execution.
    pub execution_id: Option<String>,
    /// True: answer the plan, run nothing.
    pub plan_only: bool,
    /// How to plan, with `plan_only`.
    pub planning: Planning,
    /// The digest of a signed plan to run, in place of `intent` and `workflow`.
    pub plan: Option<String>,
    /// The request's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Wait this long for the end.
    pub wait: Option<std::time::Duration>,
    /// How urgent it is; none: as its workflow says.
    pub priority: Option<model::placing::Priority>,
}

/// Names a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version; the newest when absent.
    pub version: Option<String>,
}

/// The answer to a goal.
#[derive(Debug, Clone, Serialize)]
pub enum GoalAnswer {
    /// It runs (or ran, when the caller waited, or when the id was known).
    Accepted(Box<GoalAccepted>),
    /// Only a plan was asked for.
    Planned(Box<PlanView>),
}

/// An accepted goal.
#[derive(Debug, Clone, Serialize)]
pub struct GoalAccepted {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its status when the answer was made.
    pub status: String,
    /// The digest of its plan.
    pub plan_digest: Digest,
    /// Once it ended.
    pub outcome: Option<String>,
    /// What it waits for.
    pub blocked_on: Option<String>,
    /// Once it completed.
    pub output: Option<Json>,
    /// Once it faulted.
    pub error: Option<Json>,
    /// True when this very goal had been accepted before.
    pub repeated: bool,
}

/// Where an execution stands, after its last committed event.
#[derive(Debug, Clone, Serialize)]
pub struct StateView {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its status.
    pub status: String,
    /// What it waits for.
    pub blocked_on: Option<String>,
    /// Number of events.
    pub version: u64,
    /// When the last of them was.
    pub at: Timestamp,
    /// `$context`, or the part of it that was asked for.
    pub context: Json,
    /// The tasks at which it stands.
    pub places: Vec<PlaceView>,
    /// Names of the signals that came and that nobody took yet, oldest first.
    pub inbox: Vec<String>,
    /// Names of the updates that something takes now.
    pub updates: Vec<String>,
}

/// A task at which an execution stands.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceView {
    /// JSON Pointer of the branch; none for the workflow's own tasks.
    pub branch: Option<String>,
    /// JSON Pointer of the task.
    pub task: String,
    /// Its name.
    pub name: String,
    /// Its keyword.
    pub kind: String,
    /// When it began.
    pub since: Timestamp,
    /// `timer`, `retry`, `effect:<number>`, `branches`, `signal:<names>`; none while it undoes.
    pub waits_for: Option<String>,
    /// When that is over by itself.
    pub until: Option<Timestamp>,
    /// When its own time limit strikes.
    pub deadline: Option<Timestamp>,
}

/// An execution in a list.
pub type ExecutionSummary = store::ExecutionRow;

/// An execution in full.
#[derive(Debug, Clone, Serialize)]
pub struct ExecutionView {
    /// What lists show.
    pub summary: ExecutionSummary,
    /// The workflow's title.
    pub title: Option<String>,
    /// `live` or `advisory` (safe mode).
    pub mode: String,
    /// The digest of its plan.
    pub plan_digest: Digest,
    /// The input.
    pub input: Json,
    /// Once it completed.
    pub output: Option<Json>,
    /// Once it faulted (problem members of the workflow language).
    pub error: Option<Json>,
    /// `$context`
    pub context: Json,
    /// Every effect, in order.
    pub effects: Vec<EffectView>,
    /// Every task that ran, in order of start (bounded to the newest 1,000).
    pub tasks: Vec<TaskView>,
    /// Branches of forks that are not joined yet.
    pub branches: Vec<BranchView>,
    /// What is armed, and what was undone.
    pub compensation: CompensationView,
    /// Effects that the flow went back behind, and that may stand in for what it asks for.
    pub kept: Vec<KeptView>,
    /// The execution that it was forked from, and the event there.
    pub origin: Option<(String, u64)>,
    /// The moment of its workflow's schedule that it stands for, when it began by schedule.
    pub scheduled: Option<Timestamp>,
    /// Number of events.
    pub version: u64,
    /// A sentence for people: what it waits for and what to do.
    pub explanation: String,
}

/// A branch of a fork that is not joined yet.
#[derive(Debug, Clone, Serialize)]
pub struct BranchView {
    /// JSON Pointer of its task.
    pub task: String,
    /// `running`, `undoing`, `completed`, `faulted` or `cancelled`
    pub status: String,
    /// JSON Pointer of the task at which it stands.
    pub at: Option<String>,
}

/// What is armed, and what was undone.
#[derive(Debug, Clone, Serialize)]
pub struct CompensationView {
    /// `idle`, `armed`, `undoing`, `parked` (an undo waits for a person), `undone` (all that was to be undone is, and
    /// that is verified), `incomplete` (some undo is not verified), or `left` (it ended, and what is armed stays done).
    pub state: String,
    /// What would be undone, oldest first, with the savepoints between.
    pub armed: Vec<ArmedView>,
    /// What was undone, in order.
    pub undone: Vec<UndoneView>,
}

/// Something on a compensation stack.
#[derive(Debug, Clone, Serialize)]
pub struct ArmedView {
    /// JSON Pointer of the branch whose stack it is on; none for the workflow's own.
    pub branch: Option<String>,
    /// The effect that would be undone.
    pub effect: Option<u32>,
    /// The operation that would be undone, or the armed action.
    pub operation: Option<String>,
    /// The name of a savepoint.
    pub savepoint: Option<String>,
}

/// Something that was undone, or was to be.
#[derive(Debug, Clone, Serialize)]
pub struct UndoneView {
    /// The effect; none for an action that `on-rollback` armed.
    pub effect: Option<u32>,
    /// The operation that was undone, or the armed action.
    pub operation: String,
    /// The effect that undid it; none when it could not even be made.
    pub undone_by: Option<u32>,
    /// Whether the undo is real: `verified`, `failed` or `unknown`.
    pub outcome: String,
}

/// A task that ran.
#[derive(Debug, Clone, Serialize)]
pub struct TaskView {
    /// JSON Pointer.
    pub pointer: String,
    /// Name.
    pub name: String,
    /// `do set switch for fork raise try wait call run`
    pub kind: String,
    /// `running`, `completed`, `faulted`, `skipped`, `cancelled`
    pub status: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Nesting depth, for drawing.
    pub depth: u32,
}

/// An effect of an execution.
#[derive(Debug, Clone, Serialize)]
pub struct EffectView {
    /// From 1.
    pub number: u32,
    /// JSON Pointer of the task.
    pub task: String,
    /// For example `refund-create:1.0.0`.
    pub operation: String,
    /// Who is acted upon.
    pub target: String,
    /// `read write delete money permission`
    pub effect: String,
    /// `pure read idempotent probeable compensable irreversible`
    pub class: String,
    /// `requested held awaiting-approval started retrying verifying parked denied predicted settled`
    pub state: String,
    /// `verified unknown failed`, once it is settled.
    pub outcome: Option<String>,
    /// Why the outcome is what it is.
    pub evidence: Option<String>,
    /// Binds permit and approval.
    pub digest: Digest,
    /// Canonical arguments.
    pub arguments: Json,
    /// Label names of each argument by JSON Pointer.
    pub provenance: Vec<(String, Vec<String>)>,
    /// What is sent, in one line.
    pub predicted: String,
    /// The idempotency key.
    pub key: String,
    /// What was decided, once it was judged.
    pub verdict: Option<Verdict>,
    /// The approval, when one is or was needed.
    pub approval: Option<ApprovalId>,
    /// The permit of the last attempt.
    pub permit: Option<String>,
    /// Attempts in order.
    pub attempts: Vec<AttemptView>,
    /// The effect that did it in its place, when the flow went back: nothing was sent for this one.
    pub reused: Option<u32>,
    /// The execution that it runs or undoes, when it does.
    pub execution: Option<model::ExecutionId>,
    /// The effect that this one checks, when it is a probe.
    pub probe_of: Option<u32>,
    /// The effect that this one undoes.
    pub compensates: Option<u32>,
    /// True when this one undoes something.
    pub undo: bool,
    /// The effect that undid this one.
    pub undone_by: Option<u32>,
    /// The answer's output, once there is one.
    pub output: Option<Json>,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// When its outcome was known.
    pub settled_at: Option<Timestamp>,
}

/// One try of an effect.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// When the answer came.
    pub ended_at: Option<Timestamp>,
    /// `done`, `refused`, `lost`, or none while it is under way.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// One event of a history.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    /// From 0.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Its kind, for example `effect-started`.
    pub kind: String,
    /// One line for people.
    pub summary: String,
    /// The whole event.
    pub event: Json,
}

/// Something that happened to an execution, as others are told of it.
#[derive(Debug, Clone, Serialize)]
pub struct LifecycleView {
    /// The event of the history that it follows from, from 0.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// The CloudEvent.
    pub event: Json,
}

/// A page.
#[derive(Debug, Clone, Serialize)]
pub struct PageOf<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// What an approver says.
#[derive(Debug, Clone)]
pub struct ApprovalWord {
    /// The digest that the approver saw.
    pub digest: String,
    /// Why.
    pub reason: String,
    /// New arguments: withdraws this approval and judges the edited effect again.
    pub arguments: Option<Json>,
    /// What the form is filled in with, when it has one.
    pub answer: Option<Json>,
}

/// An approval with what the caller may do about it.
#[derive(Debug, Clone, Serialize)]
pub struct ApprovalView {
    /// The approval.
    pub approval: Approval,
    /// Approvals still missing.
    pub missing: u32,
    /// Why this caller may not decide it, when so.
    pub refusal: Option<String>,
    /// The goal's text, when it was text.
    pub intent: Option<String>,
}

/// A control with its name.
#[derive(Debug, Clone, Serialize)]
pub struct ControlView {
    /// `kill-switch safe-mode takeover allow-list`
    pub name: String,
    /// In force or not.
    pub on: bool,
    /// Its state; none when it was never set.
    pub control: Option<Control>,
    /// The tenant's own allow-list (only of `allow-list`).
    pub tenant: Option<Control>,
    /// What it does, in a sentence.
    pub description: String,
    /// What turning the kill switch on stopped.
    pub report: Option<SignedReport>,
}

/// A report of a stop or a drill, and the signature over its canonical JSON.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct SignedReport {
    /// The report.
    pub report: serde_json::Value,
    /// Who signed it.
    pub seal: audit::Seal,
}

/// A stop that stands.
#[derive(Debug, Clone, Serialize)]
pub struct StopView {
    /// Its name among the others, for example `workflow:shop/refund`.
    pub id: String,
    /// The stop.
    pub stop: model::stop::Stop,
}

/// All controls.
#[derive(Debug, Clone, Serialize)]
pub struct ControlsView {
    /// Rises with every change of a control.
    pub epoch: u64,
    /// The four.
    pub controls: Vec<ControlView>,
    /// Stops of a part that stand.
    pub stops: Vec<StopView>,
}

/// How a control is to be set.
#[derive(Debug, Clone, Default)]
pub struct SetControl {
    /// In force or not. For the allow-list, absent means on.
    pub on: Option<bool>,
    /// The allow-list's operations.
    pub operations: Option<Vec<String>>,
    /// Why: required.
    pub reason: String,
    /// True: only for the caller's tenant (allow-list only).
    pub tenant_only: bool,
    /// The part that is stopped (kill switch only); none for everything.
    pub scope: Option<model::stop::Scope>,
    /// What becomes of effects on the wire when the kill switch is turned on.
    pub running: model::stop::Running,
}

/// A published or checked workflow document.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// True when it can be published.
    pub valid: bool,
    /// Everything found.
    pub problems: Vec<dsl::Diagnostic>,
    /// The name found in the document, when it has one.
    pub workflow: Option<WorkflowName>,
    /// The digest, when it compiled.
    pub digest: Option<Digest>,
}

/// A published workflow version.
#[derive(Debug, Clone, Serialize)]
pub struct WorkflowView {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Title.
    pub title: Option<String>,
    /// Summary.
    pub summary: Option<String>,
    /// Digest of the compiled definition.
    pub digest: Digest,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Example sentences.
    pub intents: Vec<String>,
    /// JSON schema of the input.
    pub input_schema: Option<Json>,
    /// Actions it can reach.
    pub actions: Vec<String>,
    /// Descriptions of APIs that it calls, as they were when it was published.
    pub apis: std::collections::BTreeMap<String, Digest>,
    /// Who published it.
    pub published_by: String,
    /// When.
    pub published_at: Timestamp,
    /// The text, as it was published.
    pub source: String,
    /// Warnings of the compiler.
    pub warnings: Vec<dsl::Diagnostic>,
    /// The task tree, for drawing.
    pub graph: Vec<GraphNode>,
}

/// A task of a definition, for drawing.
#[derive(Debug, Clone, Serialize)]
pub struct GraphNode {
    /// JSON Pointer.
    pub pointer: String,
    /// Name.
    pub name: String,
    /// `do set switch for raise try wait call run`
    pub kind: String,
    /// What it calls or does, in a few words.
    pub label: String,
    /// Tasks inside, in order.
    pub children: Vec<GraphNode>,
    /// Pointers of where the flow may go next by `then` or a switch case, with a label.
    pub next: Vec<(String, String)>,
}

/// A published action.
#[derive(Debug, Clone, Serialize)]
pub struct ActionView {
    /// `name:version`
    pub reference: String,
    /// Title.
    pub title: Option<String>,
    /// The contract.
    pub contract: Contract,
    /// Digest of its document.
    pub digest: Digest,
    /// JSON schema of the arguments.
    pub input_schema: Option<Json>,
    /// Descriptions of APIs that it calls, as they were when it was published.
    pub apis: std::collections::BTreeMap<String, Digest>,
    /// Who published it.
    pub published_by: String,
    /// When.
    pub published_at: Timestamp,
    /// The text, as it was published.
    pub source: String,
}

/// A policy bundle.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyView {
    /// Its name; `default` comes with the product.
    pub name: String,
    /// Rises with every change.
    pub version: u64,
    /// Digest of its modules.
    pub digest: Digest,
    /// File name to Rego text.
    pub modules: BTreeMap<String, String>,
    /// Who put it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a policy says about an input.
#[derive(Debug, Clone, Serialize)]
pub struct RulingView {
    /// `allow`, `deny` or `require-approval`.
    pub decision: String,
    /// Approvals needed.
    pub approvers: u32,
    /// Who may approve.
    pub roles: Vec<String>,
    /// Why.
    pub reasons: Vec<String>,
    /// The digest of the policy set.
    pub policy: Digest,
}

/// The result of one `test_*` rule.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyTestView {
    /// Package and rule.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// What went wrong, when something did.
    pub message: Option<String>,
}

/// Parked work.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct DeadLetterView {
    /// Its id.
    pub id: DeadLetterId,
    /// The execution.
    pub execution: ExecutionId,
    /// The effect.
    pub effect: u32,
    /// JSON Pointer of the task.
    pub task: String,
    /// For example `refund-create:1.0.0`.
    pub operation: String,
    /// `namespace/name:version`
    pub workflow: String,
    /// Why it is parked.
    pub reason: String,
    /// Attempts made.
    pub attempts: u32,
    /// Still parked.
    pub open: bool,
    /// Since when.
    pub parked_at: Timestamp,
    /// When it was put back to work.
    pub redriven_at: Option<Timestamp>,
    /// By whom.
    pub redriven_by: Option<String>,
}

/// An audit record with its place in the tree.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEntry {
    /// Position in the tree, from 0.
    pub sequence: u64,
    /// Leaf hash in hexadecimal.
    pub hash: String,
    /// The record.
    pub record: audit::Record,
}

/// An inclusion proof that anyone can check.
#[derive(Debug, Clone, Serialize)]
pub struct ProofView {
    /// Position of the leaf.
    pub index: u64,
    /// The leaf's bytes in base64.
    pub leaf: String,
    /// The leaf's record.
    pub record: audit::Record,
    /// Leaf hash in hexadecimal.
    pub leaf_hash: String,
    /// Sibling hashes in hexadecimal, leaf to root.
    pub path: Vec<String>,
    /// The tree head that it is proven against.
    pub head: audit::SignedHead,
    /// True: it was checked before it was answered.
    pub verified: bool,
}

/// Result of checking the whole log while the server runs.
#[derive(Debug, Clone, Serialize)]
pub struct AuditCheck {
    /// Leaves checked.
    pub size: u64,
    /// Root in hexadecimal.
    pub root: String,
    /// Whether everything matched.
    pub intact: bool,
    /// First bad index and why.
    pub first_bad: Option<(u64, String)>,
}

/// Which audit records.
#[derive(Debug, Clone, Default)]
pub struct AuditSearch {
    /// Correlation: an execution's or request's id.
    pub correlation: Option<String>,
    /// Beginning of the action.
    pub action: Option<String>,
    /// Actor.
    pub actor: Option<String>,
    /// From this sequence on.
    pub from: u64,
    /// Newest first.
    pub newest_first: bool,
    /// Where to go on.
    pub cursor: Option<String>,
    /// At most.
    pub limit: u32,
}

/// A new token. The secret is shown once.
#[derive(Debug, Clone, Serialize)]
pub struct TokenCreated {
    /// The token's public part.
    pub token: TokenView,
    /// The whole token.
    pub secret: String,
}

/// A token without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct TokenView {
    /// Its id.
    pub id: String,
    /// The principal that it stands for.
    pub principal: String,
    /// `user service agent system`
    pub kind: String,
    /// The person who answers for a service or an agent.
    pub owner: Option<String>,
    /// Its tenant.
    pub tenant: String,
    /// Roles.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// A token to make.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The principal, for example `user:bob`.
    pub principal: String,
    /// `user service agent`
    pub kind: String,
    /// The person who answers for a service or an agent; the caller when absent. None for a user.
    pub owner: Option<String>,
    /// Tenant; the caller's when absent.
    pub tenant: Option<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Days until it stops working.
    pub days: Option<u32>,
}

/// The state of one dependency.
#[derive(Debug, Clone, Serialize)]
pub struct DependencyView {
    /// `store`, `audit`, `controls`, `policy`, `worker`, `sandbox`
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// How long the check took, in microseconds.
    pub latency_us: u64,
    /// What is wrong, or how it is.
    pub detail: String,
    /// The stable code of what is wrong (`OH-nnnn`), where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Figures for the overview page.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// Executions by status.
    pub by_status: Vec<(String, u64)>,
    /// Pending approvals.
    pub approvals_pending: u64,
    /// Open dead letters.
    pub dead_letters_open: u64,
    /// Ended executions per minute over the last hour, oldest first (60 numbers).
    pub ended_per_minute: Vec<u32>,
    /// Effects settled since the start, by outcome.
    pub outcomes: Vec<(String, u64)>,
    /// Size of the audit log.
    pub audit_size: u64,
    /// Names of controls that are on.
    pub controls_on: Vec<String>,
    /// Executions that wait, by what they wait for: the part of `blocked_on` before the colon, and for limits and controls
    /// all of it.
    pub blocked_on: Vec<(String, u64)>,
}

/// Something happened, for live pages and streams. A hint: readers load what it points at.
#[derive(Debug, Clone, Serialize)]
pub struct Live {
    /// Whose.
    pub tenant: model::TenantId,
    /// What changed: `execution`, `approval`, `control`, `dead-letter`, `workflow`, `action`, `policy`.
    pub topic: &'static str,
    /// Its id or name.
    pub id: String,
    /// The execution's number of events, for `execution`.
    pub version: u64,
    /// True when the execution has ended.
    pub ended: bool,
}
