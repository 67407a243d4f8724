//! Applies events. Cannot fail: replaying a history gives the same state on every machine.

use std::sync::Arc;

use dsl::Definition;
use dsl::plan::TaskKind;
use model::effect::EffectNumber;
use model::event::{ApprovalDecision, CancelMode, Event, EventBody, Started};
use model::problem::WorkflowError;
use model::verdict::Decision;
use model::{Timestamp, Value};

use crate::asking::Granted;
use crate::flow::Signal;
use crate::kept::Effects;
use crate::listen::Signalled;
use crate::scope::{check_schema, moment};
use crate::state::{Doing, End, Execution, Frame, ListFrame, Part, Phase, TryPhase};
use crate::thread::{Thread, ThreadId};
use crate::unwind::After;

impl Execution {
    /// The state right after the first event.
    pub(crate) fn begin(
        definition: Arc<Definition>,
        started: Arc<Started>,
        at: Timestamp,
        tracing: bool,
        told: Option<crate::lifecycle::Told>,
    ) -> Self {
        let input = started.labelled_input();
        let workflow_var = workflow_var(&definition, &started, input.clone(), at);
        let pending = started.placing.queued.is_some();
        let editor = started.family.parent.as_ref().and_then(|parent| parent.editor.clone());
        let mut state = Self {
            definition,
            started,
            started_at: at,
            version: 1,
            now: at,
            effects: Effects::default(),
            unknown: 0,
            undone: Vec::new(),
            undid: false,
            refuted: false,
            end: None,
            end_recorded: false,
            paused: false,
            pending,
            trace: tracing.then(Vec::new),
            told,
            foresight: None,
            entries: std::collections::BTreeMap::new(),
            emitted: Vec::new(),
            children: 0,
            undo_for: None,
            inbox: crate::listen::Inbox::default(),
            updates: crate::updates::Updates::default(),
            workflow_var,
            runtime_var: runtime_var(),
            live: Thread::root(Value::object::<&str>([])),
            threads: std::collections::BTreeMap::new(),
            threads_begun: 1,
            ready: std::collections::VecDeque::new(),
            open: Vec::new(),
            transitions: 0,
            meter: crate::meter::Meter::default(),
            behind: Vec::new(),
            editor,
        };
        if !state.pending {
            let signal = state.enter_workflow(input);
            state.run(signal);
            state.enter(ThreadId::ROOT);
        }
        state
    }

    pub(crate) fn enter_workflow(&mut self, raw: Value) -> Signal {
        let definition = Arc::clone(&self.definition);
        if let Some(schema) = &definition.input.schema
            && let Err(error) = check_schema(schema, &raw, "the workflow's input")
        {
            return self.fault(error);
        }
        let data = match &definition.input.from {
            Some(from) => self.outer_scope().with("input", &raw).fill(from, &raw),
            None => Ok(raw),
        };
        match data {
            Ok(data) => {
                self.live.stack.push(Frame::List(ListFrame {
                    owner: None,
                    part: Part::Body,
                    position: 0,
                    data,
                }));
                Signal::Next
            }
            Err(error) => self.fault(error),
        }
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &Event) {
        self.version += 1;
        self.forget_emitted();
        self.now = event.at;
        self.transitions = 0;
        self.meter = crate::meter::Meter::default();
        if self.trace.is_none() {
            let used = match self.live.top_task().map(|frame| &frame.doing) {
                Some(Doing::Effect(number)) => Some(*number),
                _ => None,
            };
            self.effects.forget(event.at, used);
        }
        // What is settled stays settled, whatever a history says of it later; kept or forgotten, it is the same.
        let over = effect_of(&event.body)
            .is_some_and(|number| self.effect(number).is_none_or(|e| e.outcome.is_some()));
        let signal = if over {
            Signal::Blocked
        } else {
            let thread = effect_of(&event.body).and_then(|number| self.effect(number)).map(|e| e.thread);
            // The thread of an effect that nobody waits for may be gone: nothing goes on then.
            if let Some(thread) = thread {
                self.enter(thread);
            }
            self.react(&event.body)
        };
        self.run(signal);
        self.enter(ThreadId::ROOT);
    }

