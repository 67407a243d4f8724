//! Signals: an inbox that nothing gets lost in, and the `listen` tasks that take from it.
//!
//! Whatever is in the inbox matches no task that listens now: a signal that comes is offered to those, and a task that
//! begins to listen looks through the inbox first, oldest first. Each signal is taken once, by one task.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use dsl::plan::{EventFilter, Listen, Read, Task, TaskKind};
use dsl::template::Template;
use model::event::EventBody;
use model::id::PrincipalId;
use model::problem::WorkflowError;
use model::{Data, Digest, Label, Timestamp, Value};

use crate::decide::Rejected;
use crate::flow::Signal;
use crate::state::{Doing, Execution, Frame};
use crate::thread::Course;
use crate::unwind::After;
use crate::{INBOX_MAX, LISTENED_MAX, SIGNALS_REMEMBERED};

/// The attribute that addresses one execution.
const ADDRESS: &str = "omnihubexecution";

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
}

impl Signalled {
    /// The signal of an event, when it is one.
    pub(crate) fn of(body: &EventBody) -> Option<Self> {
        let EventBody::Signalled { id, name, data, label, by } = body else { return None };
        let (id, name) = (id.clone(), name.clone());
        Some(Self { id, name, data: data.clone(), label: *label, by: by.clone() })
    }
}

/// Signals that came, and those that nobody took yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox {
    /// As events, oldest first.
    pub(crate) waiting: VecDeque<Value>,
    /// Ids and digests of the newest, oldest first: so that the same one is not taken twice.
    pub(crate) seen: VecDeque<(String, Digest)>,
}

/// Where a `listen` stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listening {
    /// The events that it took.
    pub(crate) taken: Vec<Value>,
    /// The filters that had their event.
    pub(crate) met: BTreeSet<usize>,
}

impl Execution {
    /// Whether a signal may come in; false when the very same one is there already.
    pub(crate) fn admits(&self, signal: &Signalled) -> Result<bool, Rejected> {
        if let Some((_, before)) = self.inbox.seen.iter().find(|(id, _)| *id == signal.id) {
            let same = *before == digest_of(&signal.name, &signal.data);
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
        let wanted = self.listens_for();
        let wanted = wanted.contains(&signal.name) || wanted.contains("*");
        if self.inbox.waiting.len() >= if wanted { 2 * INBOX_MAX } else { INBOX_MAX } {
            return Err(Rejected::InboxFull);
        }
        Ok(true)
    }

    /// Whether the first thread only undoes what it did, and then ends.
    fn is_stopping(&self) -> bool {
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
        for thread in self.thread_ids() {
            if self.enter(thread)
                && let Some(filter) = self.filter_for(newest)
            {
                return match self.take(newest, filter) {
                    Ok(()) => self.listen_on(),
                    Err(error) => Signal::Raise(error),
                };
            }
        }
        Signal::Blocked
    }

    /// Puts a signal that came at this moment into the inbox; false when it is there already.
    pub(crate) fn receive(&mut self, signal: &Signalled, at: Timestamp) -> bool {
        if self.knows_signal(&signal.id) {
            return false;
        }
        if self.inbox.seen.len() >= SIGNALS_REMEMBERED {
            self.inbox.seen.pop_front();
        }
        self.inbox.seen.push_back((signal.id.clone(), digest_of(&signal.name, &signal.data)));
        let event = self.event_of(signal, at);
        self.inbox.waiting.push_back(event);
        true
    }

    /// A `listen` that is taken off as if it had not begun gives back what it took.
    pub(crate) fn give_back(&mut self, doing: &Doing) {
        let Doing::Listen(listening) = doing else { return };
        for event in listening.taken.iter().rev() {
            self.inbox.waiting.push_front(event.clone());
        }
    }

    /// A `listen` has begun: what waits in the inbox is looked through.
    pub(crate) fn begin_listen(&mut self, listen: &Listen, input: &Value) -> Result<Signal, WorkflowError> {
        for (_, template) in listen.filters.iter().flat_map(|filter| &filter.attributes) {
            self.scope(input).fill(template, input)?;
        }
        self.set_doing(Doing::Listen(Box::default()));
        Ok(self.listen_on())
    }

    /// Takes from the inbox until the task on top has what it waits for, or nothing fits.
    fn listen_on(&mut self) -> Signal {
        loop {
            match self.is_heard() {
                Ok(Some(output)) => return Signal::Complete(output),
                Ok(None) => {}
                Err(error) => return Signal::Raise(error),
            }
            let found = (0..self.inbox.waiting.len()).find_map(|at| Some((at, self.filter_for(at)?)));
            let Some((at, filter)) = found else { return Signal::Blocked };
            if let Err(error) = self.take(at, filter) {
                return Signal::Raise(error);
            }
        }
    }

    /// The output of the task on top, when it has what it waits for.
    fn is_heard(&self) -> Result<Option<Value>, WorkflowError> {
        let Some((task, input, listening)) = self.listening_here() else { return Ok(None) };
        let TaskKind::Listen(listen) = &task.kind else { return Ok(None) };
        let taken = Value::array(listening.taken.iter().map(|event| read_as(listen.read, event)));
        let enough = match &listen.until {
            _ if listen.all => listening.met.len() == listen.filters.len(),
            _ if listening.taken.is_empty() => false,
            Some(until) => self.scope(input).test(until, &taken)?,
            None => true,
        };
        Ok(enough.then_some(taken))
    }

    /// The filter of the task on top that a waiting event fits.
    fn filter_for(&self, at: usize) -> Option<usize> {
        let (task, input, listening) = self.listening_here()?;
        let TaskKind::Listen(listen) = &task.kind else { return None };
        let event = self.inbox.waiting.get(at)?;
        let open =
            listen.filters.iter().enumerate().filter(|(n, _)| !listen.all || !listening.met.contains(n));
        open.into_iter().find(|(_, filter)| self.fits(filter, event, input)).map(|(position, _)| position)
    }

    /// The task on top of the live thread, when it listens.
    fn listening_here(&self) -> Option<(&Arc<Task>, &Value, &Listening)> {
        if !matches!(self.live.course, Course::Running) {
            return None;
        }
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return None };
        let Doing::Listen(listening) = &frame.doing else { return None };
        Some((&frame.task, &frame.input, listening))
    }

