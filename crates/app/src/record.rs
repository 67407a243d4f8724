//! Audit records: every decision, effect, approval, control and administrative act becomes one.

use audit::{Classification, Record};
use model::event::{Event, EventBody};
use model::{TenantId, Timestamp};
use serde_json::json;

use crate::caller::Caller;

/// A record of what a caller did.
pub(crate) fn by_caller(
    caller: &Caller,
    now: Timestamp,
    action: &str,
    resource: String,
    details: serde_json::Value,
) -> Record {
    Record {
        at: now,
        tenant: caller.principal.tenant.clone(),
        actor: caller.principal.id.to_string(),
        actor_kind: kind_name(caller.principal.kind).to_owned(),
        action: action.to_owned(),
        resource,
        correlation: caller.request_id.clone(),
        classification: Classification::Internal,
        address: caller.address.clone(),
        agent: caller.agent.as_deref().map(|agent| agent.chars().take(120).collect()),
        details: guard::pii::redact_json(&details),
    }
}

/// A record of what OmniHub itself did in an execution.
pub(crate) fn by_system(
    tenant: &TenantId,
    now: Timestamp,
    action: &str,
    resource: String,
    correlation: &str,
    details: serde_json::Value,
) -> Record {
    Record {
        at: now,
        tenant: tenant.clone(),
        actor: "system".to_owned(),
        actor_kind: "system".to_owned(),
        action: action.to_owned(),
        resource,
        correlation: correlation.to_owned(),
        classification: Classification::Internal,
        address: None,
        agent: None,
        details,
    }
}

fn kind_name(kind: model::principal::PrincipalKind) -> &'static str {
    use model::principal::PrincipalKind as K;
    match kind {
        K::User => "user",
        K::Service => "service",
        K::Agent => "agent",
        K::System => "system",
    }
}

/// The records of the events of one step. A verdict and the permit that it granted are one record.
pub(crate) fn of_events(state: &engine::Execution, events: &[Event], caller: Option<&Caller>) -> Vec<Record> {
    let tenant = &state.started.tenant;
    let execution = state.started.execution.as_str();
    let mut records = Vec::with_capacity(events.len());
    let mut judged: Option<(model::effect::EffectNumber, serde_json::Value)> = None;
    for event in events {
        if let Some((number, details)) = judged.take() {
            if let EventBody::EffectStarted { effect, attempt, permit, epoch, lease, digest, entry, approval } =
                &event.body
                && *effect == number
            {
                let mut details = details;
                details["permit"] = json!(permit);
                details["epoch"] = json!(epoch);
                details["lease"] = json!(lease);
                if let Some(entry) = entry {
                    details["plan"] = json!({ "digest": state.started.signed, "entry": entry });
                }
                details["attempt"] = json!(attempt);
                details["digest"] = json!(digest);
                details["approval"] = json!(approval);
                records.push(record(
                    tenant,
                    execution,
                    event.at,
                    "effect.permitted",
                    Some(number),
                    details,
                    None,
                ));
                continue;
            }
            records.push(record(tenant, execution, event.at, "effect.judged", Some(number), details, None));
        }
        if let EventBody::Judged { effect, verdict, digest, approval } = &event.body {
            let operation = state.effect(*effect).map(|e| e.operation.clone()).unwrap_or_default();
            judged = Some((
                *effect,
                json!({
                    "operation": operation, "verdict": verdict_word(&verdict.decision), "reasons": verdict.reasons,
                    "risk": verdict.risk.score, "policy": verdict.policy.short(), "digest": digest,
                    "approval": approval.as_ref().map(|a| &a.id),
                }),
            ));
            continue;
        }
        if let Some((action, effect, details)) = described(state, &event.body) {
            records.push(record(tenant, execution, event.at, action, effect, details, caller));
        }
    }
    if let (Some((number, details)), Some(last)) = (judged, events.last()) {
        records.push(record(tenant, execution, last.at, "effect.judged", Some(number), details, None));
    }
    records
}

