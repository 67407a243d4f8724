//! Compensation: what is armed, and how it is undone.
//!
//! Each thread has a stack of what it armed. An effect whose contract names a compensation is armed before it is sent,
//! and disarmed when it turns out not to have happened. Whoever fails or is stopped undoes its stack newest first, one
//! at a time; each undo is an effect like any other: judged, permitted, repeated and verified by its own contract. An
//! undo that fails is parked, and nothing behind it is undone before a person had a look.

use std::sync::Arc;

use dsl::plan::Action;
use model::action::ActionRef;
use model::effect::EffectNumber;
use model::event::Mode;
use model::id::PrincipalId;
use model::problem::WorkflowError;
use model::sabotage::{self, Bug};
use model::{Outcome, Value};
use serde::{Deserialize, Serialize};

use crate::ARMED_MAX;
use crate::effects::{Purpose, action_var, describe};
use crate::flow::Signal;
use crate::returning::Returning;
use crate::scope::check_schema;
use crate::state::{End, Execution};
use crate::thread::{Course, ThreadId};

/// Entries of [`Execution::undone`] at the most; later ones are undone all the same, and stand in the history.
const REPORT_MAX: usize = 10_000;

/// Something on the compensation stack.
#[derive(Debug, Clone)]
pub(crate) enum Armed {
    /// An effect whose contract says how it is undone.
    Effect(EffectNumber),
    /// An action that `on-rollback` armed, with its arguments.
    Action { action: ActionRef, arguments: Value, task: Arc<str>, key: String },
    /// A place that `rollback` can return to.
    Savepoint(Arc<str>),
}

/// A thread that undoes what it did.
#[derive(Debug, Clone)]
pub(crate) struct Unwinding {
    /// How much of the stack stays.
    pub(crate) to: usize,
    /// What follows.
    pub(crate) after: After,
    /// The undo under way.
    pub(crate) undo: Option<EffectNumber>,
    /// Why the undo of what is on top cannot even be made.
    pub(crate) stuck: Option<String>,
}

impl Unwinding {
    /// True when the flow goes on behind it.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.after, After::Raise(_) | After::GoOn)
    }
}

/// What follows when a thread has undone what it had to.
#[derive(Debug, Clone)]
pub(crate) enum After {
    /// It fails.
    Fault(WorkflowError),
    /// The execution ends as cancelled, for this reason.
    Cancel(String),
    /// It is given up.
    Abandoned,
    /// It goes on with an error.
    Raise(WorkflowError),
    /// It goes on behind a `rollback`.
    GoOn,
    /// The flow goes on from the point that it went back to.
    Return(Returning),
}

/// One entry of the report: something that was undone, or was to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// The effect that it was about; none for an action that `on-rollback` armed.
    pub effect: Option<EffectNumber>,
    /// The operation that was undone; for an armed action that action itself.
    pub operation: String,
    /// The effect that undid it; none when it could not even be made.
    pub undone_by: Option<EffectNumber>,
    /// Whether the undo is real.
    pub outcome: Outcome,
}

impl Execution {
    /// Everything that is armed in the live thread.
    pub(crate) fn arm(&mut self, armed: Armed) -> Result<(), WorkflowError> {
        if self.live.armed.len() >= ARMED_MAX {
            let detail =
                format!("more than {ARMED_MAX} entries on the compensation stack: release what is settled");
            return Err(WorkflowError::standard("runtime", 500, "Budget Spent", detail));
        }
        self.live.armed.push(armed);
        Ok(())
    }

    /// Arms an effect that is about to be sent, when its contract says how it is undone.
    pub(crate) fn arm_effect(&mut self, number: EffectNumber) {
        let effect = self.effect_mut(number);
        if effect.has_undo() && !effect.armed && effect.probe_of.is_none() {
            effect.armed = true;
            // Sent is sent: an effect is armed even when the stack is full of savepoints.
            self.live.armed.push(Armed::Effect(number));
        }
    }

