//! Events and signals: an inbox that nothing gets lost in, and the `listen` tasks that take from it.
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
            // Of events the first one counts, as those who send them promise.
            let same = signal.attributes.is_some() || *before == digest_of(&signal.name, &signal.data);
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
        let filters = || listen.filters.iter().chain(&listen.stop);
        for (_, template) in filters().flat_map(|filter| &filter.attributes) {
            self.scope(input).fill(template, input)?;
        }
        for (_, expect) in filters().flat_map(|filter| &filter.correlate) {
            self.scope(input).eval(expect, input)?;
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
            _ if !listen.stop.is_empty() => {
                let stopped = listening.met.range(stop_base(listen)..).count();
                stopped > 0 && (!listen.stop_all || stopped == listen.stop.len())
            }
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
        let mut open = open_filters(listen, listening);
        if let Some((position, _)) = open.find(|(_, filter)| self.fits(filter, event, input)) {
            return Some(position);
        }
        listen.filters.is_empty().then_some(0)
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
        // Nothing that is addressed to another execution comes in; a fork has what was said to the one it was forked from.
        if filter.addressed && event.get(ADDRESS).is_none() {
            return false;
        }
        let scope = || self.scope(input);
        let equal = |name: &str, template: &Template| {
            let there = event.get(name).unwrap_or(&Value::NULL);
            scope().fill(template, input).is_ok_and(|wanted| wanted == *there)
        };
        if !filter.attributes.iter().all(|(name, template)| equal(name, template)) {
            return false;
        }
        let correlates = |(from, expect): &(dsl::expr::Expr, dsl::expr::Expr)| {
            let said = self.outer_scope().eval(from, event);
            said.is_ok_and(|said| scope().eval(expect, input).is_ok_and(|expected| expected == said))
        };
        if !filter.correlate.iter().all(correlates) {
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
        let stops = matches!(&frame.task.kind, TaskKind::Listen(listen) if filter >= stop_base(listen));
        let Doing::Listen(listening) = &mut frame.doing else { return Ok(()) };
        if stops {
            // What ends it is no part of what was heard.
            listening.met.insert(filter);
            return Ok(());
        }
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
        if let Some(Value { data: Data::Object(attributes), .. }) = &signal.attributes {
            let members = attributes.iter().map(|(name, value)| (&**name, value.clone()));
            let data = [("data", signal.data.clone())];
            return Value::object(members.chain(data)).with_label_everywhere(signal.label);
        }
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
    let mut names: Vec<String> =
        open_filters(listen, listening).map(|(_, filter)| filter.name().unwrap_or("*").to_owned()).collect();
    if listen.filters.is_empty() {
        names.push("*".to_owned());
    }
    names
}

/// The filters that end a `listen` are numbered behind those that it listens for.
fn stop_base(listen: &Listen) -> usize {
    listen.filters.len().max(1)
}

/// The filters that may still have an event, those that end it first.
fn open_filters<'a>(
    listen: &'a Listen,
    listening: &'a Listening,
) -> impl Iterator<Item = (usize, &'a EventFilter)> {
    let stop = (stop_base(listen)..).zip(&listen.stop);
    let stop = stop.filter(|(n, _)| !listening.met.contains(n));
    stop.chain(listen.filters.iter().enumerate().filter(|(n, _)| !listen.all || !listening.met.contains(n)))
}

/// What an execution listens for of the events that are addressed to nobody, with what it knows put in: enough to tell most
/// events that it does not want without looking at it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The `type` of the events; none for any.
    pub kind: Option<String>,
    task: Option<(Arc<Task>, usize)>,
    attributes: Vec<(Arc<str>, Value)>,
    expected: Vec<Value>,
}

