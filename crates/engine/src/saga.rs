//! What people see of branches and compensation stacks.

use std::sync::Arc;

use model::effect::EffectNumber;

use crate::state::{Doing, Execution, Frame};
use crate::thread::{Course, Thread, ThreadId};
use crate::unwind::Armed;

/// A branch of a `fork` that is not joined yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// JSON Pointer of its task.
    pub task: Arc<str>,
    /// `running`, `undoing`, `completed`, `faulted` or `cancelled`.
    pub status: &'static str,
    /// JSON Pointer of the task at which it stands.
    pub at: Option<Arc<str>>,
}

/// Something on a compensation stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmedItem {
    /// JSON Pointer of the branch whose stack it is on; none for the workflow's own.
    pub branch: Option<Arc<str>>,
    /// The effect that would be undone; none for a savepoint and for an action that `on-rollback` armed.
    pub effect: Option<EffectNumber>,
    /// The operation that would be undone, or the armed action; none for a savepoint.
    pub operation: Option<String>,
    /// The name of a savepoint.
    pub savepoint: Option<Arc<str>>,
}

impl Execution {
    /// The branches that are not joined yet, in the order in which they began.
    pub fn branches(&self) -> Vec<Branch> {
        let branch = |thread: &Thread| {
            Some(Branch {
                task: self.branch_task(thread)?,
                status: match &thread.course {
                    Course::Running => "running",
                    Course::Stopping(_) | Course::Unwinding(_) => "undoing",
                    Course::Ended(_) => "completed",
                    Course::Failed(_) => "faulted",
                    Course::Cancelled => "cancelled",
                },
                at: thread.top_task().map(|frame| Arc::clone(&frame.task.pointer)),
            })
        };
        self.threads.values().filter(|thread| !thread.returns()).filter_map(branch).collect()
    }

    /// Everything on the compensation stacks, the workflow's own first, oldest first.
    pub fn armed(&self) -> Vec<ArmedItem> {
        let mut items = Vec::new();
        for thread in self.all_threads() {
            let branch = self.branch_task(thread);
            items.extend(thread.armed.iter().map(|item| match item {
                Armed::Effect(number) => ArmedItem {
                    branch: branch.clone(),
                    effect: Some(*number),
                    operation: Some(self.effect_ref(*number).operation.clone()),
                    savepoint: None,
                },
                Armed::Action { action, .. } => ArmedItem {
                    branch: branch.clone(),
                    effect: None,
                    operation: Some(action.to_string()),
                    savepoint: None,
                },
                Armed::Savepoint(name) => ArmedItem {
                    branch: branch.clone(),
                    effect: None,
                    operation: None,
                    savepoint: Some(Arc::clone(name)),
                },
            }));
        }
        items
    }

    /// True while something is being undone, or is about to be.
    pub fn is_undoing(&self) -> bool {
        self.end.is_none()
            && self
                .all_threads()
                // People may still have to choose what a return undoes.
                .filter(|thread| !thread.returns() || !thread.armed.is_empty())
                .any(|thread| matches!(thread.course, Course::Stopping(_) | Course::Unwinding(_)))
    }

    /// JSON Pointer of the task of a branch.
    pub(crate) fn branch_task(&self, thread: &Thread) -> Option<Arc<str>> {
        if thread.id == ThreadId::ROOT || thread.returns() {
            return None;
        }
        let parent = self.all_threads().find(|other| other.id == thread.parent)?;
        let Some(Frame::Task(frame)) = parent.stack.last() else { return None };
        let (Doing::Fork(_), dsl::plan::TaskKind::Fork(fork)) = (&frame.doing, &frame.task.kind) else {
            return None;
        };
        fork.branches.tasks.get(thread.branch).map(|task| Arc::clone(&task.pointer))
    }
}
