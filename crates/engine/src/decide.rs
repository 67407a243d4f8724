//! Decides: an input becomes events, or is rejected with a reason.

use std::sync::Arc;

use dsl::Definition;
use dsl::plan::TaskKind;
use model::action::EffectClass;
use model::effect::{Answer, EffectNumber};
use model::event::{ApprovalDecision, Awaited, CancelMode, Choice, Event, EventBody, Resolved, Started};
use model::id::{ApprovalId, PermitId, PrincipalId};
use model::problem::WorkflowError;
use model::sabotage::{self, Bug};
use model::verdict::{Decision, Verdict};
use model::{Digest, Outcome, Timestamp, Value};

use crate::listen::Signalled;
use crate::rewind::NoReturn;
use crate::state::{Doing, End, Execution, Frame, Phase};
use crate::{INBOX_MAX, UPDATES_OPEN_MAX};

/// What comes to an execution from outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// The permit gate looked at an effect.
    Judged(EffectNumber, Judgement),
    /// People decided on an approval.
    Decided {
        /// Which effect.
        effect: EffectNumber,
        /// Which approval.
        approval: ApprovalId,
        /// Approved or rejected.
        decision: ApprovalDecision,
        /// Who decided last.
        by: PrincipalId,
        /// Why.
        reason: String,
        /// What they filled in.
        answer: Option<Value>,
    },
    /// An approver changes the arguments.
    Edit {
        /// Which effect.
        effect: EffectNumber,
        /// Which approval it answers.
        approval: ApprovalId,
        /// The new arguments.
        arguments: Value,
        /// Who.
        by: PrincipalId,
    },
    /// A worker reports.
    Answered {
        /// Which effect.
        effect: EffectNumber,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        answer: Answer,
    },
    /// A worker gives a permit back unused.
    Voided {
        /// Which effect.
        effect: EffectNumber,
        /// Which attempt.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// Time has come.
    Wake,
    /// A limit gives it a place: what stands in line begins.
    Release,
    /// Whoever led before is gone: what was started under an older lease, and is still under way, has no answer.
    Recover {
        /// The lease of whoever recovers.
        lease: u64,
    },
    /// Stop for good; gracefully undoes what was done first.
    Cancel(PrincipalId, String, CancelMode),
    /// Give up on an undo that is parked, or cannot even be made: the next one follows.
    Force {
        /// The undo; or the effect whose undo cannot be made.
        effect: EffectNumber,
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// Hold.
    Pause(PrincipalId, String),
    /// Go on.
    Resume(PrincipalId, String),
    /// Try a faulted execution or its parked effects again.
    Retry(PrincipalId, String),
    /// A person says what became of an effect.
    Resolve {
        /// What was found out.
        resolved: Box<Resolved>,
        /// True when the whole history was asked, and says that the effect settled unknown.
        looked_up: bool,
    },
    /// Name the place where the flow stands; the digest is of the history up to here.
    Checkpoint(String, Digest, PrincipalId, String),
    /// A person says what becomes of an effect that is kept aside.
    Choose {
        /// Which effect.
        effect: EffectNumber,
        /// What becomes of it.
        choice: Choice,
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// The execution that runs this one asks it to undo what it did, for this effect.
    Undo(EffectNumber),
    /// A signal comes. The very same one changes nothing.
    Signal(Signalled),
}

/// What the permit gate says.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// Perform it: the permit is consumed by this very step.
    Permit {
        /// What exactly may be performed.
        digest: Digest,
        /// Verdict of this judgement.
        verdict: Arc<Verdict>,
        /// The permit.
        permit: PermitId,
        /// Epoch of the controls.
        epoch: u64,
        /// The leadership lease of whoever permits.
        lease: u64,
        /// The entry of the signed plan that this uses, when there is one.
        entry: Option<u32>,
    },
    /// Ask people.
    Ask {
        /// What exactly is asked about.
        digest: Digest,
        /// Verdict of this judgement; its decision is `require-approval`.
        verdict: Arc<Verdict>,
        /// The approval that is opened.
        awaited: Awaited,
    },
    /// Policy says no.
    Deny {
        /// What exactly is denied.
        digest: Digest,
        /// Verdict of this judgement; its decision is `deny`.
        verdict: Arc<Verdict>,
    },
    /// A control says no.
    Bar(String),
    /// Safe mode: predict.
    Predict {
        /// What exactly would be performed.
        digest: Digest,
        /// Verdict of this judgement.
        verdict: Arc<Verdict>,
        /// What the catalogue predicts.
        output: Value,
    },
}

/// What one input changed: events to commit.
#[derive(Debug, Default)]
pub struct Step {
    /// In order; already applied to the state.
    pub events: Vec<Event>,
}

/// Why an input has no place here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The execution has ended.
    #[error("the execution has ended ({0})")]
    Ended(&'static str),
    /// There is no such effect.
    #[error("the execution has no effect {}", .0.0)]
    NoEffect(EffectNumber),
    /// The effect is not at the point that the input is about.
    #[error("effect {} is not {expected}", effect.0)]
    Elsewhere {
        /// Which effect.
        effect: EffectNumber,
        /// What it would have to be.
        expected: &'static str,
    },
    /// The outcome of the effect is not in doubt.
    #[error("effect {} {why}", effect.0)]
    Settled {
        /// Which effect.
        effect: EffectNumber,
        /// What it is instead.
        why: &'static str,
    },
    /// A person resolved the effect, and said something else.
    #[error("effect {} was resolved already, with another outcome, evidence or output", .0.0)]
    Resolved(EffectNumber),
    /// It cannot go back, or on, from there.
    #[error("{0}")]
    NoReturn(NoReturn),
    /// Nothing to do.
    #[error("{0}")]
    Nothing(&'static str),
    /// A signal of this id has come, with another name or other data.
    #[error(
        "a signal `{0}` with another name or other data has come already; give every signal an id of its own"
    )]
    SignalReused(String),
    /// Too many signals wait.
    #[error(
        "{INBOX_MAX} signals wait in the inbox and nothing takes them; try again when the execution has taken some"
    )]
    InboxFull,
    /// An update of this id has come, with another name or other data.
    #[error(
        "an update `{0}` with another name or other data has come already; give every update an id of its own"
    )]
    UpdateReused(String),
    /// Nothing in the workflow takes this update.
    #[error("the workflow takes no update `{name}`; it takes {}", if known.is_empty() { "none" } else { known })]
    UpdateUnknown {
        /// Its name.
        name: String,
        /// What it takes.
        known: String,
    },
    /// Nothing takes it at this moment.
    #[error("nothing in the execution takes the update `{0}` now; try again when it listens")]
    UpdateNotNow(String),
    /// What takes updates of its name refuses this one.
    #[error("the update `{name}` is refused: {why}")]
    UpdateRefused {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// Too many updates wait.
    #[error("{UPDATES_OPEN_MAX} updates wait to be handled; try again when some are")]
    UpdatesFull,
    /// The edited arguments cannot be used.
    #[error("{0}")]
    BadArguments(String),
}

