//! Runs executions: one step at a time for each, one batch for each step.
//!
//! An execution that is under way stays in memory; one that waits is dropped and replayed when something comes
//! for it. Whatever comes (an answer, a decision, time) goes through [`App::advance`]: engine, permit gate,
//! commit, and only then the outside.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Execution, Input, Judgement, Phase, Rejected, Status};
use model::approval::{Approval, ApprovalStatus};
use model::control::ControlName;
use model::effect::{Answer, EffectNumber};
use model::event::{ApprovalDecision, Awaited, Event, EventBody, Started};
use model::id::DeadLetterId;
use model::verdict::{Decision, Quorum, Verdict};
use model::{ExecutionId, Problem, TenantId, Timestamp, Value};
use parking_lot::Mutex;
use store::{Batch, CommitError, ExecutionRow, Expect, Put};
use tokio::sync::OwnedMutexGuard;

use crate::app::{App, commit_problem, store_problem};
use crate::caller::Caller;
use crate::permit::{Gate, in_one_line};
use crate::record;
use crate::snapshots::Snapshotted;
use crate::view::{DeadLetterView, Live};
use crate::work::Work;

/// How long one attempt of an HTTP effect may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
/// Payloads above this size go to the blob store, in bytes of JSON.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Judgements of one step at the most; more effects than this wait for the next step.
const JUDGEMENTS_MAX: usize = 256;

type Key = (TenantId, ExecutionId);

/// Executions in memory.
#[derive(Default)]
pub(crate) struct Hot {
    slots: Mutex<HashMap<Key, Slot>>,
}

/// One execution in memory. Whoever holds the lock is the only one who changes it.
#[derive(Default, Clone)]
struct Slot(Arc<tokio::sync::Mutex<Cell>>);

#[derive(Default)]
struct Cell {
    state: Option<Execution>,
    /// What the row says about being woken, to know whether it has to be written again.
    due_at: Option<Timestamp>,
    /// Taken out of the map: whoever waited for it looks again.
    gone: bool,
    /// Read from the store, and not recovered since: what is under way in it was started by a process that may be
    /// gone. Work that this process hands out, and a recovery, make it ours.
    fresh: bool,
    /// The snapshot that the store has.
    snapshot: Snapshotted,
}

/// What a step did, for those who asked for it.
#[derive(Debug)]
pub(crate) struct Advanced {
    pub(crate) row: ExecutionRow,
}

/// An execution that its holder alone may change.
pub(crate) struct Held {
    key: Key,
    slot: Slot,
    cell: OwnedMutexGuard<Cell>,
}

impl Held {
    /// Its state.
    pub(crate) fn state(&self) -> Option<&Execution> {
        self.cell.state.as_ref()
    }
}

/// What is to be changed, in one batch. Without an input, only puts and records are committed.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) input: Option<Input>,
    pub(crate) puts: Vec<Put>,
    pub(crate) records: Vec<audit::Record>,
}

/// Things that a step changes besides events.
#[derive(Default)]
struct Outcome {
    works: Vec<Work>,
    puts: Vec<Put>,
    approvals: Vec<Approval>,
    /// Effects that an earlier step settled: two steps may fall into one millisecond.
    settled_before: Vec<EffectNumber>,
    held: Option<&'static str>,
    /// Effects are left to judge: the next step follows at once.
    more: bool,
}

impl App {
    /// Begins an execution. Answers the row; a conflict when the id is taken.
    pub(crate) async fn start_execution(
        self: &Arc<Self>,
        caller: &Caller,
        definition: Arc<dsl::Definition>,
        started: Started,
        extra: Vec<Put>,
    ) -> Result<Advanced, Problem> {
        let (app, caller) = (Arc::clone(self), caller.clone());
        to_the_end(async move { app.start_whole(&caller, definition, started, extra).await }).await
    }

