//! Runs executions: one step at a time for each, one batch for each step.
//!
//! An execution that is under way stays in memory; one that waits is dropped and replayed when something comes
//! for it. Whatever comes (an answer, a decision, time) goes through [`App::advance`]: engine, permit gate,
//! commit, and only then the outside.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crash::Point;
use engine::{Execution, Input, Judgement, Phase, Step};
use model::approval::{Approval, ApprovalStatus};
use model::control::ControlName;
use model::effect::EffectNumber;
use model::event::{Event, EventBody, Started};
use model::id::ApprovalId;
use model::sabotage::{self, Bug};
use model::{ExecutionId, Problem, TenantId, Timestamp};
use store::{Batch, CommitError, ExecutionRow, Expect, Put};
use tokio::sync::OwnedMutexGuard;

use crate::app::{App, commit_problem, store_problem};
use crate::batches::{answers, concerns_approvals, ends, notices, rests_on_approvals};
use crate::caller::Caller;
use crate::family::mail::Message;
use crate::hot::{Cell, Held, Key, Slot};
use crate::letters::{opened, withdraw_given_up};
use crate::payloads::may_be_large;
use crate::permit::{Gate, Grounds};
use crate::record;
use crate::rejected::rejected_problem;
use crate::rows::row_of;
use crate::schedule::turns::Turn;
use crate::view::Live;
use crate::work::{Fence, Work, work_of};

pub(crate) use crate::unbroken::to_the_end;

/// Judgements of one step at the most; more effects than this wait for the next step.
const JUDGEMENTS_MAX: usize = 256;

/// Makes an execution, and what it has to commit.
pub(crate) type Begin = Box<dyn FnOnce(Timestamp) -> Result<(Execution, Step), Problem> + Send>;

/// What a step did, for those who asked for it.
#[derive(Debug)]
pub(crate) struct Advanced {
    pub(crate) row: Arc<ExecutionRow>,
}

/// What is to be changed, in one batch. Without an input, only puts and records are committed.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) input: Option<Input>,
    pub(crate) puts: Vec<Put>,
    pub(crate) records: Vec<audit::Record>,
    /// A state made from the whole history, in place of the one that is held, and what it has to commit.
    pub(crate) replaced: Option<Box<(Execution, Step)>>,
    /// The turn in which it is made; none for what people do, which waits for nobody.
    pub(crate) turn: Option<Turn>,
}

/// A step that is decided and judged, and not committed.
pub(crate) struct Ready {
    key: Key,
    slot: Slot,
    cell: OwnedMutexGuard<Cell>,
    state: Box<Execution>,
    row: Arc<ExecutionRow>,
    works: Vec<Work>,
    mail: Vec<Message>,
    /// What has to be committed; none when nothing has to be written.
    pub(crate) batch: Option<Batch>,
    limited: Vec<EffectNumber>,
    notices: Vec<(&'static str, String)>,
    ends: bool,
    /// It listened for events that are addressed to nobody before the step.
    listened: bool,
}

/// Things that a step changes besides events.
#[derive(Default)]
struct Outcome {
    works: Vec<Work>,
    puts: Vec<Put>,
    approvals: Vec<Approval>,
    /// Approvals that were given and can no longer be used, with their effects.
    voided: Vec<(ApprovalId, EffectNumber)>,
    /// Effects that an earlier step settled: two steps may fall into one millisecond.
    settled_before: Vec<EffectNumber>,
    /// What holds it, as `blocked_on` names it.
    held: Option<String>,
    /// Effects that a limit holds back; they are permitted as soon as there is room for them.
    limited: Vec<EffectNumber>,
    /// Effects are left to judge: the next step follows at once.
    more: bool,
    /// What it waited for before the step.
    family: crate::family::Before,
}

impl App {
    /// Begins an execution. Answers the row; a conflict when the id is taken.
    pub(crate) async fn start_execution(
        self: &Arc<Self>,
        caller: &Caller,
        definition: Arc<dsl::Definition>,
        started: Started,
        extra: (Vec<Put>, Vec<Expect>),
        turn: Turn,
    ) -> Result<Advanced, Problem> {
        let mut started = started;
        if started.family.is_none() {
            started.family = match self.family_of(&started.tenant, &definition).await {
                Ok(family) => family,
                Err(problem) => {
                    self.give_back_place(&started.tenant, &started.execution, false).await;
                    return Err(problem);
                }
            };
        }
        let key = (started.tenant.clone(), started.execution.clone());
        let begin = move |now| Ok(Execution::start(definition, started, now));
        self.begin_execution(Some(caller), key, Box::new(begin), extra, Some(turn)).await
    }

