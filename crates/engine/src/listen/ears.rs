//! Who listens: the `listen` tasks of a thread, what each still waits for, and which events fit.

use std::collections::BTreeSet;
use std::sync::Arc;

use dsl::plan::{EventFilter, Listen, Task, TaskKind};
use dsl::template::Template;
use model::problem::WorkflowError;
use model::{Data, Value};

use super::{ADDRESS, Listening, UPDATE};
use crate::state::{Doing, Execution, Frame};
use crate::thread::{Course, Thread};

/// A `listen` on the stack of the live thread.
#[derive(Clone, Copy)]
pub(crate) struct Ear<'a> {
    pub(crate) position: usize,
    pub(crate) task: &'a Arc<Task>,
    pub(crate) listen: &'a Listen,
    pub(crate) input: &'a Value,
    pub(crate) listening: &'a Listening,
}

impl Ear<'_> {
    /// What the task gives: its events, or what `foreach` gave for each.
    pub(crate) fn output(&self) -> Value {
        match &self.listen.each {
            Some(_) => Value::array(self.listening.outputs.iter().cloned()),
            None => self.taken(),
        }
    }

    fn taken(&self) -> Value {
        Value::array(self.listening.taken.iter().map(|event| self.listen.read.of(event)))
    }
}

/// The `listen` of a frame.
fn ear_of(position: usize, frame: &Frame) -> Option<Ear<'_>> {
    let Frame::Task(frame) = frame else { return None };
    let (Doing::Listen(listening), TaskKind::Listen(listen)) = (&frame.doing, &frame.task.kind) else {
        return None;
    };
    Some(Ear { position, task: &frame.task, listen, input: &frame.input, listening })
}

/// The `listen` tasks of a thread that runs, innermost first. All but the innermost work on an event, and so may that.
pub(crate) fn ears_of(thread: &Thread) -> impl Iterator<Item = Ear<'_>> {
    let running = matches!(thread.course, Course::Running);
    let frames = thread.stack.iter().enumerate().rev().filter(move |_| running);
    frames.filter_map(|(position, frame)| ear_of(position, frame))
}

impl Execution {
    /// The `listen` tasks of the live thread, innermost first.
    pub(crate) fn ears(&self) -> Vec<Ear<'_>> {
        ears_of(&self.live).collect()
    }

    /// The task on top of the live thread, when it listens and works on no event.
    pub(crate) fn idle_ear(&self) -> Option<Ear<'_>> {
        if !matches!(self.live.course, Course::Running) {
            return None;
        }
        let position = self.live.stack.len().checked_sub(1)?;
        let ear = ear_of(position, self.live.stack.last()?)?;
        (!ear.listening.is_busy(ear.listen)).then_some(ear)
    }

    /// The pointer of a task of the live thread that works on an event, and will take this one.
    pub(super) fn busy_ear_for(&self, at: usize) -> Option<Arc<str>> {
        let fitting = self.ears().into_iter().find(|ear| self.filter_for(*ear, at).is_some());
        fitting.map(|ear| Arc::clone(&ear.task.pointer))
    }

    /// Whether the task has what it waits for.
    pub(crate) fn is_heard(&self, ear: Ear<'_>) -> Result<bool, WorkflowError> {
        self.is_met(ear, 0, 0)
    }

    fn is_met(&self, ear: Ear<'_>, level: usize, base: usize) -> Result<bool, WorkflowError> {
        let Some(strategy) = ear.listen.strategies.get(level) else { return Ok(true) };
        let next = base + strategy.filters.len().max(1);
        let met = ear.listening.met.range(base..next).count();
        if strategy.all {
            return Ok(met == strategy.filters.len());
        }
        if level + 1 < ear.listen.strategies.len() {
            return self.is_met(ear, level + 1, next);
        }
        match &strategy.until {
            _ if met == 0 => Ok(false),
            None => Ok(true),
            Some(until) => {
                let taken = if level == 0 {
                    ear.taken()
                } else {
                    let here = ear.listening.stops.iter().filter(|(filter, _)| (base..next).contains(filter));
                    Value::array(here.map(|(_, event)| ear.listen.read.of(event)))
                };
                self.scope_at(ear.position, ear.input).test(until, &taken)
            }
        }
    }

    /// The filter of a task that a waiting event fits. A task that works on an event wants no other once it has enough.
    pub(crate) fn filter_for(&self, ear: Ear<'_>, at: usize) -> Option<usize> {
        let event = self.inbox.waiting.get(at)?;
        if ear.listening.is_busy(ear.listen) && self.is_heard(ear) != Ok(false) {
            return None;
        }
        let expected = self.updates.is_expected(event, &ear.task.pointer);
        let fits = |filter: Option<&EventFilter>| match filter {
            None => event.get(UPDATE).is_none(),
            Some(filter) => {
                self.is_named(ear, filter, event)
                    && (expected || self.is_meant(ear, filter, event) == Ok(true))
            }
        };
        open_filters(ear.listen, ear.listening).find(|(_, filter)| fits(*filter)).map(|(number, _)| number)
    }

    /// Whether an event has the attributes that a filter names. What cannot be evaluated fits nothing.
    pub(crate) fn is_named(&self, ear: Ear<'_>, filter: &EventFilter, event: &Value) -> bool {
        // Nothing that is addressed to another execution comes in; a fork has what was said to the one it was forked from.
        if filter.addressed && event.get(ADDRESS).is_none() || filter.update != event.get(UPDATE).is_some() {
            return false;
        }
        filter.attributes.iter().all(|(name, template)| self.equals(ear, event, name, template))
    }

    /// Whether an event correlates and has the data that a filter wants.
    pub(crate) fn is_meant(
        &self,
        ear: Ear<'_>,
        filter: &EventFilter,
        event: &Value,
    ) -> Result<bool, WorkflowError> {
        for (from, expect) in &filter.correlate {
            let said = self.outer_scope().eval(from, event)?;
            if self.scope_at(ear.position, ear.input).eval(expect, ear.input)? != said {
                return Ok(false);
            }
        }
        match &filter.data {
            None => Ok(true),
            Some(Template::Expr(expr)) => {
                let data = event.get("data").unwrap_or(&Value::NULL);
                let held = self.scope_at(ear.position, ear.input).eval(expr, data)?;
                Ok(matches!(held.data, Data::Bool(true)))
            }
            Some(template) => Ok(self.equals(ear, event, "data", template)),
        }
    }

    fn equals(&self, ear: Ear<'_>, event: &Value, name: &str, template: &Template) -> bool {
        let there = event.get(name).unwrap_or(&Value::NULL);
        let wanted = self.scope_at(ear.position, ear.input).fill(template, ear.input);
        wanted.is_ok_and(|wanted| wanted == *there)
    }

    /// The names of the signals that something waits for now; `*` for a filter without a name.
    pub fn listens_for(&self) -> BTreeSet<String> {
        self.names_of(|ear| !ear.listening.is_busy(ear.listen))
    }

    /// As [`Execution::listens_for`], with those that wait until an event is done with.
    pub(crate) fn wanted_names(&self) -> BTreeSet<String> {
        self.names_of(|_| true)
    }

    /// The names of the updates that something takes now.
    pub fn takes_updates(&self) -> BTreeSet<String> {
        if self.end.is_some() {
            return BTreeSet::new();
        }
        let open =
            self.all_threads().flat_map(ears_of).flat_map(|ear| open_filters(ear.listen, ear.listening));
        let updates = open.filter_map(|(_, filter)| filter.filter(|filter| filter.update)?.name());
        updates.map(str::to_owned).collect()
    }

    fn names_of(&self, which: impl Fn(&Ear<'_>) -> bool) -> BTreeSet<String> {
        if self.end.is_some() {
            return BTreeSet::new();
        }
        let ears = self.all_threads().flat_map(ears_of).filter(which);
        ears.flat_map(|ear| open_names(ear.listening, ear.task)).collect()
    }
}

