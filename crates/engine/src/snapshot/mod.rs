//! Snapshots: the state of an execution as plain data, so that a replay need not begin at the beginning.
//!
//! A snapshot is a cache of a replay and nothing else: it holds what the events up to its version make of a
//! definition, and whoever cannot use it replays the history instead. Tasks are named by JSON Pointer and looked up
//! in the definition; values keep their labels (see [`packed`]). A trace is not part of it.

mod effect;
mod packed;
mod thread;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use dsl::Definition;
use dsl::plan::Task;
use model::effect::EffectNumber;
use model::event::{KeptEffect, Started};
use model::problem::WorkflowError;
use model::{Digest, PrincipalId, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::apply::{runtime_var, workflow_var};
use crate::kept::Effects;
use crate::listen::Inbox;
use crate::state::{Doing, End, Execution, Frame, ListFrame, Phase, TaskFrame};
use crate::tasks::TaskVar;
use crate::thread::{Thread, ThreadId};
use crate::unwind::{Armed, Undone};
use crate::updates::{Update, Updates};
use effect::EffectImage;
use packed::{Packed, Pool, unpacked};
use thread::{FrameImage, ThreadImage, doing_of, items_of};

/// The shape that is written here. Any other is not read: the history is replayed instead.
const FORMAT: u32 = 2;

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
    end: Option<EndImage>,
    end_recorded: bool,
    paused: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
    unknown: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refuted: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<KeptEffect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    editor: Option<PrincipalId>,
    undone: Vec<Undone>,
    undid: bool,
    /// By number; the first is the workflow's own.
    threads: Vec<ThreadImage>,
    threads_begun: u32,
    open: Vec<EffectNumber>,
    over: Vec<EffectNumber>,
    requested: u32,
    effects: Vec<EffectImage>,
    /// Uses of the entries of the signed plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    entries: BTreeMap<u32, BTreeSet<String>>,
    /// Executions that it asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    children: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undo_for: Option<EffectNumber>,
    /// Signals that nobody took yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inbox: Vec<usize>,
    /// Ids and digests of the newest signals.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    signals: VecDeque<(String, Digest)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    inbox_closed: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    inbox_reopened: u32,
    /// Updates that came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    updates: Vec<UpdateImage>,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    updates_older: VecDeque<(String, Digest)>,
}

/// As [`Update`]; the answer by number.
#[derive(Debug, Serialize, Deserialize)]
struct UpdateImage {
    id: String,
    name: String,
    digest: Digest,
    accepted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_by: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answered_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<WorkflowError>,
}

impl UpdateImage {
    fn of(update: &Update, pool: &mut Pool) -> Self {
        let answer = update.answer.as_ref().map(|(_, answer)| answer);
        Self {
            id: update.id.clone(),
            name: update.name.clone(),
            digest: update.digest,
            accepted_at: update.accepted_at,
            expected_by: update.expected_by.clone(),
            answered_at: update.answer.as_ref().map(|(at, _)| *at),
            output: answer.and_then(|answer| answer.as_ref().ok()).map(|output| pool.put(output)),
            error: answer.and_then(|answer| answer.as_ref().err()).cloned(),
        }
    }

