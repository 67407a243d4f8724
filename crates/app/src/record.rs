//! Audit records: every decision, effect, approval, control and administrative act becomes one.

use audit::{Classification, Entry, Leaf, Record};
use model::compact::Error;
use model::effect::EffectNumber;
use model::event::{Event, EventBody};
use model::id::{ApprovalId, PermitId};
use model::sabotage::{self, Bug};
use model::{Digest, TenantId, Timestamp};
use serde::Serialize;
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
        agent: caller.agent.as_deref().map(shortened),
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

/// Where the records of a step belong, and who asked for it.
struct Teller<'a> {
    state: &'a engine::Execution,
    caller: Option<&'a Caller>,
    agent: Option<String>,
}

/// What a leaf says of a verdict.
#[derive(Serialize)]
struct Judged<'a> {
    operation: &'a str,
    verdict: &'static str,
    reasons: &'a [String],
    risk: u8,
    policy: String,
    digest: &'a Digest,
    approval: Option<&'a ApprovalId>,
}

/// What a leaf says of a verdict and the permit that it granted.
#[derive(Serialize)]
struct Permitted<'a> {
    #[serde(flatten)]
    judged: Judged<'a>,
    permit: &'a PermitId,
    epoch: u64,
    lease: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanEntry<'a>>,
    attempt: u32,
}

/// The entry of a signed plan.
#[derive(Serialize)]
struct PlanEntry<'a> {
    digest: Option<&'a Digest>,
    entry: u32,
}

/// What a leaf says of an answer.
#[derive(Serialize)]
struct Answered {
    attempt: u32,
    answer: &'static str,
    error: Option<String>,
    outcome: Option<&'static str>,
}

/// What a leaf says of an end.
#[derive(Serialize)]
struct Ended<'a> {
    status: &'a str,
    outcome: &'a model::Outcome,
    digest: &'a Digest,
}

impl Teller<'_> {
    /// A leaf about the execution, or one of its effects; `by` is who did it, when it was not OmniHub itself.
    fn leaf<D: Serialize>(
        &self,
        at: Timestamp,
        action: &str,
        effect: Option<EffectNumber>,
        by: Option<&Caller>,
        details: &D,
    ) -> Result<Leaf, Error> {
        let started = &self.state.started;
        let resource = resource_of(started.execution.as_str(), effect);
        let foreign = sabotage::is(Bug::LeafForeign).then(crate::app::system_tenant);
        let entry = Entry {
            at,
            tenant: foreign.as_ref().unwrap_or(&started.tenant),
            actor: by.map_or("system", |caller| caller.principal.id.as_str()),
            actor_kind: by.map_or("system", |caller| kind_name(caller.principal.kind)),
            action,
            resource: &resource,
            correlation: started.execution.as_str(),
            classification: Classification::Internal,
            address: by.and_then(|caller| caller.address.as_deref()),
            agent: by.and(self.agent.as_deref()),
            details,
        };
        entry.leaf(&started.execution)
    }

    fn judged(&self, at: Timestamp, body: &EventBody) -> Option<Result<Leaf, Error>> {
        let judged = self.judged_of(body)?;
        let EventBody::Judged { effect, .. } = body else { return None };
        Some(self.leaf(at, "effect.judged", Some(*effect), None, &judged))
    }

    fn judged_of<'b>(&'b self, body: &'b EventBody) -> Option<Judged<'b>> {
        let EventBody::Judged { effect, verdict, digest, approval } = body else { return None };
        Some(Judged {
            operation: self.state.effect(*effect).map_or("", |effect| &effect.operation),
            verdict: verdict_word(&verdict.decision),
            reasons: &verdict.reasons,
            risk: verdict.risk.score,
            policy: verdict.policy.short(),
            digest,
            approval: approval.as_ref().map(|awaited| &awaited.id),
        })
    }

    /// A verdict and the permit that it granted, when the second event is the permit of the first.
    fn permitted(&self, verdict: &EventBody, permitted: &Event) -> Option<Result<Leaf, Error>> {
        let EventBody::EffectStarted { effect, attempt, permit, epoch, lease, digest, entry, approval } =
            &permitted.body
        else {
            return None;
        };
        let EventBody::Judged { effect: judged, .. } = verdict else { return None };
        if judged != effect {
            return None;
        }
        let details = Permitted {
            judged: Judged { digest, approval: approval.as_ref(), ..self.judged_of(verdict)? },
            permit,
            epoch: *epoch,
            lease: *lease,
            plan: entry.map(|entry| PlanEntry { digest: self.state.started.signed.as_ref(), entry }),
            attempt: *attempt,
        };
        Some(self.leaf(permitted.at, "effect.permitted", Some(*effect), None, &details))
    }
}

