//! Going back: the flow stands again where it stood after so many events, and goes on from there.
//!
//! The state is made again from that part of the history alone; nothing is undone in it, and nothing is forgotten: what
//! the effects behind the point did is kept aside (see [`crate::kept_aside`]), and the events stay. A task that was under
//! way at the point begins again. A fork does the same in an execution of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::Definition;
use model::effect::EffectNumber;
use model::event::{Choice, EditedInput, Event, EventBody, Forked, KeptEffects, Rewound, Started};
use model::problem::WorkflowError;
use model::{EffectClass, ExecutionId, PrincipalId, Timestamp};

use crate::apply::workflow_var;
use crate::decide::{Rejected, Step, finish};
use crate::flow::Signal;
use crate::listen::Signalled;
use crate::returning;
use crate::state::{Doing, Effect, Execution, Frame, Phase, TryPhase};
use crate::thread::{Course, Thread, ThreadId};
use crate::unwind::Armed;

/// Returns of one execution at the most: each keeps a state in memory while its history is replayed.
pub const REWINDS_MAX: usize = 100;

/// Where to go back to, and what becomes of what was done since.
#[derive(Debug, Clone)]
pub struct Rewinding {
    /// Number of events that make the point, from 1.
    pub to: u64,
    /// The checkpoint that names it.
    pub checkpoint: Option<String>,
    /// What becomes of the effects behind the point; none asks about each.
    pub effects: Option<Choice>,
    /// An edited input; only from the beginning.
    pub input: Option<EditedInput>,
    /// Who.
    pub by: PrincipalId,
    /// Why.
    pub reason: String,
}

/// Why an execution cannot go back, or on, from a point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoReturn {
    /// It completed or was cancelled.
    #[error("the execution has ended ({0}): fork it instead")]
    Over(&'static str),
    /// Another execution was told.
    #[error("the execution that runs it was told how it ended: go back in that one")]
    Told,
    /// An answer is awaited that nobody may miss.
    #[error("effect {0} is under way: wait until its outcome is known")]
    UnderWay(u32),
    /// The flow relies on something that was undone.
    #[error("effect {0} was undone since: go back to before it was done")]
    Undone(u32),
    /// It has not begun.
    #[error("it has not begun: it is in line for its place")]
    InLine,
    /// Its time-out has struck.
    #[error("the workflow's time-out has struck: fork it instead")]
    Late,
    /// It went back too often.
    #[error("it went back {REWINDS_MAX} times already: fork it instead")]
    TooOften,
    /// There is no such point.
    #[error("the history has {total} events, so there is no point {to}: give 1 to {total}")]
    NoPoint {
        /// What was asked for.
        to: u64,
        /// How many there are.
        total: u64,
    },
    /// The flow had ended there.
    #[error("the flow had ended at point {0}: nothing goes on from there")]
    EndedThere(u64),
    /// Something behind the point stays done.
    #[error(
        "there is no way to undo effect {0}: its contract names no compensation, or another execution did it"
    )]
    NotUndoable(String),
    /// Something is being undone.
    #[error("effect {0} belongs to an undoing that is not over: wait for it, redrive it, or force it")]
    Undoing(u32),
    /// A fork undoes nothing.
    #[error("a fork undoes nothing of what the other execution did: go back in that one")]
    Elsewhere,
    /// The input is of the beginning.
    #[error(
        "the input can be edited only at the beginning (event 1): what ran before a later point was made of the old one"
    )]
    InputInside,
}

