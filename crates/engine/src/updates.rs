//! Updates: signals that are weighed before they come in, and whose sender is answered.
//!
//! An update comes in only when a `listen` with `foreach` takes it, now or as soon as it is done with what it works on: so
//! whatever was accepted has a task that will handle it. What that task gives for it is the answer, kept with the state.

use std::collections::VecDeque;
use std::sync::Arc;

use dsl::plan::EventFilter;
use model::problem::WorkflowError;
use model::{Digest, Timestamp, Value};

use crate::decide::Rejected;
use crate::listen::{Signalled, update_id};
use crate::state::{Doing, End, Execution, Frame};
use crate::thread::ThreadId;
use crate::{SIGNALS_REMEMBERED, UPDATES_OPEN_MAX, UPDATES_REMEMBERED};

/// How an update ended.
pub type UpdateAnswer = Result<Value, WorkflowError>;

/// Where an update stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Updated {
    /// It came in, and is not answered.
    Accepted,
    /// It was answered, or never will be.
    Answered(UpdateAnswer),
    /// It was answered so many updates ago that the answer is not kept.
    Forgotten,
}

/// One update.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) accepted_at: Timestamp,
    /// The `listen` that accepted it while it worked on another one: it takes it, whatever its filters say by then.
    pub(crate) expected_by: Option<Arc<str>>,
    pub(crate) answer: Option<(Timestamp, UpdateAnswer)>,
}

/// Updates that came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Updates {
    /// Those that are open, and the newest others, as they came.
    pub(crate) known: VecDeque<Update>,
    /// Ids and digests of those before.
    pub(crate) older: VecDeque<(String, Digest)>,
}

impl Updates {
    fn find(&mut self, id: &str) -> Option<&mut Update> {
        self.known.iter_mut().rev().find(|update| update.id == id)
    }

    fn digest(&self, id: &str) -> Option<Digest> {
        let known = self.known.iter().find(|update| update.id == id).map(|update| update.digest);
        known.or_else(|| self.older.iter().find(|(older, _)| older == id).map(|(_, digest)| *digest))
    }

    /// Notes an update that came; false when it had come before.
    pub(crate) fn accept(&mut self, signal: &Signalled, at: Timestamp) -> bool {
        if self.digest(&signal.id).is_some() {
            return false;
        }
        let settled = |update: &Update| update.answer.is_some();
        if self.known.len() >= UPDATES_REMEMBERED
            && let Some(oldest) = self.known.iter().position(settled)
            && let Some(update) = self.known.remove(oldest)
        {
            if self.older.len() >= SIGNALS_REMEMBERED {
                self.older.pop_front();
            }
            self.older.push_back((update.id, update.digest));
        }
        self.known.push_back(Update {
            id: signal.id.clone(),
            name: signal.name.clone(),
            digest: signal.digest(),
            accepted_at: at,
            expected_by: None,
            answer: None,
        });
        true
    }

    /// Notes who will take an update that waits.
    pub(crate) fn expect(&mut self, id: &str, task: Arc<str>) {
        if let Some(update) = self.find(id) {
            update.expected_by = Some(task);
        }
    }

    /// Whether the task at this pointer accepted the update that an event is.
    pub(crate) fn is_expected(&self, event: &Value, pointer: &str) -> bool {
        let Some(id) = update_id(event) else { return false };
        let update = self.known.iter().rev().find(|update| update.id == id);
        update.is_some_and(|update| update.expected_by.as_deref() == Some(pointer))
    }

    /// The answer, once.
    pub(crate) fn settle(&mut self, id: &str, answer: UpdateAnswer, at: Timestamp) {
        if let Some(update) = self.find(id)
            && update.answer.is_none()
        {
            update.answer = Some((at, answer));
        }
    }
}

