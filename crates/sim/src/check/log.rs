//! The audit log: a leaf for everything, a whole tree, a signed head.

use std::collections::BTreeMap;

use audit::Verifier;
use model::event::{ApprovalDecision, EventBody};

use super::{Found, Look, Story};
use crate::reached_in;

/// The leaf that an event has: what it is about, and its action. None for a verdict, which is told with what follows from
/// it, and for what time alone does.
fn leaf_of(story: &Story<'_>, body: &EventBody) -> Option<(String, &'static str)> {
    let of = |effect: &model::effect::EffectNumber| format!("executions/{}/effects/{}", story.id, effect.0);
    let whole = || format!("executions/{}", story.id);
    Some(match body {
        EventBody::Started(_) => (whole(), "execution.started"),
        EventBody::Barred { effect, .. } => (of(effect), "effect.barred"),
        EventBody::ApprovalDecided { effect, decision, .. } => (
            of(effect),
            match decision {
                ApprovalDecision::Approved => "approval.approved",
                ApprovalDecision::Rejected => "approval.rejected",
                ApprovalDecision::Expired => "approval.expired",
            },
        ),
        EventBody::Edited { effect, .. } => (of(effect), "approval.edited"),
        EventBody::EffectStarted { effect, .. } => (of(effect), "effect.permitted"),
        EventBody::EffectPredicted { effect, .. } => (of(effect), "effect.predicted"),
        EventBody::EffectAnswered { effect, .. } => (of(effect), "effect.answered"),
        EventBody::EffectVoided { effect, .. } => (of(effect), "effect.voided"),
        EventBody::Cancelled { .. } => (whole(), "execution.cancelled"),
        EventBody::Paused { .. } => (whole(), "execution.paused"),
        EventBody::Resumed { .. } => (whole(), "execution.resumed"),
        EventBody::Retried { .. } => (whole(), "execution.retried"),
        EventBody::Ended { .. } => (whole(), "execution.ended"),
        EventBody::Released => (whole(), "execution.released"),
        EventBody::Forced { effect, .. } => (of(effect), "compensation.forced"),
        EventBody::Signalled { .. } => (whole(), "execution.signalled"),
        EventBody::Resolved(resolved) => (of(&resolved.effect), "effect.resolved"),
        EventBody::Checkpoint { .. } => (whole(), "execution.checkpoint"),
        EventBody::Rewound(_) => (whole(), "execution.rewound"),
        EventBody::Forked(_) => (whole(), "execution.forked"),
        EventBody::Chosen { effect, .. } => (of(effect), "effect.chosen"),
        EventBody::EffectReused { effect, .. } => (of(effect), "effect.reused"),
        _ => return None,
    })
}

/// Each execution's leaves tell its events in their order, in the log of its tenant.
pub(crate) fn order(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut told: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for leaf in &look.facts.stored.leaves {
        let record = &leaf.record;
        let Some(rest) = record.resource.strip_prefix("executions/") else { continue };
        let id = rest.split('/').next().unwrap_or_default();
        told.entry(id).or_default().push((&record.resource, &record.action));
        let owner = look.stories.iter().find(|story| story.id.as_str() == id);
        if let Some(owner) = owner.filter(|owner| record.tenant != *owner.tenant) {
            let (whose, action) = (&record.tenant, &record.action);
            found.push(format!("{action} of {id} in {} is told in the log of {whose}", owner.tenant));
        }
    }
    for story in &look.stories {
        let events = story.kept.events.iter().filter_map(|event| leaf_of(story, &event.body));
        let expected: Vec<_> = events.collect();
        let known = |action: &str| expected.iter().any(|(_, known)| *known == action);
        let all = told.get(story.id.as_str()).into_iter().flatten().filter(|(_, action)| known(action));
        let all: Vec<_> = all.map(|(resource, action)| ((*resource).to_owned(), *action)).collect();
        let parts = expected
            .iter()
            .zip(&all)
            .position(|((resource, action), (told, word))| resource != told || action != word);
        if let Some(at) = parts {
            let (wanted, got) = (&expected[at], &all[at]);
            found.push(format!("{}: the log tells {got:?} where {wanted:?} happened", story.id));
        }
    }
    found
}

pub(crate) fn leaves(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut told: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut permits = std::collections::BTreeSet::new();
    let mut controls = 0;
    for leaf in &look.facts.stored.leaves {
        let record = &leaf.record;
        *told.entry((&record.resource, &record.action)).or_default() += 1;
        if let Some(permit) = record.details["permit"].as_str() {
            permits.insert(permit);
        }
        controls += u64::from(record.action == "control.set");
        if record.action == "effect.answered-late" {
            reached_in!(look, "an answer came too late");
        }
    }
    if controls < look.facts.acks.controls {
        found.push(format!("{} controls were set, {controls} leaves tell of it", look.facts.acks.controls));
    }
    for story in &look.stories {
        let mut expected: BTreeMap<(String, &str), u64> = BTreeMap::new();
        let mut judged = 0;
        for event in &story.kept.events {
            match &event.body {
                EventBody::Judged { .. } => judged += 1,
                EventBody::EffectStarted { permit, .. } if !permits.contains(permit.as_str()) => {
                    found.push(format!("{}: permit {permit} has no leaf", story.id));
                }
                _ => {}
            }
            let Some((resource, action)) = leaf_of(story, &event.body) else { continue };
            *expected.entry((resource, action)).or_default() += 1;
        }
        for ((resource, action), times) in &expected {
            let known = told.get(&(resource.as_str(), action)).copied().unwrap_or(0);
            if known != *times {
                found.push(format!("{resource}: {times} times {action}, and {known} leaves"));
            }
        }
        let verdicts = look.facts.stored.leaves.iter().filter(|leaf| {
            leaf.record.correlation == story.id.as_str() && leaf.record.details["verdict"].is_string()
        });
        let verdicts = verdicts.count();
        if verdicts != judged {
            found.push(format!("{}: {judged} verdicts, and {verdicts} leaves", story.id));
        }
    }
    found
}

pub(crate) fn tree(look: &Look<'_>) -> Found {
    let facts = look.facts;
    let stored = &facts.stored;
    let mut found = Vec::new();
    let mut verifier = Verifier::new(vec![facts.head.clone()], facts.audit_key.clone());
    let mut frontier = audit::Frontier::default();
    let mut heads = stored.heads.iter().peekable();
    for leaf in &stored.leaves {
        if !verifier.push(leaf.row.sequence, &leaf.row.bytes, &leaf.row.hash) {
            break;
        }
        frontier.append(leaf.row.hash, |_, _, _| {});
        while let Some((size, root, _)) = heads.next_if(|(size, _, _)| *size <= frontier.size()) {
            if *size == frontier.size() && *root != frontier.root() {
                found.push(format!("the head of {size} leaves is of another tree"));
            }
        }
    }
    if let Some((leaf, why)) = verifier.finish().first_bad {
        found.push(format!("leaf {leaf}: {why}"));
    }
    if stored.leaves.len() < facts.base_leaves {
        found.push("leaves are gone".to_owned());
    }
    found
}