impl Execution {
    /// Goes back. `events` is the whole history, with all its payloads; answers the state that goes on, and what to
    /// commit.
    pub fn rewind(
        definition: &Arc<Definition>,
        events: &[Event],
        rewinding: Rewinding,
        now: Timestamp,
    ) -> Result<(Self, Step), NoReturn> {
        let (point, mut last) = Self::both(definition, events, rewinding.to)?;
        if last.is_over() {
            return Err(NoReturn::Over(last.status().name()));
        }
        if last.end.is_some() && last.started.is_awaited() {
            return Err(NoReturn::Told);
        }
        if let Some(effect) = last.open_effects().find(|effect| must_be_awaited(effect)) {
            return Err(NoReturn::UnderWay(effect.number.0));
        }
        let undoes = rewinding.effects == Some(Choice::Compensate);
        if let Some(effect) = last.undo_in_doubt(undoes) {
            return Err(NoReturn::Undoing(effect.0));
        }
        if last.pending {
            return Err(NoReturn::InLine);
        }
        let now = now.max(last.now);
        if last.started.deadline.is_some_and(|at| at <= now) {
            return Err(NoReturn::Late);
        }
        if events.iter().filter(|event| matches!(event.body, EventBody::Rewound(_))).count() >= REWINDS_MAX {
            return Err(NoReturn::TooOften);
        }
        point.goes_on(&rewinding)?;
        if let Some(number) = last.undone_since(&point) {
            return Err(NoReturn::Undone(number.0));
        }
        let list = last.keep_aside(&point, now, None, rewinding.effects);
        if undoes {
            last.check_undoable(&list)?;
        }
        let Rewinding { to, checkpoint, effects, input, by, reason } = rewinding;
        let kept = KeptEffects { list, blob: None };
        let input = input.map(Box::new);
        let body = EventBody::Rewound(Box::new(Rewound { to, checkpoint, effects, kept, input, by, reason }));
        let event = as_stored(Event { at: now, body });
        let mut all = events.to_vec();
        all.push(event.clone());
        let state =
            Self::replay(Arc::clone(definition), &all, false).ok_or(NoReturn::NoPoint { to, total: 0 })?;
        Ok(finish(state, vec![event], now))
    }

    /// Begins an execution that goes on from a point of another one, whose whole history is `events`.
    pub fn fork(
        definition: &Arc<Definition>,
        events: &[Event],
        started: Started,
        forking: Rewinding,
        now: Timestamp,
    ) -> Result<(Self, Step), NoReturn> {
        if forking.effects == Some(Choice::Compensate) {
            return Err(NoReturn::Elsewhere);
        }
        let (point, mut last) = Self::both(definition, events, forking.to)?;
        point.goes_on(&forking)?;
        if let Some(number) = last.undone_since(&point) {
            return Err(NoReturn::Undone(number.0));
        }
        let origin = last.started.execution.clone();
        let list = last.keep_aside(&point, now.max(last.now), Some(&origin), forking.effects);
        // An edited input begins anew, and at the beginning there is nothing to carry.
        let carried =
            if forking.to == 1 || point.pending { Vec::new() } else { prefix(events, forking.to).to_vec() };
        let Rewinding { effects, by, reason, .. } = forking;
        let kept = KeptEffects { list, blob: None };
        let body = EventBody::Forked(Box::new(Forked {
            events: carried,
            events_blob: None,
            effects,
            kept,
            by,
            reason,
        }));
        let first = as_stored(Event { at: now, body: EventBody::Started(Box::new(started)) });
        let second = as_stored(Event { at: now, body });
        let history = vec![first, second];
        let total = history.len() as u64;
        let state = Self::replay(Arc::clone(definition), &history, false)
            .ok_or(NoReturn::NoPoint { to: 1, total })?;
        Ok(finish(state, history, now))
    }

    /// The states at a point and at the end, both with all they ever did.
    fn both(definition: &Arc<Definition>, events: &[Event], to: u64) -> Result<(Self, Self), NoReturn> {
        let total = events.len() as u64;
        let nowhere = NoReturn::NoPoint { to, total };
        if !(1..=total).contains(&to) {
            return Err(nowhere);
        }
        let replayed = |events: &[Event]| Self::replay(Arc::clone(definition), events, true);
        match (replayed(prefix(events, to)), replayed(events)) {
            (Some(point), Some(last)) => Ok((point, last)),
            _ => Err(nowhere),
        }
    }

