//! What effects behind a point did: it stands in when the flow asks for the very same again, and is never silently
//! done a second time.
//!
//! An act is the same when task, visit, operation, arguments, target and contract are the same, and the idempotency key
//! too (a fork has keys of its own, so there the key does not count). What was verified, or at least answered, then
//! answers again. What may have happened without an answer is repeated only when its class allows that with the same
//! key; everything else that the flow asks for in its place is decided by people, whatever policy says.

use std::collections::BTreeSet;

use model::effect::EffectNumber;
use model::event::{Choice, Event, EventBody, KeptEffect, KeptOutput};
use model::{Digest, EffectClass, ExecutionId, Label, Outcome, PrincipalId, Timestamp};

use crate::decide::{Rejected, Step};
use crate::flow::Signal;
use crate::returning::is_forgettable;
use crate::rewind::{NoReturn, Whose};
use crate::state::{Effect, Execution};

impl Execution {
    /// What is kept aside of effects behind the point, in the order in which they were requested.
    pub fn kept_aside(&self) -> &[KeptEffect] {
        &self.behind
    }

    /// The first effect about which a person has to choose before anything goes on.
    pub fn asks_about(&self) -> Option<EffectNumber> {
        self.behind.iter().find(|kept| kept.choice.is_none()).map(|kept| kept.effect)
    }

    /// True when nothing may begin: an operator holds it, or a person has to choose.
    pub(crate) fn is_held(&self) -> bool {
        self.paused || self.asks_about().is_some()
    }

    /// Gives up on everything that is open, and lists what happened or may have happened since `point`. The state
    /// holds all effects.
    pub(crate) fn keep_aside(
        &mut self,
        point: &Self,
        now: Timestamp,
        origin: Whose<'_>,
        choice: Option<Choice>,
    ) -> Vec<KeptEffect> {
        self.now = now;
        let in_doubt = self.undone_in_doubt();
        self.give_up_everything();
        let undoes = choice == Some(Choice::Compensate);
        let foreign = self.behind.iter().filter(|kept| kept.origin.is_some());
        // What another execution did is undone by that one.
        let chosen = |kept: &KeptEffect| if undoes { kept.choice.or(Some(Choice::Keep)) } else { choice };
        let mut list: Vec<KeptEffect> =
            foreign.map(|kept| KeptEffect { choice: chosen(kept), ..kept.clone() }).collect();
        let own = self.effects.iter().filter(|effect| self.is_behind(point, effect));
        let own = own.filter(|effect| !(undoes && is_forgettable(effect)));
        list.extend(own.filter_map(|effect| {
            let doubtful = effect.undone_by.is_some() || in_doubt.contains(&effect.number);
            kept_of(effect, origin, choice, doubtful)
        }));
        list
    }

    /// Effects whose undo is open and was sent, so that it may have happened, or may happen yet.
    pub(crate) fn undone_in_doubt(&self) -> BTreeSet<EffectNumber> {
        let sent = |undo: &&Effect| undo.attempts.iter().any(|attempt| attempt.answer != Some("refused"));
        self.open_effects()
            .filter(|effect| effect.undo)
            .filter(sent)
            .filter_map(|undo| undo.compensates)
            .collect()
    }

    /// An effect, and what it stands in for, and what that stood in for, down to the one that was sent: all of them are
    /// one act outside. What another execution did is not among them.
    pub fn lineage<'a>(&'a self, effect: &'a Effect) -> impl Iterator<Item = &'a Effect> {
        std::iter::successors(Some(effect), |effect| {
            let (of, _) = effect.reused.as_ref().filter(|(_, origin)| origin.is_none())?;
            self.effect(*of)
        })
    }

    /// As what the flow relies on the act of an effect at the point, if it does: the newest of its lineage of which the
    /// point knows the outcome, unless that is kept aside there.
    pub(crate) fn relied_on(&self, point: &Self, effect: &Effect) -> Option<EffectNumber> {
        let knows =
            |number: EffectNumber| number.0 <= point.effects.requested() && !point.open.contains(&number);
        let known = self.lineage(effect).map(|act| act.number).find(|number| knows(*number))?;
        let aside = point.behind.iter().any(|kept| kept.origin.is_none() && kept.effect == known);
        (!aside).then_some(known)
    }

