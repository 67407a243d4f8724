//! Undoing what is behind a point, before the flow goes on from there.
//!
//! A return that undoes, or that asks people first, holds the flow at the point: a thread of its own has the effects to
//! undo on its stack, and undoes them newest first like any other. Until it is done nothing of the flow begins, no time
//! limit of it strikes, and an edited input is not yet in force, so that every undo is made of what its effect was made
//! of. What is not undone for certain stays kept aside, and people decide about whatever would do it again.

use model::effect::EffectNumber;
use model::event::{Choice, EditedInput, Event, EventBody, KeptEffect, Rewound};
use model::{EffectClass, Outcome, PrincipalId, Value};
use serde::{Deserialize, Serialize};

use crate::flow::Signal;
use crate::rewind::NoReturn;
use crate::state::{Effect, Execution, Frame};
use crate::thread::{Course, Thread, ThreadId};
use crate::unwind::{After, Armed, Unwinding};

/// Effects that a refusal names at the most.
const NAMED_MAX: usize = 20;

/// What follows once everything behind a point is undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Returning {
    /// Who goes back.
    pub(crate) by: PrincipalId,
    /// With which input the flow begins anew, when it is edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Box<EditedInput>>,
    /// Why it is cancelled instead of going on, when somebody wants that meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cancel: Option<String>,
}

impl Thread {
    /// Whether it undoes what is behind a point.
    pub(crate) fn returns(&self) -> bool {
        matches!(&self.course, Course::Unwinding(unwinding) if matches!(unwinding.after, After::Return(_)))
    }
}

/// True for a return that holds the flow before it goes on.
pub(crate) fn holds(rewound: &Rewound) -> bool {
    matches!(rewound.effects, None | Some(Choice::Compensate))
}

/// Effects behind the points that a history goes back to: some are undone or armed then, though nothing else refers to
/// them.
pub(crate) fn wanted(events: &[Event]) -> impl Iterator<Item = EffectNumber> {
    let lists = events.iter().filter_map(|event| match &event.body {
        EventBody::Rewound(rewound) => Some(&rewound.kept.list),
        _ => None,
    });
    lists.flatten().filter(|kept| kept.origin.is_none()).map(|kept| kept.effect)
}

fn may_be_undone(kept: &KeptEffect) -> bool {
    kept.origin.is_none() && matches!(kept.choice, None | Some(Choice::Compensate))
}

/// Whether its contract says how it is undone, and it is this execution's to undo.
fn is_undoable(effect: &Effect) -> bool {
    let foreign = effect.reused.as_ref().is_some_and(|(_, origin)| origin.is_some());
    !foreign && effect.has_undo()
}

impl Execution {
    /// The thread that undoes what is behind a point.
    pub(crate) fn returning(&self) -> Option<&Thread> {
        self.all_threads().find(|thread| thread.returns())
    }

    /// Why a return cannot undo what it would have to. The list is of what is behind the point; the state holds all
    /// effects.
    pub(crate) fn check_undoable(&self, list: &[KeptEffect]) -> Result<(), NoReturn> {
        let undoable = |kept: &&KeptEffect| self.effect(kept.effect).is_some_and(is_undoable);
        let all: Vec<&KeptEffect> =
            list.iter().filter(|kept| may_be_undone(kept)).filter(|kept| !undoable(kept)).collect();
        if all.is_empty() {
            return Ok(());
        }
        let named =
            all.iter().take(NAMED_MAX).map(|kept| format!("{} (`{}`)", kept.effect.0, kept.operation));
        let mut names = named.collect::<Vec<_>>().join(", ");
        if all.len() > NAMED_MAX {
            names.push_str(&format!(" and {} more", all.len() - NAMED_MAX));
        }
        Err(NoReturn::NotUndoable(names))
    }

    /// An undo that nobody may turn away from: going back would ask for it a second time.
    pub(crate) fn undo_in_doubt(&self, undoes: bool) -> Option<EffectNumber> {
        let stuck = self.returning().and(self.stuck()).map(|(effect, _)| effect);
        let back = self.returning().is_some();
        stuck.or_else(|| {
            self.open_effects().find(|effect| effect.undo && (undoes || back)).map(|effect| effect.number)
        })
    }