    fn goes_on(&self, rewinding: &Rewinding) -> Result<(), NoReturn> {
        match (&rewinding.input, rewinding.to) {
            (Some(_), 1) => Ok(()),
            (Some(_), _) => Err(NoReturn::InputInside),
            (None, _) if self.pending => Ok(()),
            (None, to) if self.is_over() || self.live.stack.is_empty() || self.undoes() => {
                Err(NoReturn::EndedThere(to))
            }
            (None, _) => Ok(()),
        }
    }

    /// True while some thread stops, or undoes what it did.
    fn undoes(&self) -> bool {
        self.all_threads().any(|thread| !thread.is_settled() && !matches!(thread.course, Course::Running))
    }

    /// An effect that the flow relies on at the point, and that was undone since, or may have been.
    fn undone_since(&self, point: &Self) -> Option<EffectNumber> {
        let in_doubt = self.undone_in_doubt();
        let before = |number| point.effect(number).is_some_and(|effect| effect.undone_by.is_some());
        let mut undone = self.effects.iter().filter(|effect| {
            in_doubt.contains(&effect.number) || effect.undone_by.is_some() && !before(effect.number)
        });
        undone.find_map(|effect| self.relied_on(point, effect))
    }

    /// Applies event number `position` of a history, which may go back in it. The state is at that position.
    pub fn follow(&mut self, events: &[Event], position: usize) {
        let Some(event) = events.get(position) else { return };
        if matches!(event.body, EventBody::Rewound(_)) {
            let definition = Arc::clone(&self.definition);
            if let Some(state) = Self::replay(definition, &events[..=position], self.trace.is_some()) {
                *self = state;
            }
        } else {
            self.apply(event);
        }
    }

    /// The state after going back from `self` to `point`.
    fn back_at(
        mut self,
        point: &Self,
        event: &Event,
        rewound: &Rewound,
        wanted: impl Fn(EffectNumber) -> Option<Effect>,
    ) -> Self {
        self.now = event.at;
        if self.trace.is_none() {
            self.effects.forget(event.at, None);
        }
        let in_doubt = self.undone_in_doubt();
        self.give_up_everything();
        let was_undone = |number| {
            in_doubt.contains(&number) || wanted(number).is_some_and(|effect| effect.undone_by.is_some())
        };
        let point = point.without_what_is_over(rewound, was_undone);
        self.arm_as_at(&point, &wanted);
        let mut state = Self {
            version: self.version + 1,
            now: event.at,
            transitions: 0,
            meter: crate::meter::Meter::default(),
            effects: self.effects,
            open: Vec::new(),
            unknown: self.unknown,
            refuted: self.refuted,
            paused: self.paused,
            pending: false,
            end: None,
            end_recorded: false,
            behind: rewound.kept.list.clone(),
            undone: self.undone,
            undid: false,
            entries: self.entries,
            threads_begun: self.threads_begun,
            ..point
        };
        state.stand_before_tasks();
        let signal = match &rewound.input {
            _ if returning::holds(rewound) => {
                state.begin_return(rewound, wanted);
                Signal::Blocked
            }
            Some(input) => state.begin_anew(input, &rewound.by),
            None => state.begin_at_point(),
        };
        state.run(signal);
        state.enter(ThreadId::ROOT);
        state
    }

    /// The point without what was under way there, and armed, and came to nothing since: it failed, was undone, or another
    /// effect stands for it. Nothing of that is left to undo, and nobody would ever say how it ended. That holds for an
    /// undo without a known outcome too: it is never silently sent again, and people decide about what is in its place.
    fn without_what_is_over(&self, rewound: &Rewound, was_undone: impl Fn(EffectNumber) -> bool) -> Self {
        let mut point = self.clone();
        let is_kept = |number: EffectNumber| {
            rewound.kept.list.iter().any(|kept| kept.origin.is_none() && kept.effect == number)
        };
        let stays = |item: &Armed| match item {
            Armed::Effect(number) => {
                let settled = self.effect(*number).is_some_and(|effect| effect.outcome.is_some());
                !was_undone(*number) && (settled || is_kept(*number))
            }
            Armed::Action { .. } | Armed::Savepoint(_) => true,
        };
        point.live.armed.retain(stays);
        point.threads.values_mut().for_each(|thread| thread.armed.retain(stays));
        point
    }

