//! Controls, policies and people: what was acknowledged holds for everything that is sent after it.

use std::collections::BTreeMap;

use model::event::EventBody;
use model::id::ApprovalId;
use model::{ExecutionId, TenantId};

use super::{Found, Look};
use crate::acks::Set;
use crate::outside::Sent;
use crate::workloads;

/// What the history says about the start of an attempt.
struct Start<'a> {
    epoch: u64,
    approval: Option<&'a ApprovalId>,
    /// An entry of a signed plan stands in for an approval.
    signed: bool,
}

type Starts<'a> = BTreeMap<(&'a TenantId, &'a ExecutionId, u32, u32), Start<'a>>;

fn starts<'a>(look: &'a Look<'_>) -> Starts<'a> {
    let mut starts = BTreeMap::new();
    for story in &look.stories {
        for event in &story.kept.events {
            if let EventBody::EffectStarted { effect, attempt, epoch, approval, entry, .. } = &event.body {
                let start = Start { epoch: *epoch, approval: approval.as_ref(), signed: entry.is_some() };
                starts.insert((story.tenant, story.id, effect.0, *attempt), start);
            }
        }
    }
    starts
}

fn start_of<'a, 'b>(starts: &'b Starts<'a>, sent: &'a Sent) -> Option<&'b Start<'a>> {
    starts.get(&(&sent.tenant, &sent.execution, sent.effect, sent.attempt))
}

/// Nothing is sent that an acknowledged control or policy forbids, nor by a permit from before it.
pub(crate) fn hold(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let starts = starts(look);
    let acks = &look.facts.acks;
    for sent in look.facts.ledger.sent.iter().filter(|sent| !sent.stale) {
        let Some(start) = start_of(&starts, sent) else { continue };
        let told = || format!("{} of {} ({})", sent.operation, sent.execution, sent.number);
        for set in acks.sets.iter().filter(|set| set.on && holds_at(&acks.sets, set, sent.number)) {
            let broken = match set.name.as_str() {
                "safe-mode" => sent.writes,
                "takeover" => start.approval.is_none() && !start.signed,
                "allow-list" => !listed(&set.operations, &sent.operation),
                _ => false,
            };
            if broken {
                found.push(format!("{} was sent although {} was on", told(), set.name));
            }
        }
        let before = acks.sets.iter().filter(|set| set.acknowledged && set.over < sent.number);
        let newest = before.filter_map(|set| epoch_of(look, set)).max().unwrap_or(0);
        if start.epoch < newest {
            let epoch = start.epoch;
            found.push(format!("{} was sent by a permit of epoch {epoch} after epoch {newest}", told()));
        }
        let denied = acks.swaps.iter().enumerate().any(|(at, swap)| {
            let of = |other: &&crate::acks::Swap| other.tenant == swap.tenant;
            let next = acks.swaps[at + 1..].iter().find(of).map_or(u64::MAX, |next| next.asked);
            swap.acknowledged
                && swap.strict
                && swap.tenant == sent.tenant
                && (swap.over..next).contains(&sent.number)
        });
        if denied && sent.money {
            found.push(format!("{} was sent although policy denies it", told()));
        }
    }
    found
}

/// Whether a change of a control was surely what stood at a number: acknowledged before, no other asked for since, and
/// none under way at the same time.
fn holds_at(sets: &[Set], set: &Set, number: u64) -> bool {
    let others = || sets.iter().filter(|other| other.name == set.name && other.asked != set.asked);
    set.acknowledged
        && set.over < number
        && !others().any(|other| other.asked > set.asked && other.asked < number)
        && !others().any(|other| other.asked < set.asked && other.over > set.asked)
}

/// The epoch that a change began, as the log tells it.
fn epoch_of(look: &Look<'_>, set: &Set) -> Option<u64> {
    let leaves = &look.facts.stored.leaves;
    let leaf = leaves.iter().find(|leaf| leaf.record.details["reason"] == set.reason.as_str())?;
    leaf.record.details["epoch"].as_u64()
}

/// `put` is every version of it, `p*` whatever begins like it.
fn listed(operations: &[String], operation: &str) -> bool {
    operations.iter().any(|entry| match entry.strip_suffix('*') {
        Some(beginning) => operation.starts_with(beginning),
        None => operation == entry || operation.split(':').next() == Some(entry),
    })
}

/// Effects that need people have them, and nobody's word counts who may not give it any more.
pub(crate) fn asked(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let starts = starts(look);
    for sent in look.facts.ledger.sent.iter().filter(|sent| !sent.stale) {
        let Some(start) = start_of(&starts, sent) else { continue };
        let told = || format!("{} of {} ({})", sent.operation, sent.execution, sent.number);
        let needed =
            sent.tenant == workloads::first_tenant() && workloads::ASKED.contains(&sent.operation.as_str());
        if needed && start.approval.is_none() && !start.signed {
            found.push(format!("{} was sent, and nobody was asked", told()));
        }
        let key = start.approval.map(|id| (sent.tenant.clone(), id.clone()));
        let Some((_, approval)) = key.and_then(|key| look.facts.stored.approvals.get(&key)) else { continue };
        let gone = |who: &str| {
            let left = |left: &crate::acks::Left| left.who == who && left.tenant == sent.tenant;
            look.facts.acks.left.iter().any(|one| left(one) && one.number < sent.number)
        };
        let count = approval.votes.iter().filter(|vote| vote.approve && !gone(vote.by.as_str())).count();
        if count < approval.quorum.approvers as usize {
            found.push(format!("{} was sent on the word of somebody who had left", told()));
        }
    }
    found
}

/// Every verdict is of policies that its tenant put in force.
pub(crate) fn own_policies(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let put = look.facts.stored.leaves.iter().filter(|leaf| leaf.record.action == "policy.put");
    let sets: Vec<_> = put.map(|leaf| (&leaf.record.tenant, leaf.record.details["set"].as_str())).collect();
    for story in &look.stories {
        for event in &story.kept.events {
            let EventBody::Judged { effect, verdict, .. } = &event.body else { continue };
            let policy = verdict.policy.to_string();
            if !sets.contains(&(story.tenant, Some(policy.as_str()))) {
                found.push(format!("{}: effect {} was judged by the policies of others", story.id, effect.0));
            }
        }
    }
    found
}
