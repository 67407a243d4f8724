//! Executions that run other executions: how one begins another, hears of its end, stops it and undoes it.
//!
//! Whatever one execution wants of another is a message, written in the same transaction as the event that it follows
//! from, and removed in the transaction of what it leads to. A crash in between loses nothing and does nothing twice: the
//! id of an execution follows from the one that runs it and the number of the effect, and an answer is taken by the effect
//! that waits for it, once.

mod act;
mod begin;
pub(crate) mod lines;
pub(crate) mod mail;
mod tell;

use std::collections::BTreeMap;

use engine::{End, Execution, Phase};
use model::effect::EffectNumber;
use model::event::{CancelMode, Event, EventBody};
use model::{ExecutionId, Request};

use mail::{Act, Message, What};

/// What an execution had to do with others before a step.
#[derive(Default)]
pub(crate) struct Before {
    /// Executions that it waited for, and whether the flow still wanted them.
    children: BTreeMap<EffectNumber, (ExecutionId, bool)>,
    /// What it listened for of the events that are addressed to nobody.
    pub(crate) listening: Option<String>,
}

/// What this execution waits for at this moment.
pub(crate) fn before(state: &Execution) -> Before {
    let children = state.children_under_way().into_iter();
    Before {
        children: children.map(|(number, child, wanted)| (number, (child, wanted))).collect(),
        listening: state.listens_outside(),
    }
}

/// What a step wants of other executions.
pub(crate) fn messages(state: &Execution, events: &[Event], before: &Before) -> Vec<Message> {
    let started = &state.started;
    let to = |execution: &ExecutionId, what: What| Message {
        tenant: started.tenant.clone(),
        execution: execution.clone(),
        what,
    };
    let mut messages = Vec::new();
    for event in events {
        match &event.body {
            EventBody::EffectStarted { effect, .. } => {
                let Some(effect) = state.effect(*effect).filter(|effect| effect.phase == Phase::Started)
                else {
                    continue;
                };
                let Some(child) = state.execution_of(effect) else { continue };
                let (parent, effect_number) = (started.execution.clone(), effect.number);
                let what = match &effect.request {
                    Request::Unwind(_) => What::Undo { parent, effect: effect_number },
                    _ => What::Begin { parent, effect: effect_number },
                };
                messages.push(to(&child, what));
            }
            EventBody::Ended { .. } => {
                if let (Some(parent), Some(effect)) = (&started.family.parent, state.tells()) {
                    let what = What::Ended { child: started.execution.clone(), effect };
                    messages.push(to(&parent.execution, what));
                }
            }
            EventBody::Paused { .. } | EventBody::Resumed { .. } => {
                let act =
                    if matches!(event.body, EventBody::Paused { .. }) { Act::Pause } else { Act::Resume };
                for (_, child, _) in state.children_under_way() {
                    messages.push(to(&child, What::Act { parent: started.execution.clone(), act }));
                }
            }
            _ => {}
        }
    }
    if let Some(listening) = state.listens_outside()
        && before.listening.as_ref() != Some(&listening)
    {
        messages.push(to(&started.execution, What::Listens { since: model::digest_of(&listening).short() }));
    }
    for (number, (child, wanted)) in &before.children {
        if let Some(mode) = unwanted(state, *number, *wanted) {
            let act = Act::Cancel(mode);
            messages.push(to(child, What::Act { parent: started.execution.clone(), act }));
        }
    }
    messages
}

/// How an execution is to be cancelled whose end the flow does not want any more; none when it does, or had it.
fn unwanted(state: &Execution, number: EffectNumber, wanted: bool) -> Option<CancelMode> {
    let effect = state.effect(number);
    match effect {
        Some(effect) if effect.phase == Phase::Started => {
            (wanted && !effect.awaited).then_some(CancelMode::Graceful)
        }
        Some(effect) if effect.attempts.last().is_some_and(|attempt| attempt.answer.is_some()) => None,
        // Given up: by an operator who wants nothing undone, or by a flow that ended or went elsewhere.
        Some(_) | None => {
            let forced = matches!(&state.end, Some(End::Cancelled(_)));
            Some(if forced { CancelMode::Forced } else { CancelMode::Graceful })
        }
    }
}
