//! Events and signals: an inbox that nothing gets lost in, and the `listen` tasks that take from it.
//!
//! Whatever is in the inbox matches no task that listens now, unless that works on another event: a signal that comes is
//! offered to those, and a task that begins to listen, or is done with an event, looks through the inbox first, oldest first.
//! Each signal is taken once, by one task.

mod ears;
mod outside;
mod rounds;

use std::collections::{BTreeSet, VecDeque};

use dsl::plan::{Listen, TaskKind};
use model::event::EventBody;
use model::id::PrincipalId;
use model::problem::WorkflowError;
use model::{Data, Digest, Label, Timestamp, Value};

use crate::decide::Rejected;
use crate::flow::Signal;
use crate::state::{Doing, Execution, Frame};
use crate::thread::{Course, ThreadId};
use crate::unwind::After;
use crate::{INBOX_MAX, LISTENED_MAX, SIGNALS_REMEMBERED};

pub(crate) use ears::{Ear, open_names};
pub use outside::Subscription;
pub(crate) use rounds::update_id;

/// The attribute that addresses one execution.
pub(crate) const ADDRESS: &str = "omnihubexecution";

/// The attribute of an update.
pub(crate) const UPDATE: &str = "omnihubupdate";

/// A signal that comes.
#[derive(Debug, Clone)]
pub struct Signalled {
    /// Unique in the execution.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it carries.
    pub data: Value,
    /// Where that came from.
    pub label: Label,
    /// Who sent it.
    pub by: PrincipalId,
    /// The attributes of the event that it is, when it was not sent as a signal; `id` is then its source and its id.
    pub attributes: Option<Value>,
}

impl Signalled {
    /// The signal of an event, when it is one.
    pub(crate) fn of(body: &EventBody) -> Option<Self> {
        let EventBody::Signalled { id, name, data, label, by, attributes } = body else { return None };
        let (id, name) = (id.clone(), name.clone());
        let attributes = attributes.as_deref().cloned();
        Some(Self { id, name, data: data.clone(), label: *label, by: by.clone(), attributes })
    }

    /// The attributes of an update: its sender is answered.
    pub fn update_attributes() -> Value {
        Value::object([(UPDATE, Value::new(Data::Bool(true)))])
    }

    /// Whether it is an update.
    pub fn is_update(&self) -> bool {
        self.attributes.as_ref().is_some_and(|attributes| attributes.get(UPDATE).is_some())
    }

    pub(crate) fn digest(&self) -> Digest {
        model::digest_of(&(&self.name, &self.data))
    }
}

/// Signals that came, and those that nobody took yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox {
    /// As events, oldest first.
    pub(crate) waiting: VecDeque<Value>,
    /// Ids and digests of the newest, oldest first: so that the same one is not taken twice.
    pub(crate) seen: VecDeque<(String, Digest)>,
    /// So much waits that no more events from outside are asked for, until half of it is taken.
    pub(crate) closed: bool,
    /// How often they were asked for again.
    pub(crate) reopened: u32,
}

/// Where a `listen` stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listening {
    /// The events that it took.
    pub(crate) taken: Vec<Value>,
    /// The filters that had their event.
    pub(crate) met: BTreeSet<usize>,
    /// Events of the strategies that end it, with the filter that each fitted.
    pub(crate) stops: Vec<(usize, Value)>,
    /// What `foreach` gave for each event; one less than was taken while it works on the last one.
    pub(crate) outputs: Vec<Value>,
    /// The variables of `foreach`, item and position, from the first event on.
    pub(crate) vars: Option<(Value, Value)>,
}

impl Listening {
    /// True while `foreach` works on an event.
    pub(crate) fn is_busy(&self, listen: &Listen) -> bool {
        listen.each.is_some() && self.outputs.len() < self.taken.len()
    }
}

