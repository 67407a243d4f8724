//! What a step opens and closes for people: approvals and dead letters.

use engine::{Execution, Phase};
use model::approval::{Approval, ApprovalStatus};
use model::event::{ApprovalDecision, Awaited, Event, EventBody};
use model::id::DeadLetterId;
use model::verdict::{Decision, Quorum, Verdict};
use model::{Problem, TenantId, Timestamp};
use store::{ExecutionRow, Put};

use crate::app::{App, store_problem};
use crate::permit::in_one_line;
use crate::view::DeadLetterView;

impl App {
    /// Approvals that these events decided, expired or made pointless.
    pub(crate) async fn closed_approvals(
        &self,
        state: &Execution,
        events: &[Event],
        now: Timestamp,
    ) -> Result<Vec<Put>, Problem> {
        let tenant = &state.started.tenant;
        let mut puts = Vec::new();
        let expired = events.iter().filter_map(|event| match &event.body {
            EventBody::ApprovalDecided { approval, decision: ApprovalDecision::Expired, .. } => {
                Some(approval)
            }
            _ => None,
        });
        for id in expired {
            puts.extend(self.closed(tenant, id, ApprovalStatus::Expired, now).await?);
        }
        // Whatever settles an effect without its approval (a time-out, an end, a branch that fails or wins, a person who says
        // what happened) leaves behind what nobody may decide any more.
        if !events.is_empty() {
            for effect in
                state.effects.iter().filter(|e| e.outcome.is_some() && e.settled_at == Some(state.now))
            {
                if let Some(id) = &effect.approval {
                    let decided = events.iter().any(
                        |e| matches!(&e.body, EventBody::ApprovalDecided { approval, .. } if approval == id),
                    );
                    if !decided {
                        puts.extend(self.closed(tenant, id, ApprovalStatus::Withdrawn, now).await?);
                    }
                }
            }
        }
        Ok(puts)
    }

    /// Parked effects open a dead letter; effects that are not parked any more close theirs, whoever or whatever did it.
    pub(crate) async fn dead_letters_of(
        &self,
        state: &Execution,
        events: &[Event],
        row: &ExecutionRow,
        now: Timestamp,
    ) -> Result<Vec<Put>, Problem> {
        let mut puts = Vec::new();
        let by = events.iter().find_map(|event| match &event.body {
            EventBody::Retried { by, .. }
            | EventBody::Cancelled { by, .. }
            | EventBody::Forced { by, .. } => Some(by.to_string()),
            EventBody::Resolved(resolved) => Some(resolved.by.to_string()),
            EventBody::Rewound(rewound) => Some(rewound.by.to_string()),
            _ => None,
        });
        // Time closes them too: a task that waited for a parked effect may time out and go on without it.
        let closing = by.is_some() || events.iter().any(|event| matches!(event.body, EventBody::Woke));
        let parks = |effect: &engine::Effect| {
            effect.parked_at.is_some() && (effect.undo || !effect.attempts.is_empty())
        };
        for effect in state.effects.iter().filter(|effect| parks(effect)) {
            // What ended the execution with its error is parked with it; what was undone, left behind or settled by a
            // person is not.
            let ended = matches!(state.end, Some(engine::End::Faulted(_)))
                && effect.awaited
                && !effect.undo
                && effect.resolved.is_none();
            let parked = matches!(effect.phase, Phase::Parked { .. }) || ended;
            let mut letter = dead_letter(state, effect, row, parked, now);
            let opens = parked && effect.parked_at == Some(state.now);
            // A branch that is stopped leaves its parked work behind, too.
            let left = !effect.awaited && effect.settled_at == Some(state.now);
            let closes = !parked && (closing || left) && self.is_open_letter(&row.tenant, &letter.id).await?;
            if closes {
                letter.redriven_at = Some(now);
                letter.redriven_by.clone_from(&by);
            }
            if opens || closes {
                let document = serde_json::to_value(&letter).map_err(Problem::machine)?;
                puts.push(Put::DeadLetter {
                    tenant: row.tenant.clone(),
                    id: letter.id,
                    open: parked,
                    document,
                });
            }
        }
        Ok(puts)
    }

    async fn is_open_letter(&self, tenant: &TenantId, id: &DeadLetterId) -> Result<bool, Problem> {
        let found = self.store.dead_letter(tenant, id).await.map_err(|e| store_problem(&e))?;
        Ok(found.is_some_and(|letter| letter["open"] == serde_json::Value::Bool(true)))
    }