    /// Begins an execution that `begin` makes. Answers the row; a conflict when the id is taken.
    pub(crate) async fn begin_execution(
        self: &Arc<Self>,
        caller: Option<&Caller>,
        key: Key,
        begin: Begin,
        extra: (Vec<Put>, Vec<Expect>),
        turn: Option<Turn>,
    ) -> Result<Advanced, Problem> {
        let (app, caller) = (Arc::clone(self), caller.cloned());
        to_the_end(Box::pin(async move {
            let done = app.start_whole(caller.as_ref(), key.clone(), begin, extra, turn).await;
            if let Err(problem) = &done {
                let taken = matches!(problem.status, 409 | 503);
                Box::pin(app.give_back_place(&key.0, &key.1, taken)).await;
            }
            done
        }))
        .await
    }

    async fn start_whole(
        self: &Arc<Self>,
        caller: Option<&Caller>,
        key: Key,
        begin: Begin,
        extra: (Vec<Put>, Vec<Expect>),
        mut turn: Option<Turn>,
    ) -> Result<Advanced, Problem> {
        let admitted = turn.as_mut().and_then(|turn| turn.admitted.take());
        let now = self.clock.now();
        let mut grounds = self.first_grounds(&key.0).await?;
        let (extra, mut guards) = extra;
        let (slot, mut cell) = self.hot.locked(&key).await;
        if cell.state.is_some() {
            return Err(commit_problem(&CommitError::Conflict(format!("execution `{}` exists", key.1))));
        }
        let begun = begin(now).and_then(|begun| self.refuse_stopped(&begun.0.started).map(|()| begun));
        let (state, step) = match begun {
            Ok(begun) => begun,
            Err(problem) => {
                self.hot.forget(&key, &slot, &mut cell);
                return Err(problem);
            }
        };
        let mut expect = App::answer_guard(&extra, now);
        if sabotage::is(Bug::KeyUnguarded) {
            expect.clear()
        }
        expect.push(Expect::NoExecution(key.0.clone(), key.1.clone()));
        expect.append(&mut guards);
        let (extra, apart) =
            if sabotage::is(Bug::KeyApart) { (Vec::new(), extra) } else { (extra, Vec::new()) };
        let mut batch = Batch { expect, puts: extra, ..Batch::default() };
        let mut state = Box::new(state);
        if rests_on_approvals(&state)
            && let Err(problem) = Box::pin(self.approvals_of(&state, &batch.puts, &mut grounds)).await
        {
            self.hot.forget(&key, &slot, &mut cell);
            return Err(problem);
        }
        let mut events = step.events;
        let mut outcome = self.pass_gate(&mut state, &grounds, &mut events, now);
        let limited = std::mem::take(&mut outcome.limited);
        let advanced = self.seal(&state, 0, events, outcome, caller, now, &mut batch).await;
        let (row, works, mail) = match advanced {
            Ok(sealed) => sealed,
            Err(problem) => {
                self.hot.forget(&key, &slot, &mut cell);
                return Err(problem);
            }
        };
        let ends = ends(&batch);
        let notices = notices(&batch);
        if let Err(error) = self.commit_in_turn(batch, turn).await {
            self.hot.forget(&key, &slot, &mut cell);
            drop(cell);
            self.take_back(&error, &state, works);
            return Err(commit_problem(&error));
        }
        crash::at(Point::StepAcknowledged);
        if sabotage::is(Bug::KeyApart) {
            Box::pin(self.commit_one(Batch { puts: apart, ..Batch::default() })).await.ok();
        }
        self.settle_places(&state, &limited);
        self.note_listener(&mut state, false);
        self.after_commit(&row, &state, notices);
        if ends {
            self.figures.ended(&state, row.updated_at);
            self.schedules.ended(&state.started.tenant, &state.started.execution, row.updated_at);
        }
        cell.at_work = admitted;
        self.keep(&key, &slot, &mut cell, state, &row);
        drop(cell);
        self.post(mail);
        self.dispatch(works);
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
        let Some(caller) = caller.cloned() else { return self.advance_in(None, tenant, id, input).await };
        let change = Change { input: Some(input), ..Change::default() };
        let (app, tenant, id) = (Arc::clone(self), tenant.clone(), id.clone());
        to_the_end(Box::pin(async move {
            let held = app.hold(&tenant, &id).await?;
            app.go_on_whole(held, change, Some(&caller)).await
        }))
        .await
    }

