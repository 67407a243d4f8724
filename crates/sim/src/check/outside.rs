//! What happened outside, against what the histories say about it.

use std::collections::BTreeMap;

use engine::Phase;
use model::effect::Answer;
use model::{EffectClass, EffectKind, EventBody, Outcome};

use super::{Found, Look, sagas};
use crate::outside::System;
use crate::reached_in;

/// Nothing leaves before its start is durable, and each attempt leaves at most once.
pub(crate) fn sends(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut seen = BTreeMap::new();
    for sent in &look.facts.ledger.sent {
        let place = (sent.tenant.clone(), sent.execution.clone(), sent.effect, sent.attempt);
        if seen.insert(place, ()).is_some() {
            found.push(format!(
                "attempt {} of effect {} of {} was sent twice",
                sent.attempt, sent.effect, sent.execution
            ));
        }
        let started = look.stories.iter().any(|story| {
            *story.tenant == sent.tenant
                && *story.id == sent.execution
                && story.kept.events.iter().any(|event| {
                    matches!(&event.body, EventBody::EffectStarted { effect, attempt, .. }
                        if effect.0 == sent.effect && *attempt == sent.attempt)
                })
        });
        if !started {
            found.push(format!(
                "effect {} of {} was sent, and its history knows nothing of it",
                sent.effect, sent.execution
            ));
        }
    }
    found
}

/// However often it was tried, sent, doubled and recovered: each step of each execution is done once, and again only
/// when it was taken back, or when people let the flow do it again after it went back.
pub(crate) fn once(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut there: BTreeMap<_, u32> = BTreeMap::new();
    for act in &look.facts.ledger.acts {
        let place = (&act.tenant, &act.execution, &act.step);
        let count = there.entry(place).or_default();
        if act.undoes {
            *count = count.saturating_sub(1);
            continue;
        }
        *count += 1;
        if *count > 1 && !allowed_again(look, act) {
            let (step, id) = (&act.step, &act.execution);
            found.push(format!("step {step} of {id} was done again by effect {}", act.effect));
        }
    }
    found
}

/// Whether people approved an effect of a flow that went back.
fn allowed_again(look: &Look<'_>, act: &crate::outside::Act) -> bool {
    let story = look.stories.iter().find(|story| (story.tenant, story.id) == (&act.tenant, &act.execution));
    story.is_some_and(|story| {
        let approved = |body: &EventBody| {
            matches!(body, EventBody::EffectStarted { effect, approval: Some(_), .. } if effect.0 == act.effect)
        };
        sagas::went_back(story) && story.kept.events.iter().any(|event| approved(&event.body))
    })
}

pub(crate) fn unrepeatable(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        for effect in story.state.effects.iter() {
            if effect.contract.class != EffectClass::Irreversible {
                continue;
            }
            let number = effect.number;
            let mut lost = false;
            for event in &story.kept.events {
                match &event.body {
                    EventBody::EffectAnswered { effect, answer: Answer::Lost { .. }, .. }
                        if *effect == number =>
                    {
                        lost = true;
                    }
                    EventBody::EffectStarted { effect, attempt, .. } if *effect == number && lost => {
                        found.push(format!(
                            "{}: attempt {attempt} of effect {} began after an answer was lost",
                            story.id, number.0
                        ));
                    }
                    _ => {}
                }
            }
            let waits = matches!(effect.phase, Phase::Parked { .. });
            if lost && !waits && effect.resolved.is_none() && effect.outcome != Some(Outcome::Unknown) {
                found.push(format!(
                    "{}: effect {} was lost, and is neither parked nor unknown",
                    story.id, number.0
                ));
            }
        }
    }
    found
}

pub(crate) fn fenced(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut highest: BTreeMap<_, u64> = BTreeMap::new();
    for act in look.facts.ledger.acts.iter().filter(|act| act.system == System::Fenced) {
        let highest = highest.entry(&act.tenant).or_default();
        if act.token < *highest {
            found.push(format!("{}: token {} was accepted after {highest}", act.execution, act.token));
        }
        *highest = act.token.max(*highest);
    }
    found
}

/// `verified` only when the outside really has it, `failed` only when it has not.
pub(crate) fn outcomes(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        for effect in story.state.effects.iter() {
            let changes = effect.contract.effect != EffectKind::Read
                && !matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read);
            if !changes {
                continue;
            }
            let acts = || {
                let of =
                    |act: &&crate::outside::Act| act.tenant == *story.tenant && act.execution == *story.id;
                look.facts.ledger.acts.iter().filter(of).filter(|act| !act.undoes)
            };
            let step = effect.arguments.get("step").and_then(|step| step.as_str()).unwrap_or_default();
            let (id, number) = (story.id, effect.number.0);
            // An undo is about what another effect did, and what stands in was done elsewhere; see `sagas`.
            if effect.undo || effect.reused.is_some() {
                continue;
            }
            match effect.outcome {
                Some(Outcome::Verified) if !acts().any(|act| act.step == step) => {
                    found.push(format!("{id}: effect {number} ({step}) is verified, and is not there"));
                }
                Some(Outcome::Failed) if acts().any(|act| act.effect == number) => {
                    found.push(format!("{id}: effect {number} ({step}) has failed, and is there"));
                }
                _ => {}
            }
            let lost = effect.attempts.iter().any(|attempt| attempt.answer == Some("lost"));
            let attempts = effect.attempts.len();
            match effect.outcome {
                Some(Outcome::Verified) if lost && attempts == 1 => {
                    reached_in!(look, "lost then probed and seen")
                }
                Some(Outcome::Verified) if lost => reached_in!(look, "lost then probed and sent again"),
                Some(Outcome::Unknown) if effect.contract.class == EffectClass::Idempotent => {
                    reached_in!(look, "an idempotent effect ended unknown");
                }
                Some(Outcome::Failed) if effect.attempts.last().is_some_and(|a| a.answer == Some("done")) => {
                    reached_in!(look, "a lie was found out");
                }
                _ => {}
            }
        }
    }
    found
}