    fn react(&mut self, body: &EventBody) -> Signal {
        match body {
            EventBody::Started(_) => Signal::Blocked,
            EventBody::Judged { effect, digest, verdict, approval } => {
                self.effect_mut(*effect).verdict = Some(Arc::clone(verdict));
                self.effect_mut(*effect).judged = Some(*digest);
                match (&verdict.decision, approval) {
                    (Decision::RequireApproval(_), Some(awaited)) => {
                        let effect = self.effect_mut(*effect);
                        effect.approval = Some(awaited.id.clone());
                        effect.approved = None;
                        effect.granted = None;
                        effect.phase = Phase::AwaitingApproval { expires_at: awaited.expires_at };
                        Signal::Blocked
                    }
                    (Decision::Deny, _) => {
                        let detail = format!(
                            "policy denies `{}`: {}",
                            self.effect_ref(*effect).operation,
                            verdict.reasons.join("; ")
                        );
                        self.denied(
                            *effect,
                            WorkflowError::governed("policy-denied", 403, "Policy Denied", detail),
                        )
                    }
                    (Decision::Allow, _) | (Decision::RequireApproval(_), None) => Signal::Blocked,
                }
            }
            EventBody::Barred { effect, reason } => self.denied(
                *effect,
                WorkflowError::governed("not-allowed", 403, "Operation Not Allowed", reason.clone()),
            ),
            EventBody::ApprovalDecided { effect, approval: _, decision, by, reason, answer } => {
                let denied = |status| {
                    let detail = match by {
                        Some(by) => format!("rejected by {by}: {reason}"),
                        None => reason.clone(),
                    };
                    WorkflowError::governed("approval-denied", status, "Approval Denied", detail)
                };
                let Phase::AwaitingApproval { expires_at } = self.effect_ref(*effect).phase else {
                    return Signal::Blocked;
                };
                match decision {
                    ApprovalDecision::Approved => {
                        let effect = self.effect_mut(*effect);
                        effect.approved = effect.judged;
                        effect.approved_until = Some(expires_at);
                        effect.granted = Granted::of(&effect.request, by.as_ref(), reason, answer.as_ref());
                        effect.phase = Phase::Requested;
                        Signal::Blocked
                    }
                    ApprovalDecision::Rejected => self.denied(*effect, denied(403)),
                    ApprovalDecision::Expired => self.denied(*effect, denied(408)),
                }
            }
            EventBody::Edited { effect, arguments, by, .. } => match self.edit(*effect, arguments, by) {
                Ok(()) => Signal::Blocked,
                Err(error) => self.denied(*effect, error),
            },
            EventBody::EffectStarted { effect, attempt, permit, lease, entry, .. } => {
                if let Some(entry) = entry {
                    let used = self.effect_ref(*effect).entry_use();
                    self.entries.entry(*entry).or_default().insert(used);
                }
                self.effect_mut(*effect).permit = Some(permit.clone());
                let now = self.now;
                self.start_attempt(*effect, *attempt, *lease, now);
                Signal::Blocked
            }
            EventBody::EffectPredicted { effect, output } => self.predicted(*effect, output),
            EventBody::EffectAnswered { effect, attempt, answer } => self.answered(*effect, *attempt, answer),
            EventBody::EffectVoided { effect, attempt, .. } => {
                let now = self.now;
                let effect = self.effect_mut(*effect);
                if let Some(entry) = effect.attempts.iter_mut().find(|a| a.number == *attempt) {
                    entry.ended_at = Some(now);
                    entry.answer = Some("void");
                }
                effect.phase = Phase::Requested;
                Signal::Blocked
            }
            EventBody::Woke => self.woke(),
            EventBody::Released => self.released(),
            EventBody::Cancelled { by, reason, mode } => {
                let reason = format!("cancelled by {by}: {reason}");
                if *mode == CancelMode::Graceful && self.end.is_none() && !self.pending {
                    return self.cancel_return(&reason).unwrap_or_else(|| self.stop(After::Cancel(reason)));
                }
                self.end_forced();
                self.end = Some(End::Cancelled(reason));
                // A faulted execution that is cancelled ends once more.
                self.end_recorded = false;
                Signal::Blocked
            }
            EventBody::Forced { effect, by, reason } => self.forced(*effect, by, reason),
            EventBody::Paused { .. } => {
                self.paused = true;
                Signal::Blocked
            }
            EventBody::Resumed { .. } => {
                self.paused = false;
                Signal::Blocked
            }
            EventBody::Signalled { .. } => match Signalled::of(body) {
                Some(signal) => self.signalled(&signal),
                None => Signal::Blocked,
            },
            EventBody::Retried { .. } => self.retried(),
            EventBody::Resolved(resolved) => self.resolved(resolved),
            // A state alone cannot go back: `replay` and `follow` do, with the history at hand.
            EventBody::Checkpoint { .. } | EventBody::Rewound(_) => Signal::Blocked,
            EventBody::Forked(forked) => self.forked(forked),
            EventBody::Chosen { effect, choice, .. } => self.chosen(*effect, *choice),
            EventBody::EffectReused { effect, of, origin } => self.reused(*effect, *of, origin.as_ref()),
            EventBody::UndoAsked { parent, effect } => self.undo_asked(parent, *effect),
            EventBody::Ended { .. } => {
                if self.end.is_none() {
                    self.end_as_recorded();
                }
                self.end_recorded = true;
                Signal::Blocked
            }
        }
    }

