//! Snapshots: the state of an execution as plain data, so that a replay need not begin at the beginning.
//!
//! A snapshot is a cache of a replay and nothing else: it holds what the events up to its version make of a
//! definition, and whoever cannot use it replays the history instead. Tasks are named by JSON Pointer and looked up
//! in the definition; values keep their labels (see [`packed`]). A trace is not part of it.

mod effect;
mod packed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::Definition;
use dsl::plan::Task;
use model::effect::EffectNumber;
use model::event::Started;
use model::problem::WorkflowError;
use model::{Data, Digest, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::apply::{runtime_var, workflow_var};
use crate::kept::Effects;
use crate::state::{Doing, End, Execution, Frame, ListFrame, Part, Phase, TaskFrame, TryPhase, Trying};
use crate::tasks::{index_value, task_var};
use effect::EffectImage;
use packed::{Packed, Pool, unpacked};

/// The shape that is written here. Any other is not read: the history is replayed instead.
const FORMAT: u32 = 1;

/// A state as plain data.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    format: u32,
    /// Of the definition that it belongs to.
    definition: Digest,
    version: u64,
    started: Started,
    started_at: Timestamp,
    now: Timestamp,
    /// All values; everything else names them by position.
    values: Vec<Packed>,
    context: usize,
    end: Option<EndImage>,
    end_recorded: bool,
    paused: bool,
    unknown: bool,
    stack: Vec<FrameImage>,
    visits: BTreeMap<Arc<str>, u32>,
    open: Vec<EffectNumber>,
    over: Vec<EffectNumber>,
    requested: u32,
    effects: Vec<EffectImage>,
    /// Uses of the entries of the signed plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    entries: BTreeMap<u32, BTreeSet<String>>,
}

