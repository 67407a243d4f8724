//! What a step and its batch tell: whom to notify, whether it ends an execution, whether it is about approvals.

use engine::Execution;
use model::effect::EffectNumber;
use model::event::{Event, EventBody};
use store::{Batch, Put};

/// Approvals and dead letters that a batch opens, changes or closes, by topic, for those who watch them.
pub(crate) fn notices(batch: &Batch) -> Vec<(&'static str, String)> {
    let of = |put: &Put| match put {
        Put::Approval(approval) => Some(("approval", approval.id.to_string())),
        Put::DeadLetter { id, .. } => Some(("dead-letter", id.to_string())),
        _ => None,
    };
    batch.puts.iter().filter_map(of).collect()
}

/// True when the batch records an end; an execution that has ended may still be written again.
pub(crate) fn ends(batch: &Batch) -> bool {
    let Some((_, _, _, events)) = &batch.events else { return false };
    // What was found out about an ended execution tells its end again, and is no further end.
    let told_again = matches!(
        events.as_slice(),
        [Event { body: EventBody::Resolved(_), .. }, Event { body: EventBody::Ended { .. }, .. }]
    );
    !told_again && events.iter().any(|e| matches!(e.body, EventBody::Ended { .. }))
}

/// True when the event is an answer to the effect.
pub(crate) fn answers(event: &Event, number: EffectNumber) -> bool {
    matches!(&event.body, EventBody::EffectAnswered { effect, .. } if *effect == number)
}

/// True when effects that are requested may rest on approvals, or on a signed plan.
pub(crate) fn rests_on_approvals(state: &Execution) -> bool {
    state.started.signed.is_some() || state.open_effects().any(|effect| effect.approved.is_some())
}

/// True when a step may have decided, expired or outlived approvals.
pub(crate) fn concerns_approvals(state: &Execution, events: &[Event]) -> bool {
    let decided = |event: &Event| matches!(event.body, EventBody::ApprovalDecided { .. });
    state.effects.iter().any(|effect| effect.approval.is_some()) || events.iter().any(decided)
}
