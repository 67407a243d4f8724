//! Histories: whole, replayable, and never without the gate's word.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{Execution, Snapshot, Status, TaskStatus};
use model::event::{ApprovalDecision, Event, EventBody};
use model::id::{ApprovalId, PermitId};
use model::verdict::Decision;
use model::{Digest, Timestamp};

use super::{Facts, Found, Look};
use crate::reached_in;
use crate::store::Kept;

/// Replays a history as it would be read back from a disk.
pub(crate) fn replayed(facts: &Facts, kept: &Kept) -> Result<Execution, String> {
    let definition = facts.catalogue.of_execution(kept).ok_or("its workflow is not published")?;
    let Some(EventBody::Started(started)) = kept.events.first().map(|event| &event.body) else {
        return Err("it does not begin with `started`".to_owned());
    };
    if started.definition != definition.digest {
        return Err("its workflow has another digest".to_owned());
    }
    let text = serde_json::to_string(&kept.events).map_err(|error| error.to_string())?;
    let events: Vec<Event> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if events != kept.events {
        return Err("its events do not come back as they were written".to_owned());
    }
    Execution::replay(definition, &events, true).ok_or_else(|| "it cannot be replayed".to_owned())
}

pub(crate) fn sequences(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    let mut permits: BTreeMap<PermitId, String> = BTreeMap::new();
    for story in &look.stories {
        let id = story.id;
        let mut last = Timestamp(i64::MIN);
        let mut attempts: BTreeMap<u32, u32> = BTreeMap::new();
        let mut answered: BTreeMap<(u32, u32), ()> = BTreeMap::new();
        let mut ended = false;
        for (number, event) in story.kept.events.iter().enumerate() {
            if event.at < last {
                found.push(format!("{id}: event {number} is earlier than the one before"));
            }
            last = event.at;
            if matches!(event.body, EventBody::Started(_)) != (number == 0) {
                found.push(format!("{id}: event {number} begins it"));
            }
            match &event.body {
                EventBody::EffectStarted { effect, attempt, permit, .. } => {
                    let before = attempts.insert(effect.0, *attempt).unwrap_or(0);
                    if *attempt != before + 1 {
                        found
                            .push(format!("{id}: attempt {attempt} of effect {} follows {before}", effect.0));
                    }
                    if let Some(first) = permits.insert(permit.clone(), id.to_string()) {
                        found.push(format!("permit {permit} was consumed by {first} and {id}"));
                    }
                }
                EventBody::EffectAnswered { effect, attempt, .. }
                | EventBody::EffectVoided { effect, attempt, .. } => {
                    if attempts.get(&effect.0) != Some(attempt) {
                        found.push(format!("{id}: attempt {attempt} of effect {} never started", effect.0));
                    }
                    if answered.insert((effect.0, *attempt), ()).is_some() {
                        found.push(format!("{id}: attempt {attempt} of effect {} ended twice", effect.0));
                    }
                }
                _ => {}
            }
            let revives = matches!(
                event.body,
                EventBody::Retried { .. } | EventBody::Cancelled { .. } | EventBody::Rewound(_)
            );
            // What is found out later changes what is known, and not that it has ended.
            if ended && matches!(event.body, EventBody::Resolved(_)) {
                continue;
            }
            if ended && !revives {
                found.push(format!("{id}: event {number} comes after its end"));
            }
            ended = matches!(event.body, EventBody::Ended { .. });
        }
        if story.kept.commits.last() != Some(&story.kept.events.len()) {
            found.push(format!("{id}: its commits do not add up"));
        }
    }
    found
}