    /// Takes an effect that did not happen off the stack.
    pub(crate) fn disarm(&mut self, number: EffectNumber) {
        self.effect_mut(number).armed = false;
        let drop_from = |armed: &mut Vec<Armed>| {
            let found = armed.iter().rposition(|item| matches!(item, Armed::Effect(n) if *n == number));
            found.map(|position| armed.remove(position)).is_some()
        };
        if !drop_from(&mut self.live.armed) {
            self.threads.values_mut().any(|thread| drop_from(&mut thread.armed));
        }
    }

    /// `checkpoint`
    pub(crate) fn savepoint(&mut self, name: &Arc<str>) -> Result<(), WorkflowError> {
        self.arm(Armed::Savepoint(Arc::clone(name)))
    }

    /// `on-rollback`: everything that can be wrong with the undo is wrong here, where the flow can still do something.
    pub(crate) fn arm_action(
        &mut self,
        reference: &ActionRef,
        arguments: Value,
    ) -> Result<(), WorkflowError> {
        let task = self.top_pointer();
        let key = format!("{}/undo", self.default_key(&task));
        let definition = Arc::clone(&self.definition);
        let action = definition.actions.get(reference).ok_or_else(|| not_pinned(reference))?;
        if let Some(schema) = &action.input {
            check_schema(schema, &arguments, &format!("an argument of `{reference}`"))?;
        }
        let sent = self.key_of(action, &arguments, key.clone())?;
        self.action_request(action, &arguments, &sent)?;
        self.arm(Armed::Action { action: reference.clone(), arguments, task, key })
    }

    /// `rollback`: undoes what was armed since a savepoint, or everything that the live thread has armed.
    pub(crate) fn roll_back(&mut self, to: Option<&Arc<str>>) -> Result<Signal, WorkflowError> {
        let to = match to {
            Some(name) => self.savepoint_at(name)? + 1,
            None => 0,
        };
        Ok(self.unwind(to, After::GoOn))
    }

    /// `release`: what was armed since a savepoint, or everything in the live thread, is not undone any more.
    pub(crate) fn release(&mut self, from: Option<&Arc<str>>) -> Result<(), WorkflowError> {
        let from = match from {
            Some(name) => self.savepoint_at(name)?,
            None => 0,
        };
        for item in self.live.armed.split_off(from) {
            self.forget_armed(&item);
        }
        Ok(())
    }

    fn savepoint_at(&self, name: &Arc<str>) -> Result<usize, WorkflowError> {
        let found = self.live.armed.iter().rposition(|item| matches!(item, Armed::Savepoint(n) if n == name));
        found.ok_or_else(|| {
            let detail = format!("the flow has not come to a checkpoint `{name}`, or has released it");
            WorkflowError::standard("configuration", 400, "Configuration Error", detail)
        })
    }

    /// What is armed is no longer undone.
    pub(crate) fn forget_armed(&mut self, item: &Armed) {
        if let Armed::Effect(number) = item {
            let effect = self.effect_mut(*number);
            effect.armed = false;
            if effect.outcome.is_some() {
                self.effects.over.push(*number);
            }
        }
    }

    /// Stops the live thread: what it waits for is given up, its branches are stopped, and it undoes what it did.
    pub(crate) fn stop(&mut self, after: After) -> Signal {
        match &mut self.live.course {
            Course::Failed(_) | Course::Cancelled => return Signal::Blocked,
            Course::Stopping(held) => {
                *held = after;
                return Signal::Blocked;
            }
            Course::Unwinding(unwinding) => {
                unwinding.to = 0;
                unwinding.after = after;
                self.drop_frames();
                return self.unwind_on();
            }
            Course::Running | Course::Ended(_) => {}
        }
        self.abandon_above(0);
        self.trace_faults();
        self.live.course = Course::Stopping(after);
        if let Some(signal) = self.stopped_with() {
            return signal;
        }
        self.drop_frames();
        match std::mem::replace(&mut self.live.course, Course::Running) {
            Course::Stopping(after) => self.unwind(0, after),
            other => {
                self.live.course = other;
                Signal::Blocked
            }
        }
    }

