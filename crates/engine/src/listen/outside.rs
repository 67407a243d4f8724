//! What an execution listens for of the events that are addressed to nobody.

use std::sync::Arc;

use dsl::expr::Expr;
use dsl::plan::{EventFilter, Task, TaskKind};
use dsl::template::Template;
use model::Value;

use super::ears::{Ear, ears_of, filter_at, open_filters};
use crate::state::{Execution, Frame};
use crate::thread::ThreadId;

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
    fn to_everything() -> Self {
        Self { kind: None, task: None, attributes: Vec::new(), expected: Vec::new() }
    }

    /// What is correlated first: what is read from the event, and what the execution expects of it. None without correlation.
    pub fn correlation(&self) -> Option<(&Expr, &Value)> {
        let (task, number) = self.task.as_ref()?;
        let TaskKind::Listen(listen) = &task.kind else { return None };
        let (from, _) = filter_at(listen, *number)?.correlate.first()?;
        Some((from, self.expected.first()?))
    }

    /// False when the execution certainly does not want the event.
    pub fn may_take(&self, event: &Value) -> bool {
        let equal = |(name, wanted): &(Arc<str>, Value)| event.get(name).unwrap_or(&Value::NULL) == wanted;
        if !self.attributes.iter().all(equal) {
            return false;
        }
        let Some((task, number)) = &self.task else { return true };
        let TaskKind::Listen(listen) = &task.kind else { return false };
        let Some(filter) = filter_at(listen, *number) else { return false };
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
        let mut places = Vec::new();
        for thread in self.all_threads() {
            let asked = ears_of(thread).filter(|ear| self.asks_outside(ear));
            for ear in asked {
                let Some(Frame::Task(frame)) = thread.stack.get(ear.position) else { continue };
                let visit = thread.visits.get(&frame.task.pointer).copied().unwrap_or(0);
                places.push(format!("{}@{}#{visit}/{}", thread.id.0, frame.task.pointer, frame.begun_at.0));
            }
        }
        if !places.is_empty() && self.inbox.reopened > 0 {
            places.push(format!("again {}", self.inbox.reopened));
        }
        (!places.is_empty()).then(|| places.join(" "))
    }

    /// Whether a `listen` is brought events that are addressed to nobody: not while it works on one and enough others wait.
    fn asks_outside(&self, ear: &Ear<'_>) -> bool {
        let held = self.inbox.closed && ear.listening.is_busy(ear.listen);
        let outside = |filter: Option<&EventFilter>| filter.is_none_or(|filter| !filter.addressed);
        !held && open_filters(ear.listen, ear.listening).any(|(_, filter)| outside(filter))
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
        self.enter(ThreadId::ROOT);
        found
    }

    fn subscriptions_here(&self, found: &mut Vec<Subscription>) {
        for ear in self.ears().into_iter().filter(|ear| self.asks_outside(ear)) {
            let scope = self.scope_at(ear.position, ear.input);
            for (number, filter) in open_filters(ear.listen, ear.listening) {
                let Some(filter) = filter else {
                    found.push(Subscription::to_everything());
                    continue;
                };
                if filter.addressed {
                    continue;
                }
                let filled = |(name, template): &(Arc<str>, Template)| {
                    scope.fill(template, ear.input).ok().map(|value| (Arc::clone(name), value))
                };
                let attributes: Option<Vec<_>> = filter.attributes.iter().map(filled).collect();
                let expected: Option<Vec<_>> =
                    filter.correlate.iter().map(|(_, expect)| scope.eval(expect, ear.input).ok()).collect();
                // What cannot be evaluated fits nothing.
                let (Some(attributes), Some(expected)) = (attributes, expected) else { continue };
                let kind = attributes.iter().find(|(name, _)| &**name == "type");
                let kind = kind.and_then(|(_, value)| value.as_str()).map(str::to_owned);
                let task = Some((Arc::clone(ear.task), number));
                found.push(Subscription { kind, task, attributes, expected });
            }
        }
    }
}
