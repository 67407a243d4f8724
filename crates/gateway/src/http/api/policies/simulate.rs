//! `POST /policies/simulate`: a candidate over recorded history.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::App;
use app::view::{self, SimulationRequest};
use axum::Json;
use axum::extract::State as Shared;
use model::{Problem, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::wire::moment;

/// A candidate and the history that it is to judge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "refunds", "modules": {"refunds.rego": "package omnihub\nimport rego.v1\n\ndeny contains \"too much\" if input.amount.value > 100\n"}, "since": "2026-11-01T00:00:00Z"}))]
pub(crate) struct Candidate {
    /// The bundle that the candidate replaces, or the name under which it is added; `default` when absent.
    name: Option<String>,
    /// File name to Rego text; absent: as if the bundle were deleted.
    modules: Option<BTreeMap<String, String>>,
    /// Only this execution.
    execution: Option<String>,
    /// Only executions of this workflow: `namespace/name`, or `name`.
    workflow: Option<String>,
    /// Only executions started at or after this time.
    since: Option<String>,
    /// Only executions started before this time.
    until: Option<String>,
    /// Executions at the most: 1 to 2000, 500 when absent.
    limit: Option<u32>,
    /// The `next` of the answer before.
    cursor: Option<String>,
}

/// What the candidate would have decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Simulation {
    /// The bundle that the candidate replaces or adds.
    name: String,
    /// Digest of the whole set with the candidate.
    candidate: String,
    /// Digest of the set in force.
    active: String,
    /// Executions that were looked at.
    executions: u64,
    /// Decisions that were made again.
    decisions: u64,
    /// Decisions that would be others.
    changed: u64,
    /// Executions with a changed decision.
    changed_executions: u64,
    /// Executions of which only the candidate denies an effect.
    stopped_executions: u64,
    /// How many decisions change from what to what, most frequent first.
    transitions: Vec<Transition>,
    /// Approvals, before and after.
    approvals: Approvals,
    /// Time of the first decision that was made again.
    from: Option<String>,
    /// Time of the last one.
    until: Option<String>,
    /// Whom the changes concern.
    concerns: Concerns,
    /// Changed decisions; the first 500.
    changes: Vec<ChangedDecision>,
    /// Changed executions; the first 500.
    execution_changes: Vec<ChangedExecution>,
    /// Inputs on which the candidate fails, which means deny.
    failures: u64,
    /// Executions whose history cannot be read.
    unreadable: u64,
    /// The first of both, in words.
    failure_details: Vec<String>,
    /// Give this as `cursor` to go on; null when all of history was looked at.
    next: Option<String>,
}

/// Decisions that change alike.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transition {
    /// For example `allow` or `require-approval (2)`.
    from: String,
    /// As `from`.
    to: String,
    /// How many.
    count: u64,
}

/// Approvals, before and after.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Approvals {
    /// Approvals that were asked for.
    before: u64,
    /// Approvals that the candidate would ask for.
    after: u64,
    /// `after - before`.
    more: i64,
    /// Approvals a day that were asked for.
    per_day_before: f64,
    /// Approvals a day that the candidate would ask for.
    per_day_after: f64,
}

/// Whom the changes concern, with the number of changed decisions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Concerns {
    /// Requesters.
    requesters: BTreeMap<String, u64>,
    /// Workflows as `namespace/name:version`.
    workflows: BTreeMap<String, u64>,
    /// Roles that would be asked more often.
    approver_roles: BTreeMap<String, u64>,
}

/// A decision in few words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decided {
    /// `allow`, `deny` or `require-approval`.
    decision: String,
    /// Approvals needed; 0 when none.
    approvers: u32,
    /// Who may approve.
    roles: Vec<String>,
    /// Why.
    reasons: Vec<String>,
}

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Amount {
    /// The number.
    value: f64,
    /// The currency, when it is told.
    currency: Option<String>,
}

/// One decision that would be another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedDecision {
    /// The execution.
    execution: String,
    /// Its effect.
    effect: u32,
    /// When it was judged.
    at: String,
    /// `namespace/name:version`
    workflow: String,
    /// The operation.
    operation: String,
    /// Who asked.
    requester: String,
    /// The amount of money, when there is one.
    amount: Option<Amount>,
    /// As recorded.
    from: Decided,
    /// As the candidate decides.
    to: Decided,
    /// False when the candidate denies an earlier effect of the execution, so that this one might not have come up.
    reached: bool,
}