    /// A branch that is stopped stands nowhere any more: the effects at which it stood may be forgotten. The first thread
    /// keeps its place for a retry.
    fn drop_frames(&mut self) {
        if !self.in_root() {
            self.cut(0);
        }
    }

    /// Undoes what the live thread has armed, down to `to` entries.
    pub(crate) fn unwind(&mut self, to: usize, after: After) -> Signal {
        if sabotage::is(Bug::UndoOldestFirst) {
            self.live.armed[to..].reverse()
        }
        self.live.course = Course::Unwinding(Box::new(Unwinding { to, after, undo: None, stuck: None }));
        self.unwind_on()
    }

    /// The next undo of the live thread, when it is unwinding and none is under way.
    pub(crate) fn unwind_on(&mut self) -> Signal {
        loop {
            let Course::Unwinding(unwinding) = &self.live.course else { return Signal::Blocked };
            if unwinding.undo.is_some() || unwinding.stuck.is_some() {
                return Signal::Blocked;
            }
            // What people choose later may have to be undone earlier.
            if matches!(unwinding.after, After::Return(_)) && self.asks_about().is_some() {
                return Signal::Blocked;
            }
            let item = if self.live.armed.len() > unwinding.to { self.live.armed.last() } else { None };
            match item {
                None => return self.unwound(),
                Some(Armed::Savepoint(_)) => {
                    self.live.armed.pop();
                    continue;
                }
                // It is on the wire: its undo must not overtake it.
                Some(Armed::Effect(number))
                    if self.effect_ref(*number).outcome.is_none() && !sabotage::is(Bug::UndoOvertakes) =>
                {
                    return Signal::Blocked;
                }
                Some(Armed::Effect(_) | Armed::Action { .. }) => {}
            }
            let requested = self.request_undo();
            let newest = EffectNumber(self.effects.requested());
            let Course::Unwinding(unwinding) = &mut self.live.course else { return Signal::Blocked };
            match requested {
                Ok(_) => unwinding.undo = Some(newest),
                Err(error) => {
                    unwinding.stuck = Some(format!("its undo cannot be made: {}", describe(&error)))
                }
            }
        }
    }

    /// Requests the undo of what is on top of the stack.
    fn request_undo(&mut self) -> Result<Signal, WorkflowError> {
        if let Some(Armed::Effect(number)) = self.live.armed.last()
            && let model::Request::Workflow(workflow) = &self.effect_ref(*number).request
        {
            return self.request_unwind(*number, &workflow.clone());
        }
        let (reference, arguments, task, key, of) = match self.live.armed.last() {
            Some(Armed::Action { action, arguments, task, key }) => {
                (action.clone(), arguments.clone(), Arc::clone(task), key.clone(), None)
            }
            Some(Armed::Effect(number)) => {
                let effect = self.effect_ref(*number);
                let missing = || not_pinned_text(&effect.operation);
                let action: &Arc<Action> = effect.action.as_ref().ok_or_else(missing)?;
                let (reference, with) = action.compensate.as_ref().ok_or_else(missing)?;
                let var = action_var(action, &effect.key, effect.output.as_ref(), Some(&effect.arguments));
                let arguments = self
                    .outer_scope()
                    .with("input", &effect.arguments)
                    .with("action", &var)
                    .fill(with, &effect.arguments)?;
                let key = format!("{}/undo", effect.key);
                (reference.clone(), arguments, Arc::clone(&effect.task), key, Some(*number))
            }
            Some(Armed::Savepoint(_)) | None => return Ok(Signal::Blocked),
        };
        self.begin_action(&reference, arguments, Purpose::Undo { of, task, key })
    }

