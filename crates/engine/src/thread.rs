//! Threads: what runs one after the other. An execution has one, and one more for each branch of a `fork`.
//!
//! One thread is live, the others stand in a map; whoever works on another one swaps it in first ([`Execution::enter`]).
//! Between two events the first thread is live, so an execution without a `fork` never touches the map.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Value;
use model::problem::WorkflowError;
use serde::{Deserialize, Serialize};

use crate::state::{Doing, Execution, Frame, TaskFrame};
use crate::unwind::{After, Armed, Unwinding};

/// Counts the threads of one execution in the order in which they began. A branch comes after whoever forked it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ThreadId(pub(crate) u32);

impl ThreadId {
    /// The thread that runs the workflow's own tasks.
    pub(crate) const ROOT: Self = Self(0);
}

/// What runs one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    pub(crate) id: ThreadId,
    /// The one that forked it; itself for the first.
    pub(crate) parent: ThreadId,
    /// Which branch of the `fork` it is.
    pub(crate) branch: usize,
    /// Frames below its own.
    pub(crate) depth: usize,
    /// What is being executed, outermost first.
    pub(crate) stack: Vec<Frame>,
    /// `$context`
    pub(crate) context: Value,
    /// How often each task has been entered by the flow. A branch has the counts of its own tasks.
    pub(crate) visits: BTreeMap<Arc<str>, u32>,
    /// What is undone when it fails, oldest first.
    pub(crate) armed: Vec<Armed>,
    pub(crate) course: Course,
}

/// What a thread is about.
#[derive(Debug, Clone)]
pub(crate) enum Course {
    /// Its tasks.
    Running,
    /// Waits until its branches have stopped; then it undoes what it did.
    Stopping(After),
    /// Undoes what it did.
    Unwinding(Box<Unwinding>),
    /// A branch that ended with this output, and waits for the others.
    Ended(Value),
    /// A branch that failed, and has undone what it did.
    Failed(WorkflowError),
    /// A branch that was stopped, and has undone what it did.
    Cancelled,
}

impl Thread {
    /// The first thread.
    pub(crate) fn root(context: Value) -> Self {
        Self {
            id: ThreadId::ROOT,
            parent: ThreadId::ROOT,
            branch: 0,
            depth: 0,
            stack: Vec::new(),
            context,
            visits: BTreeMap::new(),
            armed: Vec::new(),
            course: Course::Running,
        }
    }

    /// True when nothing more comes from it.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.course, Course::Ended(_) | Course::Failed(_) | Course::Cancelled)
    }

    /// The innermost task.
    pub(crate) fn top_task(&self) -> Option<&TaskFrame> {
        self.stack.iter().rev().find_map(|frame| match frame {
            Frame::Task(task) => Some(&**task),
            Frame::List(_) => None,
        })
    }

    /// The frames whose time limits count. Undoing is not bounded by them, and an error that waits for branches to
    /// stop is replaced only by a limit further out.
    pub(crate) fn timed(&self) -> &[Frame] {
        if !matches!(self.course, Course::Running) {
            return &[];
        }
        let Some(Frame::Task(top)) = self.stack.last() else { return &self.stack };
        let Doing::Fork(forking) = &top.doing else { return &self.stack };
        let limit = forking.pending.as_ref().map_or(self.stack.len(), crate::fork::Pending::limit);
        &self.stack[..limit.min(self.stack.len())]
    }
}

impl Execution {
    /// Makes a thread the live one. False when there is none, and then nothing changes.
    pub(crate) fn enter(&mut self, id: ThreadId) -> bool {
        if self.live.id == id {
            return true;
        }
        let Some(thread) = self.threads.remove(&id) else { return false };
        let before = std::mem::replace(&mut self.live, thread);
        self.threads.insert(before.id, before);
        true
    }

    /// Whether the live thread is the first.
    pub(crate) fn in_root(&self) -> bool {
        self.live.id == ThreadId::ROOT
    }

    /// Every thread: the live one, then the others by number.
    pub(crate) fn all_threads(&self) -> impl Iterator<Item = &Thread> {
        std::iter::once(&self.live).chain(self.threads.values())
    }

    /// The numbers of all threads, in order.
    pub(crate) fn thread_ids(&self) -> Vec<ThreadId> {
        let mut ids: Vec<ThreadId> = self.all_threads().map(|thread| thread.id).collect();
        ids.sort_unstable();
        ids
    }

    /// The threads around the live one, outermost first.
    pub(crate) fn ancestors(&self) -> Vec<&Thread> {
        let mut found = Vec::new();
        let mut at = &self.live;
        while at.id != ThreadId::ROOT
            && let Some(parent) = self.threads.get(&at.parent)
        {
            found.push(parent);
            at = parent;
        }
        found.reverse();
        found
    }
}