impl Execution {
    /// Begins an execution.
    pub fn start(definition: Arc<Definition>, started: Started, now: Timestamp) -> (Self, Step) {
        let event = Event { at: now, body: EventBody::Started(Box::new(started.clone())) };
        let mut state = Self::begin(definition, Arc::new(started), now, false, None);
        let mut step = Step { events: vec![event] };
        strike(&mut state, now, &mut step);
        record_end(&mut state, now, &mut step);
        (state, step)
    }
}

/// Decides on an input, applies what was decided, and returns the events. The state must be dropped when their
/// commit fails.
pub fn step(state: &mut Execution, input: Input, now: Timestamp) -> Result<Step, Rejected> {
    // History never runs backwards, whatever the clock does.
    let now = now.max(state.now);
    let mut step = Step::default();
    // What nobody here listens for is no part of the history.
    if let Input::Signal(signal) = &input
        && state.passes_over(signal)
    {
        return Ok(step);
    }
    if let Input::Signal(signal) = &input
        && signal.is_update()
        && !state.weigh_update(signal)?
    {
        return Ok(step);
    }
    let judging = matches!(input, Input::Judged(..));
    for body in decide(state, input, now)? {
        let event = Event { at: now, body };
        state.apply(&event);
        step.events.push(event);
    }
    state.reuse(now, &mut step);
    if !judging {
        strike(state, now, &mut step);
        state.reuse(now, &mut step);
    }
    record_end(state, now, &mut step);
    Ok(step)
}

/// A state made from events that are to be committed, and what follows from them at once.
pub(crate) fn finish(mut state: Execution, events: Vec<Event>, now: Timestamp) -> (Execution, Step) {
    let mut step = Step { events };
    state.reuse(now, &mut step);
    strike(&mut state, now, &mut step);
    state.reuse(now, &mut step);
    record_end(&mut state, now, &mut step);
    (state, step)
}