/// The leaves of the events of one step. A verdict and the permit that it granted are one leaf.
pub(crate) fn of_events(
    state: &engine::Execution,
    events: &[Event],
    caller: Option<&Caller>,
) -> Result<Vec<Leaf>, Error> {
    let agent = caller.and_then(|caller| caller.agent.as_deref()).map(shortened);
    let teller = Teller { state, caller, agent };
    let mut leaves = Vec::with_capacity(events.len());
    let mut judged: Option<&EventBody> = None;
    for event in events {
        if let Some(verdict) = judged.take() {
            if let Some(leaf) = teller.permitted(verdict, event) {
                leaves.push(leaf?);
                continue;
            }
            leaves.extend(teller.judged(event.at, verdict).transpose()?);
        }
        match &event.body {
            EventBody::Judged { .. } => judged = Some(&event.body),
            EventBody::EffectAnswered { answer, .. }
                if sabotage::is(Bug::LeafOnErrorSkipped) && is_error(answer) => {}
            EventBody::EffectAnswered { effect, attempt, answer } => {
                let details = answered(state, *effect, *attempt, answer);
                leaves.push(teller.leaf(event.at, "effect.answered", Some(*effect), caller, &details)?);
            }
            EventBody::Ended { status, outcome, digest } => {
                let details = Ended { status, outcome, digest };
                leaves.push(teller.leaf(event.at, "execution.ended", None, caller, &details)?);
            }
            body => {
                if let Some((action, effect, details)) = described(state, body) {
                    leaves.push(teller.leaf(event.at, action, effect, teller.caller, &details)?);
                }
            }
        }
    }
    if let (Some(verdict), Some(last)) = (judged, events.last()) {
        leaves.extend(teller.judged(last.at, verdict).transpose()?);
    }
    Ok(leaves)
}

/// Whether an answer is a refusal, or none at all.
fn is_error(answer: &model::effect::Answer) -> bool {
    use model::effect::Answer;
    matches!(answer, Answer::Refused { .. } | Answer::Lost { .. })
}

fn answered(
    state: &engine::Execution,
    effect: EffectNumber,
    attempt: u32,
    answer: &model::effect::Answer,
) -> Answered {
    use model::effect::Answer;
    let (answer, error) = match answer {
        Answer::Done { .. } | Answer::Stored { .. } => ("done", None),
        Answer::Refused { error, .. } => ("refused", error.detail.as_deref()),
        Answer::Lost { error } => ("lost", error.detail.as_deref()),
        Answer::Child(end) => (end.word(), end.error.as_ref().and_then(|error| error.detail.as_deref())),
    };
    let outcome = state.effect(effect).and_then(|effect| effect.outcome).map(model::Outcome::name);
    Answered { attempt, answer, error: error.map(|text| guard::pii::redact(text).into_owned()), outcome }
}

fn resource_of(execution: &str, effect: Option<EffectNumber>) -> String {
    match effect {
        Some(number) => ["executions/", execution, "/effects/", &number.0.to_string()].concat(),
        None => ["executions/", execution].concat(),
    }
}

fn shortened(agent: &str) -> String {
    agent.chars().take(120).collect()
}

pub(crate) type Described = (&'static str, Option<model::effect::EffectNumber>, serde_json::Value);

pub(crate) fn described(state: &engine::Execution, body: &EventBody) -> Option<Described> {
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
        EventBody::ApprovalDecided { effect, approval, decision, by, reason, answer } => (
            match decision {
                model::event::ApprovalDecision::Approved => "approval.approved",
                model::event::ApprovalDecision::Rejected => "approval.rejected",
                model::event::ApprovalDecision::Expired => "approval.expired",
            },
            Some(*effect),
            {
                let mut details =
                    json!({ "approval": approval, "by": by, "reason": guard::pii::redact(reason) });
                if let Some(answer) = answer {
                    details["answer"] = json!(model::digest_of(answer));
                }
                details
            },
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
            let answered = answered(state, *effect, *attempt, answer);
            ("effect.answered", Some(*effect), serde_json::to_value(answered).unwrap_or_default())
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
        EventBody::Signalled { id, name, data, by, attributes, .. } => (
            match attributes.as_deref().and_then(|attributes| attributes.get("omnihubupdate")) {
                Some(_) => "execution.update-accepted",
                None => "execution.signalled",
            },
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

/// The leaf of an outcome that became known after its answer, by probe or by giving up.
pub(crate) fn of_outcome(state: &engine::Execution, effect: &engine::Effect) -> Result<Leaf, Error> {
    let details = json!({
        "operation": effect.operation, "outcome": effect.outcome.map(model::Outcome::name),
        "evidence": effect.evidence.as_deref().map(guard::pii::redact),
    });
    let teller = Teller { state, caller: None, agent: None };
    teller.leaf(state.now, "outcome.settled", Some(effect.number), None, &details)
}

/// `allow`, `deny` or `require-approval`.
pub(crate) fn verdict_word(decision: &model::verdict::Decision) -> &'static str {
    match decision {
        model::verdict::Decision::Allow => "allow",
        model::verdict::Decision::Deny => "deny",
        model::verdict::Decision::RequireApproval(_) => "require-approval",
    }
}