impl Execution {
    /// Whether a signal may come in; false when the very same one is there already.
    pub(crate) fn admits(&self, signal: &Signalled) -> Result<bool, Rejected> {
        if signal.is_update() {
            // It was weighed already.
            return Ok(true);
        }
        if let Some((_, before)) = self.inbox.seen.iter().find(|(id, _)| *id == signal.id) {
            // Of events the first one counts, as those who send them promise.
            let same = signal.attributes.is_some() || *before == signal.digest();
            return if same { Ok(false) } else { Err(Rejected::SignalReused(signal.id.clone())) };
        }
        if self.end.is_some() {
            return Err(Rejected::Ended(self.status().name()));
        }
        if self.is_stopping() {
            return Err(Rejected::Nothing(
                "the execution is on its way to its end, and takes no signal any more",
            ));
        }
        // What fills the inbox must not keep out what somebody waits for.
        let wanted = self.wanted_names();
        let wanted = wanted.contains(&signal.name) || wanted.contains("*");
        if self.inbox.waiting.len() >= if wanted { 2 * INBOX_MAX } else { INBOX_MAX } {
            return Err(Rejected::InboxFull);
        }
        Ok(true)
    }

    /// Whether the first thread only undoes what it did, and then ends.
    pub(crate) fn is_stopping(&self) -> bool {
        match &self.live.course {
            Course::Stopping(After::GoOn | After::Raise(_)) | Course::Running => false,
            Course::Unwinding(unwinding) => !unwinding.goes_on(),
            Course::Stopping(_) | Course::Ended(_) | Course::Failed(_) | Course::Cancelled => true,
        }
    }

    /// A signal has come: the first thread that listens for it takes it, or it waits.
    pub(crate) fn signalled(&mut self, signal: &Signalled) -> Signal {
        if !self.receive(signal, self.now) {
            return Signal::Blocked;
        }
        let newest = self.inbox.waiting.len() - 1;
        let mut expected = None;
        for thread in self.thread_ids() {
            if !self.enter(thread) {
                continue;
            }
            if let Some(filter) = self.idle_ear().and_then(|ear| self.filter_for(ear, newest)) {
                return match self.take(newest, filter) {
                    Ok(()) => self.heard(),
                    Err(error) => Signal::Raise(error),
                };
            }
            expected = expected.or_else(|| self.busy_ear_for(newest));
        }
        if let Some(task) = expected.filter(|_| signal.is_update()) {
            self.updates.expect(&signal.id, task);
        }
        Signal::Blocked
    }

    /// Puts a signal that came at this moment into the inbox; false when it is there already.
    pub(crate) fn receive(&mut self, signal: &Signalled, at: Timestamp) -> bool {
        if signal.is_update() {
            if !self.updates.accept(signal, at) {
                return false;
            }
        } else {
            if self.knows_signal(&signal.id) {
                return false;
            }
            if self.inbox.seen.len() >= SIGNALS_REMEMBERED {
                self.inbox.seen.pop_front();
            }
            self.inbox.seen.push_back((signal.id.clone(), signal.digest()));
        }
        let event = self.event_of(signal, at);
        self.inbox.waiting.push_back(event);
        self.inbox.closed = self.inbox.closed || self.inbox.waiting.len() >= INBOX_MAX;
        true
    }

    /// A `listen` that is taken off as if it had not begun gives back what it took.
    pub(crate) fn give_back(&mut self, doing: &Doing) {
        let Doing::Listen(listening) = doing else { return };
        let stops = listening.stops.iter().map(|(_, event)| event);
        for event in listening.taken.iter().chain(stops).rev() {
            self.inbox.waiting.push_front(event.clone());
        }
    }

    /// A `listen` has begun: what waits in the inbox is looked through.
    pub(crate) fn begin_listen(&mut self, listen: &Listen, input: &Value) -> Result<Signal, WorkflowError> {
        let filters = || listen.strategies.iter().flat_map(|strategy| &strategy.filters);
        for (_, template) in filters().flat_map(|filter| &filter.attributes) {
            self.scope(input).fill(template, input)?;
        }
        for (_, expect) in filters().flat_map(|filter| &filter.correlate) {
            self.scope(input).eval(expect, input)?;
        }
        self.set_doing(Doing::Listen(Box::default()));
        Ok(self.listen_on())
    }

    /// Takes from the inbox until the task on top has what it waits for, works on an event, or nothing fits.
    pub(crate) fn listen_on(&mut self) -> Signal {
        loop {
            let Some(ear) = self.idle_ear() else { return Signal::Blocked };
            match self.is_heard(ear) {
                Ok(true) => return Signal::Complete(ear.output()),
                Ok(false) => {}
                Err(error) => return Signal::Raise(error),
            }
            let found = (0..self.inbox.waiting.len()).find_map(|at| Some((at, self.filter_for(ear, at)?)));
            let Some((at, filter)) = found else { return Signal::Blocked };
            match self.take(at, filter) {
                Ok(()) if self.works_on_event() => return self.begin_round(),
                Ok(()) => {}
                Err(error) => return Signal::Raise(error),
            }
        }
    }