/// A time limit that has struck counts before the next effect is judged, not when the timer comes to it.
fn strike(state: &mut Execution, now: Timestamp, step: &mut Step) {
    if state.is_overdue(now) {
        let event = Event { at: now, body: EventBody::Woke };
        state.apply(&event);
        step.events.push(event);
    }
}

fn record_end(state: &mut Execution, now: Timestamp, step: &mut Step) {
    let (Some(end), Some(outcome), false) = (&state.end, state.outcome(), state.end_recorded) else { return };
    let digest = match end {
        End::Completed(output) => model::digest_of(output),
        End::Faulted(error) => model::digest_of(error),
        End::Cancelled(reason) => model::digest_of(reason),
    };
    let event = Event {
        at: now,
        body: EventBody::Ended { status: state.status().name().to_owned(), outcome, digest },
    };
    state.apply(&event);
    step.events.push(event);
}

/// What an input means for a state, as events. Changes nothing.
fn decide(state: &Execution, input: Input, now: Timestamp) -> Result<Vec<EventBody>, Rejected> {
    match input {
        Input::Judged(effect, judgement) => judged(state, effect, judgement),
        Input::Decided { effect, approval, decision, by, reason, answer } => {
            awaiting(state, effect, &approval)?;
            if decision == ApprovalDecision::Approved {
                state.check_answer(effect, answer.as_ref()).map_err(Rejected::BadArguments)?;
            }
            Ok(vec![EventBody::ApprovalDecided { effect, approval, decision, by: Some(by), reason, answer }])
        }
        Input::Edit { effect, approval, arguments, by } => {
            awaiting(state, effect, &approval)?;
            state
                .edited_request(effect, &arguments)
                .map_err(|e| Rejected::BadArguments(e.detail.unwrap_or(e.kind)))?;
            Ok(vec![EventBody::Edited { effect, approval, arguments, by }])
        }
        Input::Answered { effect, attempt, answer } => {
            under_way(state, effect, attempt)?;
            Ok(vec![EventBody::EffectAnswered { effect, attempt, answer }])
        }
        Input::Voided { effect, attempt, reason } => {
            under_way(state, effect, attempt)?;
            Ok(vec![EventBody::EffectVoided { effect, attempt, reason }])
        }
        Input::Wake => Ok(woken(state, now)),
        Input::Release => released(state),
        Input::Recover { lease } => Ok(recovered(state, lease)),
        Input::Cancel(by, reason, mode) => {
            not_over(state)?;
            if mode == CancelMode::Graceful && state.is_cancelling() {
                return Err(Rejected::Nothing(
                    "it is being cancelled, and what it did is being undone: cancel it with mode `forced` to stop that",
                ));
            }
            Ok(vec![EventBody::Cancelled { by, reason, mode }])
        }
        Input::Force { effect, by, reason } => {
            running(state)?;
            known(state, effect)?;
            if !state.is_parked_undo(effect) && state.stuck_at(effect).is_none() {
                return Err(Rejected::Elsewhere { effect, expected: "an undo that is parked" });
            }
            Ok(vec![EventBody::Forced { effect, by, reason }])
        }
        Input::Pause(by, reason) => {
            running(state)?;
            if state.paused {
                Err(Rejected::Nothing("the execution is paused already"))
            } else {
                Ok(vec![EventBody::Paused { by, reason }])
            }
        }
        Input::Resume(by, reason) => {
            running(state)?;
            if state.paused {
                Ok(vec![EventBody::Resumed { by, reason }])
            } else {
                Err(Rejected::Nothing("the execution is not paused"))
            }
        }
        Input::Retry(by, reason) => retried(state, by, reason, now),
        Input::Checkpoint(name, digest, by, reason) => {
            running(state)?;
            Ok(vec![EventBody::Checkpoint { name, digest, by, reason }])
        }
        Input::Choose { effect, choice, by, reason } => state.decide_choice(effect, choice, by, reason),
        Input::Resolve { resolved, looked_up } => state.decide_resolved(*resolved, looked_up),
        Input::Undo(effect) => state.decide_undo(effect),
        Input::Signal(signal) => {
            let comes = state.admits(&signal)?;
            let Signalled { id, name, data, label, by, attributes } = signal;
            let attributes = attributes.map(Box::new);
            Ok(if comes {
                vec![EventBody::Signalled { id, name, data, label, by, attributes }]
            } else {
                Vec::new()
            })
        }
    }
}