/// Why a snapshot cannot be used. The history can: replay it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not a snapshot.
    #[error("the snapshot cannot be read: {0}")]
    Unreadable(String),
    /// Another version of OmniHub wrote it.
    #[error("the snapshot has format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    /// It belongs to another definition.
    #[error("the snapshot was made with another definition")]
    Definition,
    /// It names a task or action that the definition does not have there.
    #[error("the snapshot names `{0}`, which the definition does not have there")]
    Place(String),
    /// It names a value that it does not hold, or one that makes no sense.
    #[error("value {0} of the snapshot makes no sense")]
    Value(usize),
    /// It names an effect that it does not hold.
    #[error("the snapshot does not hold effect {}", .0.0)]
    Effect(EffectNumber),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EndImage {
    Completed(usize),
    Faulted(WorkflowError),
    Cancelled(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FrameImage {
    /// A list of the task below; of the workflow when there is none.
    List { part: Part, position: usize, data: usize },
    /// The present task of the list below.
    Task { task: Arc<str>, begun_at: Timestamp, input: usize, deadline: Option<Timestamp>, doing: DoingImage },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DoingImage {
    Do,
    For { items: usize, index: usize },
    Try { retries: u32, first_at: Timestamp, phase: TryPhase, error: usize, visits: BTreeMap<Arc<str>, u32> },
    Wait { until: Timestamp },
    Effect(EffectNumber),
}

impl Snapshot {
    /// Number of events that it stands for.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The first event of the execution that it belongs to; a large input is in it.
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// As bytes of JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec(self).map_err(|e| SnapshotError::Unreadable(e.to_string()))
    }

    /// From what [`Snapshot::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        serde_json::from_slice(bytes).map_err(|e| SnapshotError::Unreadable(e.to_string()))
    }
}

impl Execution {
    /// The state as plain data.
    pub fn snapshot(&self) -> Snapshot {
        // A list's items are a value of their own only here; they live until the pool is done with them.
        let lists: Vec<Option<Value>> = self.stack.iter().map(items_of).collect();
        let mut pool = Pool::default();
        let context = pool.put(&self.context);
        let end = self.end.as_ref().map(|end| match end {
            End::Completed(output) => EndImage::Completed(pool.put(output)),
            End::Faulted(error) => EndImage::Faulted(error.clone()),
            End::Cancelled(reason) => EndImage::Cancelled(reason.clone()),
        });
        let stack = self
            .stack
            .iter()
            .zip(&lists)
            .map(|(frame, items)| frame_image(frame, items.as_ref(), &mut pool))
            .collect();
        let effects = self.effects.iter().map(|effect| EffectImage::of(effect, &mut pool)).collect();
        Snapshot {
            format: FORMAT,
            definition: self.definition.digest,
            version: self.version,
            started: (*self.started).clone(),
            started_at: self.started_at,
            now: self.now,
            context,
            end,
            end_recorded: self.end_recorded,
            paused: self.paused,
            unknown: self.unknown,
            stack,
            visits: self.visits.clone(),
            open: self.open.clone(),
            over: self.effects.over.clone(),
            requested: self.effects.requested,
            effects,
            entries: self.entries.clone(),
            values: pool.values,
        }
    }

    /// The state that a snapshot was made of, without a trace.
    pub fn restore(definition: Arc<Definition>, snapshot: Snapshot) -> Result<Self, SnapshotError> {
        if snapshot.format != FORMAT {
            return Err(SnapshotError::Format(snapshot.format));
        }
        if snapshot.definition != definition.digest {
            return Err(SnapshotError::Definition);
        }
        let values = Values(unpacked(&snapshot.values).map_err(SnapshotError::Value)?);
        let started = Arc::new(snapshot.started);
        let end = match snapshot.end {
            Some(EndImage::Completed(output)) => Some(End::Completed(values.get(output)?)),
            Some(EndImage::Faulted(error)) => Some(End::Faulted(error)),
            Some(EndImage::Cancelled(reason)) => Some(End::Cancelled(reason)),
            None => None,
        };
        let mut effects =
            Effects { requested: snapshot.requested, over: snapshot.over, ..Effects::default() };
        for image in snapshot.effects {
            let effect = image.restore(&definition, &values)?;
            effects.kept.insert(effect.number, effect);
        }
        let input = started.input.with_label_everywhere(started.input_label);
        let mut state = Self {
            workflow_var: workflow_var(&definition, &started, input, snapshot.started_at),
            runtime_var: runtime_var(),
            definition,
            started,
            started_at: snapshot.started_at,
            version: snapshot.version,
            now: snapshot.now,
            context: values.get(snapshot.context)?,
            effects,
            unknown: snapshot.unknown,
            end,
            end_recorded: snapshot.end_recorded,
            paused: snapshot.paused,
            trace: None,
            foresight: None,
            entries: snapshot.entries,
            stack: Vec::with_capacity(snapshot.stack.len()),
            visits: snapshot.visits,
            open: snapshot.open,
            transitions: 0,
        };
        for image in snapshot.stack {
            let frame = state.frame_of(image, &values)?;
            state.stack.push(frame);
        }
        state.whole()?;
        Ok(state)
    }

    /// The frame that comes onto the stack.
    fn frame_of(&self, image: FrameImage, values: &Values) -> Result<Frame, SnapshotError> {
        match image {
            FrameImage::List { part, position, data } => {
                let owner = self.top_task().map(|frame| Arc::clone(&frame.task));
                let frame = ListFrame { owner, part, position, data: values.get(data)? };
                let whose = || {
                    frame.owner.as_ref().map_or_else(|| "/do".to_owned(), |owner| owner.pointer.to_string())
                };
                let list = self.list_of(&frame).ok_or_else(|| SnapshotError::Place(whose()))?;
                // A `then` names a task of the list; only going on may lead behind its end.
                if position > list.tasks.len() {
                    return Err(SnapshotError::Place(whose()));
                }
                Ok(Frame::List(frame))
            }
            FrameImage::Task { task: pointer, begun_at, input, deadline, doing } => {
                let task = self.present_task().filter(|task| task.pointer == pointer);
                let task = task.ok_or_else(|| SnapshotError::Place(pointer.to_string()))?;
                let input = values.get(input)?;
                // What the list hands on is what the task began with.
                let raw = if let Some(Frame::List(list)) = self.stack.last() { &list.data } else { &input };
                let var = task_var(&self.definition.document, &task, raw, begun_at);
                Ok(Frame::Task(Box::new(TaskFrame {
                    task,
                    begun_at,
                    input,
                    var,
                    deadline,
                    doing: doing_of(doing, values)?,
                    trace: None,
                })))
            }
        }
    }

    /// The task at which the list on top stands.
    fn present_task(&self) -> Option<Arc<Task>> {
        let Some(Frame::List(list)) = self.stack.last() else { return None };
        self.list_of(list)?.tasks.get(list.position).cloned()
    }

    /// Every effect that something refers to is there.
    fn whole(&self) -> Result<(), SnapshotError> {
        let standing = self.stack.iter().filter_map(|frame| match frame {
            Frame::Task(frame) => match frame.doing {
                Doing::Effect(number) => Some(number),
                _ => None,
            },
            Frame::List(_) => None,
        });
        let held = self.open.iter().copied().filter_map(|number| self.effect(number)).flat_map(|effect| {
            let probe = if let Phase::Verifying(v) = &effect.phase { v.probe } else { None };
            [effect.probe_of, probe].into_iter().flatten()
        });
        match self
            .open
            .iter()
            .copied()
            .chain(standing)
            .chain(held)
            .find(|number| self.effect(*number).is_none())
        {
            Some(number) => Err(SnapshotError::Effect(number)),
            None => Ok(()),
        }
    }
}

/// Values by number.
struct Values(Vec<Value>);

impl Values {
    fn get(&self, number: usize) -> Result<Value, SnapshotError> {
        self.0.get(number).cloned().ok_or(SnapshotError::Value(number))
    }
}

fn items_of(frame: &Frame) -> Option<Value> {
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
            },
        },
    }
}

fn doing_of(image: DoingImage, values: &Values) -> Result<Doing, SnapshotError> {
    Ok(match image {
        DoingImage::Do => Doing::Do,
        DoingImage::For { items: number, index } => {
            let Data::Array(items) = values.get(number)?.data else {
                return Err(SnapshotError::Value(number));
            };
            // Behind the last item, `$item` is still the last one.
            let at = index.min(items.len().saturating_sub(1));
            let item_var = items.get(at).cloned().ok_or(SnapshotError::Value(number))?;
            Doing::For { items, index, item_var, index_var: index_value(at) }
        }
        DoingImage::Try { retries, first_at, phase, error, visits } => {
            Doing::Try(Box::new(Trying { retries, first_at, phase, error_var: values.get(error)?, visits }))
        }
        DoingImage::Wait { until } => Doing::Wait { until },
        DoingImage::Effect(number) => Doing::Effect(number),
    })
}