    /// Begins to undo what is behind the point at which the flow stands now. `effects` are those it needs.
    pub(crate) fn begin_return(
        &mut self,
        rewound: &Rewound,
        wanted: impl Fn(EffectNumber) -> Option<Effect>,
    ) {
        let mut armed = Vec::new();
        for kept in rewound.kept.list.iter().filter(|kept| may_be_undone(kept)) {
            let number = kept.effect;
            if !self.effects.kept.contains_key(&number)
                && let Some(effect) = wanted(number)
            {
                self.effects.kept.insert(number, effect);
            }
            if !self.effects.kept.get(&number).is_some_and(is_undoable) {
                continue;
            }
            self.effects.over.retain(|over| *over != number);
            if kept.choice == Some(Choice::Compensate) {
                self.arm_here(number);
                armed.push(number);
            }
        }
        armed.sort_unstable();
        let id = ThreadId(self.threads_begun);
        self.threads_begun = self.threads_begun.saturating_add(1);
        let after =
            After::Return(Returning { by: rewound.by.clone(), input: rewound.input.clone(), cancel: None });
        let unwinding = Unwinding { to: 0, after, undo: None, stuck: None };
        let thread = Thread {
            id,
            armed: armed.into_iter().map(Armed::Effect).collect(),
            course: Course::Unwinding(Box::new(unwinding)),
            ..Thread::root(Value::NULL)
        };
        self.threads.insert(id, thread);
        self.ready.push_back((id, Signal::Unwind));
    }

    /// It is armed for the return alone: at the point it may have been under way, and armed where it was.
    fn arm_here(&mut self, number: EffectNumber) {
        self.disarm(number);
        self.effect_mut(number).armed = true;
    }

    /// A person chose for an effect behind the point; after the last choice, what is to be undone is.
    pub(crate) fn chosen_of(&mut self, number: EffectNumber, choice: Choice) -> Signal {
        let Some(id) = self.returning().map(|thread| thread.id) else { return Signal::Blocked };
        self.enter(id);
        let kept = self.effects.kept.get(&number).filter(|effect| is_undoable(effect));
        match (kept, choice) {
            (Some(_), Choice::Compensate) => {
                self.arm_here(number);
                let older = |item: &&Armed| matches!(item, Armed::Effect(other) if *other < number);
                let position = self.live.armed.iter().take_while(older).count();
                self.live.armed.insert(position, Armed::Effect(number));
            }
            (Some(effect), Choice::Keep | Choice::Repeat) if effect.outcome.is_some() && !effect.armed => {
                self.effects.over.push(number);
            }
            _ => {}
        }
        Signal::Unwind
    }

    /// Whether an effect that is asked about can be undone.
    pub(crate) fn may_choose_undo(&self, number: EffectNumber) -> bool {
        let of_it = || self.behind.iter().filter(|kept| kept.effect == number && kept.choice.is_none());
        self.returning().is_some()
            && of_it().all(|kept| kept.origin.is_none())
            && self.effect(number).is_some_and(is_undoable)
    }

    /// What is undone for certain is no longer kept aside; about what is not, people decide.
    pub(crate) fn undone_behind(&mut self, number: EffectNumber, outcome: Outcome) {
        let is_it = |kept: &KeptEffect| kept.origin.is_none() && kept.effect == number;
        if outcome == Outcome::Verified {
            self.behind.retain(|kept| !is_it(kept));
        } else if let Some(kept) = self.behind.iter_mut().find(|kept| is_it(kept)) {
            kept.outcome = Outcome::Unknown;
        }
    }

    /// Everything behind the point is undone: the live thread, which did it, is gone, and the flow goes on.
    pub(crate) fn returned(&mut self, returning: Returning) -> Signal {
        let id = self.live.id;
        self.enter(ThreadId::ROOT);
        self.threads.remove(&id);
        match returning {
            Returning { cancel: Some(reason), .. } => self.stop(After::Cancel(reason)),
            Returning { input: Some(input), by, .. } => self.begin_anew(&input, &by),
            Returning { input: None, .. } => self.begin_at_point(),
        }
    }

    /// What stands before a task begins it.
    pub(crate) fn begin_at_point(&mut self) -> Signal {
        for id in self.thread_ids() {
            let before_a_task = matches!(
                (self.enter(id), self.live.is_settled(), self.live.stack.last()),
                (true, false, Some(Frame::List(_)))
            );
            if before_a_task {
                self.renew_time_limits();
                self.ready.push_back((id, Signal::Next));
            }
        }
        self.enter(ThreadId::ROOT);
        if !self.live.stack.is_empty() {
            return Signal::Blocked;
        }
        // It stood in line there: it begins.
        let input = self.started.labelled_input();
        self.enter_workflow(input)
    }

    /// Somebody cancels it while something behind a point is undone: it ends once that, and the rest, is undone. What
    /// nobody chose to undo is left as it is.
    pub(crate) fn cancel_return(&mut self, reason: &str) -> Option<Signal> {
        let id = self.returning()?.id;
        while let Some(number) = self.asks_about() {
            self.chosen(number, Choice::Keep);
        }
        self.enter(id);
        if let Course::Unwinding(unwinding) = &mut self.live.course
            && let After::Return(returning) = &mut unwinding.after
        {
            returning.cancel = Some(reason.to_owned());
        }
        Some(Signal::Unwind)
    }
}

/// True for what is simply asked for again: nothing outside remembers it.
pub(crate) fn is_forgettable(effect: &Effect) -> bool {
    matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read)
}
