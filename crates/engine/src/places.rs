//! Places in a history that the flow can go back to.
//!
//! Every event is one. Those that people look for have a name, or stand right before an effect was judged the first time.

use std::sync::Arc;

use dsl::Definition;
use model::effect::EffectNumber;
use model::{Digest, Event, EventBody, Timestamp};

use crate::Execution;
use crate::apply::effect_of;

/// A place: the state after so many events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Number of events that make it.
    pub event: u64,
    /// Time of the last of them.
    pub at: Timestamp,
    /// JSON Pointer of the task that the flow stood at.
    pub task: Option<Arc<str>>,
    /// How often the flow had come to it.
    pub visit: u32,
    /// The name that an operator gave it.
    pub checkpoint: Option<String>,
    /// The effect that was about to be judged the first time.
    pub effect: Option<EffectNumber>,
    /// Digest of the history up to here, or up to where the checkpoint's own event stands.
    pub digest: Digest,
    /// Digest that was recorded with the checkpoint; another one than `digest` means damage.
    pub recorded: Option<Digest>,
    /// Size of that history as JSON, in bytes.
    pub bytes: u64,
}

/// All places of a history, in order. `stored` are the events as they are stored, `whole` the same with their payloads.
pub fn places(definition: &Arc<Definition>, stored: &[Event], whole: &[Event]) -> Vec<Place> {
    let Some(EventBody::Started(started)) = whole.first().map(|event| &event.body) else { return Vec::new() };
    let mut found = Vec::with_capacity(whole.len());
    let mut judged = std::collections::BTreeSet::new();
    let mut chain = Chain::default();
    let Some(mut state) = Execution::replay(Arc::clone(definition), &whole[..1], false) else {
        return Vec::new();
    };
    debug_assert_eq!(state.started.execution, started.execution);
    for (position, event) in whole.iter().enumerate() {
        if position > 0 {
            state.follow(whole, position);
        }
        let before = chain;
        if let Some(event) = stored.get(position) {
            chain.add(event);
        }
        let (checkpoint, recorded, hashed) = match &event.body {
            EventBody::Checkpoint { name, digest, .. } => (Some(name.clone()), Some(*digest), before),
            _ => (None, None, chain),
        };
        let next = whole.get(position + 1).and_then(|event| effect_of(&event.body));
        let (task, visit) = state.stands_at();
        found.push(Place {
            event: position as u64 + 1,
            at: event.at,
            task,
            visit,
            checkpoint,
            effect: next.filter(|number| judged.insert(*number)),
            digest: hashed.digest,
            recorded,
            bytes: hashed.bytes,
        });
    }
    found
}

/// Digest of a history: each event's JSON is hashed onto the digest of what came before.
pub fn history_digest(stored: &[Event]) -> Digest {
    let mut chain = Chain::default();
    stored.iter().for_each(|event| chain.add(event));
    chain.digest
}

#[derive(Clone, Copy)]
struct Chain {
    digest: Digest,
    bytes: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self { digest: Digest::of(b""), bytes: 0 }
    }
}

impl Chain {
    fn add(&mut self, event: &Event) {
        // Events are plain data: what was read from JSON can be written as JSON.
        let json = serde_json::to_vec(event).unwrap_or_default();
        let mut bytes = self.digest.0.to_vec();
        bytes.extend_from_slice(&json);
        *self = Self { digest: Digest::of(&bytes), bytes: self.bytes + json.len() as u64 };
    }
}

impl Execution {
    /// The task on top, and how often the flow came to it.
    fn stands_at(&self) -> (Option<Arc<str>>, u32) {
        match self.live.top_task() {
            Some(frame) => {
                let visit = self.live.visits.get(&frame.task.pointer).copied().unwrap_or(0);
                (Some(Arc::clone(&frame.task.pointer)), visit)
            }
            None => (None, 0),
        }
    }
}