/// A snapshot after any commit, with the events since, is the same state as the whole history.
pub(crate) fn snapshots(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let events = &story.kept.events;
        let definition = &story.state.definition;
        let bytes = |state: &Execution| state.snapshot().to_bytes().map_err(|error| error.to_string());
        let replay = |count: usize| {
            events.get(..count).and_then(|part| Execution::replay(definition.clone(), part, false))
        };
        let whole = replay(events.len()).map(|state| (bytes(&state), seen(&state)));
        let Some((Ok(whole), whole_seen)) = whole else {
            found.push(format!("{}: its state has no snapshot", story.id));
            continue;
        };
        let after = |snapshot: &[u8], count: usize| {
            let snapshot = Snapshot::from_bytes(snapshot).map_err(|error| error.to_string())?;
            let mut state =
                Execution::restore(definition.clone(), snapshot).map_err(|error| error.to_string())?;
            (count..events.len()).for_each(|position| state.follow(events, position));
            Ok::<_, String>((bytes(&state)?, seen(&state)))
        };
        // Three places each time; many seeds see all of them. And the one that the living kept, if they did.
        let commits = &story.kept.commits;
        let places =
            commits.iter().skip(usize::try_from(look.facts.seed % 3).unwrap_or(0)).step_by(3).take(3);
        let made = places.map(|count| (*count, replay(*count).map(|state| bytes(&state))));
        let kept = story.kept.snapshot.iter().map(|(version, bytes)| {
            (usize::try_from(*version).unwrap_or(usize::MAX), Some(Ok(bytes.clone())))
        });
        for (count, snapshot) in made.chain(kept) {
            let restored = snapshot.unwrap_or_else(|| Err("it cannot be replayed".to_owned()));
            match restored.and_then(|snapshot| after(&snapshot, count)) {
                // Bytes also tell which equal values are one in memory, and that may differ.
                Ok((restored, restored_seen)) if restored == whole || restored_seen == whole_seen => {}
                Ok((restored, _)) => found.push(format!(
                    "{}: another state from the snapshot after {count}: {}",
                    story.id,
                    difference(&restored, &whole)
                )),
                Err(why) => found.push(format!("{}: the snapshot after {count}: {why}", story.id)),
            }
        }
    }
    found
}

/// Everything about a state that anybody can see.
fn seen(state: &Execution) -> String {
    let requested = state.requested();
    let (status, outcome, wakeup) = (state.status(), state.outcome(), state.next_wakeup());
    format!(
        "{:?} {:?} {:?} {} {} {requested:?} {status:?} {outcome:?} {wakeup:?}",
        state.effects, state.end, state.now, state.version, state.paused
    )
}

/// Where two texts part.
fn difference(a: &[u8], b: &[u8]) -> String {
    let at = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let around = |text: &[u8]| {
        let part = &text[at.saturating_sub(80).min(text.len())..(at + 80).min(text.len())];
        String::from_utf8_lossy(part).into_owned()
    };
    format!("`{}` and not `{}`", around(a), around(b))
}

/// The row was written by the living state; the replayed one must agree.
pub(crate) fn rows(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let (row, state) = (&story.kept.row, &story.state);
        let holds = |on: &str| ["control:", "limit:", "worker:"].iter().any(|kind| on.starts_with(kind));
        let held = row.blocked_on.as_deref().is_some_and(holds);
        let status = if held && state.status() == Status::Running { Status::Waiting } else { state.status() };
        if row.status != status.name() {
            found.push(format!("{}: stored as {}, replayed as {}", story.id, row.status, status.name()));
        }
        let outcome = state.outcome().map(model::Outcome::name);
        if row.outcome.as_deref() != outcome {
            found.push(format!("{}: stored as {:?}, replayed as {outcome:?}", story.id, row.outcome));
        }
        let due = state.next_wakeup().map(|(at, _)| at);
        if row.due_at != due {
            found.push(format!("{}: wants to be woken at {due:?}, and is at {:?}", story.id, row.due_at));
        }
        if row.ended_at.is_some() != state.end.is_some() || state.end.is_some() != state.end_recorded {
            found.push(format!("{}: ended in one place and not in another", story.id));
        }
        if let Some(outcome) = outcome {
            match outcome {
                "verified" => reached_in!(look, "an execution ended verified"),
                "failed" => reached_in!(look, "an execution ended failed"),
                _ => reached_in!(look, "an execution ended unknown"),
            }
        }
    }
    found
}