impl Execution {
    /// Whether an update may come in; false when the very same one did already.
    pub(crate) fn weigh_update(&mut self, signal: &Signalled) -> Result<bool, Rejected> {
        if let Some(before) = self.updates.digest(&signal.id) {
            let same = before == signal.digest();
            return if same { Ok(false) } else { Err(Rejected::UpdateReused(signal.id.clone())) };
        }
        if self.end.is_some() {
            return Err(Rejected::Ended(self.status().name()));
        }
        if self.is_stopping() {
            return Err(Rejected::Nothing(
                "the execution is on its way to its end, and takes no update any more",
            ));
        }
        let known = self.definition.updates();
        if !known.contains(&*signal.name) {
            let known = known.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(Rejected::UpdateUnknown { name: signal.name.clone(), known });
        }
        let open = self.inbox.waiting.iter().filter(|event| update_id(event).is_some()).count();
        if open >= UPDATES_OPEN_MAX {
            return Err(Rejected::UpdatesFull);
        }
        let event = self.event_of(signal, self.now);
        self.inbox.waiting.push_back(event.clone());
        let newest = self.inbox.waiting.len() - 1;
        let mut verdict = Err(Rejected::UpdateNotNow(signal.name.clone()));
        for thread in self.thread_ids() {
            if verdict.is_err() && self.enter(thread) {
                match self.weighed_here(&event, newest) {
                    Some(Ok(())) => verdict = Ok(true),
                    Some(Err(why)) => {
                        verdict = Err(Rejected::UpdateRefused { name: signal.name.clone(), why });
                    }
                    None => {}
                }
            }
        }
        self.enter(ThreadId::ROOT);
        self.inbox.waiting.pop_back();
        verdict
    }

    /// What the live thread says of an update: none when nothing there takes one of its name.
    fn weighed_here(&self, event: &Value, newest: usize) -> Option<Result<(), String>> {
        let mut refused = None;
        for ear in self.ears() {
            if self.filter_for(ear, newest).is_some() {
                return Some(Ok(()));
            }
            let filters = ear.listen.strategies.iter().flat_map(|strategy| &strategy.filters);
            for filter in filters.filter(|filter| self.is_named(ear, filter, event)) {
                refused = refused.or_else(|| self.refused_by(ear, filter, event));
            }
        }
        refused.map(Err)
    }

    fn refused_by(&self, ear: crate::listen::Ear<'_>, filter: &EventFilter, event: &Value) -> Option<String> {
        match self.is_meant(ear, filter, event) {
            // It fits, and the `listen` has all that it wants.
            Ok(true) => None,
            Ok(false) => Some("its data is not what the workflow takes".to_owned()),
            Err(error) => Some(error.detail.unwrap_or(error.kind)),
        }
    }

    /// An error passes everything from this frame of the live thread on: what works on an update there answers with it.
    pub(crate) fn fail_updates(&mut self, from: usize, error: &WorkflowError) {
        let now = self.now;
        let working = self.live.stack.iter().skip(from).filter_map(worked_on);
        let ids: Vec<String> = working.map(str::to_owned).collect();
        for id in ids {
            self.updates.settle(&id, Err(error.clone()), now);
        }
    }

    /// Where an update stands; none when none with this id came.
    pub fn update(&self, id: &str) -> Option<(&str, Updated)> {
        let Some(update) = self.updates.known.iter().find(|update| update.id == id) else {
            let forgotten = self.updates.older.iter().any(|(older, _)| older == id);
            return forgotten.then_some(("", Updated::Forgotten));
        };
        let stands = match (&update.answer, &self.end) {
            (Some((_, answer)), _) => Updated::Answered(answer.clone()),
            (None, Some(End::Faulted(error))) => {
                let detail = error.detail.as_deref().unwrap_or(&error.kind);
                unanswered(&format!("the execution faulted: {detail}"))
            }
            (None, Some(End::Completed(_) | End::Cancelled(_))) => {
                unanswered(&format!("the execution ended first ({})", self.status().name()))
            }
            (None, None) if self.is_open(id) => Updated::Accepted,
            (None, None) => unanswered("the flow gave up what would have answered it"),
        };
        Some((&update.name, stands))
    }

    /// Whether an update waits, or is worked on.
    fn is_open(&self, id: &str) -> bool {
        let waits = self.inbox.waiting.iter().any(|event| update_id(event) == Some(id));
        let frames = || self.all_threads().flat_map(|thread| &thread.stack);
        waits || frames().filter_map(worked_on).any(|worked_on| worked_on == id)
    }
}

/// The update that a `listen` works on.
fn worked_on(frame: &Frame) -> Option<&str> {
    let Frame::Task(frame) = frame else { return None };
    let Doing::Listen(listening) = &frame.doing else { return None };
    // Updates are taken only where `foreach` answers them.
    let busy = listening.outputs.len() < listening.taken.len();
    listening.taken.last().filter(|_| busy).and_then(update_id)
}

fn unanswered(why: &str) -> Updated {
    let detail = format!("nobody answers the update: {why}");
    Updated::Answered(Err(WorkflowError::governed("update-unanswered", 409, "Update Unanswered", detail)))
}
