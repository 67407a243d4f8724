//! Plans on the wire.

use app::view::PlanView;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::wire::{Risk, WorkflowName, moment};

/// What would happen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plan {
    /// Names the plan: covers everything that people approve.
    digest: String,
    /// What executions of it show as `plan_digest`: covers workflow version, actions and input.
    binding: String,
    /// `open`, `signed`, `rejected`, `expired` or `used`.
    status: String,
    /// The id that its first execution has.
    execution_id: String,
    /// The workflow.
    workflow: WorkflowName,
    /// Its title.
    title: Option<String>,
    /// The input.
    #[schema(value_type = Object)]
    input: Value,
    /// The goal's text.
    intent: Option<String>,
    /// Who made it, and alone may run it.
    requester: String,
    /// When.
    made_at: String,
    /// When it can no longer be approved or run, nor anything more be done under it.
    expires_at: String,
    /// How many executions it is good for.
    uses: u32,
    /// The executions that used it.
    used_by: Vec<PlanUse>,
    /// Every group of people that has to agree.
    quorums: Vec<PlanQuorum>,
    /// Votes that are still missing.
    missing: u32,
    /// Who said what.
    votes: Vec<PlanVote>,
    /// The signature, once enough people approved it.
    #[schema(value_type = Option<Object>)]
    seal: Option<Value>,
    /// Why the caller may not decide it, when so.
    refusal: Option<String>,
    /// Effects in the order in which they are foreseen.
    effects: Vec<PlannedEffect>,
    /// Acts of the definition that the forecast does not come to, for example in branches not taken.
    not_reached: Vec<NotReached>,
    /// Tasks whose way was chosen by an answer that nobody has yet.
    guessed: Vec<String>,
    /// What it costs, by currency.
    costs: Vec<PlanCost>,
    /// Why the forecast ends early, when it does.
    note: Option<String>,
}

/// An execution that used a plan.
#[derive(Debug, Serialize, ToSchema)]
struct PlanUse {
    /// Which.
    execution_id: String,
    /// When it began.
    at: String,
}

/// How many people must agree, and who.
#[derive(Debug, Serialize, ToSchema)]
struct PlanQuorum {
    /// Approvals needed.
    approvers: u32,
    /// Roles that may approve.
    roles: Vec<String>,
}

/// One person's word on a plan.
#[derive(Debug, Serialize, ToSchema)]
struct PlanVote {
    /// Who.
    by: String,
    /// Yes or no.
    approve: bool,
    /// Why.
    reason: String,
    /// When.
    at: String,
}

/// An act that a forecast does not come to.
#[derive(Debug, Serialize, ToSchema)]
struct NotReached {
    /// JSON Pointer of the task.
    task: String,
    /// For example `refund-create:1.0.0` or `http:GET`.
    operation: String,
}

/// Money that using actions costs.
#[derive(Debug, Serialize, ToSchema)]
struct PlanCost {
    /// ISO 4217 code.
    currency: String,
    /// What is foreseen, as a decimal number in text.
    amount: String,
    /// The most that it can be, when every loop of unknown length runs as often as the plan lets it.
    at_most: String,
}

