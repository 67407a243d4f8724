//! Sagas: whole, undone or parked; and every undo after its effect, once, newest first.

use std::collections::BTreeMap;

use engine::{Effect, End};
use model::Outcome;
use model::effect::EffectNumber;
use model::event::{CancelMode, EventBody};

use super::{Found, Look, Story};
use crate::reached_in;

/// Whether the flow went back, or is a fork of another one: then what it stands for is not what its text says.
pub(crate) fn went_back(story: &Story<'_>) -> bool {
    let turns = |body: &EventBody| matches!(body, EventBody::Rewound(_) | EventBody::Forked(_));
    story.kept.events.iter().any(|event| turns(&event.body))
}

fn step_of(effect: &Effect) -> String {
    effect.arguments.get("step").and_then(|step| step.as_str()).unwrap_or_default().to_owned()
}

/// Whether it has ended so that everything had to be undone.
fn had_to_undo(story: &Story<'_>) -> bool {
    match &story.state.end {
        Some(End::Faulted(_)) => true,
        Some(End::Cancelled(_)) => {
            let last = story.kept.events.iter().rev().find_map(|event| match &event.body {
                EventBody::Cancelled { mode, .. } => Some(*mode),
                _ => None,
            });
            last == Some(CancelMode::Graceful)
        }
        Some(End::Completed(_)) | None => false,
    }
}

pub(crate) fn whole_or_undone(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        found.extend(undone_is_gone(look, story));
        if !had_to_undo(story) {
            continue;
        }
        if !story.state.armed().is_empty() {
            found.push(format!("{}: it has ended, and something is still armed", story.id));
        }
        if !went_back(story) {
            found.extend(nothing_left(look, story));
        }
    }
    found
}

/// What is undone for certain is not there, unless the flow did it again.
fn undone_is_gone(look: &Look<'_>, story: &Story<'_>) -> Found {
    let mut found = Vec::new();
    let mut newest: BTreeMap<String, &Effect> = BTreeMap::new();
    for effect in story.state.effects.iter().filter(|effect| !effect.undo && effect.probe_of.is_none()) {
        let acted = !effect.attempts.is_empty() || effect.reused.is_some();
        if acted && effect.contract.effect != model::EffectKind::Read && effect.action.is_some() {
            newest.insert(step_of(effect), effect);
        }
    }
    for (step, effect) in newest {
        // What stands in for another effect is that act, whichever of them was undone.
        let lineage: Vec<&Effect> = story.state.lineage(effect).collect();
        let undone = lineage.iter().find_map(|act| act.undone_by).and_then(|undo| story.state.effect(undo));
        let certain = undone.is_some_and(|undo| undo.outcome == Some(Outcome::Verified));
        let there = look.facts.ledger.there(story.tenant, story.id, &step);
        if certain && there {
            found.push(format!("{}: {step} is undone for certain, and is there", story.id));
        }
        // Nobody knows of an undo that was sent and not answered.
        let doubtful = story.state.effects.iter().any(|undo| {
            let of_it = lineage.iter().any(|act| undo.compensates == Some(act.number));
            undo.undo && of_it && !undo.attempts.is_empty()
        });
        let foreign = effect.reused.as_ref().is_some_and(|(_, origin)| origin.is_some());
        if effect.outcome == Some(Outcome::Verified) && undone.is_none() && !doubtful && !there && !foreign {
            found.push(format!("{}: {step} is verified and not undone, and is not there", story.id));
        }
    }
    found
}