    /// As [`App::advance`], by nobody, in a turn.
    pub(crate) async fn advance_in(
        self: &Arc<Self>,
        turn: Option<Turn>,
        tenant: &TenantId,
        id: &ExecutionId,
        input: Input,
    ) -> Result<Advanced, Problem> {
        let held = self.hold(tenant, id).await?;
        let change = Change { input: Some(input), turn, ..Change::default() };
        self.go_on_whole(held, change, None).await
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
            self.keep_state(&held.key, &held.slot, &mut held.cell, state);
        }
    }

    /// Changes an execution that is held: decide, judge, commit, then let the outside know.
    pub(crate) async fn go_on(
        self: &Arc<Self>,
        held: Held,
        change: Change,
        caller: Option<&Caller>,
    ) -> Result<Advanced, Problem> {
        let Some(caller) = caller.cloned() else { return self.go_on_whole(held, change, None).await };
        let app = Arc::clone(self);
        to_the_end(Box::pin(async move { app.go_on_whole(held, change, Some(&caller)).await })).await
    }

    async fn go_on_whole(
        self: &Arc<Self>,
        held: Held,
        mut change: Change,
        caller: Option<&Caller>,
    ) -> Result<Advanced, Problem> {
        let turn = change.turn.take();
        let mut ready = self.made_ready(held, change, caller).await?;
        let done = match ready.batch.take() {
            Some(batch) => self.commit_in_turn(batch, turn).await,
            None => Ok(()),
        };
        self.settled(ready, done)
    }