fn judged(state: &Execution, effect: EffectNumber, judgement: Judgement) -> Result<Vec<EventBody>, Rejected> {
    running(state)?;
    let known = known(state, effect)?;
    if known.phase != Phase::Requested {
        return Err(Rejected::Elsewhere { effect, expected: "waiting for a verdict" });
    }
    let attempt = known.attempts.last().map_or(1, |a| a.number + 1);
    Ok(match judgement {
        Judgement::Permit { digest, verdict, permit, epoch, lease, entry } => {
            // Another verdict may have made the approval needless since: then this is not what people approved.
            let fits = known.approved == Some(digest)
                || (sabotage::is(Bug::ApprovalById) && known.approved.is_some());
            let approval = known.approval.clone().filter(|_| fits);
            // A repeated attempt under the same verdict says nothing new.
            let same = known.verdict.as_ref().is_some_and(|before| **before == *verdict);
            let started =
                EventBody::EffectStarted { effect, attempt, digest, permit, epoch, lease, entry, approval };
            if same {
                vec![started]
            } else {
                vec![EventBody::Judged { effect, digest, verdict, approval: None }, started]
            }
        }
        Judgement::Ask { digest, verdict, awaited } => {
            vec![EventBody::Judged { effect, digest, verdict, approval: Some(awaited) }]
        }
        Judgement::Deny { digest, verdict } => {
            vec![EventBody::Judged { effect, digest, verdict, approval: None }]
        }
        Judgement::Bar(reason) => vec![EventBody::Barred { effect, reason }],
        Judgement::Predict { digest, verdict, output } => vec![
            EventBody::Judged { effect, digest, verdict: allowed(&verdict), approval: None },
            EventBody::EffectPredicted { effect, output },
        ],
    })
}

/// A prediction is recorded with what policy said, and never waits for people.
fn allowed(verdict: &Verdict) -> Arc<Verdict> {
    let mut verdict = verdict.clone();
    if !matches!(verdict.decision, Decision::Allow) {
        verdict
            .reasons
            .insert(0, format!("safe mode; live it would be {}", decision_name(&verdict.decision)));
        verdict.decision = Decision::Allow;
    }
    Arc::new(verdict)
}

fn decision_name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
        Decision::RequireApproval(_) => "require-approval",
    }
}

fn woken(state: &Execution, now: Timestamp) -> Vec<EventBody> {
    if state.end.is_some() || state.is_held() || state.pending {
        return Vec::new();
    }
    let mut events: Vec<EventBody> = state
        .open_effects()
        .filter_map(|effect| match (&effect.phase, &effect.approval) {
            (Phase::AwaitingApproval { expires_at }, Some(approval)) if *expires_at <= now => {
                Some(EventBody::ApprovalDecided {
                    effect: effect.number,
                    approval: approval.clone(),
                    decision: ApprovalDecision::Expired,
                    by: None,
                    reason: "nobody decided in time, which means no".to_owned(),
                    answer: None,
                })
            }
            _ => None,
        })
        .collect();
    let due = state
        .next_wakeup()
        .is_some_and(|(at, reason)| at <= now && reason != crate::WakeReason::ApprovalExpiry);
    if due {
        events.insert(0, EventBody::Woke);
    }
    events
}

fn released(state: &Execution) -> Result<Vec<EventBody>, Rejected> {
    running(state)?;
    if state.paused {
        Err(Rejected::Nothing("the execution is paused, so it stays in line"))
    } else if state.pending {
        Ok(vec![EventBody::Released])
    } else {
        Err(Rejected::Nothing("the execution is not in line"))
    }
}

fn recovered(state: &Execution, lease: u64) -> Vec<EventBody> {
    if state.end.is_some() {
        return Vec::new();
    }
    state
        .open_effects()
        // Another execution is not lost with the process: it tells how it ended.
        .filter(|effect| effect.phase == Phase::Started && !effect.request.is_execution())
        .filter_map(|effect| {
            let attempt = effect.attempts.last().filter(|attempt| attempt.lease < lease)?.number;
            let detail = "the process that performed it ended before the answer came";
            let error = WorkflowError::governed("lost", 504, "Answer Lost", detail);
            Some(EventBody::EffectAnswered { effect: effect.number, attempt, answer: Answer::Lost { error } })
        })
        .collect()
}