    /// True for effects of the flow's own that the point knows nothing of, or does not know the outcome of. What stands in
    /// for an effect that the point knows is that effect.
    fn is_behind(&self, point: &Self, effect: &Effect) -> bool {
        let number = effect.number;
        let later = self.relied_on(point, effect).is_none();
        let replaced = self
            .effects
            .iter()
            .any(|other| other.reused.as_ref().is_some_and(|(of, from)| from.is_none() && *of == number));
        let is_undone = effect
            .undone_by
            .is_some_and(|undo| self.effect(undo).is_none_or(|undo| undo.outcome == Some(Outcome::Verified)));
        later && !replaced && effect.probe_of.is_none() && !effect.undo && !is_undone
    }

    /// Effects that need not be sent, because what is kept aside stands in for them.
    pub(crate) fn reuse(&mut self, now: Timestamp, step: &mut Step) {
        while let Some((effect, of, origin)) = self.reusable() {
            let event = Event { at: now, body: EventBody::EffectReused { effect, of, origin } };
            self.apply(&event);
            step.events.push(event);
        }
    }

    fn reusable(&self) -> Option<(EffectNumber, EffectNumber, Option<ExecutionId>)> {
        if self.behind.is_empty() {
            return None;
        }
        self.requested().into_iter().find_map(|number| {
            let effect = self.effect(number)?;
            let kept = self.behind.iter().rev().find(|kept| stands_in(kept, effect))?;
            Some((number, kept.effect, kept.origin.clone()))
        })
    }

    pub(crate) fn reused(
        &mut self,
        number: EffectNumber,
        of: EffectNumber,
        origin: Option<&ExecutionId>,
    ) -> Signal {
        let found = self.behind.iter().rposition(|kept| kept.effect == of && kept.origin.as_ref() == origin);
        let Some(kept) = found.map(|position| self.behind.remove(position)) else { return Signal::Blocked };
        let Some(output) = kept.output else { return Signal::Blocked };
        let output = output.value.with_label_everywhere(output.label);
        self.unknown -= u32::from(kept.outcome == Outcome::Unknown && origin.is_none() && self.unknown > 0);
        let effect = self.effect_mut(number);
        effect.output = Some(output.clone());
        effect.reused = Some((of, origin.cloned()));
        let thread = effect.thread;
        // What stands in is undone as what it stands for, and once; what another execution did is undone there.
        if origin.is_none() && self.enter(thread) {
            if self.effects.kept.get(&of).is_some_and(|effect| effect.armed) {
                self.disarm(of);
            }
            self.arm_effect(number);
        }
        let whose = origin.map(|origin| format!(" of execution `{origin}`")).unwrap_or_default();
        self.settle(number, kept.outcome, format!("effect {}{whose} did this: it was not sent again", of.0));
        self.resume_with_output(number, output)
    }