/// After a failure nothing that can be undone is left, or the outcome says that nobody knows.
fn nothing_left(look: &Look<'_>, story: &Story<'_>) -> Found {
    let mut found = Vec::new();
    let mut undone = 0;
    for effect in story.state.effects.iter() {
        let undoable = effect.action.as_ref().is_some_and(|action| action.compensate.is_some());
        let step = step_of(effect);
        let released = look.facts.released.iter().any(|(name, s)| *name == story.kept.row.name && *s == step);
        let happened = !effect.attempts.is_empty() && effect.outcome != Some(Outcome::Failed);
        if effect.undo || !undoable || released || !happened || effect.probe_of.is_some() {
            continue;
        }
        let gave_up = story.kept.events.iter().any(|event| {
            matches!(&event.body, EventBody::Forced { effect: number, .. } if *number == effect.number)
        });
        if effect.undone_by.is_none() && !gave_up {
            found.push(format!("{}: effect {} ({step}) was never undone", story.id, effect.number.0));
        }
        undone += 1;
        let there = look.facts.ledger.there(story.tenant, story.id, &step);
        if there && story.state.outcome() != Some(Outcome::Unknown) {
            found.push(format!("{}: {step} is still there, and the outcome does not say so", story.id));
        }
    }
    if undone > 0 {
        reached_in!(look, "a failure undid everything");
    }
    found
}

/// The innermost branch that a task is in.
fn branch(task: &str) -> &str {
    let Some(at) = task.rfind("/fork/branches/") else { return "" };
    let rest = &task[at + "/fork/branches/".len()..];
    let end = rest.find('/').unwrap_or(rest.len());
    &task[..at + "/fork/branches/".len() + end]
}

/// Whether two tasks stand on one compensation stack, at least in the end.
fn one_stack(a: &str, b: &str) -> bool {
    let (a, b) = (branch(a), branch(b));
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(a, b) || within(b, a)
}

fn starts(story: &Story<'_>, number: EffectNumber) -> impl Iterator<Item = usize> {
    story.kept.events.iter().enumerate().filter_map(move |(at, event)| {
        matches!(&event.body, EventBody::EffectStarted { effect, .. } if *effect == number).then_some(at)
    })
}

pub(crate) fn undos(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let id = story.id;
        let mut sure: BTreeMap<EffectNumber, EffectNumber> = BTreeMap::new();
        let mut before: Vec<(&Effect, EffectNumber, &str)> = Vec::new();
        for undo in story.state.effects.iter().filter(|effect| effect.undo) {
            let Some(of) = undo.compensates else { continue };
            let number = undo.number.0;
            let Some(effect) = story.state.effect(of) else {
                found.push(format!("{id}: effect {number} undoes {}, which is not there", of.0));
                continue;
            };
            let begun = starts(story, undo.number).next();
            // What stands in for another effect was started there.
            let mut origin = effect;
            while let Some(other) = origin
                .reused
                .as_ref()
                .filter(|(_, of)| of.is_none())
                .and_then(|(of, _)| story.state.effect(*of))
            {
                origin = other;
            }
            let first = starts(story, origin.number).next();
            if begun.is_some_and(|begun| first.is_none_or(|first| first > begun)) {
                found.push(format!("{id}: undo {number} began before effect {} did", of.0));
            }
            if undo.outcome == Some(Outcome::Verified)
                && let Some(other) = sure.insert(of, undo.number)
            {
                found.push(format!("{id}: effect {} was undone by {} and {number}", of.0, other.0));
            }
            for (earlier, earlier_of, task) in &before {
                if !one_stack(task, &effect.task) {
                    continue;
                }
                if of > *earlier_of && of < earlier.number {
                    found.push(format!(
                        "{id}: effect {} was undone before {}, which is newer",
                        earlier_of.0, of.0
                    ));
                }
                let late = starts(story, earlier.number).last();
                if begun.zip(late).is_some_and(|(begun, late)| late > begun) {
                    found
                        .push(format!("{id}: undo {number} began before undo {} was over", earlier.number.0));
                }
            }
            // An undo whose starts were all voided was given up unsent, and stands before nothing.
            if undo.attempts.is_empty() || undo.attempts.iter().any(|attempt| attempt.answer != Some("void"))
            {
                before.push((undo, of, &effect.task));
            }
        }
        if before.len() > 1 {
            reached_in!(look, "several were undone, newest first");
        }
    }
    found
}
