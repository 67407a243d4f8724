//! Executions: list, look, act, wait.

use std::sync::Arc;
use std::time::Duration;

use engine::{End, Execution, Input, Phase};
use model::event::CancelMode;
use model::principal::Permission;
use model::sabotage::{self, Bug};
use model::{ExecutionId, Problem, TenantId};
use serde_json::json;
use store::ExecutionQuery;

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::permit::in_one_line;
use crate::view::{AttemptView, EffectView, ExecutionSummary, ExecutionView, HistoryEntry, PageOf, TaskView};

/// Tasks of one view at the most; the newest are shown.
const TASKS_MAX: usize = 1000;
/// A waiting caller looks again at least this often, in case a notice was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl App {
    /// Executions that match, newest first.
    pub async fn executions(
        &self,
        caller: &Caller,
        query: ExecutionQuery,
    ) -> Result<PageOf<ExecutionSummary>, Problem> {
        caller.demand(Permission::Read)?;
        let query = ExecutionQuery { limit: query.limit.clamp(1, 500), ..query };
        let platform = sabotage::is(Bug::TenantForgotten).then(crate::app::system_tenant);
        let whose = platform.as_ref().unwrap_or(&caller.principal.tenant);
        let page = self.store.executions(whose, query).await.map_err(|e| store_problem(&e))?;
        Ok(PageOf { items: page.items, next: page.next })
    }

    /// One execution in full.
    pub async fn execution(&self, caller: &Caller, id: &str) -> Result<ExecutionView, Problem> {
        caller.demand(Permission::Read)?;
        let (tenant, id) = (&caller.principal.tenant, execution_id(id)?);
        let row = self.row(tenant, &id).await?;
        let state = self.replayed(tenant, &id, true).await?;
        Ok(view(row, &state))
    }

    /// Events of an execution after sequence `after` (0 begins at the beginning), at most `limit`.
    pub async fn history(
        &self,
        caller: &Caller,
        id: &str,
        after: u64,
        limit: u32,
    ) -> Result<PageOf<HistoryEntry>, Problem> {
        caller.demand(Permission::Read)?;
        let (tenant, id) = (&caller.principal.tenant, execution_id(id)?);
        let limit = u64::from(limit.clamp(1, 1000));
        let history = self.store.load_from(tenant, &id, after, limit).await.map_err(|e| store_problem(&e))?;
        let history = history.ok_or_else(|| Problem::not_found("execution", id.as_str()))?;
        let mut items = Vec::with_capacity(history.events.len());
        for (sequence, event) in (after..).zip(history.events) {
            let json = serde_json::to_value(&event).map_err(Problem::machine)?;
            let kind = json["event"].as_str().unwrap_or_default().to_owned();
            items.push(HistoryEntry {
                sequence,
                at: event.at,
                summary: summary(&event.body),
                kind,
                event: json,
            });
        }
        let end = after.saturating_add(items.len() as u64);
        Ok(PageOf { items, next: (end < history.total).then(|| end.to_string()) })
    }

    /// Stops an execution for good; gracefully undoes what it did first.
    pub async fn cancel(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        reason: &str,
        mode: CancelMode,
    ) -> Result<ExecutionSummary, Problem> {
        self.act(caller, id, reason, |by, reason| Input::Cancel(by, reason, mode)).await
    }

    /// Gives up on an undo that is parked or cannot be made, so that undoing goes on.
    pub async fn force(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        effect: &str,
        reason: &str,
    ) -> Result<ExecutionSummary, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let number = effect.parse().map_err(|_| Problem::not_found("effect", effect))?;
        let effect = model::effect::EffectNumber(number);
        self.act(caller, id, reason, |by, reason| Input::Force { effect, by, reason }).await
    }

    /// Holds an execution: nothing new starts.
    pub async fn pause(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        reason: &str,
    ) -> Result<ExecutionSummary, Problem> {
        self.act(caller, id, reason, Input::Pause).await
    }

    /// Lets a held execution go on.
    pub async fn resume(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        reason: &str,
    ) -> Result<ExecutionSummary, Problem> {
        self.act(caller, id, reason, Input::Resume).await
    }

    /// Tries a faulted execution, or its parked effects, again.
    pub async fn retry(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        reason: &str,
    ) -> Result<ExecutionSummary, Problem> {
        self.act(caller, id, reason, Input::Retry).await
    }

    async fn act(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        reason: &str,
        input: impl FnOnce(model::PrincipalId, String) -> Input,
    ) -> Result<ExecutionSummary, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let id = execution_id(id)?;
        let reason = checked_reason(reason)?;
        let input = input(caller.principal.id.clone(), reason);
        Ok(Arc::unwrap_or_clone(self.advance(&caller.principal.tenant, &id, input, Some(caller)).await?.row))
    }

    /// Answers when the execution has ended, or as it is after `wait`.
    pub async fn wait_for_end(
        &self,
        caller: &Caller,
        id: &str,
        wait: Duration,
    ) -> Result<ExecutionView, Problem> {
        caller.demand(Permission::Read)?;
        let parsed = execution_id(id)?;
        let deadline = tokio::time::Instant::now() + wait;
        // Subscribed before the first look, so that no end is missed in between.
        let mut live = self.subscribe();
        loop {
            let row = self.row(&caller.principal.tenant, &parsed).await?;
            if row.ended_at.is_some() || tokio::time::Instant::now() >= deadline {
                return self.execution(caller, id).await;
            }
            let look_again = (tokio::time::Instant::now() + LOOK_AGAIN).min(deadline);
            loop {
                match tokio::time::timeout_at(look_again, live.recv()).await {
                    Ok(Ok(notice)) if notice.topic == "execution" && notice.id == id => break,
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) | Err(_) => break,
                }
            }
        }
    }

    pub(crate) async fn row(&self, tenant: &TenantId, id: &ExecutionId) -> Result<ExecutionSummary, Problem> {
        let row = self.store.execution(tenant, id).await.map_err(|e| store_problem(&e))?;
        row.ok_or_else(|| Problem::not_found("execution", id.as_str()))
    }
}

