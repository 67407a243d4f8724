//! Approvals: used once, for that digest, by somebody else, in time.

use std::collections::{BTreeMap, BTreeSet};

use model::approval::{Approval, ApprovalStatus};
use model::event::{ApprovalDecision, EventBody};
use model::id::ApprovalId;

use super::{Found, Look, Story};
use crate::reached_in;

pub(crate) fn approvals(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut used: BTreeMap<ApprovalId, (String, u32)> = BTreeMap::new();
    for story in &look.stories {
        for event in &story.kept.events {
            match &event.body {
                // A permit that was given back was not used.
                EventBody::EffectStarted { effect, attempt, digest, approval: Some(id), .. }
                    if !given_back(story, *effect, *attempt) =>
                {
                    let place = (story.id.to_string(), effect.0);
                    let first = used.entry(id.clone()).or_insert_with(|| place.clone());
                    if *first != place {
                        found.push(format!("approval {id} was used for {first:?} and {place:?}"));
                    }
                    let Some(approval) = stored(look, story, id) else {
                        found.push(format!("approval {id} was used and is not there"));
                        continue;
                    };
                    found.extend(usable(story, approval, effect.0, digest, event.at));
                }
                EventBody::ApprovalDecided { approval: id, decision, by, .. } => {
                    found.extend(decided(look, story, id, *decision, by.as_ref(), event.at));
                }
                _ => {}
            }
        }
    }
    for ((_, id), (_, approval)) in &look.facts.stored.approvals {
        let ended = look.stories.iter().any(|s| *s.id == approval.execution && s.kept.row.ended_at.is_some());
        if ended && approval.status == ApprovalStatus::Pending {
            found.push(format!("approval {id} waits for {}, which has ended", approval.execution));
        }
    }
    found
}

fn given_back(story: &Story<'_>, number: model::effect::EffectNumber, tried: u32) -> bool {
    story.kept.events.iter().any(|event| {
        matches!(&event.body, EventBody::EffectVoided { effect, attempt, .. } if *effect == number && *attempt == tried)
    })
}

fn stored<'a>(look: &Look<'a>, story: &Story<'_>, id: &ApprovalId) -> Option<&'a Approval> {
    let key = (story.tenant.clone(), id.clone());
    look.facts.stored.approvals.get(&key).map(|(_, approval)| approval)
}

fn usable(
    story: &Story<'_>,
    approval: &Approval,
    effect: u32,
    digest: &model::Digest,
    at: model::Timestamp,
) -> Found {
    let mut found = Vec::new();
    let id = &approval.id;
    let mut wrong = |what: &str| found.push(format!("approval {id}: {what}"));
    if approval.status != ApprovalStatus::Approved {
        wrong(&format!("was used, and is {}", approval.status.name()));
    }
    if approval.execution != *story.id || approval.effect.0 != effect {
        wrong("was used for another effect");
    }
    if approval.digest != *digest {
        wrong("was used for another digest");
    }
    if at >= approval.expires_at {
        wrong("was used after its time");
    }
    let yes: BTreeSet<_> = approval.votes.iter().filter(|vote| vote.approve).map(|vote| &vote.by).collect();
    if yes.len() < approval.quorum.approvers as usize {
        wrong("was used without enough voices");
    }
    if approval.votes.iter().any(|vote| !vote.approve) {
        wrong("was used although somebody said no");
    }
    if yes.contains(&story.state.started.requester) {
        wrong("the requester's own voice was counted");
    }
    if approval.edited_by.as_ref().is_some_and(|editor| yes.contains(editor)) {
        wrong("the voice of whoever edited was counted");
    }
    if approval.votes.iter().any(|vote| vote.at >= approval.expires_at) {
        wrong("a voice came after its time and was counted");
    }
    found
}

fn decided(
    look: &Look<'_>,
    story: &Story<'_>,
    id: &ApprovalId,
    decision: ApprovalDecision,
    by: Option<&model::PrincipalId>,
    at: model::Timestamp,
) -> Found {
    let mut found = Vec::new();
    let Some(approval) = stored(look, story, id) else {
        return vec![format!("approval {id} was decided and is not there")];
    };
    let expected = match decision {
        ApprovalDecision::Approved => ApprovalStatus::Approved,
        ApprovalDecision::Rejected => ApprovalStatus::Rejected,
        ApprovalDecision::Expired => {
            reached_in!(look, "expired");
            ApprovalStatus::Expired
        }
    };
    // What was approved and never used is withdrawn when the gate asks anew.
    let withdrawn = decision == ApprovalDecision::Approved && approval.status == ApprovalStatus::Withdrawn;
    if approval.status != expected && !withdrawn {
        found.push(format!("approval {id} is {}, its history says {decision:?}", approval.status.name()));
    }
    match decision {
        ApprovalDecision::Expired if at < approval.expires_at => {
            found.push(format!("approval {id} expired before its time"));
        }
        ApprovalDecision::Approved if at >= approval.expires_at => {
            found.push(format!("approval {id} was given after its time"));
        }
        ApprovalDecision::Approved if by.is_none_or(|by| *by == story.state.started.requester) => {
            found.push(format!("approval {id} was given by its requester, or by nobody"));
        }
        _ => {}
    }
    found
}