impl Subscription {
    /// False when the execution certainly does not want the event.
    pub fn may_take(&self, event: &Value) -> bool {
        let equal = |(name, wanted): &(Arc<str>, Value)| event.get(name).unwrap_or(&Value::NULL) == wanted;
        if !self.attributes.iter().all(equal) {
            return false;
        }
        let Some((task, number)) = &self.task else { return true };
        let TaskKind::Listen(listen) = &task.kind else { return false };
        let base = stop_base(listen);
        let filter =
            if *number >= base { listen.stop.get(number - base) } else { listen.filters.get(*number) };
        let Some(filter) = filter else { return false };
        filter.correlate.iter().zip(&self.expected).all(|((from, _), expected)| {
            let said = from.eval(event, &dsl::expr::Vars(&[]), &mut dsl::expr::Budget::default());
            said.is_ok_and(|said| said == *expected)
        })
    }
}

impl Execution {
    /// Names what is listened for of the events that are addressed to nobody: as long as it stays the same, so does that.
    /// None when nothing is.
    pub fn listens_outside(&self) -> Option<String> {
        if self.end.is_some() || self.pending {
            return None;
        }
        let running = self.all_threads().filter(|thread| matches!(thread.course, Course::Running));
        let places: Vec<String> = running
            .filter_map(|thread| {
                let Some(Frame::Task(frame)) = thread.stack.last() else { return None };
                let (Doing::Listen(listening), TaskKind::Listen(listen)) = (&frame.doing, &frame.task.kind)
                else {
                    return None;
                };
                let outside = listen.filters.is_empty()
                    || open_filters(listen, listening).any(|(_, filter)| !filter.addressed);
                let visit = thread.visits.get(&frame.task.pointer).copied().unwrap_or(0);
                outside
                    .then(|| format!("{}@{}#{visit}/{}", thread.id.0, frame.task.pointer, frame.begun_at.0))
            })
            .collect();
        (!places.is_empty()).then(|| places.join(" "))
    }

    /// What it listens for of the events that are addressed to nobody.
    pub fn subscriptions(&mut self) -> Vec<Subscription> {
        let mut found = Vec::new();
        if self.listens_outside().is_none() {
            return found;
        }
        for thread in self.thread_ids() {
            if self.enter(thread) {
                self.subscriptions_here(&mut found);
            }
        }
        self.enter(crate::thread::ThreadId::ROOT);
        found
    }

    fn subscriptions_here(&self, found: &mut Vec<Subscription>) {
        let Some((task, input, listening)) = self.listening_here() else { return };
        let TaskKind::Listen(listen) = &task.kind else { return };
        if listen.filters.is_empty() {
            found.push(Subscription { kind: None, task: None, attributes: Vec::new(), expected: Vec::new() });
        }
        let scope = self.scope(input);
        for (number, filter) in open_filters(listen, listening).filter(|(_, filter)| !filter.addressed) {
            let filled = |(name, template): &(Arc<str>, Template)| {
                scope.fill(template, input).ok().map(|value| (Arc::clone(name), value))
            };
            let attributes: Option<Vec<_>> = filter.attributes.iter().map(filled).collect();
            let expected: Option<Vec<_>> =
                filter.correlate.iter().map(|(_, expect)| scope.eval(expect, input).ok()).collect();
            // What cannot be evaluated fits nothing.
            let (Some(attributes), Some(expected)) = (attributes, expected) else { continue };
            let kind = attributes.iter().find(|(name, _)| &**name == "type");
            let kind = kind.and_then(|(_, value)| value.as_str()).map(str::to_owned);
            found.push(Subscription { kind, task: Some((Arc::clone(task), number)), attributes, expected });
        }
    }

    /// True for an event that is addressed to nobody and that nothing here listens for now.
    pub(crate) fn passes_over(&mut self, signal: &Signalled) -> bool {
        let Some(attributes) = &signal.attributes else { return false };
        let addressed = attributes.get(ADDRESS).is_some();
        if addressed || self.end.is_some() || self.knows_signal(&signal.id) {
            return false;
        }
        let event = self.event_of(signal, self.now);
        self.inbox.waiting.push_back(event);
        let newest = self.inbox.waiting.len() - 1;
        let mut wanted = false;
        for thread in self.thread_ids() {
            wanted = wanted || (self.enter(thread) && self.filter_for(newest).is_some());
        }
        self.enter(crate::thread::ThreadId::ROOT);
        self.inbox.waiting.pop_back();
        !wanted
    }
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