    async fn closed(
        &self,
        tenant: &TenantId,
        id: &model::id::ApprovalId,
        status: ApprovalStatus,
        now: Timestamp,
    ) -> Result<Option<Put>, Problem> {
        let found = self.store.approval(tenant, id).await.map_err(|e| store_problem(&e))?;
        Ok(found.filter(|approval| approval.status == ApprovalStatus::Pending).map(|mut approval| {
            approval.status = status;
            approval.decided_at = Some(now);
            Put::Approval(Box::new(approval))
        }))
    }
}

/// Approvals that the very step which asked for them has left behind: they are for nobody to decide.
pub(crate) fn withdraw_given_up(state: &Execution, puts: &mut [Put], now: Timestamp) {
    for put in puts {
        if let Put::Approval(approval) = put
            && approval.status == ApprovalStatus::Pending
            && state.effect(approval.effect).is_none_or(|effect| effect.outcome.is_some())
        {
            approval.status = ApprovalStatus::Withdrawn;
            approval.decided_at = Some(now);
        }
    }
}

/// The approval that a judgement opens.
pub(crate) fn opened(
    state: &Execution,
    effect: &engine::Effect,
    verdict: &Verdict,
    awaited: &Awaited,
    digest: model::Digest,
    now: Timestamp,
) -> Approval {
    let started = &state.started;
    let quorum = match &verdict.decision {
        Decision::RequireApproval(quorum) => quorum.clone(),
        Decision::Allow | Decision::Deny => Quorum { approvers: 1, roles: vec!["admin".to_owned()] },
    };
    Approval {
        id: awaited.id.clone(),
        tenant: started.tenant.clone(),
        execution: started.execution.clone(),
        effect: effect.number,
        workflow: format!("{}/{}:{}", started.namespace, started.name, started.version),
        task: effect.task.to_string(),
        operation: effect.operation.clone(),
        target: effect.request.target().into_owned(),
        digest,
        arguments: effect.arguments.clone(),
        provenance: effect.arguments.provenance(),
        predicted: in_one_line(effect),
        effect_kind: effect.contract.effect,
        class: effect.contract.class,
        blast_radius: effect.contract.blast_radius.clone(),
        risk: verdict.risk.clone(),
        reasons: verdict.reasons.clone(),
        requester: started.requester.clone(),
        quorum,
        status: ApprovalStatus::Pending,
        votes: Vec::new(),
        requested_at: now,
        expires_at: awaited.expires_at,
        decided_at: None,
        edited_by: effect.edited_by.clone(),
        form: match &effect.request {
            model::Request::Approval(asked) => asked.form.clone(),
            _ => None,
        },
        answer: None,
    }
}

/// The dead letter of an effect, as it stands now.
fn dead_letter(
    state: &Execution,
    effect: &engine::Effect,
    row: &ExecutionRow,
    open: bool,
    now: Timestamp,
) -> DeadLetterView {
    DeadLetterView {
        id: dead_letter_id(state, effect),
        execution: row.id.clone(),
        effect: effect.number.0,
        task: effect.task.to_string(),
        operation: effect.operation.clone(),
        workflow: format!("{}/{}:{}", row.namespace, row.name, row.version),
        reason: effect.evidence.clone().or_else(|| row.error.clone()).unwrap_or_default(),
        attempts: u32::try_from(effect.attempts.len()).unwrap_or(u32::MAX),
        open,
        parked_at: effect.parked_at.unwrap_or(now),
        redriven_at: None,
        redriven_by: None,
    }
}

/// One dead letter for each effect: its id is made from the execution's, so that parking again opens it again.
pub(crate) fn dead_letter_id(state: &Execution, effect: &engine::Effect) -> DeadLetterId {
    let prefix = letters_of(&state.started.tenant, &state.started.execution, state.started_at);
    let name = format!("{prefix}{}", effect.number.0);
    DeadLetterId::new(name).expect("hexadecimal digits and hyphens are an identifier")
}

/// What the ids of an execution's dead letters begin with.
pub(crate) fn letters_of(tenant: &TenantId, execution: &model::ExecutionId, started_at: Timestamp) -> String {
    let digest = model::Digest::of(format!("{tenant}|{execution}").as_bytes());
    format!("{:012x}-{}-", started_at.0, digest.short())
}
