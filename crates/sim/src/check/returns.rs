//! Going back: what was verified behind a point is never silently done again. And what was forgotten had ended.

use model::effect::EffectNumber;
use model::event::{EventBody, KeptEffect};
use model::{EffectClass, Outcome};

use super::{Found, Look, Story};
use crate::reached_in;

pub(crate) fn not_repeated(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let mut kept: Vec<&KeptEffect> = Vec::new();
        for event in &story.kept.events {
            match &event.body {
                EventBody::Rewound(rewound) => kept = rewound.kept.list.iter().collect(),
                EventBody::Forked(forked) => kept = forked.kept.list.iter().collect(),
                EventBody::EffectReused { of, origin, .. } => {
                    reached_in!(look, "what was kept stood in");
                    kept.retain(|kept| kept.effect != *of || kept.origin != *origin);
                }
                EventBody::EffectStarted { effect, attempt: 1, approval: None, .. } => {
                    let again = kept.iter().find(|kept| repeats(story, kept, effect.0));
                    found.extend(again.map(|kept| {
                        let id = story.id;
                        format!("{id}: effect {} repeats {} silently", effect.0, kept.effect.0)
                    }));
                }
                EventBody::EffectStarted { effect, .. }
                    if kept.iter().any(|kept| repeats(story, kept, effect.0)) =>
                {
                    reached_in!(look, "people let something be done again");
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether an effect does again what was verified, and was not undone for certain.
fn repeats(story: &Story<'_>, kept: &KeptEffect, number: u32) -> bool {
    let Some(effect) = story.state.effect(EffectNumber(number)) else { return false };
    let reads = matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read);
    if reads || effect.undo || effect.probe_of.is_some() || kept.outcome != Outcome::Verified {
        return false;
    }
    if kept.origin.is_none() && kept.effect.0 >= number {
        return false;
    }
    let same = *effect.task == *kept.task && effect.visit == kept.visit && effect.operation == kept.operation;
    // Its class allows the same key to be sent again, and the outside knows it.
    let absorbed = effect.contract.class == EffectClass::Idempotent && kept.key.as_ref() == Some(&effect.key);
    let before = story.state.effect(kept.effect).filter(|_| kept.origin.is_none());
    let undone = before.and_then(|before| before.undone_by).and_then(|undo| story.state.effect(undo));
    same && !absorbed && undone.is_none_or(|undo| undo.outcome != Some(Outcome::Verified))
}

/// Rules of retention remove nothing that somebody still waits for.
pub(crate) fn forgotten(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in look.stories.iter().filter(|story| look.facts.is_buried(story)) {
        reached_in!(look, "something was forgotten");
        if story.kept.row.ended_at.is_none() {
            found.push(format!("{} was forgotten before it ended", story.id));
        }
    }
    for fork in &look.facts.acks.forks {
        if !look.stories.iter().any(|story| (story.tenant, story.id) == (&fork.0, &fork.1)) {
            found.push(format!("the fork {} was promised and is not there", fork.1));
        }
    }
    found
}