    /// Only what was armed at the point is armed, and everything that was is still there.
    fn arm_as_at(&mut self, point: &Self, wanted: impl Fn(EffectNumber) -> Option<Effect>) {
        let armed: BTreeSet<EffectNumber> = point
            .all_threads()
            .flat_map(|thread| &thread.armed)
            .filter_map(|item| match item {
                Armed::Effect(number) => Some(*number),
                Armed::Action { .. } | Armed::Savepoint(_) => None,
            })
            .collect();
        for effect in self.effects.kept.values_mut() {
            let was = std::mem::replace(&mut effect.armed, armed.contains(&effect.number));
            if was && !effect.armed && effect.outcome.is_some() {
                self.effects.over.push(effect.number);
            }
        }
        // What an earlier return of this very moment was done with is needed again.
        self.effects.over.retain(|over| !armed.contains(over));
        for number in armed {
            if self.effects.kept.contains_key(&number) {
                continue;
            }
            // What was under way at the point has settled since.
            if let Some(effect) = wanted(number).or_else(|| point.effect(number).cloned()) {
                self.effects.kept.insert(number, Effect { armed: true, ..effect });
            }
        }
    }

    pub(crate) fn begin_anew(&mut self, input: &EditedInput, by: &PrincipalId) -> Signal {
        let started = Started {
            input: input.value.clone(),
            input_label: input.label,
            plan: input.plan,
            family: model::family::Family {
                origins: model::family::Origins::default(),
                ..self.started.family.clone()
            },
            ..(*self.started).clone()
        };
        let value = started.labelled_input();
        self.workflow_var = workflow_var(&self.definition, &started, value.clone(), self.started_at);
        self.started = Arc::new(started);
        self.editor = Some(by.clone());
        self.live = Thread::root(model::Value::object::<&str>([]));
        self.threads.clear();
        self.ready.clear();
        if let Some(trace) = &mut self.trace {
            trace.clear();
        }
        self.enter_workflow(value)
    }

    /// The tasks that the flow stands at are to begin again; a `try` that waits for its next round goes on waiting.
    fn stand_before_tasks(&mut self) {
        for id in self.thread_ids() {
            if self.enter(id) && !self.live.is_settled() {
                self.take_off_top();
            }
        }
        self.enter(ThreadId::ROOT);
    }

    /// Takes the task on top of the live thread off, unless the thread waits for something else.
    fn take_off_top(&mut self) {
        while let Some(Frame::Task(top)) = self.live.stack.last() {
            let waits = match &top.doing {
                Doing::Try(trying) => matches!(trying.phase, TryPhase::Waiting { .. }),
                Doing::Fork(_) => true,
                _ => false,
            };
            if waits {
                return;
            }
            self.step_back();
        }
    }

    /// The flow of another execution goes on in this one, which has only just begun.
    pub(crate) fn forked(&mut self, forked: &Forked) -> Signal {
        self.behind.clone_from(&forked.kept.list);
        if forked.events.is_empty() {
            return Signal::Blocked;
        }
        let definition = Arc::clone(&self.definition);
        let Some(point) = Self::replay(definition, &forked.events, self.trace.is_some()) else {
            let detail = "what it was forked from is no history";
            return self.fault(WorkflowError::standard("runtime", 500, "Broken Fork", detail));
        };
        self.effects = crate::kept::Effects { requested: point.effects.requested, ..Default::default() };
        self.open.clear();
        self.end = None;
        self.live = point.live;
        self.threads = point.threads;
        self.threads_begun = point.threads_begun;
        self.inbox = point.inbox;
        self.updates = point.updates;
        self.trace = point.trace;
        // What the other execution did is undone by that one, if at all.
        let savepoint = |item: &Armed| matches!(item, Armed::Savepoint(_));
        self.live.armed.retain(savepoint);
        self.threads.values_mut().for_each(|thread| thread.armed.retain(savepoint));
        self.stand_before_tasks();
        self.begin_at_point()
    }
}