/// An execution that would have gone another way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedExecution {
    /// The execution.
    execution: String,
    /// `namespace/name:version`
    workflow: String,
    /// Who asked.
    requester: String,
    /// Its decisions.
    decisions: u32,
    /// Those that change.
    changed: u32,
    /// Approvals more (or fewer) than were asked for.
    more_approvals: i64,
    /// The first effect whose decision changes.
    first_effect: u32,
    /// What was decided about it.
    from: Decided,
    /// What the candidate decides about it.
    to: Decided,
    /// The first effect that only the candidate denies.
    denied_at: Option<u32>,
}

/// Run a candidate policy over recorded history
///
/// Makes recorded decisions again with the candidate in place: the arguments with their origins, the contract, the
/// requester and the risk as they were. Nothing is changed. The newest executions come first; `next` goes on.
#[utoipa::path(
    post, path = "/simulate", operation_id = "policies.simulate", tag = "policies", request_body = Candidate,
    responses(
        (status = 200, body = Simulation),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "the candidate does not compile (OH-3030)")
    )
)]
pub(crate) async fn simulate(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(candidate): Body<Candidate>,
) -> Answer<Simulation> {
    let request = SimulationRequest {
        since: time("since", candidate.since.as_deref())?,
        until: time("until", candidate.until.as_deref())?,
        name: candidate.name,
        modules: candidate.modules,
        execution: candidate.execution,
        workflow: candidate.workflow,
        limit: candidate.limit,
        cursor: candidate.cursor,
    };
    Ok(Json(app.simulate_policy(&caller, request).await?.into()))
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let parse = |text: &str| {
        Timestamp::parse(text).ok_or_else(|| {
            let detail = format!("`{name}` is a time such as 2026-11-01T00:00:00Z");
            Problem::new(422, 4220, "wrong shape", detail.clone()).field(format!("/{name}"), detail)
        })
    };
    Ok(text.map(parse).transpose()?)
}

impl From<view::Simulation> for Simulation {
    fn from(view: view::Simulation) -> Self {
        let (before, after) = (view.approvals_before, view.approvals_after);
        Self {
            name: view.name,
            candidate: view.candidate.to_string(),
            active: view.active.to_string(),
            executions: view.executions,
            decisions: view.decisions,
            changed: view.changed,
            changed_executions: view.changed_executions,
            stopped_executions: view.stopped_executions,
            transitions: view
                .transitions
                .into_iter()
                .map(|t| Transition { from: t.from, to: t.to, count: t.count })
                .collect(),
            approvals: Approvals {
                before,
                after,
                more: after.cast_signed() - before.cast_signed(),
                per_day_before: view.approvals_per_day.0,
                per_day_after: view.approvals_per_day.1,
            },
            from: view.from.map(moment),
            until: view.until.map(moment),
            concerns: Concerns {
                requesters: view.requesters,
                workflows: view.workflows,
                approver_roles: view.approver_roles,
            },
            changes: view.changes.into_iter().map(Into::into).collect(),
            execution_changes: view.execution_changes.into_iter().map(Into::into).collect(),
            failures: view.failures,
            unreadable: view.unreadable,
            failure_details: view.listed_failures,
            next: view.next,
        }
    }
}

impl From<view::VerdictSummary> for Decided {
    fn from(view: view::VerdictSummary) -> Self {
        Self { decision: view.decision, approvers: view.approvers, roles: view.roles, reasons: view.reasons }
    }
}

impl From<view::ChangedDecision> for ChangedDecision {
    fn from(view: view::ChangedDecision) -> Self {
        Self {
            execution: view.execution.to_string(),
            effect: view.effect,
            at: moment(view.at),
            workflow: view.workflow,
            operation: view.operation,
            requester: view.requester,
            amount: view.amount.map(|(value, currency)| Amount { value, currency }),
            from: view.from.into(),
            to: view.to.into(),
            reached: view.reached,
        }
    }
}

impl From<view::ChangedExecution> for ChangedExecution {
    fn from(view: view::ChangedExecution) -> Self {
        Self {
            execution: view.execution.to_string(),
            workflow: view.workflow,
            requester: view.requester,
            decisions: view.decisions,
            changed: view.changed,
            more_approvals: view.more_approvals,
            first_effect: view.first_effect,
            from: view.from.into(),
            to: view.to.into(),
            denied_at: view.denied_at,
        }
    }
}
