//! The audit trail of an execution: every event that must have a leaf has it, and no leaf tells of what never was.

use std::collections::{BTreeMap, VecDeque};

use model::effect::EffectNumber;
use model::event::EventBody;
use serde_json::Value as Json;

use super::{Kept, Verification};
use crate::record::described;

/// Leaves that are only ever written with their event.
const OF_EVENTS: [&str; 4] = ["effect.permitted", "effect.answered", "effect.voided", "execution.ended"];
/// Members of a leaf that must be the event's own.
const BINDING: [&str; 5] = ["attempt", "permit", "epoch", "digest", "approval"];

type Unused<'a> = BTreeMap<(&'a str, String), VecDeque<&'a audit::Record>>;

pub(super) fn check(kept: &Kept, found: &mut Verification) {
    let tenant = &kept.state.started.tenant;
    let execution = kept.state.started.execution.as_str();
    let mut unused: Unused<'_> = BTreeMap::new();
    for record in &kept.records {
        unused.entry((record.action.as_str(), record.resource.clone())).or_default().push_back(record);
    }
    found.leaves += kept.records.len() as u64;
    let resource_of = |effect: Option<EffectNumber>| match effect {
        Some(number) => format!("executions/{execution}/effects/{}", number.0),
        None => format!("executions/{execution}"),
    };
    for (position, event) in kept.events.iter().enumerate() {
        let (action, effect, details) = match &event.body {
            EventBody::Judged { effect, digest, .. } => {
                let next = kept.events.get(position + 1).map(|event| &event.body);
                // A verdict and the permit that it granted are one leaf.
                if matches!(next, Some(EventBody::EffectStarted { effect: started, .. }) if started == effect)
                {
                    continue;
                }
                ("effect.judged", Some(*effect), serde_json::json!({ "digest": digest }))
            }
            body => match described(&kept.state, body) {
                Some(described) => described,
                None => continue,
            },
        };
        let resource = resource_of(effect);
        let leaves = unused.get_mut(&(action, resource.clone()));
        let at = leaves.as_ref().and_then(|leaves| leaves.iter().position(|leaf| tells(leaf, &details)));
        match (leaves, at) {
            (Some(leaves), Some(at)) => {
                leaves.remove(at);
            }
            _ => {
                let detail = format!("event {position} has no leaf `{action}` that says the same");
                found.find(5045, tenant, resource, detail);
            }
        }
    }
    for ((action, resource), left) in unused {
        if OF_EVENTS.contains(&action) && !left.is_empty() {
            let detail = format!("{} leaves `{action}` tell of what is not in the history", left.len());
            found.find(5046, tenant, resource, detail);
        }
    }
}

/// True when the leaf says of the event what binds it.
fn tells(leaf: &audit::Record, details: &Json) -> bool {
    BINDING
        .iter()
        .all(|name| details.get(name).is_none_or(|own| leaf.details.get(name).unwrap_or(&Json::Null) == own))
}