/// States that later events go back to, while a history is replayed.
pub(crate) struct Points {
    states: BTreeMap<u64, Option<Execution>>,
    /// Signals, by the number of events with which each had come.
    signals: Vec<(u64, Timestamp, Signalled)>,
    /// Effects that later events undo, as they settled.
    wanted: BTreeMap<EffectNumber, Option<Effect>>,
}

impl Points {
    /// Of a history: most have none.
    pub(crate) fn of(events: &[Event]) -> Self {
        let targets = events.iter().filter_map(|event| match &event.body {
            EventBody::Rewound(rewound) => Some((rewound.to, None)),
            _ => None,
        });
        let wanted = returning::wanted(events).map(|number| (number, None)).collect();
        let states: BTreeMap<_, _> = targets.collect();
        let mut signals = Vec::new();
        // Most histories never go back.
        if !states.is_empty() {
            for (position, event) in (1..).zip(events) {
                signals.extend(Signalled::of(&event.body).map(|signal| (position, event.at, signal)));
            }
        }
        Self { states, signals, wanted }
    }

    /// Keeps the state when something goes back to it later.
    pub(crate) fn reached(&mut self, state: &Execution) {
        if let Some(kept) = self.states.get_mut(&state.version) {
            *kept = Some(state.clone());
        }
        for (number, kept) in &mut self.wanted {
            if let Some(effect) = state.effect(*number)
                && effect.outcome.is_some()
                && kept
                    .as_ref()
                    .is_none_or(|kept| kept.outcome != effect.outcome || kept.undone_by != effect.undone_by)
            {
                *kept = Some(effect.clone());
            }
        }
    }

    /// The state after an event that goes back. One that goes nowhere changes nothing but the version.
    pub(crate) fn back(&self, state: Execution, event: &Event, rewound: &Rewound) -> Execution {
        match self.states.get(&rewound.to) {
            Some(Some(point)) => {
                // What was said since was said: it waits for whoever listens now.
                let mut point = point.clone();
                let since =
                    self.signals.iter().filter(|(at, ..)| (rewound.to + 1..=state.version).contains(at));
                for (_, at, signal) in since {
                    point.receive(signal, *at);
                }
                state.back_at(&point, event, rewound, |number| self.wanted.get(&number).cloned().flatten())
            }
            Some(None) | None => Execution { version: state.version + 1, now: event.at, ..state },
        }
    }
}

fn prefix(events: &[Event], to: u64) -> &[Event] {
    &events[..usize::try_from(to).unwrap_or(usize::MAX).min(events.len())]
}

/// True for what must not be lost sight of: whoever goes back could ask for it a second time.
fn must_be_awaited(effect: &crate::Effect) -> bool {
    let reads = matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read);
    matches!(effect.phase, Phase::Started | Phase::Verifying(_)) && effect.probe_of.is_none() && !reads
}

/// An event as it is read back: labels of values are not stored, and the state must be the same as after a replay.
fn as_stored(event: Event) -> Event {
    let stored = serde_json::to_string(&event).ok().and_then(|text| serde_json::from_str(&text).ok());
    stored.unwrap_or(event)
}

/// Whose effects are kept aside.
pub(crate) type Whose<'a> = Option<&'a ExecutionId>;

impl From<NoReturn> for Rejected {
    fn from(no: NoReturn) -> Self {
        Self::NoReturn(no)
    }
}