/// The names of the signals that a task still waits for; `*` for a filter without a name.
pub(crate) fn open_names(listening: &Listening, task: &Task) -> Vec<String> {
    let TaskKind::Listen(listen) = &task.kind else { return Vec::new() };
    let name = |filter: Option<&EventFilter>| filter.and_then(EventFilter::name).unwrap_or("*").to_owned();
    open_filters(listen, listening).map(|(_, filter)| name(filter)).collect()
}

/// The filters that may still have an event, those that end it first; none stands for any event at all.
///
/// Filters are numbered through all strategies; one without filters counts one.
pub(super) fn open_filters<'a>(
    listen: &'a Listen,
    listening: &'a Listening,
) -> impl Iterator<Item = (usize, Option<&'a EventFilter>)> {
    let mut base = 0;
    let bases: Vec<usize> = listen
        .strategies
        .iter()
        .map(|strategy| {
            base += strategy.filters.len().max(1);
            base - strategy.filters.len().max(1)
        })
        .collect();
    let levels = listen.strategies.iter().zip(bases).enumerate().rev();
    levels.flat_map(move |(level, (strategy, base))| {
        let any = strategy.filters.is_empty().then_some((base, None));
        let named = (base..).zip(strategy.filters.iter().map(Some));
        // What ends it needs each of its events once.
        let last = level + 1 == listen.strategies.len();
        let once = strategy.all || level > 0 && last && strategy.until.is_none();
        any.into_iter().chain(named).filter(move |(number, _)| !once || !listening.met.contains(number))
    })
}

/// The filter of this number; none for any event at all.
pub(super) fn filter_at(listen: &Listen, number: usize) -> Option<&EventFilter> {
    let mut base = 0;
    for strategy in &listen.strategies {
        let count = strategy.filters.len().max(1);
        if number < base + count {
            return strategy.filters.get(number - base);
        }
        base += count;
    }
    None
}

/// Whether a filter ends the `listen` instead of being listened for.
pub(super) fn ends(listen: &Listen, number: usize) -> bool {
    listen.strategies.first().is_some_and(|first| number >= first.filters.len().max(1))
}