    async fn start_whole(
        self: &Arc<Self>,
        caller: &Caller,
        definition: Arc<dsl::Definition>,
        started: Started,
        extra: Vec<Put>,
    ) -> Result<Advanced, Problem> {
        let now = self.clock.now();
        let key = (started.tenant.clone(), started.execution.clone());
        let policies = self.policies_of(&key.0).await?;
        let (slot, mut cell) = self.hot.locked(&key).await;
        if cell.state.is_some() {
            return Err(commit_problem(&CommitError::Conflict(format!("execution `{}` exists", key.1))));
        }
        let (state, step) = Execution::start(definition, started, now);
        let mut expect = App::answer_guard(&extra, now);
        expect.push(Expect::NoExecution(key.0.clone(), key.1.clone()));
        let mut batch = Batch { expect, puts: extra, ..Batch::default() };
        let mut state = state;
        let mut events = step.events;
        let outcome = self.pass_gate(&mut state, &policies, &mut events, now);
        let advanced = self.seal(&state, 0, events, outcome, Some(caller), now, &mut batch).await;
        let (row, works) = match advanced {
            Ok(sealed) => sealed,
            Err(problem) => {
                self.hot.forget(&key, &slot, &mut cell);
                return Err(problem);
            }
        };
        let ends = ends(&batch);
        let notices = notices(&batch);
        if let Err(error) = self.commit_step(batch).await {
            self.hot.forget(&key, &slot, &mut cell);
            return Err(commit_problem(&error));
        }
        self.after_commit(&row, &state, notices);
        if ends {
            self.figures.ended(&state, row.updated_at);
        }
        self.keep(&key, &slot, &mut cell, state, row.due_at);
        drop(cell);
        self.dispatch(works).await;
        Ok(Advanced { row })
    }

    /// Gives an input to an execution: decide, judge, commit, then let the outside know.
    pub(crate) async fn advance(
        self: &Arc<Self>,
        tenant: &TenantId,
        id: &ExecutionId,
        input: Input,
        caller: Option<&Caller>,
    ) -> Result<Advanced, Problem> {
        let change = Change { input: Some(input), ..Change::default() };
        let Some(caller) = caller.cloned() else {
            let held = self.hold(tenant, id).await?;
            return self.go_on_whole(held, change, None).await;
        };
        let (app, tenant, id) = (Arc::clone(self), tenant.clone(), id.clone());
        to_the_end(async move {
            let held = app.hold(&tenant, &id).await?;
            app.go_on_whole(held, change, Some(&caller)).await
        })
        .await
    }