/// One effect of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlannedEffect {
    /// JSON Pointer of the task.
    task: String,
    /// For example `refund-create:1.0.0`.
    operation: String,
    /// Who is acted upon.
    target: String,
    /// False when the target depends on answers that nobody has yet.
    target_known: bool,
    /// `read`, `write`, `delete`, `money` or `permission`.
    effect: String,
    /// `pure`, `read`, `idempotent`, `probeable`, `compensable` or `irreversible`.
    class: String,
    /// What will be sent, in one line; an example when something of it is unknown.
    predicted: String,
    /// Canonical arguments; `null` where they are unknown.
    #[schema(value_type = Object)]
    arguments: Value,
    /// JSON Pointers of arguments that depend on answers that nobody has yet, or on when it runs.
    unknown: Vec<String>,
    /// Digest of the arguments, when all are known.
    arguments_digest: Option<String>,
    /// How often it may happen.
    uses: u32,
    /// The loop of unknown length that repeats it.
    per_iteration_of: Option<String>,
    /// Where the answer comes from that the rest is made with: `example`, `recorded:<execution>/<effect>` or `none`.
    stand_in: String,
    /// The action that checks it, when one does.
    check: Option<String>,
    /// The action that undoes it, when one does.
    undo: Option<String>,
    /// What one use costs.
    cost: Option<EffectCost>,
    /// How much could go wrong.
    risk: Risk,
    /// `allow`, `deny` or `require-approval`.
    decision: String,
    /// Approvals needed.
    approvals: u32,
    /// Roles that may approve.
    roles: Vec<String>,
    /// Why.
    reasons: Vec<String>,
    /// True when it only checks another effect.
    probe: bool,
}

/// What one use of an action costs.
#[derive(Debug, Serialize, ToSchema)]
struct EffectCost {
    /// A decimal number in text.
    amount: String,
    /// ISO 4217 code.
    currency: String,
}

impl From<app::view::PlannedEffect> for PlannedEffect {
    fn from(effect: app::view::PlannedEffect) -> Self {
        Self {
            task: effect.task,
            operation: effect.operation,
            target: effect.target,
            target_known: effect.target_known,
            effect: effect.effect,
            class: effect.class,
            predicted: effect.predicted,
            arguments: effect.arguments,
            unknown: effect.unknown,
            arguments_digest: effect.arguments_digest.map(|digest| digest.to_string()),
            uses: effect.uses,
            per_iteration_of: effect.per_iteration_of,
            stand_in: effect.stand_in,
            check: effect.check,
            undo: effect.undo,
            cost: effect.cost.map(|cost| EffectCost {
                amount: model::action::ContractCost::decimal(cost.micros),
                currency: cost.currency,
            }),
            risk: effect.risk.into(),
            decision: effect.decision,
            approvals: effect.approvals,
            roles: effect.roles,
            reasons: effect.reasons,
            probe: effect.probe,
        }
    }
}

impl From<PlanView> for Plan {
    fn from(plan: PlanView) -> Self {
        let vote = |vote: model::approval::Vote| PlanVote {
            by: vote.by.to_string(),
            approve: vote.approve,
            reason: vote.reason,
            at: moment(vote.at),
        };
        let used = |used: app::view::PlanUse| PlanUse {
            execution_id: used.execution.to_string(),
            at: moment(used.at),
        };
        let cost = |cost: app::view::Cost| PlanCost {
            currency: cost.currency,
            amount: cost.amount,
            at_most: cost.at_most,
        };
        let quorum =
            |quorum: model::verdict::Quorum| PlanQuorum { approvers: quorum.approvers, roles: quorum.roles };
        let passed =
            |passed: app::view::NotReached| NotReached { task: passed.task, operation: passed.operation };
        Self {
            digest: plan.digest.to_string(),
            binding: plan.binding.to_string(),
            status: plan.status,
            execution_id: plan.execution.to_string(),
            workflow: plan.workflow.into(),
            title: plan.title,
            input: plan.input,
            intent: plan.intent,
            requester: plan.requester,
            made_at: moment(plan.made_at),
            expires_at: moment(plan.expires_at),
            uses: plan.uses,
            used_by: plan.used_by.into_iter().map(used).collect(),
            quorums: plan.quorums.into_iter().map(quorum).collect(),
            missing: plan.missing,
            votes: plan.votes.into_iter().map(vote).collect(),
            seal: plan.seal.and_then(|seal| serde_json::to_value(seal).ok()),
            refusal: plan.refusal,
            effects: plan.effects.into_iter().map(PlannedEffect::from).collect(),
            not_reached: plan.not_reached.into_iter().map(passed).collect(),
            guessed: plan.guessed,
            costs: plan.costs.into_iter().map(cost).collect(),
            note: plan.note,
        }
    }
}