/// An identifier that cannot be one names nothing.
pub(crate) fn execution_id(id: &str) -> Result<ExecutionId, Problem> {
    ExecutionId::new(id)
        .map_err(|_| Problem::not_found("execution", &id.chars().take(64).collect::<String>()))
}

pub(crate) fn checked_reason(reason: &str) -> Result<String, Problem> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > 2000 {
        let detail = "give a reason of 1 to 2,000 characters: it goes into history and audit log";
        return Err(Problem::new(422, 4001, "invalid request", detail).field("/reason", detail));
    }
    Ok(reason.to_owned())
}

fn view(row: ExecutionSummary, state: &Execution) -> ExecutionView {
    let (output, error) = match &state.end {
        Some(End::Completed(output)) => (Some(output.to_json()), None),
        Some(End::Faulted(error)) => {
            (None, serde_json::to_value(error).ok().map(|e| crate::compensation::reported(e, state)))
        }
        Some(End::Cancelled(reason)) => (None, Some(json!({ "title": "Cancelled", "detail": reason }))),
        None => (None, None),
    };
    let trace = state.trace.as_deref().unwrap_or_default();
    let tasks = trace[trace.len().saturating_sub(TASKS_MAX)..].iter().map(|entry| TaskView {
        pointer: entry.pointer.to_string(),
        name: entry.name.to_string(),
        kind: entry.kind.to_owned(),
        status: entry.status.name().to_owned(),
        started_at: entry.started_at,
        ended_at: entry.ended_at,
        depth: entry.depth,
    });
    ExecutionView {
        title: state.definition.title.clone(),
        mode: match state.started.mode {
            model::event::Mode::Live => "live".to_owned(),
            model::event::Mode::Advisory => "advisory".to_owned(),
        },
        plan_digest: state.started.plan,
        input: state.started.input.to_json(),
        output,
        error,
        context: state.context().to_json(),
        effects: state.effects.iter().map(|effect| effect_view(effect, state, &row)).collect(),
        tasks: tasks.collect(),
        branches: crate::compensation::branches(state),
        compensation: crate::compensation::view(state),
        kept: state.kept_aside().iter().map(crate::rewind::kept_view).collect(),
        scheduled: state.started.scheduled,
        origin: state.started.origin.as_ref().map(|origin| (origin.execution.to_string(), origin.event)),
        version: state.version,
        explanation: explanation(&row, state),
        summary: row,
    }
}