    /// What stood in line begins; the time in line does not count towards its time limit.
    fn released(&mut self) -> Signal {
        if !self.pending || self.end.is_some() {
            return Signal::Blocked;
        }
        self.pending = false;
        if let Some(deadline) = self.started.deadline {
            let waited = self.now.since(self.started_at);
            Arc::make_mut(&mut self.started).deadline = Some(deadline.plus(waited));
        }
        let input = self.started.labelled_input();
        self.enter_workflow(input)
    }

    /// Everything that time alone changes, outermost first.
    fn woke(&mut self) -> Signal {
        let now = self.now;
        if self.deadline().is_some_and(|at| at <= now) {
            return self.fault(WorkflowError::standard(
                "timeout",
                408,
                "Timeout",
                "the workflow's time-out struck",
            ));
        }
        let mut moved = false;
        // Whoever forks comes before its branches, so an outer time limit strikes first.
        let running = if self.returning().is_some() { Vec::new() } else { self.thread_ids() };
        for thread in running {
            if self.enter(thread)
                && let Some(signal) = self.woke_thread(now)
            {
                moved = true;
                self.run(signal);
            }
        }
        if moved || self.end.is_some() {
            return Signal::Blocked;
        }
        for number in self.open.clone() {
            match self.effect_ref(number).phase.clone() {
                Phase::Backoff { until } if until <= now => self.effect_mut(number).phase = Phase::Requested,
                Phase::Verifying(v) if v.probe.is_none() && v.next_at.is_some_and(|at| at <= now) => {
                    let thread = self.effect_ref(number).thread;
                    self.enter(thread);
                    let signal = self.probe(number);
                    self.run(signal);
                }
                _ => {}
            }
        }
        Signal::Blocked
    }

    /// What time alone changes in the live thread: one thing.
    fn woke_thread(&mut self, now: Timestamp) -> Option<Signal> {
        if let Some(signal) = self.time_out(now) {
            return Some(signal);
        }
        match self.live.timed().last()? {
            frame if crate::errors::round_due(frame, now) => Some(self.begin_try_body()),
            Frame::Task(frame) => match frame.doing {
                Doing::Wait { until } if until <= now => Some(Signal::Complete(frame.input.clone())),
                _ => None,
            },
            Frame::List(_) => None,
        }
    }

    /// The outermost time-out that struck.
    fn time_out(&mut self, now: Timestamp) -> Option<Signal> {
        let position = self.live.timed().iter().position(|frame| {
            let Frame::Task(frame) = frame else { return false };
            frame.deadline.is_some_and(|at| at <= now) || attempt_over(&frame.doing, now)
        })?;
        let frame = self.task_at(position)?;
        let whole = frame.deadline.is_some_and(|at| at <= now);
        // A task's own time-out is raised by the task; an attempt's is raised inside its `try`.
        let end = if whole { position } else { position + 1 };
        let mut error = WorkflowError::standard(
            "timeout",
            408,
            "Timeout",
            format!("the time-out of `{}` struck", frame.task.name),
        );
        error.instance = Some(frame.task.pointer.to_string());
        if let Some(signal) = self.stopped_first(&error, end, position) {
            return Some(signal);
        }
        self.abandon_above(position);
        Some(self.raise_within(end, error))
    }

