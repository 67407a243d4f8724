//! A history replayed: from its beginning, and from a snapshot after every single event, always to the same state.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::{Action, Definition};
use dsl::{Description, Kind};
use engine::{Execution, Snapshot};
use model::{ActionRef, Event};

use crate::outside::Outside;

/// The actions of a scenario, for compiling its workflow again.
pub struct Actions<'o> {
    outside: &'o Outside,
    known: BTreeMap<ActionRef, Arc<Action>>,
}

impl<'o> Actions<'o> {
    /// None yet.
    pub fn new(outside: &'o Outside) -> Self {
        Self { outside, known: BTreeMap::new() }
    }

    /// Adds an action; nothing when its text does not compile.
    pub fn add(&mut self, text: &str) {
        if let Some(action) = dsl::action::compile_with(text, self).action {
            self.known.insert(action.reference.clone(), action);
        }
    }

    /// The workflow of a text, when it compiles.
    pub fn workflow(&self, text: &str) -> Option<Arc<Definition>> {
        dsl::compile(text, self).definition
    }
}

impl dsl::Catalogue for Actions<'_> {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.known.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.known.keys().cloned().collect()
    }
    fn description(&self, kind: Kind, uri: &str) -> Option<Result<Description, String>> {
        let text = self.outside.described(uri)?;
        Some(Description::read(kind, uri, &text))
    }
}

/// Replays a history in every way there is; the error says at which event what differs.
pub fn check(definition: &Arc<Definition>, events: &[Event]) -> Result<(), String> {
    // As it is read back from the store.
    let text = serde_json::to_string(events).map_err(|error| error.to_string())?;
    let events: Vec<Event> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let replayed = |events: &[Event]| {
        Execution::replay(Arc::clone(definition), events, false)
            .ok_or("the history does not begin with `started`")
    };
    let whole = state(&replayed(&events)?)?;
    for position in 1..=events.len() {
        let prefix = replayed(&events[..position])?;
        let snapshot = state(&prefix)?;
        let mut restored = Snapshot::from_bytes(snapshot.as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|image| {
                Execution::restore(Arc::clone(definition), image).map_err(|error| error.to_string())
            })
            .map_err(|error| format!("after event {position}: {error}"))?;
        if state(&restored)? != snapshot {
            return Err(format!("after event {position}: what is restored is not what was kept"));
        }
        (position..events.len()).for_each(|next| restored.follow(&events, next));
        if state(&restored)? != whole {
            return Err(format!("from a snapshot after event {position} the history ends another way"));
        }
    }
    Ok(())
}

/// Everything of a state, as text.
fn state(execution: &Execution) -> Result<String, String> {
    let bytes = execution.snapshot().to_bytes().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}