pub(crate) fn effect_view(effect: &engine::Effect, state: &Execution, row: &ExecutionSummary) -> EffectView {
    let held = row
        .blocked_on
        .as_deref()
        .is_some_and(|b| ["control:", "limit:", "worker:"].iter().any(|kind| b.starts_with(kind)));
    // An output that no attempt brought is a prediction; permits that were given back are attempts too.
    let answered = effect.attempts.last().is_some_and(|attempt| attempt.answer == Some("done"));
    let predicted = effect.outcome == Some(model::Outcome::Unknown)
        && effect.output.is_some()
        && effect.reused.is_none()
        && !answered;
    let execution = state.execution_of(effect);
    let state = match &effect.phase {
        Phase::Requested if held => "held",
        Phase::Requested => "requested",
        Phase::AwaitingApproval { .. } => "awaiting-approval",
        Phase::Started => "started",
        Phase::Backoff { .. } => "retrying",
        Phase::Verifying(_) => "verifying",
        Phase::Parked { .. } => "parked",
        Phase::Denied => "denied",
        Phase::Settled if predicted => "predicted",
        Phase::Settled => "settled",
    };
    EffectView {
        number: effect.number.0,
        task: effect.task.to_string(),
        operation: effect.operation.clone(),
        target: effect.request.target().into_owned(),
        effect: effect.contract.effect.name().to_owned(),
        class: effect.contract.class.name().to_owned(),
        state: state.to_owned(),
        outcome: effect.outcome.map(|o| o.name().to_owned()),
        evidence: effect.evidence.clone(),
        digest: effect.judged.unwrap_or(effect.digest),
        arguments: effect.arguments.to_json(),
        provenance: effect
            .arguments
            .provenance()
            .into_iter()
            .map(|(pointer, label)| (pointer, label.names().into_iter().map(str::to_owned).collect()))
            .collect(),
        predicted: in_one_line(effect),
        key: effect.key.clone(),
        verdict: effect.verdict.as_deref().cloned(),
        approval: effect.approval.clone(),
        permit: effect.permit.as_ref().map(ToString::to_string),
        attempts: effect
            .attempts
            .iter()
            .map(|attempt| AttemptView {
                number: attempt.number,
                started_at: attempt.started_at,
                ended_at: attempt.ended_at,
                answer: attempt.answer.map(str::to_owned),
                error: attempt.error.as_ref().map(|e| e.detail.clone().unwrap_or_else(|| e.kind.clone())),
            })
            .collect(),
        reused: effect.reused.as_ref().map(|(of, _)| of.0),
        execution,
        probe_of: effect.probe_of.map(|n| n.0),
        compensates: effect.compensates.map(|n| n.0),
        undo: effect.undo,
        undone_by: effect.undone_by.map(|n| n.0),
        output: effect.output.as_ref().map(model::Value::to_json),
        requested_at: effect.requested_at,
        settled_at: effect.settled_at,
    }
}

/// What it waits for and what to do, in a sentence.
fn explanation(row: &ExecutionSummary, state: &Execution) -> String {
    let Some(blocked) = &row.blocked_on else {
        return match (row.status.as_str(), row.outcome.as_deref()) {
            ("completed", Some("verified")) => "it completed, and every effect was checked".to_owned(),
            ("completed", _) => "it completed, but not every effect could be checked".to_owned(),
            ("faulted", _) => {
                format!("it ended with an error: {}", row.error.as_deref().unwrap_or("see `error`"))
            }
            ("cancelled", _) => row.error.clone().unwrap_or_else(|| "an operator cancelled it".to_owned()),
            _ => "it is under way".to_owned(),
        };
    };
    let (kind, what) = blocked.split_once(':').unwrap_or((blocked, ""));
    match kind {
        "approval" => format!("it waits for a person to decide approval {what}; silence becomes no"),
        "control" => {
            format!("the control `{what}` holds it; it goes on by itself when an operator turns that off")
        }
        "dead-letter" => format!(
            "{} is parked ({}); redrive dead letter {what} when the cause is gone, or {}",
            if state.is_undoing() { "an undo" } else { "an effect" },
            row.error.as_deref().unwrap_or("see its evidence"),
            if state.is_undoing() { "force it to leave it as it is" } else { "cancel" }
        ),
        "compensation" => match state.stuck() {
            Some((effect, why)) => {
                format!("effect {} stays done: {why}; look, then force it to go on", effect.0)
            }
            None => format!("it undoes what it did; effect {what} is the present undo"),
        },
        "limit" if row.status == "pending" => {
            format!(
                "it is in line for a place under the limit `{what}`, and begins by itself when one is free"
            )
        }
        "limit" => format!("an effect waits for a place under the limit `{what}`, and goes on by itself"),
        "worker" => "an effect waits for a worker's place, and goes on by itself".to_owned(),
        "event" => format!("it listens for the event {}", what.replace(',', " or ")),
        "signal" => format!("it listens for the signal {}", what.replace(',', " or ")),
        "operator" => "an operator paused it; resume lets it go on".to_owned(),
        "choice" => format!(
            "it went back or was forked: choose what becomes of effect {what} (keep, compensate or repeat)"
        ),
        "effect" => format!("effect {what} is under way"),
        "child" => format!("it waits for the end of execution {what}, which it runs"),
        "retry" => format!("effect {what} failed for now and is tried again at {}", wake(state)),
        "verification" => {
            format!("effect {what} answered; whether it is real is asked again at {}", wake(state))
        }
        _ => format!("it waits until {}", wake(state)),
    }
}

