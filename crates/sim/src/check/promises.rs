//! What people were told holds.

use std::collections::BTreeMap;

use model::EventBody;
use model::event::ApprovalDecision;

use super::{Found, Look};
use crate::acks::Kill;
use crate::reached_in;

pub(crate) fn none_lost(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut by_key = BTreeMap::new();
    let mut promised = std::collections::BTreeSet::new();
    for accepted in &look.facts.acks.accepted {
        promised.insert((&accepted.tenant, &accepted.execution));
        let story = look.stories.iter().find(|s| *s.tenant == accepted.tenant && *s.id == accepted.execution);
        match story {
            None => found.push(format!("{} was promised and is not there", accepted.execution)),
            Some(story) if first_plan(story) != Some(accepted.plan) => {
                found.push(format!("{} runs another plan than was promised", accepted.execution));
            }
            Some(_) => {}
        }
        if let Some(key) = &accepted.key {
            let known = by_key.entry((&accepted.tenant, key)).or_insert(&accepted.execution);
            if *known != &accepted.execution {
                found.push(format!("key {key} stands for {known} and {}", accepted.execution));
            }
        }
    }
    if look.stories.iter().any(|story| !promised.contains(&(story.tenant, story.id))) {
        reached_in!(look, "acknowledged nothing, and it was durable");
    }
    found
}

/// However often a goal with a key came, and whatever was answered: it is one execution.
pub(crate) fn one_for_each_key(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for (tenant, number) in &look.facts.acks.keyed {
        let same = |story: &&super::Story<'_>| {
            let started = &story.state.started;
            let given = started.input.get("n").map(model::Value::to_json);
            story.tenant == tenant && started.origin.is_none() && given == Some((*number).into())
        };
        let all: Vec<_> = look.stories.iter().filter(same).map(|story| story.id.to_string()).collect();
        if all.len() > 1 {
            found.push(format!("the goal of client {number} is {}", all.join(" and ")));
        }
    }
    found
}

/// The plan that it began with; a return may have brought another input.
fn first_plan(story: &super::Story<'_>) -> Option<model::Digest> {
    match story.kept.events.first().map(|event| &event.body) {
        Some(EventBody::Started(started)) => Some(started.plan),
        _ => None,
    }
}

pub(crate) fn progress(look: &Look<'_>) -> Found {
    let mut found = look.facts.unsettled.clone();
    let commands = look.facts.stored.documents.keys().filter(|(_, kind, _)| kind == "open-operation");
    found.extend(commands.map(|(_, _, id)| format!("the command {id} is not done")));
    for story in &look.stories {
        let row = &story.kept.row;
        let Some(letter) = row.blocked_on.as_deref().and_then(|what| what.strip_prefix("dead-letter:"))
        else {
            continue;
        };
        reached_in!(look, "parked without an answer");
        let open = look
            .facts
            .stored
            .dead_letters
            .iter()
            .any(|((tenant, id), (open, _))| tenant == story.tenant && id.as_str() == letter && *open);
        if !open || row.error.is_none() {
            found.push(format!("{} is parked without a letter or a reason", story.id));
        }
    }
    found
}

pub(crate) fn acts_hold(look: &Look<'_>) -> Found {
    let mut found = look.facts.acks.wrong.clone();
    for decided in &look.facts.acks.decided {
        if let Some(wrong) = decided.wrong {
            found.push(format!("{} decided {} {wrong}, and was heard", decided.by, decided.approval));
        }
        let approval = look
            .facts
            .stored
            .approvals
            .iter()
            .find(|((tenant, id), _)| *tenant == decided.tenant && id.as_str() == decided.approval)
            .map(|(_, (_, approval))| approval);
        let Some(approval) = approval else {
            found.push(format!("approval {} was decided and is not there", decided.approval));
            continue;
        };
        let voted = approval.votes.iter().any(|v| v.by.as_str() == decided.by && v.approve == decided.yes);
        if !decided.edited && !voted {
            found.push(format!("the word of {} on {} is gone", decided.by, decided.approval));
        }
        if !decided.edited && !decided.yes {
            let rejected = look.stories.iter().any(|story| {
                story.kept.events.iter().any(|event| {
                    matches!(&event.body, EventBody::ApprovalDecided { approval, decision: ApprovalDecision::Rejected, .. }
                        if approval.as_str() == decided.approval)
                })
            });
            if !rejected {
                found.push(format!("{} said no to {}, and nothing knows", decided.by, decided.approval));
            }
        }
    }
    let stored = &look.facts.stored;
    let leaf = |action: &str, id: &str| {
        stored.leaves.iter().any(|leaf| leaf.record.action == action && leaf.record.correlation == id)
    };
    for (tenant, id, action) in &look.facts.acks.acts {
        if !leaf(action, id.as_str()) {
            found.push(format!("{action} of {id} in {tenant} was acknowledged and has no leaf"));
        }
    }
    found
}

/// Sends carry their number in the trace, and so do the acknowledgements.
pub(crate) fn kill_holds(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut on_since = None;
    let mut spans = Vec::new();
    for kill in &look.facts.acks.kills {
        match kill {
            Kill::On(number) => on_since = on_since.or(Some(*number)),
            Kill::Off(number) => spans.extend(on_since.take().map(|since| since..*number)),
        }
    }
    spans.extend(on_since.map(|since| since..u64::MAX));
    for sent in look.facts.ledger.sent.iter().filter(|sent| !sent.stale) {
        if spans.iter().any(|span| span.contains(&sent.number)) {
            let (id, effect) = (&sent.execution, sent.effect);
            found.push(format!(
                "effect {effect} of {id} was sent ({}) while the kill switch was on",
                sent.number
            ));
        }
    }
    found
}

pub(crate) fn tenants_apart(look: &Look<'_>) -> Found {
    let mut found = look.facts.acks.foreign.clone();
    for act in &look.facts.ledger.acts {
        if !look.stories.iter().any(|story| *story.tenant == act.tenant && *story.id == act.execution) {
            found.push(format!("{} acted for {}, which is not its own", act.tenant, act.execution));
        }
    }
    found
}

pub(crate) fn no_surprise(look: &Look<'_>) -> Found {
    look.facts.panics.iter().chain(&look.facts.acks.internal).cloned().collect()
}

pub(crate) fn bounded(look: &Look<'_>) -> Found {
    let facts = look.facts;
    let mut found = Vec::new();
    if facts.tasks > facts.tasks_max {
        found.push(format!("{} tasks are left, {} may be", facts.tasks, facts.tasks_max));
    }
    for story in &look.stories {
        if story.kept.events.len() > 2000 {
            found.push(format!("{} has {} events", story.id, story.kept.events.len()));
        }
    }
    found
}