    /// The task on top took an event.
    fn heard(&mut self) -> Signal {
        if self.works_on_event() { self.begin_round() } else { self.listen_on() }
    }

    /// Moves an event from the inbox to the task on top.
    fn take(&mut self, at: usize, filter: usize) -> Result<(), WorkflowError> {
        let Some(event) = self.inbox.waiting.remove(at) else { return Ok(()) };
        if self.inbox.closed && self.inbox.waiting.len() <= INBOX_MAX / 2 {
            self.inbox.closed = false;
            self.inbox.reopened = self.inbox.reopened.saturating_add(1);
        }
        let Some(Frame::Task(frame)) = self.live.stack.last_mut() else { return Ok(()) };
        let TaskKind::Listen(listen) = &frame.task.kind else { return Ok(()) };
        let stops = ears::ends(listen, filter);
        let Doing::Listen(listening) = &mut frame.doing else { return Ok(()) };
        if listening.taken.len() + listening.stops.len() >= LISTENED_MAX {
            let detail =
                format!("a `listen` took more than {LISTENED_MAX} events: let its `until` hold earlier");
            return Err(WorkflowError::standard("runtime", 500, "Budget Spent", detail));
        }
        listening.met.insert(filter);
        if stops {
            // What ends it is no part of what was heard.
            listening.stops.push((filter, event));
        } else {
            listening.taken.push(event);
        }
        Ok(())
    }

    /// A signal as the event that a `listen` sees. All of it is labelled as what it carries.
    pub(crate) fn event_of(&self, signal: &Signalled, at: Timestamp) -> Value {
        let update = signal.is_update();
        if let Some(Value { data: Data::Object(attributes), .. }) = &signal.attributes
            && !update
        {
            let members = attributes.iter().map(|(name, value)| (&**name, value.clone()));
            let data = [("data", signal.data.clone())];
            return Value::object(members.chain(data)).with_label_everywhere(signal.label);
        }
        let mark = update.then(|| (UPDATE, Value::new(Data::Bool(true))));
        let members = [
            ("specversion", Value::string("1.0")),
            ("id", Value::string(&signal.id)),
            ("source", Value::string(signal.by.as_str())),
            ("type", Value::string(&signal.name)),
            ("time", Value::string(at.to_rfc3339())),
            ("datacontenttype", Value::string("application/json")),
            (ADDRESS, Value::string(self.started.execution.as_str())),
            ("data", signal.data.clone()),
        ];
        Value::object(members.into_iter().chain(mark)).with_label_everywhere(signal.label)
    }

    /// Names of the signals that came and that nobody took yet, oldest first.
    pub fn inbox(&self) -> impl Iterator<Item = &str> {
        self.inbox.waiting.iter().filter_map(|event| event.get("type").and_then(Value::as_str))
    }

    /// Whether a signal with this id has come, as far as that is remembered.
    pub fn knows_signal(&self, id: &str) -> bool {
        self.inbox.seen.iter().any(|(seen, _)| seen == id)
    }

    /// True for an event that is addressed to nobody and that nothing here listens for now.
    pub(crate) fn passes_over(&mut self, signal: &Signalled) -> bool {
        let Some(attributes) = &signal.attributes else { return false };
        let addressed = attributes.get(ADDRESS).is_some() || signal.is_update();
        if addressed || self.end.is_some() || self.knows_signal(&signal.id) {
            return false;
        }
        let event = self.event_of(signal, self.now);
        self.inbox.waiting.push_back(event);
        let newest = self.inbox.waiting.len() - 1;
        let mut wanted = false;
        for thread in self.thread_ids() {
            wanted = wanted
                || (self.enter(thread)
                    && self.ears().into_iter().any(|ear| self.filter_for(ear, newest).is_some()));
        }
        self.enter(ThreadId::ROOT);
        self.inbox.waiting.pop_back();
        !wanted
    }
}