/// What the gate last said about an effect.
#[derive(Clone)]
struct Said {
    digest: Digest,
    decision: Decision,
    awaited: Option<ApprovalId>,
}

pub(crate) fn permits(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let mut said: BTreeMap<u32, Said> = BTreeMap::new();
        let mut barred: BTreeMap<u32, Said> = BTreeMap::new();
        let mut approved: BTreeMap<u32, (ApprovalId, Digest)> = BTreeMap::new();
        for event in &story.kept.events {
            match &event.body {
                EventBody::Judged { effect, digest, verdict, approval } => {
                    let awaited = approval.as_ref().map(|awaited| awaited.id.clone());
                    let decision = verdict.decision.clone();
                    // What people approved stays good for its digest, whatever else is judged in between.
                    if approved.get(&effect.0).is_some_and(|(_, before)| before != digest) {
                        reached_in!(look, "approval void by another policy");
                    }
                    if awaited.is_some() {
                        approved.remove(&effect.0);
                    }
                    said.insert(effect.0, Said { digest: *digest, decision, awaited });
                }
                EventBody::Barred { effect, .. } => {
                    reached_in!(look, "barred by an allow-list");
                    barred.extend(said.remove(&effect.0).map(|said| (effect.0, said)));
                }
                // What was judged is judged: only the control is looked at again.
                EventBody::Retried { .. } => said.append(&mut barred),
                EventBody::Edited { effect, .. } => {
                    said.remove(&effect.0);
                    approved.remove(&effect.0);
                }
                EventBody::ApprovalDecided {
                    effect, approval, decision: ApprovalDecision::Approved, ..
                } => {
                    if let Some(said) = said.get(&effect.0)
                        && said.awaited.as_ref() == Some(approval)
                    {
                        approved.insert(effect.0, (approval.clone(), said.digest));
                    }
                }
                EventBody::EffectStarted { effect, digest, approval, .. } => {
                    let (id, number) = (story.id, effect.0);
                    match said.get(&number) {
                        None => found.push(format!("{id}: effect {number} started unjudged")),
                        Some(said) if said.digest != *digest => {
                            found.push(format!(
                                "{id}: effect {number} started with another digest than was judged"
                            ));
                        }
                        Some(Said { decision: Decision::Allow, .. }) => {}
                        Some(Said { decision: Decision::Deny, .. }) => {
                            found.push(format!("{id}: effect {number} started although it was denied"));
                        }
                        Some(Said { decision: Decision::RequireApproval(_), .. }) => {
                            let given = approved.get(&number);
                            let fits = given
                                .is_some_and(|(by, what)| what == digest && Some(by) == approval.as_ref());
                            if !fits {
                                found.push(format!("{id}: effect {number} started without its approval"));
                            }
                        }
                    }
                }
                EventBody::EffectPredicted { .. } => reached_in!(look, "predicted in safe mode"),
                _ => {}
            }
        }
    }
    found
}

pub(crate) fn timers(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for entry in story.state.trace.iter().flatten().filter(|entry| entry.kind == "wait") {
            let pointer = entry.pointer.to_string();
            let times = seen.entry(pointer.clone()).or_default();
            *times += 1;
            if *times > 1 && !super::sagas::went_back(story) {
                found.push(format!("{}: {pointer} was waited for twice", story.id));
            }
            let known = look
                .facts
                .waits
                .iter()
                .find(|(workflow, task, _)| *workflow == story.kept.row.name && *task == &*entry.name);
            let (Some((_, _, seconds)), Some(end), TaskStatus::Completed) =
                (known, entry.ended_at, entry.status)
            else {
                continue;
            };
            if end.since(entry.started_at) < Duration::from_secs(*seconds) {
                found.push(format!("{}: {pointer} was woken early", story.id));
            }
        }
    }
    found
}
