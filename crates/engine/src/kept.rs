//! The effects that are still kept: all that are open, and those settled ones that something may still refer to.

use std::collections::BTreeMap;

use model::Timestamp;
use model::effect::EffectNumber;

use crate::state::Effect;

/// Effects by number. A long execution has requested many and keeps few: a settled effect goes when time has passed
/// and neither the flow nor a dead letter may refer to it. A state with tracing keeps all.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// By number.
    pub(crate) kept: BTreeMap<EffectNumber, Effect>,
    /// How many were requested so far; the number of the newest.
    pub(crate) requested: u32,
    /// Settled ones that may be forgotten, in the order in which they settled.
    pub(crate) over: Vec<EffectNumber>,
}

impl Effects {
    /// The kept ones, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.kept.values()
    }

    /// An effect that is kept.
    pub fn get(&self, number: EffectNumber) -> Option<&Effect> {
        self.kept.get(&number)
    }

    /// How many were requested so far, kept or not.
    pub fn requested(&self) -> u32 {
        self.requested
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.requested = effect.number.0;
        self.kept.insert(effect.number, effect);
    }

    /// Forgets what settled at another moment than `now`; `used` is what the flow still stands at.
    ///
    /// Effects of the present moment stay, because whoever commits a step tells of what settled in it. Effects that
    /// were parked stay for good: their dead letter may still have to be closed.
    pub(crate) fn forget(&mut self, now: Timestamp, used: Option<EffectNumber>) {
        let kept = &mut self.kept;
        self.over.retain(|number| {
            let Some(effect) = kept.get(number) else { return false };
            if effect.settled_at == Some(now) || used == Some(*number) {
                return true;
            }
            if effect.parked_at.is_none() {
                kept.remove(number);
            }
            false
        });
    }
}