pub(crate) type Described = (&'static str, Option<model::effect::EffectNumber>, serde_json::Value);

pub(crate) fn described(state: &engine::Execution, body: &EventBody) -> Option<Described> {
    use model::effect::Answer;
    Some(match body {
        EventBody::Started(started) => (
            "execution.started",
            None,
            json!({
                "workflow": format!("{}/{}:{}", started.namespace, started.name, started.version),
                "plan": started.plan, "requester": started.requester, "mode": started.mode,
                "intent": started.intent.as_deref().map(guard::pii::redact),
                "parent": started.family.parent.as_ref().map(|parent| json!({
                    "execution": parent.execution, "effect": parent.effect, "waits": parent.waits,
                })),
            }),
        ),
        // An edit is recorded with its reason and digest by whoever takes it.
        EventBody::Judged { .. } | EventBody::Edited { .. } => return None,
        EventBody::Barred { effect, reason } => ("effect.barred", Some(*effect), json!({ "reason": reason })),
        EventBody::ApprovalDecided { effect, approval, decision, by, reason } => (
            match decision {
                model::event::ApprovalDecision::Approved => "approval.approved",
                model::event::ApprovalDecision::Rejected => "approval.rejected",
                model::event::ApprovalDecision::Expired => "approval.expired",
            },
            Some(*effect),
            json!({ "approval": approval, "by": by, "reason": guard::pii::redact(reason) }),
        ),
        EventBody::EffectStarted { effect, attempt, permit, epoch, lease, digest, entry, approval } => (
            "effect.permitted",
            Some(*effect),
            json!({
                "operation": state.effect(*effect).map(|e| &e.operation), "permit": permit, "epoch": epoch,
                "lease": lease, "entry": entry,
                "attempt": attempt, "digest": digest, "approval": approval,
            }),
        ),
        EventBody::EffectPredicted { effect, .. } => ("effect.predicted", Some(*effect), json!({})),
        EventBody::EffectAnswered { effect, attempt, answer } => {
            let (word, error) = match answer {
                Answer::Done { .. } | Answer::Stored { .. } => ("done", None),
                Answer::Refused { error, .. } => ("refused", error.detail.as_deref()),
                Answer::Lost { error } => ("lost", error.detail.as_deref()),
                Answer::Child(end) => {
                    (end.word(), end.error.as_ref().and_then(|error| error.detail.as_deref()))
                }
            };
            let known = state.effect(*effect);
            (
                "effect.answered",
                Some(*effect),
                json!({
                    "attempt": attempt, "answer": word, "error": error.map(guard::pii::redact),
                    "outcome": known.and_then(|e| e.outcome).map(model::Outcome::name),
                }),
            )
        }
        EventBody::EffectVoided { effect, attempt, reason } => {
            ("effect.voided", Some(*effect), json!({ "attempt": attempt, "reason": reason }))
        }
        EventBody::Woke => return None,
        EventBody::Released => ("execution.released", None, json!({ "limit": state.started.placing.queued })),
        EventBody::Cancelled { by, reason, mode } => (
            "execution.cancelled",
            None,
            json!({ "by": by, "reason": guard::pii::redact(reason), "mode": mode.name() }),
        ),
        EventBody::Forced { effect, by, reason } => {
            ("compensation.forced", Some(*effect), json!({ "by": by, "reason": guard::pii::redact(reason) }))
        }
        EventBody::Paused { by, reason } => {
            ("execution.paused", None, json!({ "by": by, "reason": guard::pii::redact(reason) }))
        }
        EventBody::Resumed { by, reason } => {
            ("execution.resumed", None, json!({ "by": by, "reason": guard::pii::redact(reason) }))
        }
        EventBody::Retried { by, reason } => {
            ("execution.retried", None, json!({ "by": by, "reason": guard::pii::redact(reason) }))
        }
        EventBody::Resolved(resolved) => (
            "effect.resolved",
            Some(resolved.effect),
            json!({
                "by": resolved.by, "outcome": resolved.outcome.name(), "evidence": guard::pii::redact(&resolved.evidence),
                "reason": guard::pii::redact(&resolved.reason), "output": resolved.output.as_ref().map(model::digest_of),
            }),
        ),
        EventBody::Checkpoint { name, digest, by, reason } => (
            "execution.checkpoint",
            None,
            json!({ "name": name, "digest": digest, "by": by, "reason": guard::pii::redact(reason) }),
        ),
        EventBody::Rewound(rewound) => (
            "execution.rewound",
            None,
            json!({
                "to": rewound.to, "checkpoint": rewound.checkpoint, "effects": choice_word(rewound.effects),
                "kept": numbers(&rewound.kept), "plan": rewound.input.as_ref().map(|input| input.plan),
                "by": rewound.by, "reason": guard::pii::redact(&rewound.reason),
            }),
        ),
        EventBody::Forked(forked) => (
            "execution.forked",
            None,
            json!({
                "origin": state.started.origin, "effects": choice_word(forked.effects), "kept": numbers(&forked.kept),
                "by": forked.by, "reason": guard::pii::redact(&forked.reason),
            }),
        ),
        EventBody::Chosen { effect, choice, by, reason } => (
            "effect.chosen",
            Some(*effect),
            json!({ "choice": choice, "by": by, "reason": guard::pii::redact(reason) }),
        ),
        EventBody::EffectReused { effect, of, origin } => (
            "effect.reused",
            Some(*effect),
            json!({
                "operation": state.effect(*effect).map(|e| &e.operation), "of": of, "origin": origin,
                "outcome": state.effect(*effect).and_then(|e| e.outcome).map(model::Outcome::name),
            }),
        ),
        // What it carries may be personal: the log has its digest.
        EventBody::Signalled { id, name, data, by, .. } => (
            "execution.signalled",
            None,
            json!({ "name": name, "id": id, "by": by, "data": model::digest_of(data) }),
        ),
        EventBody::UndoAsked { parent, effect } => {
            ("execution.undo-asked", None, json!({ "parent": parent, "effect": effect }))
        }
        EventBody::Ended { status, outcome, digest } => {
            ("execution.ended", None, json!({ "status": status, "outcome": outcome, "digest": digest }))
        }
    })
}

fn choice_word(choice: Option<model::event::Choice>) -> &'static str {
    choice.map_or("ask", crate::rewind::choice_word)
}

