//! The row of an execution: what lists and searches show, made from the state alone.

use engine::{Execution, Phase, Status};
use model::Timestamp;
use store::ExecutionRow;

use crate::letters::dead_letter_id;

/// Names of signals that a row shows at the most.
const SIGNALS_SHOWN: usize = 5;

/// The row that lists show, from the state.
pub(crate) fn row_of(state: &Execution, held: Option<&str>, now: Timestamp) -> ExecutionRow {
    let started = &state.started;
    let status = state.status();
    let blocked_on = if state.end.is_some() { None } else { blocked_on(state, held) };
    // What is on the wire is found again after a crash by its status: it runs, whatever else is held.
    let sent = state.open_effects().any(|e| e.phase == Phase::Started && !e.request.is_execution());
    let status = match (held, status) {
        (Some(_), Status::Running) if !sent => Status::Waiting,
        (_, status) => status,
    };
    let error = match &state.end {
        Some(engine::End::Faulted(error)) => Some(format!(
            "{}: {}",
            error.title.as_deref().unwrap_or(&error.kind),
            error.detail.as_deref().unwrap_or_default()
        )),
        Some(engine::End::Cancelled(reason)) => Some(reason.clone()),
        Some(engine::End::Completed(_)) => None,
        None => state
            .open_effects()
            .find(|e| matches!(e.phase, Phase::Parked { .. }))
            .and_then(|e| e.evidence.clone())
            .or_else(|| state.stuck().map(|(_, why)| why.to_owned())),
    };
    ExecutionRow {
        tenant: started.tenant.clone(),
        id: started.execution.clone(),
        namespace: started.namespace.clone(),
        name: started.name.clone(),
        version: started.version.clone(),
        status: status.name().to_owned(),
        outcome: state.outcome().map(|o| o.name().to_owned()),
        blocked_on,
        requester: started.requester.to_string(),
        intent: started.intent.clone(),
        error,
        started_at: state.started_at,
        updated_at: now,
        ended_at: state.end.is_some().then_some(state.now),
        due_at: state.next_wakeup().map(|(at, _)| at),
        parent: started.family.parent.as_ref().map(|parent| parent.execution.clone()),
    }
}

fn blocked_on(state: &Execution, held: Option<&str>) -> Option<String> {
    if let Some(held) = held {
        return Some(held.to_owned());
    }
    if state.paused {
        return Some("operator:paused".to_owned());
    }
    if state.pending {
        return state.started.placing.queued.as_ref().map(|limit| format!("limit:{limit}"));
    }
    if let Some(effect) = state.asks_about() {
        return Some(format!("choice:{}", effect.0));
    }
    state
        .open_effects()
        .find_map(|effect| match &effect.phase {
            Phase::AwaitingApproval { .. } => effect.approval.as_ref().map(|id| format!("approval:{id}")),
            Phase::Parked { .. } => Some(format!("dead-letter:{}", dead_letter_id(state, effect))),
            _ if effect.undo => Some(format!("compensation:{}", effect.number.0)),
            Phase::Started => Some(match state.execution_of(effect) {
                Some(child) => format!("child:{child}"),
                None => format!("effect:{}", effect.number.0),
            }),
            Phase::Backoff { .. } => Some(format!("retry:{}", effect.number.0)),
            Phase::Verifying(v) if v.probe.is_none() => Some(format!("verification:{}", effect.number.0)),
            Phase::Verifying(_) | Phase::Requested | Phase::Denied | Phase::Settled => None,
        })
        .or_else(|| state.stuck().map(|(effect, _)| format!("compensation:{}", effect.0)))
        .or_else(|| listening(state))
        .or_else(|| state.next_wakeup().map(|_| "timer".to_owned()))
}

/// `signal:`, `update:` when only updates are awaited, or `event:` when events that are addressed to nobody are, and the names that something listens
/// for, as many as fit.
fn listening(state: &Execution) -> Option<String> {
    let names: Vec<String> = state.listens_for().into_iter().take(SIGNALS_SHOWN).collect();
    let updates = state.takes_updates();
    let kind = match state.listens_outside() {
        Some(_) => "event",
        None if !names.is_empty() && names.iter().all(|name| updates.contains(name)) => "update",
        None => "signal",
    };
    (!names.is_empty()).then(|| format!("{kind}:{}", names.join(",")))
}