    /// An undo has settled: the next one follows.
    pub(crate) fn undo_settled(&mut self, undo: EffectNumber) -> Signal {
        let effect = self.effect_ref(undo);
        let (thread, outcome) = (effect.thread, effect.outcome.unwrap_or(Outcome::Unknown));
        if !self.enter(thread) {
            return Signal::Blocked;
        }
        let Course::Unwinding(unwinding) = &mut self.live.course else { return Signal::Blocked };
        if unwinding.undo != Some(undo) {
            return Signal::Blocked;
        }
        unwinding.undo = None;
        self.report(Some(undo), outcome);
        Signal::Unwind
    }

    /// An operator gives up on an undo: on one that is parked, or on the effect whose undo cannot even be made.
    pub(crate) fn forced(&mut self, number: EffectNumber, by: &PrincipalId, reason: &str) -> Signal {
        if self.is_parked_undo(number) {
            self.settle(number, Outcome::Unknown, format!("given up by {by}: {reason}"));
            return self.undo_settled(number);
        }
        let Some(thread) = self.stuck_at(number) else { return Signal::Blocked };
        self.enter(thread);
        if let Course::Unwinding(unwinding) = &mut self.live.course {
            unwinding.stuck = None;
        }
        if self.effect_ref(number).outcome != Some(Outcome::Unknown) {
            self.unknown += 1;
        }
        self.report(None, Outcome::Unknown);
        Signal::Unwind
    }

    /// Whether an effect is an undo that waits for a person.
    pub(crate) fn is_parked_undo(&self, number: EffectNumber) -> bool {
        self.effect(number)
            .is_some_and(|effect| effect.undo && matches!(effect.phase, crate::state::Phase::Parked { .. }))
    }

    /// The thread that cannot make the undo of this effect.
    pub(crate) fn stuck_at(&self, number: EffectNumber) -> Option<ThreadId> {
        self.all_threads()
            .find(|thread| {
                matches!(&thread.course, Course::Unwinding(unwinding) if unwinding.stuck.is_some())
                    && matches!(thread.armed.last(), Some(Armed::Effect(n)) if *n == number)
            })
            .map(|thread| thread.id)
    }

    /// What is on top of the live thread's stack is done with.
    fn report(&mut self, undone_by: Option<EffectNumber>, outcome: Outcome) {
        let Some(item) = self.live.armed.pop() else { return };
        let (effect, operation) = match &item {
            Armed::Effect(number) => {
                let effect = self.effect_mut(*number);
                effect.undone_by = undone_by;
                // Whether it happened no longer matters: it is certain that it is undone.
                let settled = outcome == Outcome::Verified && effect.outcome == Some(Outcome::Unknown);
                let operation = effect.operation.clone();
                self.unknown -= u32::from(settled);
                if self.live.returns() {
                    self.undone_behind(*number, outcome);
                }
                (Some(*number), operation)
            }
            Armed::Action { action, .. } => (None, action.to_string()),
            Armed::Savepoint(_) => return,
        };
        self.forget_armed(&item);
        if self.undone.len() < REPORT_MAX {
            self.undone.push(Undone { effect, operation, undone_by, outcome });
        }
        let faults = matches!(&self.live.course, Course::Unwinding(u) if matches!(u.after, After::Fault(_)));
        self.undid |= faults && self.in_root();
    }

    /// The live thread has undone what it had to.
    fn unwound(&mut self) -> Signal {
        let Course::Unwinding(unwinding) = std::mem::replace(&mut self.live.course, Course::Running) else {
            return Signal::Blocked;
        };
        match unwinding.after {
            After::Fault(error) if self.in_root() => {
                self.end_faulted(error);
                Signal::Blocked
            }
            After::Fault(error) => {
                self.cut(0);
                self.live.course = Course::Failed(error);
                Signal::Settled
            }
            After::Cancel(reason) => {
                self.end = Some(End::Cancelled(reason));
                self.end_recorded = false;
                Signal::Blocked
            }
            After::Abandoned => {
                self.cut(0);
                self.live.course = Course::Cancelled;
                Signal::Settled
            }
            After::Raise(error) => Signal::Raise(error),
            After::GoOn => {
                Signal::Complete(self.live.top_task().map_or(Value::NULL, |frame| frame.input.clone()))
            }
            After::Return(returning) => self.returned(returning),
        }
    }