/// Numbers of kept effects that one record lists at the most; the event in the history has all.
const NUMBERS_MAX: usize = 1_000;

fn numbers(kept: &model::event::KeptEffects) -> Vec<u32> {
    kept.list.iter().take(NUMBERS_MAX).map(|kept| kept.effect.0).collect()
}

/// The record of an outcome that became known after its answer, by probe or by giving up.
pub(crate) fn of_outcome(state: &engine::Execution, effect: &engine::Effect) -> Record {
    let details = json!({
        "operation": effect.operation, "outcome": effect.outcome.map(model::Outcome::name),
        "evidence": effect.evidence.as_deref().map(guard::pii::redact),
    });
    record(
        &state.started.tenant,
        state.started.execution.as_str(),
        state.now,
        "outcome.settled",
        Some(effect.number),
        details,
        None,
    )
}

fn record(
    tenant: &TenantId,
    execution: &str,
    at: Timestamp,
    action: &str,
    effect: Option<model::effect::EffectNumber>,
    details: serde_json::Value,
    caller: Option<&Caller>,
) -> Record {
    let resource = match effect {
        Some(number) => format!("executions/{execution}/effects/{}", number.0),
        None => format!("executions/{execution}"),
    };
    let mut record = by_system(tenant, at, action, resource, execution, details);
    if let Some(caller) = caller {
        record.actor = caller.principal.id.to_string();
        kind_name(caller.principal.kind).clone_into(&mut record.actor_kind);
        record.address.clone_from(&caller.address);
        record.agent = caller.agent.as_deref().map(|agent| agent.chars().take(120).collect());
    }
    record
}

/// `allow`, `deny` or `require-approval`.
pub(crate) fn verdict_word(decision: &model::verdict::Decision) -> &'static str {
    match decision {
        model::verdict::Decision::Allow => "allow",
        model::verdict::Decision::Deny => "deny",
        model::verdict::Decision::RequireApproval(_) => "require-approval",
    }
}