    /// Decides and judges, and makes the batch that has to be committed; nothing is changed before it is.
    pub(crate) async fn made_ready(
        self: &Arc<Self>,
        held: Held,
        change: Change,
        caller: Option<&Caller>,
    ) -> Result<Ready, Problem> {
        let mut grounds = match self.first_grounds(&held.key.0).await {
            Ok(grounds) => grounds,
            Err(problem) => {
                self.let_go(held);
                return Err(problem);
            }
        };
        let Held { key, slot, mut cell } = held;
        let Some(mut state) = cell.state.take() else {
            return Err(Problem::not_found("execution", key.1.as_str()));
        };
        let Change { input, puts, records, replaced, turn: _ } = change;
        let resends = sabotage::is(Bug::RecoveryResends) && matches!(input, Some(Input::Recover { .. }));
        let input = if resends { self.send_again(&state) } else { input };
        // A flow that went back goes on at that same moment: what its way back settled counts as settled by this step.
        let now = replaced.as_ref().map_or_else(|| self.clock.now(), |replaced| replaced.0.now);
        let before = state.version;
        let settled_before = state.effects.iter().filter(|e| e.outcome.is_some()).map(|e| e.number).collect();
        let family = crate::family::before(&state);
        let listened = family.listening.is_some();
        let returns = replaced.is_some();
        let stepped = match (replaced, input) {
            (Some(replaced), _) => {
                let (instead, step) = *replaced;
                *state = instead;
                Some(Ok(step))
            }
            (None, input) => input.map(|input| engine::step(&mut state, input, now)),
        };
        let mut events = match stepped {
            None => Vec::new(),
            Some(Ok(step)) => step.events,
            Some(Err(rejected)) => {
                self.keep_state(&key, &slot, &mut cell, state);
                return Err(rejected_problem(&rejected));
            }
        };
        if rests_on_approvals(&state)
            && let Err(problem) = Box::pin(self.approvals_of(&state, &puts, &mut grounds)).await
        {
            self.hot.forget(&key, &slot, &mut cell);
            return Err(problem);
        }
        let mut outcome =
            Outcome { settled_before, family, ..self.pass_gate(&mut state, &grounds, &mut events, now) };
        let limited = std::mem::take(&mut outcome.limited);
        let asked = !puts.is_empty();
        let mut batch = Batch { puts, records, ..Batch::default() };
        let sealed = self.seal(&state, before, events, outcome, caller, now, &mut batch).await;
        let (row, works, mail) = match sealed {
            Ok(sealed) => sealed,
            Err(problem) => {
                self.hot.forget(&key, &slot, &mut cell);
                return Err(problem);
            }
        };
        if returns {
            // Only the whole history leads to a state that went back: a snapshot spares the next load that.
            batch.puts.extend(cell.snapshot.put_now(&state));
        } else if batch.events.is_some() {
            batch.puts.extend(cell.snapshot.put(&state, self.settings.snapshot_events));
        }
        let ends = ends(&batch);
        let notices = notices(&batch);
        // Nothing happened and nothing has to be told again: time came for something that is over.
        let idle = !asked
            && batch.events.is_none()
            && batch.leaves.is_empty()
            && batch.records.is_empty()
            && cell.due_at == row.due_at
            && cell.blocked_on == row.blocked_on;
        if state.is_undoing() {
            crash::at(Point::UndoStep);
        }
        if sabotage::is(Bug::DispatchFirst) {
            self.dispatch(works.clone())
        }
        let batch = (!idle).then_some(batch);
        Ok(Ready { key, slot, cell, state, row, works, mail, batch, limited, notices, ends, listened })
    }

    /// Lets the outside know what was committed; or forgets the state, when it was not.
    pub(crate) fn settled(
        self: &Arc<Self>,
        ready: Ready,
        done: Result<(), CommitError>,
    ) -> Result<Advanced, Problem> {
        let Ready {
            key,
            slot,
            mut cell,
            mut state,
            row,
            works,
            mail,
            batch: _,
            limited,
            notices,
            ends,
            listened,
        } = ready;
        if let Err(error) = done {
            // The state in memory is ahead of the store: it is dropped, and the store is the truth again.
            if sabotage::is(Bug::KeepAhead) {
                cell.state = Some(state.clone())
            } else {
                self.hot.forget(&key, &slot, &mut cell);
            }
            drop(cell);
            self.take_back(&error, &state, works);
            if !limited.is_empty() {
                self.stand_in_line_later(&state.started);
            }
            return Err(commit_problem(&error));
        }
        crash::at(Point::StepAcknowledged);
        if state.is_undoing() {
            crash::at(Point::UndoStepped);
        }
        self.settle_places(&state, &limited);
        self.note_listener(&mut state, listened);
        self.after_commit(&row, &state, notices);
        if ends {
            self.figures.ended(&state, row.updated_at);
            self.schedules.ended(&state.started.tenant, &state.started.execution, row.updated_at);
        }
        self.keep(&key, &slot, &mut cell, state, &row);
        drop(cell);
        self.post(mail);
        let works = if sabotage::is(Bug::DispatchFirst) { Vec::new() } else { works };
        self.dispatch(works);
        Ok(Advanced { row })
    }

    /// The slot of an execution, locked, with its state loaded.
    async fn locked(&self, key: &Key) -> Result<(Slot, OwnedMutexGuard<Cell>), Problem> {
        let (slot, mut cell) = self.hot.locked(key).await;
        if cell.state.is_none() {
            match Box::pin(self.brought_back_with_row(&key.0, &key.1)).await {
                Ok(loaded) => cell.fill(loaded),
                Err(problem) => {
                    self.hot.forget(key, &slot, &mut cell);
                    return Err(problem);
                }
            }
        }
        Ok((slot, cell))
    }

