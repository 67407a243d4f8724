//! What a task waits for: which events, how many, and what of them it reads.

use std::sync::Arc;

use model::Value;

use super::{Output, TaskList};
use crate::expr::Expr;
use crate::template::Template;

/// `listen`
#[derive(Debug)]
pub struct Listen {
    /// What is listened for, and behind it what ends each one before: `until` as events. Never empty.
    pub strategies: Vec<Strategy>,
    /// How much of an event is given on.
    pub read: Read,
    /// `foreach`: what is done for each event.
    pub each: Option<EachEvent>,
}

/// `one`, `all` or `any`, and `until`.
#[derive(Debug)]
pub struct Strategy {
    /// Its events; empty for any event at all.
    pub filters: Vec<EventFilter>,
    /// True when every filter must have had an event (`all`, `one`); false when any of them will do.
    pub all: bool,
    /// With `any`: goes on until this holds; `.` is the list of what was taken so far. The first event is enough when it is
    /// absent and no strategy follows.
    pub until: Option<Expr>,
}

/// `foreach` of a `listen`: one event after the other.
#[derive(Debug)]
pub struct EachEvent {
    /// Variable of the event, without `$` (`item` by default).
    pub item: Arc<str>,
    /// Variable of the position, without `$` (`index` by default).
    pub at: Arc<str>,
    /// `do`; without tasks an iteration gives the event.
    pub tasks: TaskList,
    /// Makes what the list of the `listen` has of each event, and what an update is answered with.
    pub output: Output,
    /// Replaces `$context` behind each event.
    pub export: Output,
}

/// What a `listen` gives on of each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Read {
    /// Its data.
    #[default]
    Data,
    /// The event with its attributes.
    Envelope,
    /// Its data as JSON text.
    Raw,
}

impl Read {
    /// What is given on of an event.
    pub fn of(self, event: &Value) -> Value {
        let data = event.get("data").unwrap_or(&Value::NULL);
        match self {
            Self::Envelope => event.clone(),
            Self::Data => data.clone(),
            Self::Raw => {
                let label = data.label_of_all().join(event.label);
                Value::string(model::canonical::canonical(data)).with_label_everywhere(label)
            }
        }
    }
}

/// Which events a `listen` takes.
#[derive(Debug)]
pub struct EventFilter {
    /// Attributes and what they must be equal to; expressions see what the task sees.
    pub attributes: Vec<(Arc<str>, Template)>,
    /// `data`: an expression that must be true (`.` is the data), or what the data must be equal to.
    pub data: Option<Template>,
    /// True when only events that are addressed to this execution fit.
    pub addressed: bool,
    /// `correlate`: what `from` gives of the event (`.`) must be equal to what `expect` gives of the task's data.
    pub correlate: Vec<(Expr, Expr)>,
    /// True when only updates fit: their senders are answered with what `foreach` gives.
    pub update: bool,
}

impl EventFilter {
    /// The name of the signal that it takes, when that is written out.
    pub fn name(&self) -> Option<&str> {
        self.attributes.iter().find_map(|(name, template)| match template {
            Template::Constant(value) if &**name == "type" => value.as_str(),
            _ => None,
        })
    }
}
