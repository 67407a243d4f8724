//! Effects that nobody waits for any more: what becomes of them.

use model::Outcome;
use model::action::EffectClass;
use model::effect::EffectNumber;

use crate::state::{Doing, Execution, Phase};

impl Execution {
    /// The flow no longer waits for the effects of the frames from `position` on.
    pub(crate) fn abandon_above(&mut self, position: usize) {
        let numbers: Vec<EffectNumber> = self.live.stack[position..]
            .iter()
            .filter_map(|frame| match frame {
                crate::state::Frame::Task(task) => match task.doing {
                    Doing::Effect(number) => Some(number),
                    _ => None,
                },
                crate::state::Frame::List(_) => None,
            })
            .collect();
        for number in numbers {
            self.abandon(number);
        }
    }

    /// The flow no longer waits for an effect. One that is under way and will be undone stays open until it has
    /// answered: its undo must not overtake it.
    pub(crate) fn abandon(&mut self, number: EffectNumber) {
        let effect = self.effect_mut(number);
        if effect.armed && effect.phase == Phase::Started {
            effect.awaited = false;
        } else if effect.outcome.is_none() {
            self.give_up(number);
        }
    }

    /// Gives up on all effects that are open.
    pub(crate) fn give_up_everything(&mut self) {
        for number in self.open.clone() {
            if self.effect_ref(number).outcome.is_none() {
                self.give_up(number);
            }
        }
    }

    /// Gives up on an effect: what was never sent has failed, what is under way is unknown.
    fn give_up(&mut self, number: EffectNumber) {
        let probes: Vec<EffectNumber> =
            self.open.iter().copied().filter(|n| self.effect_ref(*n).probe_of == Some(number)).collect();
        for probe in probes {
            self.settle(probe, Outcome::Failed, "no longer needed".to_owned());
        }
        let effect = self.effect_ref(number);
        let reads = matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read);
        let answered = |answer| effect.attempts.iter().any(|attempt| attempt.answer == Some(answer));
        let (outcome, evidence) = match &effect.phase {
            Phase::Settled | Phase::Denied => (None, ""),
            Phase::Started if !reads => (Some(Outcome::Unknown), "given up while it was under way"),
            Phase::Verifying(_) if !reads => {
                (Some(Outcome::Unknown), "given up before its outcome was known")
            }
            Phase::Parked { .. } if !reads && (answered("done") || answered("lost")) => {
                (Some(Outcome::Unknown), "given up before its outcome was known")
            }
            _ => match self.outcome_without_yes(number) {
                Outcome::Failed => (Some(Outcome::Failed), "given up before it happened"),
                outcome => (Some(outcome), "given up after an answer was lost"),
            },
        };
        if let Some(outcome) = outcome {
            self.settle(number, outcome, evidence.to_owned());
        }
        self.effect_mut(number).awaited = false;
    }
}