    /// What judging needs that does not depend on the state.
    async fn first_grounds(&self, tenant: &TenantId) -> Result<Grounds, Problem> {
        // People first: a token that is revoked after this is noticed by its number.
        let people = self.people_of(tenant).await?;
        Ok(Grounds { policies: self.policies_of(tenant).await?, people, approvals: Vec::new(), signed: None })
    }

    /// Reads the approvals that requested effects rest on, and the signed plan; what this very step puts counts as it will
    /// be.
    async fn approvals_of(
        &self,
        state: &Execution,
        puts: &[Put],
        grounds: &mut Grounds,
    ) -> Result<(), Problem> {
        if state.end.is_none() {
            grounds.signed = self.signed_plan(state, puts).await?;
        }
        for number in state.requested() {
            let Some(effect) = state.effect(number).filter(|effect| effect.approved.is_some()) else {
                continue;
            };
            let Some(id) = &effect.approval else { continue };
            let decided = puts.iter().find_map(|put| match put {
                Put::Approval(approval) if approval.id == *id => Some((**approval).clone()),
                _ => None,
            });
            let approval = match decided {
                Some(approval) => Some(approval),
                None => {
                    self.store.approval(&state.started.tenant, id).await.map_err(|e| store_problem(&e))?
                }
            };
            grounds.approvals.extend(approval);
        }
        Ok(())
    }