fn wake(state: &Execution) -> String {
    state.next_wakeup().map_or_else(|| "an event".to_owned(), |(at, _)| at.to_rfc3339())
}

/// One line for people about an event.
fn summary(body: &model::EventBody) -> String {
    use model::EventBody as E;
    use model::effect::Answer;
    match body {
        E::Started(started) => format!(
            "started {}/{}:{} for {}",
            started.namespace, started.name, started.version, started.requester
        ),
        E::Judged { effect, verdict, .. } => format!(
            "effect {} judged: {} (risk {})",
            effect.0,
            crate::record::verdict_word(&verdict.decision),
            verdict.risk.score
        ),
        E::Barred { effect, reason } => format!("effect {} barred: {reason}", effect.0),
        E::ApprovalDecided { effect, decision, by, .. } => {
            let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            format!("effect {} {decision:?}{by}", effect.0).to_lowercase()
        }
        E::Edited { effect, by, .. } => format!("effect {} edited by {by}", effect.0),
        E::EffectStarted { effect, attempt, .. } => format!("effect {} started, attempt {attempt}", effect.0),
        E::EffectPredicted { effect, .. } => format!("effect {} predicted, nothing was sent", effect.0),
        E::EffectAnswered { effect, attempt, answer } => match answer {
            Answer::Done { .. } | Answer::Stored { .. } => {
                format!("effect {} answered, attempt {attempt}", effect.0)
            }
            Answer::Child(end) => {
                format!("effect {}: execution {} {}", effect.0, end.execution, end.status.name())
            }
            Answer::Refused { error, transient, .. } => format!(
                "effect {} refused{}: {}",
                effect.0,
                if *transient { " for now" } else { "" },
                error.detail.as_deref().unwrap_or(&error.kind)
            ),
            Answer::Lost { error } => format!(
                "effect {}: answer lost: {}",
                effect.0,
                error.detail.as_deref().unwrap_or(&error.kind)
            ),
        },
        E::EffectVoided { effect, reason, .. } => format!("effect {}: permit given back: {reason}", effect.0),
        E::UndoAsked { parent, effect } => {
            format!("execution {parent} asks it to undo what it did, for effect {}", effect.0)
        }
        E::Woke => "time came".to_owned(),
        E::Released => "a limit gave it a place".to_owned(),
        E::Cancelled { by, reason, mode } => format!("cancelled ({}) by {by}: {reason}", mode.name()),
        E::Forced { effect, by, reason } => format!("effect {} given up by {by}: {reason}", effect.0),
        E::Paused { by, reason } => format!("paused by {by}: {reason}"),
        E::Resumed { by, reason } => format!("resumed by {by}: {reason}"),
        E::Retried { by, reason } => format!("tried again by {by}: {reason}"),
        E::Resolved(resolved) => format!(
            "effect {} resolved as {} by {}: {}",
            resolved.effect.0,
            resolved.outcome.name(),
            resolved.by,
            resolved.evidence
        ),
        E::Checkpoint { name, by, reason, .. } => format!("checkpoint `{name}` by {by}: {reason}"),
        E::Rewound(rewound) => {
            let edited = if rewound.input.is_some() { " with another input" } else { "" };
            format!(
                "went back to event {}{edited} by {}, {} effects kept aside: {}",
                rewound.to,
                rewound.by,
                rewound.kept.list.len(),
                rewound.reason
            )
        }
        E::Forked(forked) => format!("forked by {}: {}", forked.by, forked.reason),
        E::Chosen { effect, choice, by, reason } => {
            format!("effect {}: {by} chose `{}`: {reason}", effect.0, crate::rewind::choice_word(*choice))
        }
        E::EffectReused { effect, of, origin: None } => {
            format!("effect {} answered by effect {}, nothing was sent", effect.0, of.0)
        }
        E::EffectReused { effect, of, origin: Some(origin) } => {
            format!("effect {} answered by effect {} of `{origin}`, nothing was sent", effect.0, of.0)
        }
        E::Signalled { name, by, attributes, .. } => {
            let update = attributes.as_deref().is_some_and(|a| a.get("omnihubupdate").is_some());
            format!("{} `{name}` from {by}", if update { "update" } else { "signal" })
        }
        E::Ended { status, outcome, .. } => format!("{status}, outcome {}", outcome.name()),
    }
}