    fn restore(self, values: &Values) -> Result<Update, SnapshotError> {
        let answer = match (self.answered_at, self.output, self.error) {
            (Some(at), Some(output), None) => Some((at, Ok(values.get(output)?))),
            (Some(at), None, Some(error)) => Some((at, Err(error))),
            (None, None, None) => None,
            _ => return Err(SnapshotError::Unreadable(format!("the update `{}` makes no sense", self.id))),
        };
        let Self { id, name, digest, accepted_at, expected_by, .. } = self;
        Ok(Update { id, name, digest, accepted_at, expected_by, answer })
    }
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
    /// A thread stands nowhere.
    #[error("thread {0} of the snapshot is not a branch of what it holds")]
    Thread(u32),
    /// It names an effect that it does not hold.
    #[error("the snapshot does not hold effect {}", .0.0)]
    Effect(EffectNumber),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EndImage {
    Completed(usize),
    Faulted(WorkflowError),
    Cancelled(String),
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
        let mut threads: Vec<&Thread> = self.all_threads().collect();
        threads.sort_unstable_by_key(|thread| thread.id);
        // A list's items are a value of their own only here; they live until the pool is done with them.
        let lists: Vec<Vec<Option<Value>>> =
            threads.iter().map(|thread| thread.stack.iter().map(items_of).collect()).collect();
        let mut pool = Pool::default();
        let end = self.end.as_ref().map(|end| match end {
            End::Completed(output) => EndImage::Completed(pool.put(output)),
            End::Faulted(error) => EndImage::Faulted(error.clone()),
            End::Cancelled(reason) => EndImage::Cancelled(reason.clone()),
        });
        let threads = threads
            .iter()
            .zip(&lists)
            .map(|(thread, lists)| ThreadImage::of(thread, lists, &mut pool))
            .collect();
        let inbox = self.inbox.waiting.iter().map(|event| pool.put(event)).collect();
        let updates = self.updates.known.iter().map(|update| UpdateImage::of(update, &mut pool)).collect();
        let effects = self.effects.iter().map(|effect| EffectImage::of(effect, &mut pool)).collect();
        Snapshot {
            format: FORMAT,
            definition: self.definition.digest,
            version: self.version,
            started: (*self.started).clone(),
            started_at: self.started_at,
            now: self.now,
            end,
            end_recorded: self.end_recorded,
            paused: self.paused,
            pending: self.pending,
            unknown: self.unknown,
            refuted: self.refuted,
            behind: self.behind.clone(),
            editor: self.editor.clone(),
            undone: self.undone.clone(),
            undid: self.undid,
            threads,
            threads_begun: self.threads_begun,
            open: self.open.clone(),
            over: self.effects.over.clone(),
            requested: self.effects.requested,
            effects,
            entries: self.entries.clone(),
            children: self.children,
            undo_for: self.undo_for,
            inbox,
            signals: self.inbox.seen.clone(),
            inbox_closed: self.inbox.closed,
            inbox_reopened: self.inbox.reopened,
            updates,
            updates_older: self.updates.older.clone(),
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
        let input = started.labelled_input();
        let mut state = Self {
            workflow_var: workflow_var(&definition, &started, input, snapshot.started_at),
            runtime_var: runtime_var(),
            definition,
            started,
            started_at: snapshot.started_at,
            version: snapshot.version,
            now: snapshot.now,
            effects,
            unknown: snapshot.unknown,
            refuted: snapshot.refuted,
            behind: snapshot.behind,
            editor: snapshot.editor,
            undone: snapshot.undone,
            undid: snapshot.undid,
            end,
            end_recorded: snapshot.end_recorded,
            paused: snapshot.paused,
            pending: snapshot.pending,
            trace: None,
            told: None,
            foresight: None,
            entries: snapshot.entries,
            emitted: Vec::new(),
            children: snapshot.children,
            undo_for: snapshot.undo_for,
            inbox: Inbox {
                waiting: snapshot.inbox.into_iter().map(|n| values.get(n)).collect::<Result<_, _>>()?,
                seen: snapshot.signals,
                closed: snapshot.inbox_closed,
                reopened: snapshot.inbox_reopened,
            },
            updates: Updates {
                known: snapshot
                    .updates
                    .into_iter()
                    .map(|image| image.restore(&values))
                    .collect::<Result<_, _>>()?,
                older: snapshot.updates_older,
            },
            live: Thread::root(Value::NULL),
            threads: BTreeMap::new(),
            threads_begun: snapshot.threads_begun,
            ready: std::collections::VecDeque::new(),
            open: snapshot.open,
            transitions: 0,
            meter: crate::meter::Meter::default(),
        };
        for (position, image) in snapshot.threads.into_iter().enumerate() {
            let thread = image.restore(&values)?;
            // A branch stands in what its parent runs, and so comes after it.
            let known = if position == 0 { thread.id == ThreadId::ROOT } else { state.enter(thread.parent) };
            if !known || (position > 0 && thread.id <= thread.parent) {
                return Err(SnapshotError::Thread(thread.id.0));
            }
            let before = std::mem::replace(&mut state.live, thread);
            if position > 0 {
                state.threads.insert(before.id, before);
            }
            for frame in image.stack {
                let frame = state.frame_of(frame, &values)?;
                state.live.stack.push(frame);
            }
        }
        state.enter(ThreadId::ROOT);
        state.whole()?;
        Ok(state)
    }

    /// The frame that comes onto the stack.
    fn frame_of(&self, image: FrameImage, values: &Values) -> Result<Frame, SnapshotError> {
        match image {
            FrameImage::List { part, position, data } => {
                let mut around = &self.live;
                if self.live.stack.is_empty() && self.live.id != ThreadId::ROOT {
                    let parent = self.threads.get(&self.live.parent);
                    around = parent.ok_or(SnapshotError::Thread(self.live.parent.0))?;
                }
                let owner = around.top_task().map(|frame| Arc::clone(&frame.task));
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
                let raw =
                    if let Some(Frame::List(list)) = self.live.stack.last() { &list.data } else { &input };
                let var = TaskVar::new(raw.clone(), begun_at);
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
        let Some(Frame::List(list)) = self.live.stack.last() else { return None };
        self.list_of(list)?.tasks.get(list.position).cloned()
    }

    /// Every effect that something refers to is there.
    fn whole(&self) -> Result<(), SnapshotError> {
        let standing = self.all_threads().flat_map(|thread| &thread.stack).filter_map(|frame| match frame {
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
        let armed = self.all_threads().flat_map(|thread| &thread.armed).filter_map(|item| match item {
            Armed::Effect(number) => Some(*number),
            Armed::Action { .. } | Armed::Savepoint(_) => None,
        });
        match self
            .open
            .iter()
            .copied()
            .chain(standing)
            .chain(armed)
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