    /// The execution, loaded, while nobody else can change it.
    pub(crate) async fn hold(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Held, Problem> {
        let key = (tenant.clone(), id.clone());
        let (slot, cell) = self.locked(&key).await?;
        Ok(Held { key, slot, cell })
    }

    /// Lets go of an execution that is not to be changed after all.
    pub(crate) fn let_go(&self, mut held: Held) {
        if let Some(state) = held.cell.state.take() {
            let due_at = held.cell.due_at;
            self.keep(&held.key, &held.slot, &mut held.cell, state, due_at);
        }
    }

    /// Changes an execution that is held: decide, judge, commit, then let the outside know.
    pub(crate) async fn go_on(self: &Arc<Self>, held: Held, change: Change, caller: Option<&Caller>) -> Result<Advanced, Problem> {
        let Some(caller) = caller.cloned() else { return self.go_on_whole(held, change, None).await };
        let app = Arc::clone(self);
        to_the_end(async move { app.go_on_whole(held, change, Some(&caller)).await }).await
    }

    async fn go_on_whole(self: &Arc<Self>, held: Held, change: Change, caller: Option<&Caller>) -> Result<Advanced, Problem> {
        let policies = match self.policies_of(&held.key.0).await {
            Ok(policies) => policies,
            Err(problem) => {
                self.let_go(held);
                return Err(problem);
            }
        };
        let Held { key, slot, mut cell } = held;
        let Some(mut state) = cell.state.take() else { return Err(Problem::not_found("execution", key.1.as_str())) };
        let Change { input, puts, records } = change;
        // What this process performs has not lost its answer.
        let recovers = matches!(input, Some(Input::Recover));
        let input = input.filter(|_| cell.fresh || !recovers);
        let now = self.clock.now();
        let before = state.version;
        let settled_before = state.effects.iter().filter(|e| e.outcome.is_some()).map(|e| e.number).collect();
        let mut events = match input.map(|input| engine::step(&mut state, input, now)) {
            None => Vec::new(),
            Some(Ok(step)) => step.events,
            Some(Err(rejected)) => {
                let due_at = cell.due_at;
                self.keep(&key, &slot, &mut cell, state, due_at);
                return Err(rejected_problem(&rejected));
            }
        };
        let outcome = Outcome { settled_before, ..self.pass_gate(&mut state, &policies, &mut events, now) };
        let mut batch = Batch { puts, records, ..Batch::default() };
        let sealed = self.seal(&state, before, events, outcome, caller, now, &mut batch).await;
        let (row, works) = match sealed {
            Ok(sealed) => sealed,
            Err(problem) => {
                self.hot.forget(&key, &slot, &mut cell);
                return Err(problem);
            }
        };
        if batch.events.is_some() {
            batch.puts.extend(cell.snapshot.put(&state));
        }
        let ends = ends(&batch);
        let notices = notices(&batch);
        // Nothing happened and nothing has to be told again: time came for something that is over.
        let idle = batch.events.is_none() && batch.records.is_empty() && cell.due_at == row.due_at;
        if !idle && let Err(error) = self.commit_step(batch).await {
            // The state in memory is ahead of the store: it is dropped, and the store is the truth again.
            self.hot.forget(&key, &slot, &mut cell);
            return Err(commit_problem(&error));
        }
        self.after_commit(&row, &state, notices);
        if ends {
            self.figures.ended(&state, row.updated_at);
        }
        cell.fresh &= !recovers && works.is_empty();
        self.keep(&key, &slot, &mut cell, state, row.due_at);
        drop(cell);
        self.dispatch(works).await;
        Ok(Advanced { row })
    }

    /// Replays the whole history of an execution; with `tracing` the state has all effects and the tasks that ran.
    pub(crate) async fn replayed(&self, tenant: &TenantId, id: &ExecutionId, tracing: bool) -> Result<Execution, Problem> {
        let history = self.store.load(tenant, id).await.map_err(|e| store_problem(&e))?;
        let Some(history) = history else { return Err(Problem::not_found("execution", id.as_str())) };
        self.replay(tenant, id, history.events, tracing).await
    }

    async fn replay(&self, tenant: &TenantId, id: &ExecutionId, mut events: Vec<Event>, tracing: bool) -> Result<Execution, Problem> {
        for event in &mut events {
            self.inflate(tenant, event).await?;
        }
        let corrupt = |what: &str| Problem::machine(format!("history of `{id}`: {what}"));
        let Some(EventBody::Started(started)) = events.first().map(|event| &event.body) else {
            return Err(corrupt("it does not begin with `started`"));
        };
        let definition = self.definition(tenant, &started.namespace, &started.name, &started.version).await?;
        if definition.digest != started.definition {
            return Err(corrupt("its workflow version compiles to another digest than the one it was started with"));
        }
        Execution::replay(definition, &events, tracing).ok_or_else(|| corrupt("it cannot be replayed"))
    }

    /// The slot of an execution, locked, with its state loaded.
    async fn locked(&self, key: &Key) -> Result<(Slot, OwnedMutexGuard<Cell>), Problem> {
        let (slot, mut cell) = self.hot.locked(key).await;
        if cell.state.is_none() {
            match self.load_cell(key).await {
                Ok((state, snapshot, due_at)) => {
                    cell.state = Some(state);
                    cell.snapshot = snapshot;
                    cell.due_at = due_at;
                    cell.fresh = true;
                }
                Err(problem) => {
                    self.hot.forget(key, &slot, &mut cell);
                    return Err(problem);
                }
            }
        }
        Ok((slot, cell))
    }

    async fn load_cell(&self, key: &Key) -> Result<(Execution, Snapshotted, Option<Timestamp>), Problem> {
        let row = self.store.execution(&key.0, &key.1).await.map_err(|e| store_problem(&e))?;
        let Some(row) = row else { return Err(Problem::not_found("execution", key.1.as_str())) };
        let (state, snapshot) = self.brought_back(&key.0, &key.1).await?;
        Ok((state, snapshot, row.due_at))
    }

    /// Judges what the state requests, until nothing is requested or a control holds it.
    fn pass_gate(&self, state: &mut Execution, policies: &crate::policies::TenantPolicies, events: &mut Vec<Event>, now: Timestamp) -> Outcome {
        let mut outcome = Outcome::default();
        for judgements in 0.. {
            let Some(number) = state.requested().first().copied() else { break };
            if judgements == JUDGEMENTS_MAX {
                outcome.more = true;
                break;
            }
            let Some(effect) = state.effect(number) else { break };
            let judgement = match self.judge(state, effect, policies, now) {
                Gate::Judged(judgement) => judgement,
                Gate::Held(control) => {
                    outcome.held = Some(control.name());
                    break;
                }
            };
            if let Judgement::Ask { verdict, awaited, digest } = &judgement {
                let approval = opened(state, effect, verdict, awaited, *digest, now);
                outcome.puts.push(Put::Approval(Box::new(approval.clone())));
                outcome.approvals.push(approval);
            }
            let epoch = if let Judgement::Permit { epoch, .. } = &judgement { Some(*epoch) } else { None };
            match engine::step(state, Input::Judged(number, judgement), now) {
                Ok(step) => events.extend(step.events),
                Err(rejected) => {
                    tracing::error!(execution.id = %state.started.execution, error = %rejected, "a judgement was rejected");
                    break;
                }
            }
            if let Some(epoch) = epoch
                && let Some(work) = work_of(state, number, epoch)
            {
                outcome.works.push(work);
            }
        }
        outcome
    }

    /// Puts everything that a step changed into one batch.
    #[expect(clippy::too_many_arguments, reason = "the one place where a step becomes a batch")]
    async fn seal(
        &self,
        state: &Execution,
        before: u64,
        mut events: Vec<Event>,
        outcome: Outcome,
        caller: Option<&Caller>,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(ExecutionRow, Vec<Work>), Problem> {
        let tenant = &state.started.tenant;
        let mut row = row_of(state, outcome.held, now);
        if outcome.more {
            row.due_at = Some(now);
        }
        let mut records = record::of_events(state, &events, caller);
        // The log reads as a story: outcomes come before the end that they led to.
        let end = match events.last() {
            Some(Event { body: EventBody::Ended { .. }, .. }) => records.pop(),
            _ => None,
        };
        batch.records.append(&mut records);
        for effect in state.effects.iter().filter(|e| e.settled_at == Some(state.now) && !events.is_empty()) {
            let told = outcome.settled_before.contains(&effect.number) || events.iter().any(|event| answers(event, effect.number));
            if effect.outcome.is_some() && !told {
                batch.records.push(record::of_outcome(state, effect));
            }
        }
        batch.records.extend(end);
        for approval in &outcome.approvals {
            let details = serde_json::json!({
                "approval": approval.id, "operation": approval.operation, "digest": approval.digest,
                "expires_at": approval.expires_at.to_rfc3339(), "approvers": approval.quorum.approvers,
            });
            let resource = format!("executions/{}/effects/{}", state.started.execution, approval.effect.0);
            batch.records.push(record::by_system(tenant, now, "approval.requested", resource, state.started.execution.as_str(), details));
        }
        batch.puts.extend(outcome.puts);
        batch.puts.extend(self.closed_approvals(state, &events, now).await?);
        batch.puts.extend(self.dead_letters_of(state, &events, &row, now).await?);
        batch.puts.push(Put::Execution(Box::new(row.clone())));
        for event in &mut events {
            self.offload(tenant, event).await?;
        }
        if !events.is_empty() {
            batch.events = Some((tenant.clone(), state.started.execution.clone(), before, events));
        }
        Ok((row, outcome.works))
    }

    /// Approvals that these events decided, expired or made pointless.
    async fn closed_approvals(&self, state: &Execution, events: &[Event], now: Timestamp) -> Result<Vec<Put>, Problem> {
        let tenant = &state.started.tenant;
        let mut puts = Vec::new();
        let expired = events.iter().filter_map(|event| match &event.body {
            EventBody::ApprovalDecided { approval, decision: ApprovalDecision::Expired, .. } => Some(approval),
            _ => None,
        });
        for id in expired {
            puts.extend(self.closed(tenant, id, ApprovalStatus::Expired, now).await?);
        }
        // A task that timed out or an execution that ended leaves approvals behind that nobody may decide any more.
        let ended = events.iter().any(|e| matches!(e.body, EventBody::Woke | EventBody::Cancelled { .. } | EventBody::Ended { .. }));
        if ended {
            for effect in state.effects.iter().filter(|e| e.outcome.is_some() && e.settled_at == Some(state.now)) {
                if let Some(id) = &effect.approval {
                    let decided = events.iter().any(|e| matches!(&e.body, EventBody::ApprovalDecided { approval, .. } if approval == id));
                    if !decided {
                        puts.extend(self.closed(tenant, id, ApprovalStatus::Withdrawn, now).await?);
                    }
                }
            }
        }
        Ok(puts)
    }

    /// Parked effects open a dead letter; effects that are not parked any more close theirs, whoever or whatever did it.
    async fn dead_letters_of(&self, state: &Execution, events: &[Event], row: &ExecutionRow, now: Timestamp) -> Result<Vec<Put>, Problem> {
        let mut puts = Vec::new();
        let by = events.iter().find_map(|event| match &event.body {
            EventBody::Retried { by, .. } | EventBody::Cancelled { by, .. } => Some(by.to_string()),
            _ => None,
        });
        // Time closes them too: a task that waited for a parked effect may time out and go on without it.
        let closing = by.is_some() || events.iter().any(|event| matches!(event.body, EventBody::Woke));
        for effect in state.effects.iter().filter(|effect| effect.parked_at.is_some() && !effect.attempts.is_empty()) {
            let parked = matches!(effect.phase, Phase::Parked { .. }) || matches!(state.end, Some(engine::End::Faulted(_)));
            let mut letter = dead_letter(state, effect, row, parked, now);
            let opens = parked && effect.parked_at == Some(state.now);
            let closes = !parked && closing && self.is_open_letter(&row.tenant, &letter.id).await?;
            if closes {
                letter.redriven_at = Some(now);
                letter.redriven_by.clone_from(&by);
            }
            if opens || closes {
                let document = serde_json::to_value(&letter).map_err(Problem::machine)?;
                puts.push(Put::DeadLetter { tenant: row.tenant.clone(), id: letter.id, open: parked, document });
            }
        }
        Ok(puts)
    }

    async fn is_open_letter(&self, tenant: &TenantId, id: &DeadLetterId) -> Result<bool, Problem> {
        let found = self.store.dead_letter(tenant, id).await.map_err(|e| store_problem(&e))?;
        Ok(found.is_some_and(|letter| letter["open"] == serde_json::Value::Bool(true)))
    }

    async fn closed(&self, tenant: &TenantId, id: &model::id::ApprovalId, status: ApprovalStatus, now: Timestamp) -> Result<Option<Put>, Problem> {
        let found = self.store.approval(tenant, id).await.map_err(|e| store_problem(&e))?;
        Ok(found.filter(|approval| approval.status == ApprovalStatus::Pending).map(|mut approval| {
            approval.status = status;
            approval.decided_at = Some(now);
            Put::Approval(Box::new(approval))
        }))
    }

    async fn commit_step(&self, batch: Batch) -> Result<(), CommitError> {
        match self.store.commit(vec![batch]).await.pop() {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error),
            None => Err(CommitError::Failed("the store answered nothing to a batch".to_owned())),
        }
    }

    /// Tells everybody what was committed.
    fn after_commit(&self, row: &ExecutionRow, state: &Execution, notices: Vec<(&'static str, String)>) {
        self.tell(Live {
            tenant: row.tenant.clone(),
            topic: "execution",
            id: row.id.to_string(),
            version: state.version,
            ended: state.end.is_some(),
        });
        for (topic, id) in notices {
            self.notify(&row.tenant, topic, &id, 0);
        }
        if row.due_at.is_some() {
            self.timers_changed.notify_one();
        }
        // Judged while the switch was on and written after what it held was listed: it would wait for ever.
        let held = row.blocked_on.as_deref().is_some_and(|b| b.starts_with("control:"));
        if held && !self.switches.now().on(ControlName::KillSwitch) {
            self.release_held();
        }
    }

    /// Keeps what is under way in memory, and drops what waits.
    fn keep(&self, key: &Key, slot: &Slot, cell: &mut Cell, state: Execution, due_at: Option<Timestamp>) {
        if state.open_effects().any(|effect| effect.phase == Phase::Started) {
            cell.due_at = due_at;
            cell.state = Some(state);
        } else {
            self.hot.forget(key, slot, cell);
        }
    }

    /// Moves large payloads of an event to the blob store.
    async fn offload(&self, tenant: &TenantId, event: &mut Event) -> Result<(), Problem> {
        match &mut event.body {
            EventBody::EffectAnswered { answer, .. } => {
                if let Answer::Done { output } = answer
                    && weighs_more(output, INLINE_BYTES_MAX)
                {
                    *answer = Answer::Stored { digest: self.put_blob(tenant, output).await? };
                }
            }
            EventBody::Started(started) if weighs_more(&started.input, INLINE_BYTES_MAX) => {
                started.input_blob = Some(self.put_blob(tenant, &started.input).await?);
                started.input = Value::NULL;
            }
            _ => {}
        }
        Ok(())
    }

    async fn put_blob(&self, tenant: &TenantId, value: &Value) -> Result<model::Digest, Problem> {
        let bytes = serde_json::to_vec(value).map_err(Problem::machine)?;
        self.store.put_blob(tenant, bytes).await.map_err(|e| store_problem(&e))
    }

    /// Puts large payloads back.
    pub(crate) async fn inflate(&self, tenant: &TenantId, event: &mut Event) -> Result<(), Problem> {
        match &mut event.body {
            EventBody::EffectAnswered { answer, .. } => {
                if let Answer::Stored { digest } = answer {
                    *answer = Answer::Done { output: self.read_blob(tenant, digest).await? };
                }
            }
            EventBody::Started(started) => {
                if let Some(digest) = started.input_blob.take() {
                    started.input = self.read_blob(tenant, &digest).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn read_blob(&self, tenant: &TenantId, digest: &model::Digest) -> Result<Value, Problem> {
        let bytes = self.store.blob(tenant, digest).await.map_err(|e| store_problem(&e))?;
        let bytes = bytes.ok_or_else(|| Problem::machine(format!("the blob {digest} is gone")))?;
        serde_json::from_slice(&bytes).map_err(Problem::machine)
    }
}

/// Runs a change that a caller asked for in a task of its own. A caller who hangs up drops the request's future; a
/// permit that was committed and never handed to a worker would then wait for the next restart, and a slot that was
/// locked and never let go would stay in memory.
pub(crate) async fn to_the_end<T: Send + 'static>(change: impl Future<Output = Result<T, Problem>> + Send + 'static) -> Result<T, Problem> {
    match tokio::spawn(change).await {
        Ok(done) => done,
        Err(error) => Err(Problem::machine(format!("a change broke off: {error}"))),
    }
}

impl Hot {
    /// The slot of an execution, locked. A slot that was given up while we waited is left for a new one.
    async fn locked(&self, key: &Key) -> (Slot, OwnedMutexGuard<Cell>) {
        loop {
            let slot = self.slots.lock().entry(key.clone()).or_default().clone();
            let cell = Arc::clone(&slot.0).lock_owned().await;
            if !cell.gone {
                return (slot, cell);
            }
        }
    }

    fn forget(&self, key: &Key, slot: &Slot, cell: &mut Cell) {
        cell.state = None;
        cell.gone = true;
        let mut slots = self.slots.lock();
        if slots.get(key).is_some_and(|held| Arc::ptr_eq(&held.0, &slot.0)) {
            slots.remove(key);
        }
    }
}

/// The row that lists show, from the state.
pub(crate) fn row_of(state: &Execution, held: Option<&'static str>, now: Timestamp) -> ExecutionRow {
    let started = &state.started;
    let status = state.status();
    let blocked_on = if state.end.is_some() { None } else { blocked_on(state, held) };
    let status = match (held, status) {
        (Some(_), Status::Running) => Status::Waiting,
        (_, status) => status,
    };
    let error = match &state.end {
        Some(engine::End::Faulted(error)) => {
            Some(format!("{}: {}", error.title.as_deref().unwrap_or(&error.kind), error.detail.as_deref().unwrap_or_default()))
        }
        Some(engine::End::Cancelled(reason)) => Some(reason.clone()),
        Some(engine::End::Completed(_)) => None,
        None => state.open_effects().find(|e| matches!(e.phase, Phase::Parked { .. })).and_then(|e| e.evidence.clone()),
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
    }
}

fn blocked_on(state: &Execution, held: Option<&'static str>) -> Option<String> {
    if let Some(control) = held {
        return Some(format!("control:{control}"));
    }
    if state.paused {
        return Some("operator:paused".to_owned());
    }
    state
        .open_effects()
        .find_map(|effect| match &effect.phase {
            Phase::AwaitingApproval { .. } => effect.approval.as_ref().map(|id| format!("approval:{id}")),
            Phase::Parked { .. } => Some(format!("dead-letter:{}", dead_letter_id(state, effect))),
            Phase::Started => Some(format!("effect:{}", effect.number.0)),
            Phase::Backoff { .. } => Some(format!("retry:{}", effect.number.0)),
            Phase::Verifying(v) if v.probe.is_none() => Some(format!("verification:{}", effect.number.0)),
            Phase::Verifying(_) | Phase::Requested | Phase::Denied | Phase::Settled => None,
        })
        .or_else(|| state.next_wakeup().map(|_| "timer".to_owned()))
}

/// Approvals and dead letters that a batch opens, changes or closes, by topic, for those who watch them.
fn notices(batch: &Batch) -> Vec<(&'static str, String)> {
    let of = |put: &Put| match put {
        Put::Approval(approval) => Some(("approval", approval.id.to_string())),
        Put::DeadLetter { id, .. } => Some(("dead-letter", id.to_string())),
        _ => None,
    };
    batch.puts.iter().filter_map(of).collect()
}

/// True when the batch records an end; an execution that has ended may still be written again.
fn ends(batch: &Batch) -> bool {
    batch.events.as_ref().is_some_and(|(_, _, _, events)| events.iter().any(|e| matches!(e.body, EventBody::Ended { .. })))
}

fn answers(event: &Event, number: EffectNumber) -> bool {
    matches!(&event.body, EventBody::EffectAnswered { effect, .. } if *effect == number)
}

/// The approval that a judgement opens.
fn opened(state: &Execution, effect: &engine::Effect, verdict: &Verdict, awaited: &Awaited, digest: model::Digest, now: Timestamp) -> Approval {
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
        target: effect.request.target(),
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
    }
}

fn work_of(state: &Execution, number: EffectNumber, epoch: u64) -> Option<Work> {
    let effect = state.effect(number)?;
    let timeout = match &effect.request {
        model::Request::Http(_) => HTTP_TIMEOUT,
        model::Request::Process(process) => Duration::from_millis(process.timeout_ms),
    };
    Some(Work {
        tenant: state.started.tenant.clone(),
        execution: state.started.execution.clone(),
        effect: number,
        attempt: effect.attempts.last()?.number,
        operation: effect.operation.clone(),
        request: effect.request.clone(),
        contract: Arc::clone(&effect.contract),
        epoch,
        policy: effect.verdict.as_ref()?.policy,
        mode: state.started.mode,
        timeout,
    })
}

/// The dead letter of an effect, as it stands now.
fn dead_letter(state: &Execution, effect: &engine::Effect, row: &ExecutionRow, open: bool, now: Timestamp) -> DeadLetterView {
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
    let digest = model::Digest::of(format!("{}|{}", state.started.tenant, state.started.execution).as_bytes());
    let name = format!("{:012x}-{}-{}", state.started_at.0, digest.short(), effect.number.0);
    DeadLetterId::new(name).expect("hexadecimal digits and hyphens are an identifier")
}

fn rejected_problem(rejected: &Rejected) -> Problem {
    match rejected {
        Rejected::BadArguments(_) => Problem::new(422, 3013, "arguments refused", rejected.to_string()).field("/arguments", rejected.to_string()),
        Rejected::Ended(_) | Rejected::NoEffect(_) | Rejected::Elsewhere { .. } | Rejected::Nothing(_) => {
            Problem::new(409, 2010, "not possible now", rejected.to_string())
        }
    }
}

/// True when the JSON of a value is larger than `bytes`; stops counting as soon as that is known.
fn weighs_more(value: &Value, bytes: usize) -> bool {
    fn weigh(value: &Value, left: &mut usize) -> bool {
        use model::Data;
        let own = match &value.data {
            Data::String(s) => s.len() + 2,
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Array(_) | Data::Object(_) => 8,
        };
        if own > *left {
            return true;
        }
        *left -= own;
        match &value.data {
            Data::Array(items) => items.iter().any(|v| weigh(v, left)),
            Data::Object(map) => map.iter().any(|(k, v)| {
                *left = left.saturating_sub(k.len() + 3);
                weigh(v, left)
            }),
            _ => false,
        }
    }
    weigh(value, &mut { bytes })
}