    /// Judges what the state requests, until nothing is requested or a control holds it.
    fn pass_gate(
        &self,
        state: &mut Execution,
        grounds: &Grounds,
        events: &mut Vec<Event>,
        now: Timestamp,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        // A stop, or want of room, may hold one effect and let its neighbour in another branch go.
        let mut held = BTreeSet::new();
        let mut judgements = 0;
        while let Some(number) = state.requested().iter().copied().find(|n| !held.contains(n)) {
            if judgements == JUDGEMENTS_MAX {
                outcome.more = true;
                break;
            }
            let Some(effect) = state.effect(number) else { break };
            let judgement = match self.judge(state, effect, grounds, now) {
                Gate::Judged(judgement) => judgement,
                Gate::Held(holds) => {
                    let everything = holds == ControlName::KillSwitch.name();
                    outcome.held.get_or_insert_with(|| format!("control:{holds}"));
                    held.insert(number);
                    if everything || held.len() == JUDGEMENTS_MAX {
                        break;
                    }
                    continue;
                }
            };
            judgements += 1;
            let judgement = match self.with_room(state, effect, judgement) {
                Ok(judgement) => judgement,
                Err(full) => {
                    outcome.limited.extend(full.by_limit().then_some(number));
                    outcome.held.get_or_insert_with(|| full.name());
                    held.insert(number);
                    continue;
                }
            };
            if let Judgement::Ask { verdict, awaited, digest } = &judgement {
                let approval = opened(state, effect, verdict, awaited, *digest, now);
                outcome.puts.push(Put::Approval(Box::new(approval.clone())));
                outcome.approvals.push(approval);
                // The one that it takes the place of was approved, and is never used. One that was used stays so.
                let unused = effect.attempts.iter().all(|attempt| attempt.answer == Some("void"));
                let before = effect.approval.as_ref().filter(|_| unused).and_then(|id| grounds.approval(id));
                if let Some(before) = before.filter(|approval| approval.status == ApprovalStatus::Approved) {
                    let approval = Approval { status: ApprovalStatus::Withdrawn, ..before.clone() };
                    outcome.puts.push(Put::Approval(Box::new(approval)));
                    outcome.voided.push((before.id.clone(), effect.number));
                }
            }
            let fence = match &judgement {
                Judgement::Permit { epoch, lease, .. } => Some(Fence { epoch: *epoch, lease: *lease }),
                _ => None,
            };
            match engine::step(state, Input::Judged(number, judgement), now) {
                Ok(step) => events.extend(step.events),
                Err(rejected) => {
                    tracing::error!(execution.id = %state.started.execution, error = %rejected, "a judgement was rejected");
                    break;
                }
            }
            if let Some(fence) = fence
                && let Some(work) = work_of(&self.wire, state, number, fence, grounds.people.revocations)
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
        mut outcome: Outcome,
        caller: Option<&Caller>,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(Arc<ExecutionRow>, Vec<Work>, Vec<Message>), Problem> {
        let tenant = &state.started.tenant;
        withdraw_given_up(state, &mut outcome.puts, now);
        let mut row = row_of(state, outcome.held.as_deref(), now);
        if state.pending
            && let Some(limit) = self.line_of(&state.started)
            && row.blocked_on.as_deref().is_some_and(|b| b.starts_with("limit:"))
        {
            row.blocked_on = Some(format!("limit:{limit}"));
        }
        if outcome.more {
            row.due_at = Some(now);
        }
        let row = Arc::new(row);
        let told_before = std::mem::take(&mut batch.records);
        batch.leaves = told_before
            .iter()
            .map(audit::Record::leaf)
            .collect::<Result<_, _>>()
            .map_err(Problem::machine)?;
        let mut leaves = record::of_events(state, &events, caller).map_err(Problem::machine)?;
        if sabotage::is(Bug::LeafSwapped) {
            leaves.reverse()
        }
        // The log reads as a story: outcomes come before the end that they led to.
        let end = match events.last() {
            Some(Event { body: EventBody::Ended { .. }, .. }) => leaves.pop(),
            _ => None,
        };
        batch.leaves.append(&mut leaves);
        for effect in state.effects.iter().filter(|e| e.settled_at == Some(state.now) && !events.is_empty()) {
            let told = outcome.settled_before.contains(&effect.number)
                || events.iter().any(|event| answers(event, effect.number));
            if effect.outcome.is_some() && !told {
                batch.leaves.push(record::of_outcome(state, effect).map_err(Problem::machine)?);
            }
        }
        batch.leaves.extend(end);
        for (approval, effect) in &outcome.voided {
            let resource = format!("executions/{}/effects/{}", state.started.execution, effect.0);
            batch.records.push(record::by_system(
                tenant,
                now,
                "approval.voided",
                resource,
                state.started.execution.as_str(),
                serde_json::json!({ "approval": approval }),
            ));
        }
        for approval in &outcome.approvals {
            let details = serde_json::json!({
                "approval": approval.id, "operation": approval.operation, "digest": approval.digest,
                "expires_at": approval.expires_at.to_rfc3339(), "approvers": approval.quorum.approvers,
            });
            let resource = format!("executions/{}/effects/{}", state.started.execution, approval.effect.0);
            batch.records.push(record::by_system(
                tenant,
                now,
                "approval.requested",
                resource,
                state.started.execution.as_str(),
                details,
            ));
        }
        let mut mail = crate::family::messages(state, &events, &outcome.family);
        mail.extend(self.emitted(state, before, batch, now)?);
        batch.puts.extend(crate::events::listener_put(state, outcome.family.listening.as_deref()));
        for message in &mail {
            batch.puts.push(message.put()?);
        }
        batch.puts.extend(outcome.puts);
        // What most steps have nothing of is in a box, so that they do not carry room for it.
        if concerns_approvals(state, &events) {
            batch.puts.extend(Box::pin(self.closed_approvals(state, &events, now)).await?);
        }
        if state.effects.iter().any(|effect| effect.parked_at.is_some()) {
            batch.puts.extend(Box::pin(self.dead_letters_of(state, &events, &row, now)).await?);
        }
        batch.puts.push(Put::Execution(Arc::clone(&row)));
        for event in events.iter_mut().filter(|event| may_be_large(event)) {
            Box::pin(self.offload(tenant, event)).await?;
        }
        if !events.is_empty() {
            batch.events = Some((tenant.clone(), state.started.execution.clone(), before, events));
        }
        Ok((row, outcome.works, mail))
    }

    /// Commits what was made in a turn: the turn is over, and a place before the writer is taken instead.
    async fn commit_in_turn(&self, batch: Batch, turn: Option<Turn>) -> Result<(), CommitError> {
        let _place = match turn {
            Some(turn) => Some(self.writing.instead_of(turn).await),
            None => None,
        };
        self.commit_step(batch).await
    }

    /// Commits one batch under the lease of this process. Once the lease is lost nothing is permitted any more.
    pub(crate) async fn commit_step(&self, mut batch: Batch) -> Result<(), CommitError> {
        if sabotage::is(Bug::AckEarly) {
            batch.lease = Some(self.lease);
            return crate::sabotaged::acknowledged_early(&self.store, batch);
        }
        if sabotage::is(Bug::LeafApart) {
            batch.lease = Some(self.lease);
            batch = Box::pin(self.leaves_first(batch)).await;
        }
        let done = self.commit_steps(vec![batch]).await.pop();
        done.unwrap_or_else(|| Err(unanswered()))
    }

    /// Commits batches of several executions, as [`App::commit_step`]; each is answered for itself, in their order.
    pub(crate) async fn commit_steps(&self, mut batches: Vec<Batch>) -> Vec<Result<(), CommitError>> {
        for batch in &mut batches {
            batch.lease = Some(self.lease);
        }
        let (count, begun) = (batches.len(), Instant::now());
        let mut done = self.store.commit(batches).await;
        self.admission.committed(begun.elapsed());
        done.resize_with(count, || Err(unanswered()));
        done.into_iter().map(|done| self.heard(done)).collect()
    }

    fn heard(&self, done: Result<store::Committed, CommitError>) -> Result<(), CommitError> {
        match done {
            Ok(_) => Ok(()),
            Err(CommitError::Failed(_)) if sabotage::is(Bug::AckFailure) => Ok(()),
            Err(error) => {
                if let CommitError::Fenced { newest, .. } = &error
                    && !self.fenced.swap(true, Ordering::AcqRel)
                {
                    tracing::error!(
                        lease = self.lease,
                        newest,
                        "another process leads the store: this one starts nothing any more; restart it"
                    );
                }
                Err(error)
            }
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
        let holds = row.blocked_on.as_deref().and_then(|on| on.strip_prefix("control:"));
        if holds.is_some_and(|holds| !self.switches.now().stands(holds)) {
            self.release_held();
        }
    }

    /// Keeps what is under way in memory, and drops what waits, after a step that made this row.
    fn keep(&self, key: &Key, slot: &Slot, cell: &mut Cell, state: Box<Execution>, row: &ExecutionRow) {
        cell.due_at = row.due_at;
        cell.blocked_on.clone_from(&row.blocked_on);
        // What was told that there is no room is not done, and counted there.
        let turned_away = row.blocked_on.as_deref().is_some_and(|on| on.starts_with("worker:"));
        let at_work = cell.at_work.take();
        self.keep_state(key, slot, cell, state);
        match at_work {
            Some(at_work) if cell.state.is_some() => cell.at_work = Some(at_work),
            Some(at_work) if !turned_away => at_work.done(),
            Some(_) => {}
            None if cell.state.is_some() => {
                cell.at_work = Some(self.admission.backlog.enter(&key.0, Instant::now()));
            }
            None => {}
        }
    }

    /// Keeps what is under way in memory, and drops what waits, when nothing was changed.
    fn keep_state(&self, key: &Key, slot: &Slot, cell: &mut Cell, state: Box<Execution>) {
        // What another execution does is not under way in this process.
        let performs =
            |effect: &engine::Effect| effect.phase == Phase::Started && !effect.request.is_execution();
        if state.open_effects().any(performs) {
            cell.state = Some(state);
        } else {
            self.hot.forget(key, slot, cell);
        }
    }
}

fn unanswered() -> CommitError {
    CommitError::Failed("the store answered nothing to a batch".to_owned())
}