    fn retried(&mut self) -> Signal {
        if matches!(self.end, Some(End::Faulted(_))) {
            self.end = None;
            self.end_recorded = false;
            self.undid = false;
            while matches!(self.live.stack.last(), Some(Frame::Task(_))) {
                self.step_back();
            }
            self.renew_time_limits();
            return Signal::Next;
        }
        for number in self.open.clone() {
            if matches!(self.effect_ref(number).phase, Phase::Parked { .. }) {
                let thread = self.effect_ref(number).thread;
                self.enter(thread);
                let signal = self.redrive(number);
                self.run(signal);
            }
        }
        Signal::Blocked
    }

    /// Time limits that struck, or ran out since the fault, begin again: a retry would run into them at once.
    pub(crate) fn renew_time_limits(&mut self) {
        let now = self.now;
        for position in 0..self.live.stack.len() {
            let attempt_limit = self.attempt_limit_at(position);
            let Some(Frame::Task(frame)) = self.live.stack.get_mut(position) else { continue };
            if let Some(deadline) = &mut frame.deadline
                && *deadline <= now
            {
                *deadline = now.plus(deadline.since(frame.begun_at));
            }
            if let Doing::Try(trying) = &mut frame.doing
                && let TryPhase::Body { deadline: Some(deadline) } = &mut trying.phase
                && *deadline <= now
            {
                *deadline = now.plus(attempt_limit.unwrap_or_default());
            }
        }
    }

    fn attempt_limit_at(&self, position: usize) -> Option<std::time::Duration> {
        let frame = self.task_at(position)?;
        let TaskKind::Try(task) = &frame.task.kind else { return None };
        let limit = task.retry.as_ref()?.attempt_limit.as_ref()?;
        self.scope_at(position, &frame.input).duration(limit, &frame.input).ok()
    }

    /// Takes the faulted task off, as if the flow had not come to it.
    pub(crate) fn step_back(&mut self) {
        let Some(Frame::Task(frame)) = self.live.stack.pop() else { return };
        if let Some(count) = self.live.visits.get_mut(&frame.task.pointer) {
            *count = count.saturating_sub(1);
        }
        self.give_back(&frame.doing);
    }
}

/// The effect that an event is about.
pub(crate) fn effect_of(body: &EventBody) -> Option<EffectNumber> {
    match body {
        EventBody::Judged { effect, .. }
        | EventBody::Barred { effect, .. }
        | EventBody::ApprovalDecided { effect, .. }
        | EventBody::Edited { effect, .. }
        | EventBody::EffectStarted { effect, .. }
        | EventBody::EffectPredicted { effect, .. }
        | EventBody::EffectAnswered { effect, .. }
        | EventBody::EffectVoided { effect, .. }
        | EventBody::EffectReused { effect, .. } => Some(*effect),
        EventBody::Started(_)
        | EventBody::Woke
        | EventBody::Forced { .. }
        | EventBody::Released
        | EventBody::Cancelled { .. }
        | EventBody::Paused { .. }
        | EventBody::Resumed { .. }
        | EventBody::Signalled { .. }
        | EventBody::Retried { .. }
        | EventBody::Resolved(_)
        | EventBody::Checkpoint { .. }
        | EventBody::Rewound(_)
        | EventBody::Forked(_)
        | EventBody::Chosen { .. }
        | EventBody::UndoAsked { .. }
        | EventBody::Ended { .. } => None,
    }
}

/// `$workflow`
pub(crate) fn workflow_var(definition: &Definition, started: &Started, input: Value, at: Timestamp) -> Value {
    Value::object([
        ("id", Value::string(started.execution.as_str())),
        ("definition", definition.document.clone()),
        ("input", input),
        ("startedAt", moment(at)),
    ])
}

/// `$runtime`
pub(crate) fn runtime_var() -> Value {
    Value::object([
        ("name", Value::string("omnihub")),
        ("version", Value::string("1")),
        ("metadata", Value::object::<&str>([])),
    ])
}

fn attempt_over(doing: &Doing, now: Timestamp) -> bool {
    matches!(doing, Doing::Try(t) if matches!(t.phase, TryPhase::Body { deadline: Some(at) } if at <= now))
}
