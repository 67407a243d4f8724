//! Approvals on the wire.

use app::view::ApprovalView;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::wire::{BlastRadius, Provenance, Risk, moment};

/// Everything a person needs to decide about one effect, and what was decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Approval {
    /// Its id.
    id: String,
    /// Its tenant.
    tenant: String,
    /// The execution that waits.
    execution_id: String,
    /// The effect that waits.
    effect: u32,
    /// `namespace/name:version`
    workflow: String,
    /// JSON Pointer of the task.
    task: String,
    /// For example `refund-create:1.0.0`.
    operation: String,
    /// Who is acted upon.
    target: String,
    /// Binds the decision to exactly this effect: send it back when you decide.
    digest: String,
    /// The exact canonical arguments.
    #[schema(value_type = Object)]
    arguments: Value,
    /// Where each argument came from.
    provenance: Vec<Provenance>,
    /// What will be sent, in one line.
    predicted: String,
    /// `read`, `write`, `delete`, `money` or `permission`.
    effect_kind: &'static str,
    /// What a crash would mean: `pure`, `read`, `idempotent`, `probeable`, `compensable` or `irreversible`.
    class: &'static str,
    /// How much it can touch.
    blast_radius: BlastRadius,
    /// How much could go wrong.
    risk: Risk,
    /// Why approval is needed.
    reasons: Vec<String>,
    /// Who asked for the execution: may not approve.
    requester: String,
    /// How many and who.
    quorum: ApprovalQuorum,
    /// `pending`, `approved`, `rejected`, `expired` or `withdrawn`.
    status: &'static str,
    /// Who said what.
    votes: Vec<Vote>,
    /// When it was asked.
    requested_at: String,
    /// When silence becomes no.
    expires_at: String,
    /// When it was decided.
    decided_at: Option<String>,
    /// Who edited the arguments into this approval.
    edited_by: Option<String>,
    /// JSON Schema of what everybody who approves fills in, when the workflow asks for something.
    #[schema(value_type = Option<Object>)]
    form: Option<Value>,
    /// What the first who approved filled in: whoever follows fills in the same.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
    /// Approvals still missing.
    missing: u32,
    /// Why the caller may not decide it, when so.
    refusal: Option<String>,
    /// The goal's text, when it was text.
    intent: Option<String>,
}

/// How many people must agree, and who.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalQuorum {
    /// Approvals needed.
    approvers: u32,
    /// Roles that may approve.
    roles: Vec<String>,
}

/// One person's word.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Vote {
    /// Who.
    by: String,
    /// Yes or no.
    approve: bool,
    /// Why.
    reason: String,
    /// When.
    at: String,
}

impl From<ApprovalView> for Approval {
    fn from(view: ApprovalView) -> Self {
        let approval = view.approval;
        let vote = |vote: model::approval::Vote| Vote {
            by: vote.by.to_string(),
            approve: vote.approve,
            reason: vote.reason,
            at: moment(vote.at),
        };
        Self {
            id: approval.id.to_string(),
            tenant: approval.tenant.to_string(),
            execution_id: approval.execution.to_string(),
            effect: approval.effect.0,
            workflow: approval.workflow,
            task: approval.task,
            operation: approval.operation,
            target: approval.target,
            digest: approval.digest.to_string(),
            arguments: approval.arguments.to_json(),
            provenance: approval.provenance.into_iter().map(Provenance::from).collect(),
            predicted: approval.predicted,
            effect_kind: approval.effect_kind.name(),
            class: approval.class.name(),
            blast_radius: approval.blast_radius.into(),
            risk: approval.risk.into(),
            reasons: approval.reasons,
            requester: approval.requester.to_string(),
            quorum: ApprovalQuorum { approvers: approval.quorum.approvers, roles: approval.quorum.roles },
            status: approval.status.name(),
            votes: approval.votes.into_iter().map(vote).collect(),
            requested_at: moment(approval.requested_at),
            expires_at: moment(approval.expires_at),
            decided_at: approval.decided_at.map(moment),
            edited_by: approval.edited_by.map(|id| id.to_string()),
            form: approval.form,
            answer: approval.answer.map(|answer| answer.to_json()),
            missing: view.missing,
            refusal: view.refusal,
            intent: view.intent,
        }
    }
}
