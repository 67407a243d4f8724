//! The life of an execution, as it is told to others: derived from its history, which alone is kept.
//!
//! Nothing is written for it and nothing is computed until somebody asks. The same history always tells the same: each
//! moment has its place, from the number of the event that it follows from, so a crash loses none and repeats none.

use std::sync::Arc;

use dsl::plan::Definition;
use model::event::EventBody;
use model::problem::WorkflowError;
use model::{Event, Timestamp, Value};

use crate::state::{End, Execution, Status};
use crate::trace::TaskStatus;

/// What one step does to tasks, at the most: the transitions of a step are bounded, too.
const TURNS_MAX: usize = 1_000_000;
/// Tasks of one execution that are told of; later ones are not.
pub(crate) const TOLD_MAX: usize = 500_000;

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Started,
    Skipped,
    Retried,
    Completed,
    Faulted,
}

/// What became of tasks in one step, by their places in the trace; and the newest error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    turns: Vec<(usize, Turn, Option<Arc<WorkflowError>>)>,
    error: Option<Arc<WorkflowError>>,
}

/// Something that happened to an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The event of the history that it follows from, from 0.
    pub sequence: u64,
    /// Its place among those of that event, from 0.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The flow began: at the start, or when it got its place.
    Started,
    /// It is held, by a person or because work of it is parked.
    Suspended,
    /// It goes on after it was held.
    Resumed,
    /// A `listen` began to wait for events.
    CorrelationStarted,
    /// A `listen` has what it waited for.
    CorrelationCompleted,
    /// It was stopped for good.
    Cancelled,
    /// Nothing caught an error.
    Faulted(Box<WorkflowError>),
    /// It ran to its end, with this output.
    Completed(Value),
    /// Its status is another one.
    StatusChanged(Status),
    /// Something happened to a task.
    Task(Arc<str>, TaskEvent),
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEvent {
    /// It is about to begin.
    Created,
    /// It began.
    Started,
    /// It is held with its execution.
    Suspended,
    /// It goes on.
    Resumed,
    /// It is tried again.
    Retried,
    /// It was given up.
    Cancelled,
    /// An error came from it or passed through it.
    Faulted(Arc<WorkflowError>),
    /// It is done.
    Completed,
}

impl Execution {
    /// Notes what became of a task, when somebody wants to know.
    pub(crate) fn tell(&mut self, task: usize, turn: Turn) {
        let Some(told) = &mut self.told else { return };
        if told.turns.len() < TURNS_MAX {
            let error = told.error.clone().filter(|_| turn == Turn::Faulted);
            told.turns.push((task, turn, error));
        }
    }

    /// Notes the error of which tasks are about to fail.
    pub(crate) fn tell_error(&mut self, error: &WorkflowError) {
        if let Some(told) = &mut self.told {
            told.error = Some(Arc::new(error.clone()));
        }
    }
}

/// What an execution went through, in order, without the first `skip` moments, at most `limit`. None when the events are not
/// a history of this definition.
pub fn lifecycle(
    definition: Arc<Definition>,
    events: &[Event],
    skip: u64,
    limit: usize,
) -> Option<Vec<Moment>> {
    let mut teller =
        Teller { moments: Vec::new(), passed: 0, skip, sequence: 0, number: 0, at: events.first()?.at };
    let EventBody::Started(started) = &events.first()?.body else { return None };
    let told = Some(Told::default());
    let mut state =
        Execution::begin(definition, Arc::new((**started).clone()), events.first()?.at, true, told);
    let mut status = None;
    for position in 0..events.len() {
        let event = events.get(position)?;
        let goes_back = matches!(event.body, EventBody::Rewound(_));
        let running = if goes_back { state.running() } else { Vec::new() };
        if position > 0 {
            state.told = Some(Told::default());
            state.follow(events, position);
        }
        teller.begin(position, event.at);
        for pointer in running {
            teller.task(&pointer, TaskEvent::Cancelled);
        }
        teller.step(&mut state, &event.body, &mut status);
        if teller.moments.len() >= limit {
            break;
        }
    }
    teller.moments.truncate(limit);
    Some(teller.moments)
}

