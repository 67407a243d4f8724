//! A thread as plain data: its frames, what it has armed, and what it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::action::ActionRef;
use model::effect::EffectNumber;
use model::problem::WorkflowError;
use model::{Data, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::packed::Pool;
use super::{SnapshotError, Values};
use crate::fork::{Forking, Pending};
use crate::listen::Listening;
use crate::returning::Returning;
use crate::state::{Doing, Frame, Part, TryPhase, Trying};
use crate::tasks::index_value;
use crate::thread::{Course, Thread, ThreadId};
use crate::unwind::{After, Armed, Unwinding};

/// As [`Thread`]; values by number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ThreadImage {
    pub(super) id: ThreadId,
    pub(super) parent: ThreadId,
    pub(super) branch: usize,
    pub(super) depth: usize,
    pub(super) stack: Vec<FrameImage>,
    pub(super) context: usize,
    pub(super) visits: BTreeMap<Arc<str>, u32>,
    armed: Vec<ArmedImage>,
    course: CourseImage,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FrameImage {
    /// A list of the task below; of the workflow when there is none.
    List { part: Part, position: usize, data: usize },
    /// The present task of the list below.
    Task { task: Arc<str>, begun_at: Timestamp, input: usize, deadline: Option<Timestamp>, doing: DoingImage },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DoingImage {
    Do,
    For {
        items: usize,
        index: usize,
    },
    Try {
        retries: u32,
        first_at: Timestamp,
        phase: TryPhase,
        error: usize,
        visits: BTreeMap<Arc<str>, u32>,
    },
    Wait {
        until: Timestamp,
    },
    Effect(EffectNumber),
    Fork {
        first: ThreadId,
        count: u32,
        winner: Option<u32>,
        pending: Option<PendingImage>,
    },
    Listen {
        taken: Vec<usize>,
        met: BTreeSet<usize>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stops: Vec<(usize, usize)>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        outputs: Vec<usize>,
        /// The variables of `foreach`, when an event was worked on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        each: Option<(usize, usize)>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PendingImage {
    Raise { error: WorkflowError, end: usize, limit: usize },
    End(usize),
    Stop,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ArmedImage {
    Effect(EffectNumber),
    Action { action: ActionRef, arguments: usize, task: Arc<str>, key: String },
    Savepoint(Arc<str>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CourseImage {
    Running,
    Stopping(AfterImage),
    Unwinding { to: usize, after: AfterImage, undo: Option<EffectNumber>, stuck: Option<String> },
    Ended(usize),
    Failed(WorkflowError),
    Cancelled,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AfterImage {
    Fault(WorkflowError),
    Cancel(String),
    Abandoned,
    Raise(WorkflowError),
    GoOn,
    Return(Returning),
}

impl ThreadImage {
    /// `lists` are the items of its `for` frames, which live until the pool is done with them.
    pub(super) fn of(thread: &Thread, lists: &[Option<Value>], pool: &mut Pool) -> Self {
        let stack = thread
            .stack
            .iter()
            .zip(lists)
            .map(|(frame, items)| frame_image(frame, items.as_ref(), pool))
            .collect();
        Self {
            id: thread.id,
            parent: thread.parent,
            branch: thread.branch,
            depth: thread.depth,
            stack,
            context: pool.put(&thread.context),
            visits: thread.visits.clone(),
            armed: thread.armed.iter().map(|item| armed_image(item, pool)).collect(),
            course: course_image(&thread.course, pool),
        }
    }

    /// The thread without its frames, which need the definition.
    pub(super) fn restore(&self, values: &Values) -> Result<Thread, SnapshotError> {
        Ok(Thread {
            id: self.id,
            parent: self.parent,
            branch: self.branch,
            depth: self.depth,
            stack: Vec::with_capacity(self.stack.len()),
            context: values.get(self.context)?,
            visits: self.visits.clone(),
            armed: self.armed.iter().map(|image| armed_of(image, values)).collect::<Result<_, _>>()?,
            course: course_of(&self.course, values)?,
        })
    }
}

/// The items of a `for`; a list's items are a value of their own only in a snapshot.
pub(super) fn items_of(frame: &Frame) -> Option<Value> {
    let Frame::Task(frame) = frame else { return None };
    let Doing::For { items, .. } = &frame.doing else { return None };
    Some(Value::new(Data::Array(Arc::clone(items))))
}

fn frame_image(frame: &Frame, items: Option<&Value>, pool: &mut Pool) -> FrameImage {
    match frame {
        Frame::List(list) => {
            FrameImage::List { part: list.part, position: list.position, data: pool.put(&list.data) }
        }
        Frame::Task(frame) => FrameImage::Task {
            task: Arc::clone(&frame.task.pointer),
            begun_at: frame.begun_at,
            input: pool.put(&frame.input),
            deadline: frame.deadline,
            doing: match &frame.doing {
                Doing::Do => DoingImage::Do,
                Doing::For { index, .. } => {
                    DoingImage::For { items: pool.put(items.unwrap_or(&Value::NULL)), index: *index }
                }
                Doing::Try(trying) => DoingImage::Try {
                    retries: trying.retries,
                    first_at: trying.first_at,
                    phase: trying.phase,
                    error: pool.put(&trying.error_var),
                    visits: trying.visits.clone(),
                },
                Doing::Wait { until } => DoingImage::Wait { until: *until },
                Doing::Effect(number) => DoingImage::Effect(*number),
                Doing::Listen(listening) => DoingImage::Listen {
                    taken: listening.taken.iter().map(|value| pool.put(value)).collect(),
                    met: listening.met.clone(),
                    stops: listening.stops.iter().map(|(filter, event)| (*filter, pool.put(event))).collect(),
                    outputs: listening.outputs.iter().map(|value| pool.put(value)).collect(),
                    each: listening.vars.as_ref().map(|(item, index)| (pool.put(item), pool.put(index))),
                },
                Doing::Fork(forking) => DoingImage::Fork {
                    first: forking.first,
                    count: forking.count,
                    winner: forking.winner,
                    pending: forking.pending.as_ref().map(|pending| match pending {
                        Pending::Raise { error, end, limit } => {
                            PendingImage::Raise { error: error.clone(), end: *end, limit: *limit }
                        }
                        Pending::End(data) => PendingImage::End(pool.put(data)),
                        Pending::Stop => PendingImage::Stop,
                    }),
                },
            },
        },
    }
}

pub(super) fn doing_of(image: DoingImage, values: &Values) -> Result<Doing, SnapshotError> {
    Ok(match image {
        DoingImage::Do => Doing::Do,
        DoingImage::For { items: number, index } => {
            let Data::Array(items) = values.get(number)?.data else {
                return Err(SnapshotError::Value(number));
            };
            // Behind the last item, `$item` is still the last one.
            let at = index.min(items.len().saturating_sub(1));
            let item_var = items.get(at).cloned().ok_or(SnapshotError::Value(number))?;
            let index_var = index_value(at, item_var.label);
            Doing::For { items, index, item_var, index_var }
        }
        DoingImage::Try { retries, first_at, phase, error, visits } => {
            Doing::Try(Box::new(Trying { retries, first_at, phase, error_var: values.get(error)?, visits }))
        }
        DoingImage::Wait { until } => Doing::Wait { until },
        DoingImage::Effect(number) => Doing::Effect(number),
        DoingImage::Listen { taken, met, stops, outputs, each } => {
            let all = |numbers: Vec<usize>| {
                numbers.into_iter().map(|number| values.get(number)).collect::<Result<Vec<_>, _>>()
            };
            let stop = |(filter, number)| Ok((filter, values.get(number)?));
            let vars = |(item, index)| Ok::<_, SnapshotError>((values.get(item)?, values.get(index)?));
            Doing::Listen(Box::new(Listening {
                taken: all(taken)?,
                met,
                stops: stops.into_iter().map(stop).collect::<Result<_, SnapshotError>>()?,
                outputs: all(outputs)?,
                vars: each.map(vars).transpose()?,
            }))
        }
        DoingImage::Fork { first, count, winner, pending } => {
            let pending = match pending {
                None => None,
                Some(PendingImage::Raise { error, end, limit }) => Some(Pending::Raise { error, end, limit }),
                Some(PendingImage::End(data)) => Some(Pending::End(values.get(data)?)),
                Some(PendingImage::Stop) => Some(Pending::Stop),
            };
            Doing::Fork(Box::new(Forking { first, count, winner, seen: 0, pending }))
        }
    })
}

fn armed_image(item: &Armed, pool: &mut Pool) -> ArmedImage {
    match item {
        Armed::Effect(number) => ArmedImage::Effect(*number),
        Armed::Action { action, arguments, task, key } => ArmedImage::Action {
            action: action.clone(),
            arguments: pool.put(arguments),
            task: Arc::clone(task),
            key: key.clone(),
        },
        Armed::Savepoint(name) => ArmedImage::Savepoint(Arc::clone(name)),
    }
}

fn armed_of(image: &ArmedImage, values: &Values) -> Result<Armed, SnapshotError> {
    Ok(match image {
        ArmedImage::Effect(number) => Armed::Effect(*number),
        ArmedImage::Action { action, arguments, task, key } => Armed::Action {
            action: action.clone(),
            arguments: values.get(*arguments)?,
            task: Arc::clone(task),
            key: key.clone(),
        },
        ArmedImage::Savepoint(name) => Armed::Savepoint(Arc::clone(name)),
    })
}

fn course_image(course: &Course, pool: &mut Pool) -> CourseImage {
    match course {
        Course::Running => CourseImage::Running,
        Course::Stopping(after) => CourseImage::Stopping(after_image(after)),
        Course::Unwinding(unwinding) => CourseImage::Unwinding {
            to: unwinding.to,
            after: after_image(&unwinding.after),
            undo: unwinding.undo,
            stuck: unwinding.stuck.clone(),
        },
        Course::Ended(output) => CourseImage::Ended(pool.put(output)),
        Course::Failed(error) => CourseImage::Failed(error.clone()),
        Course::Cancelled => CourseImage::Cancelled,
    }
}

fn course_of(image: &CourseImage, values: &Values) -> Result<Course, SnapshotError> {
    Ok(match image {
        CourseImage::Running => Course::Running,
        CourseImage::Stopping(after) => Course::Stopping(after_of(after)),
        CourseImage::Unwinding { to, after, undo, stuck } => Course::Unwinding(Box::new(Unwinding {
            to: *to,
            after: after_of(after),
            undo: *undo,
            stuck: stuck.clone(),
        })),
        CourseImage::Ended(output) => Course::Ended(values.get(*output)?),
        CourseImage::Failed(error) => Course::Failed(error.clone()),
        CourseImage::Cancelled => Course::Cancelled,
    })
}

fn after_image(after: &After) -> AfterImage {
    match after {
        After::Fault(error) => AfterImage::Fault(error.clone()),
        After::Cancel(reason) => AfterImage::Cancel(reason.clone()),
        After::Abandoned => AfterImage::Abandoned,
        After::Raise(error) => AfterImage::Raise(error.clone()),
        After::GoOn => AfterImage::GoOn,
        After::Return(returning) => AfterImage::Return(returning.clone()),
    }
}

fn after_of(image: &AfterImage) -> After {
    match image {
        AfterImage::Fault(error) => After::Fault(error.clone()),
        AfterImage::Cancel(reason) => After::Cancel(reason.clone()),
        AfterImage::Abandoned => After::Abandoned,
        AfterImage::Raise(error) => After::Raise(error.clone()),
        AfterImage::GoOn => After::GoOn,
        AfterImage::Return(returning) => After::Return(returning.clone()),
    }
}