    /// A filter that cannot be evaluated on what somebody sent does not fit.
    fn fits(&self, filter: &EventFilter, event: &Value, input: &Value) -> bool {
        let scope = || self.scope(input);
        let equal = |name: &str, template: &Template| {
            let there = event.get(name).unwrap_or(&Value::NULL);
            scope().fill(template, input).is_ok_and(|wanted| wanted == *there)
        };
        if !filter.attributes.iter().all(|(name, template)| equal(name, template)) {
            return false;
        }
        match &filter.data {
            None => true,
            Some(Template::Expr(expr)) => {
                let data = event.get("data").unwrap_or(&Value::NULL);
                scope().eval(expr, data).is_ok_and(|held| matches!(held.data, Data::Bool(true)))
            }
            Some(template) => equal("data", template),
        }
    }

    /// Moves an event from the inbox to the task on top.
    fn take(&mut self, at: usize, filter: usize) -> Result<(), WorkflowError> {
        let Some(event) = self.inbox.waiting.remove(at) else { return Ok(()) };
        let Some(Frame::Task(frame)) = self.live.stack.last_mut() else { return Ok(()) };
        let Doing::Listen(listening) = &mut frame.doing else { return Ok(()) };
        if listening.taken.len() >= LISTENED_MAX {
            let detail =
                format!("a `listen` took more than {LISTENED_MAX} events: let its `until` hold earlier");
            return Err(WorkflowError::standard("runtime", 500, "Budget Spent", detail));
        }
        listening.met.insert(filter);
        listening.taken.push(event);
        Ok(())
    }

    /// A signal as the event that a `listen` sees. All of it is labelled as what it carries.
    fn event_of(&self, signal: &Signalled, at: Timestamp) -> Value {
        Value::object([
            ("specversion", Value::string("1.0")),
            ("id", Value::string(&signal.id)),
            ("source", Value::string(signal.by.as_str())),
            ("type", Value::string(&signal.name)),
            ("time", Value::string(at.to_rfc3339())),
            ("datacontenttype", Value::string("application/json")),
            (ADDRESS, Value::string(self.started.execution.as_str())),
            ("data", signal.data.clone()),
        ])
        .with_label_everywhere(signal.label)
    }

    /// The names of the signals that something listens for now; `*` for a filter without a name.
    pub fn listens_for(&self) -> BTreeSet<String> {
        if self.end.is_some() {
            return BTreeSet::new();
        }
        let running = self.all_threads().filter(|thread| matches!(thread.course, Course::Running));
        let names = running.filter_map(|thread| match thread.stack.last() {
            Some(Frame::Task(frame)) => match &frame.doing {
                Doing::Listen(listening) => Some(open_names(listening, &frame.task)),
                _ => None,
            },
            _ => None,
        });
        names.flatten().collect()
    }

    /// Names of the signals that came and that nobody took yet, oldest first.
    pub fn inbox(&self) -> impl Iterator<Item = &str> {
        self.inbox.waiting.iter().filter_map(|event| event.get("type").and_then(Value::as_str))
    }

    /// Whether a signal with this id has come, as far as that is remembered.
    pub fn knows_signal(&self, id: &str) -> bool {
        self.inbox.seen.iter().any(|(seen, _)| seen == id)
    }
}

/// The names of the signals that a task still waits for; `*` for a filter without a name.
pub(crate) fn open_names(listening: &Listening, task: &Task) -> Vec<String> {
    let TaskKind::Listen(listen) = &task.kind else { return Vec::new() };
    let open = listen.filters.iter().enumerate().filter(|(n, _)| !listen.all || !listening.met.contains(n));
    open.map(|(_, filter)| filter.name().unwrap_or("*").to_owned()).collect()
}

fn digest_of(name: &str, data: &Value) -> Digest {
    model::digest_of(&(name, data))
}

fn read_as(read: Read, event: &Value) -> Value {
    let data = event.get("data").unwrap_or(&Value::NULL);
    match read {
        Read::Envelope => event.clone(),
        Read::Data => data.clone(),
        Read::Raw => {
            let label = data.label_of_all().join(event.label);
            Value::string(model::canonical::canonical(data)).with_label_everywhere(label)
        }
    }
}