    /// An effect may have happened and cannot be looked at, or did not do what was promised: it is undone at once,
    /// before its error goes on.
    pub(crate) fn undone_first(&mut self, number: EffectNumber, error: WorkflowError) -> Signal {
        let position =
            self.live.armed.iter().rposition(|item| matches!(item, Armed::Effect(n) if *n == number));
        match position {
            Some(position) if self.waits_for(number) => {
                let mut error = error;
                error.instance.get_or_insert_with(|| self.effect_ref(number).task.to_string());
                self.unwind(position, After::Raise(error))
            }
            _ => Signal::Blocked,
        }
    }

    /// Threads that wait for an effect on the wire look again.
    pub(crate) fn poke_unwinding(&mut self) {
        let waiting: Vec<ThreadId> = self
            .all_threads()
            .filter(|thread| matches!(thread.course, Course::Unwinding(_)))
            .map(|thread| thread.id)
            .collect();
        self.ready.extend(waiting.into_iter().map(|id| (id, Signal::Unwind)));
    }

    /// Whether it is on its way to its end by an operator.
    pub(crate) fn is_cancelling(&self) -> bool {
        self.all_threads().any(|thread| match &thread.course {
            Course::Stopping(after) => matches!(after, After::Cancel(_)),
            Course::Unwinding(unwinding) => match &unwinding.after {
                After::Return(returning) => returning.cancel.is_some(),
                after => matches!(after, After::Cancel(_)),
            },
            Course::Running | Course::Ended(_) | Course::Failed(_) | Course::Cancelled => false,
        })
    }

    /// Why an undo cannot even be made, and of which effect, when that is so.
    pub fn stuck(&self) -> Option<(EffectNumber, &str)> {
        self.all_threads().find_map(|thread| match (&thread.course, thread.armed.last()) {
            (Course::Unwinding(unwinding), Some(Armed::Effect(number))) => {
                unwinding.stuck.as_deref().map(|why| (*number, why))
            }
            _ => None,
        })
    }

    /// Whether an undo may be taken as done on a prediction: in an execution that only ever predicts.
    pub(crate) fn predicts_undo(&self) -> bool {
        self.started.mode == Mode::Advisory
    }

    /// Ends at once, undoing nothing. What is armed stays on the first thread's stack, to be told.
    pub(crate) fn end_forced(&mut self) {
        self.give_up_everything();
        self.enter(ThreadId::ROOT);
        self.ready.clear();
        for (_, thread) in std::mem::take(&mut self.threads) {
            self.live.armed.extend(thread.armed);
        }
        self.live.course = Course::Running;
        self.trace_faults();
    }

    /// The end that the execution was going to, for histories of a time when nothing was undone.
    pub(crate) fn end_as_recorded(&mut self) {
        self.enter(ThreadId::ROOT);
        let course = std::mem::replace(&mut self.live.course, Course::Running);
        let after = match course {
            Course::Stopping(after) => Some(after),
            Course::Unwinding(unwinding) => Some(unwinding.after),
            other => {
                self.live.course = other;
                None
            }
        };
        match after {
            Some(After::Fault(error) | After::Raise(error)) => {
                self.end_forced();
                self.end_faulted(error);
            }
            Some(After::Cancel(reason)) => {
                self.end_forced();
                self.end = Some(End::Cancelled(reason));
            }
            Some(After::Abandoned | After::GoOn | After::Return(_)) | None => {}
        }
    }
}

fn not_pinned(reference: &ActionRef) -> WorkflowError {
    not_pinned_text(&reference.to_string())
}

fn not_pinned_text(what: &str) -> WorkflowError {
    let detail = format!("`{what}` is not pinned");
    WorkflowError::standard("configuration", 400, "Configuration Error", detail)
}