impl Execution {
    /// Tasks that have begun and not ended, as far as the trace goes.
    fn running(&self) -> Vec<Arc<str>> {
        let trace = self.trace.iter().flatten();
        trace.filter(|entry| entry.status == TaskStatus::Running).map(|entry| entry.pointer.clone()).collect()
    }

    /// The tasks that the flow stands at, one for each thread.
    fn standing(&self) -> Vec<Arc<str>> {
        let mut tasks: Vec<_> = self.all_threads().collect();
        tasks.sort_by_key(|thread| thread.id);
        tasks.iter().filter_map(|thread| Some(Arc::clone(&thread.top_task()?.task.pointer))).collect()
    }
}

/// Makes moments of steps.
struct Teller {
    moments: Vec<Moment>,
    /// Moments before those that are wanted.
    passed: u64,
    skip: u64,
    sequence: u64,
    number: u64,
    at: Timestamp,
}

impl Teller {
    fn begin(&mut self, position: usize, at: Timestamp) {
        (self.sequence, self.number, self.at) = (position as u64, 0, at);
    }

    fn tell(&mut self, what: What) {
        if self.passed < self.skip {
            self.passed += 1;
        } else {
            self.moments.push(Moment { sequence: self.sequence, number: self.number, at: self.at, what });
        }
        self.number += 1;
    }

    fn task(&mut self, pointer: &Arc<str>, event: TaskEvent) {
        self.tell(What::Task(Arc::clone(pointer), event));
    }

    /// What one event led to. `status` is the one before, and then the one after.
    fn step(&mut self, state: &mut Execution, body: &EventBody, status: &mut Option<Status>) {
        let now = state.status();
        let before = status.replace(now);
        let held = |status: Option<Status>| status == Some(Status::Suspended);
        if (before.is_none() && now != Status::Pending)
            || (before == Some(Status::Pending) && matches!(body, EventBody::Released))
        {
            self.tell(What::Started);
        }
        if held(before) && now != Status::Suspended && state.end.is_none() {
            self.tell(What::Resumed);
            for task in state.standing() {
                self.task(&task, TaskEvent::Resumed);
            }
        }
        self.turns(state, matches!(body, EventBody::Retried { .. }));
        if now == Status::Suspended && !held(before) {
            for task in state.standing() {
                self.task(&task, TaskEvent::Suspended);
            }
            self.tell(What::Suspended);
        }
        if before != Some(now) {
            self.tell(What::StatusChanged(now));
        }
        let ended = |status: Option<Status>| {
            matches!(status, Some(Status::Completed | Status::Faulted | Status::Cancelled))
        };
        if ended(Some(now)) && !ended(before) {
            match &state.end {
                Some(End::Completed(output)) => self.tell(What::Completed(output.clone())),
                Some(End::Faulted(error)) => self.tell(What::Faulted(Box::new(error.clone()))),
                Some(End::Cancelled(_)) => self.tell(What::Cancelled),
                None => {}
            }
        }
    }

    fn turns(&mut self, state: &mut Execution, again: bool) {
        let Some(told) = state.told.take() else { return };
        let mut again = again;
        for (index, turn, error) in told.turns {
            let Some(entry) = state.trace.as_ref().and_then(|trace| trace.get(index)) else { continue };
            let (pointer, listens) = (Arc::clone(&entry.pointer), entry.kind == "listen");
            match turn {
                Turn::Started => {
                    if std::mem::take(&mut again) {
                        self.task(&pointer, TaskEvent::Retried);
                    } else {
                        self.task(&pointer, TaskEvent::Created);
                    }
                    self.task(&pointer, TaskEvent::Started);
                    if listens {
                        self.tell(What::CorrelationStarted);
                    }
                }
                // It never was: its `if` was false.
                Turn::Skipped => {}
                Turn::Retried => self.task(&pointer, TaskEvent::Retried),
                Turn::Completed => {
                    if listens {
                        self.tell(What::CorrelationCompleted);
                    }
                    self.task(&pointer, TaskEvent::Completed);
                }
                Turn::Faulted => match error {
                    Some(error) => self.task(&pointer, TaskEvent::Faulted(error)),
                    None => self.task(&pointer, TaskEvent::Cancelled),
                },
            }
        }
    }
}