    /// Why people decide about a requested effect, whatever policy says; none when policy alone does.
    pub fn caution(&self, number: EffectNumber) -> Option<String> {
        let effect = self.effect(number).filter(|effect| effect.probe_of.is_none() && !effect.undo)?;
        if matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read) {
            return None;
        }
        let kept = self.behind.iter().rev().find(|kept| in_place_of(kept, effect))?;
        let same_act = is_same(kept, effect);
        if same_act && (stands_in(kept, effect) || repeats_safely(kept, effect)) {
            return None;
        }
        let number = kept.effect.0;
        let whose =
            kept.origin.as_ref().map(|origin| format!(" of execution `{origin}`")).unwrap_or_default();
        let what = match (same_act, kept.outcome) {
            (true, Outcome::Verified) => "did the very same, and it is real",
            (true, Outcome::Unknown | Outcome::Failed) => "may have done the very same",
            (false, Outcome::Verified) => "did this with other arguments, and it is real",
            (false, Outcome::Unknown | Outcome::Failed) => "may have done this with other arguments",
        };
        Some(format!("the flow went back: effect {number}{whose} {what}"))
    }

    pub(crate) fn decide_choice(
        &self,
        effect: EffectNumber,
        choice: Choice,
        by: PrincipalId,
        reason: String,
    ) -> Result<Vec<EventBody>, Rejected> {
        if self.end.is_some() {
            return Err(Rejected::Ended(self.status().name()));
        }
        let of_it = || self.behind.iter().filter(|kept| kept.effect == effect);
        if of_it().any(|kept| kept.choice.is_none()) {
            if choice == Choice::Compensate && !self.may_choose_undo(effect) {
                let operation = of_it().next().map(|kept| kept.operation.as_str()).unwrap_or_default();
                return Err(NoReturn::NotUndoable(format!("{} (`{operation}`)", effect.0)).into());
            }
            return Ok(vec![EventBody::Chosen { effect, choice, by, reason }]);
        }
        match of_it().next() {
            None => Err(Rejected::NoEffect(effect)),
            Some(kept) if kept.choice == Some(choice) => Ok(Vec::new()),
            Some(_) => Err(Rejected::Nothing("somebody chose otherwise for this effect already")),
        }
    }

    pub(crate) fn chosen(&mut self, effect: EffectNumber, choice: Choice) -> Signal {
        for kept in self.behind.iter_mut().filter(|kept| kept.effect == effect && kept.choice.is_none()) {
            kept.choice = Some(choice);
        }
        self.chosen_of(effect, choice)
    }
}

/// `doubtful` when it was undone, and nobody knows whether that is so: people decide about doing it again.
fn kept_of(effect: &Effect, origin: Whose<'_>, choice: Option<Choice>, doubtful: bool) -> Option<KeptEffect> {
    let outcome = effect.outcome.filter(|outcome| *outcome != Outcome::Failed)?;
    // What was predicted was never sent.
    if effect.attempts.is_empty() && effect.reused.is_none() {
        return None;
    }
    let (outcome, choice) =
        if doubtful { (Outcome::Unknown, Some(Choice::Repeat)) } else { (outcome, choice) };
    let output = effect
        .output
        .as_ref()
        .filter(|_| !doubtful)
        .map(|value| KeptOutput { value: value.clone(), label: value.label_of_all().join(Label::EXTERNAL) });
    Some(KeptEffect {
        effect: effect.number,
        origin: origin.cloned(),
        task: effect.task.to_string(),
        visit: effect.visit,
        operation: effect.operation.clone(),
        likeness: likeness(effect),
        key: origin.is_none().then(|| effect.key.clone()),
        outcome,
        output,
        choice,
    })
}

/// What makes two acts the same, besides their place in the flow and their key.
fn likeness(effect: &Effect) -> Digest {
    model::digest_of(&(&effect.operation, &effect.arguments, effect.request.target(), &*effect.contract))
}

/// True when the flow asks for this effect where it asked for that one, or with its key.
fn in_place_of(kept: &KeptEffect, effect: &Effect) -> bool {
    let same_place = kept.task == *effect.task && kept.visit == effect.visit;
    kept.operation == effect.operation && (same_place || kept.key.as_ref() == Some(&effect.key))
}

/// True when the flow asks for the very same act.
fn is_same(kept: &KeptEffect, effect: &Effect) -> bool {
    kept.task == *effect.task
        && kept.visit == effect.visit
        && kept.key.as_ref().is_none_or(|key| *key == effect.key)
        && kept.likeness == likeness(effect)
}

/// True when the answer that is kept aside answers this effect too.
fn stands_in(kept: &KeptEffect, effect: &Effect) -> bool {
    kept.choice == Some(Choice::Keep)
        && kept.output.is_some()
        && effect.probe_of.is_none()
        && !effect.undo
        && is_same(kept, effect)
}

/// True when the class allows the same key to be sent again.
fn repeats_safely(kept: &KeptEffect, effect: &Effect) -> bool {
    effect.contract.class == EffectClass::Idempotent && kept.key.as_ref() == Some(&effect.key)
}