fn retried(
    state: &Execution,
    by: PrincipalId,
    reason: String,
    now: Timestamp,
) -> Result<Vec<EventBody>, Rejected> {
    match &state.end {
        Some(End::Faulted(_)) if state.started.is_awaited() => Err(Rejected::Nothing(
            "the execution that runs it was told of its fault and went on from there: try that one again",
        )),
        Some(End::Faulted(_)) => match refusal(state, now) {
            Some(why) => Err(Rejected::Nothing(why)),
            None => Ok(vec![EventBody::Retried { by, reason }]),
        },
        Some(_) => Err(Rejected::Ended(state.status().name())),
        None => {
            let parked: Vec<bool> = state
                .open_effects()
                .filter_map(|e| match e.phase {
                    Phase::Parked { repeatable } => Some(repeatable),
                    _ => None,
                })
                .collect();
            if parked.is_empty() {
                Err(Rejected::Nothing("nothing is parked or faulted, so there is nothing to try again"))
            } else if parked.contains(&false) && !sabotage::is(Bug::RedriveBlind) {
                Err(Rejected::Nothing(
                    "whether the effect happened is unknown and it cannot be asked or repeated: a person has to look, then cancel the execution, or force it when it is an undo",
                ))
            } else {
                Ok(vec![EventBody::Retried { by, reason }])
            }
        }
    }
}

/// Why a faulted execution cannot go on where it stopped.
fn refusal(state: &Execution, now: Timestamp) -> Option<&'static str> {
    if state.started.deadline.is_some_and(|at| at <= now) {
        return Some("the workflow's time-out has struck: start a new execution");
    }
    if state.undid {
        return Some("what it did has been undone, and going on would build on that: start a new execution");
    }
    let Some(top) = state.live.stack.last() else {
        return Some(
            "the workflow's own input or output is what failed, and would fail again: start a new execution",
        );
    };
    let Frame::Task(task) = top else { return None };
    match &task.doing {
        // Doing is `Do` for tasks that failed as they began, too: those with a list are told by their kind.
        Doing::For { .. } | Doing::Try(_) => Some(AROUND),
        Doing::Fork(_) => Some(FORKED),
        Doing::Do if matches!(task.task.kind, TaskKind::Fork(_)) => Some(FORKED),
        Doing::Do if matches!(task.task.kind, TaskKind::Do(_)) => Some(AROUND),
        Doing::Effect(number) => {
            let effect = state.effect_ref(*number);
            let repeatable = matches!(
                effect.contract.class,
                EffectClass::Pure | EffectClass::Read | EffectClass::Idempotent
            );
            let real = effect.outcome != Some(Outcome::Failed) && !effect.attempts.is_empty();
            (real && !repeatable).then_some("the effect happened or may have happened, and cannot be repeated: a person has to look, then cancel the execution")
        }
        // What `foreach` did for the events before would be done again.
        Doing::Listen(listening) if !listening.outputs.is_empty() => Some(AROUND),
        Doing::Listen(listening) => match &task.task.kind {
            TaskKind::Listen(listen) if listening.is_busy(listen) => Some(AROUND),
            _ => None,
        },
        Doing::Do | Doing::Wait { .. } => None,
    }
}

const FORKED: &str =
    "what failed is a branch of a fork, and the others were stopped and undone: start a new execution";

const AROUND: &str = "what failed is an expression around tasks that are done, and trying again would repeat them: start a new execution";

/// An effect that something is wanted of.
fn known(state: &Execution, effect: EffectNumber) -> Result<&crate::Effect, Rejected> {
    let was = (1..=state.effects.requested()).contains(&effect.0);
    let missing = if was {
        Rejected::Elsewhere { effect, expected: "open any more" }
    } else {
        Rejected::NoEffect(effect)
    };
    state.effect(effect).ok_or(missing)
}

fn under_way(state: &Execution, effect: EffectNumber, attempt: u32) -> Result<(), Rejected> {
    let known = known(state, effect)?;
    let fits = known.phase == Phase::Started && known.attempts.last().is_some_and(|a| a.number == attempt);
    if fits { Ok(()) } else { Err(Rejected::Elsewhere { effect, expected: "under way in this attempt" }) }
}

fn awaiting(state: &Execution, effect: EffectNumber, approval: &ApprovalId) -> Result<(), Rejected> {
    running(state)?;
    let known = known(state, effect)?;
    let waits =
        matches!(known.phase, Phase::AwaitingApproval { .. }) && known.approval.as_ref() == Some(approval);
    if waits { Ok(()) } else { Err(Rejected::Elsewhere { effect, expected: "waiting for this approval" }) }
}

/// Refuses whatever would change an ended execution.
fn running(state: &Execution) -> Result<(), Rejected> {
    if state.end.is_some() { Err(Rejected::Ended(state.status().name())) } else { Ok(()) }
}

/// A faulted execution may still be cancelled, so that nobody retries it.
fn not_over(state: &Execution) -> Result<(), Rejected> {
    if state.is_over() { Err(Rejected::Ended(state.status().name())) } else { Ok(()) }
}
