//! No effect without its right: every started attempt has an earlier verdict that allowed exactly it, or an approval
//! by enough other people, in time, for the same digest, used for this effect only.

use std::collections::BTreeSet;

use model::approval::{Approval, ApprovalStatus};
use model::event::{ApprovalDecision, Event, EventBody};
use model::id::ApprovalId;
use model::verdict::Decision;
use model::{Digest, Problem};

use super::{Kept, Verification};
use crate::app::{App, store_problem};

impl App {
    pub(super) async fn check_permits(&self, kept: &Kept, found: &mut Verification) -> Result<(), Problem> {
        let started = &kept.state.started;
        let (tenant, execution) = (&started.tenant, &started.execution);
        let mut permits = BTreeSet::new();
        for (position, event) in kept.events.iter().enumerate() {
            let EventBody::EffectStarted { effect, digest, permit, approval, .. } = &event.body else {
                continue;
            };
            found.permits += 1;
            let resource = format!("executions/{execution}/effects/{}", effect.0);
            if !permits.insert(permit.clone()) {
                found.find(5047, tenant, resource.clone(), format!("permit `{permit}` was used twice"));
            }
            let earlier = &kept.events[..position];
            let verdict = earlier.iter().rev().find_map(|event| match &event.body {
                EventBody::Judged { effect: judged, digest, verdict, .. } if judged == effect => {
                    Some((*digest, &verdict.decision))
                }
                _ => None,
            });
            let needs = match verdict {
                Some((judged, Decision::Allow)) if judged == *digest => false,
                Some((judged, Decision::RequireApproval(_))) if judged == *digest => true,
                Some((_, Decision::Deny)) => {
                    found.find(5047, tenant, resource, "it started although it was denied");
                    continue;
                }
                Some(_) => {
                    found.find(
                        5047,
                        tenant,
                        resource,
                        "what started has another digest than what was judged",
                    );
                    continue;
                }
                None => {
                    found.find(5047, tenant, resource, "it started without a verdict");
                    continue;
                }
            };
            if !needs {
                continue;
            }
            found.approvals += 1;
            let Some(id) = approval else {
                found.find(5048, tenant, resource, "it needed an approval and started without one");
                continue;
            };
            let document = self.store.approval(tenant, id).await.map_err(|e| store_problem(&e))?;
            let bad = match document {
                None => Some(format!("approval `{id}` is gone")),
                Some(document) => {
                    let fits = document.execution == *execution && document.effect == *effect;
                    if fits {
                        wrong(&document, event, earlier, *digest)
                    } else {
                        Some(format!("approval `{id}` was given for another effect"))
                    }
                }
            };
            if let Some(bad) = bad {
                found.find(5048, tenant, resource, bad);
            }
        }
        Ok(())
    }
}

/// Why an approval does not carry an attempt.
fn wrong(approval: &Approval, started: &Event, earlier: &[Event], digest: Digest) -> Option<String> {
    let id = &approval.id;
    let agreed = earlier.iter().find(|event| approves(event, id));
    let yes: BTreeSet<_> = approval.votes.iter().filter(|vote| vote.approve).map(|vote| &vote.by).collect();
    let own = yes.contains(&approval.requester);
    let editor = approval.edited_by.as_ref().is_some_and(|editor| yes.contains(editor) && yes.len() < 2);
    Some(match () {
        () if agreed.is_none() => format!("approval `{id}` was not granted before it started"),
        () if approval.status != ApprovalStatus::Approved => {
            format!("approval `{id}` is `{}`", approval.status.name())
        }
        () if approval.digest != digest => format!("approval `{id}` is for another digest"),
        () if own => format!("approval `{id}` was given by whoever asked"),
        () if editor => format!("approval `{id}` was given only by whoever edited it"),
        () if yes.len() < usize::try_from(approval.quorum.approvers).unwrap_or(usize::MAX) => {
            format!("approval `{id}` has too few votes")
        }
        () if started.at >= approval.expires_at => format!("approval `{id}` had expired"),
        () => return None,
    })
}

fn approves(event: &Event, id: &ApprovalId) -> bool {
    matches!(&event.body, EventBody::ApprovalDecided { approval, decision: ApprovalDecision::Approved, .. } if approval == id)
}
