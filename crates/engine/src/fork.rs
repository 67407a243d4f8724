//! `fork`: branches that run at the same time, how they are joined, and how they are stopped.
//!
//! Whatever ends a fork early (an error of a branch, a time-out around it, a winner, `then: end`, a cancellation) first
//! stops the branches that are left, and each undoes what it did. Only then the flow goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::{Fork, TaskKind};
use model::problem::WorkflowError;
use model::{Data, Value};

use crate::flow::Signal;
use crate::state::{Doing, Execution, Frame, ListFrame, Part};
use crate::thread::{Course, Thread, ThreadId};
use crate::unwind::After;
use crate::{DEPTH_MAX, THREADS_MAX};

/// Where a `fork` stands.
#[derive(Debug, Clone)]
pub(crate) struct Forking {
    /// The thread of its first branch; the others follow.
    pub(crate) first: ThreadId,
    /// How many branches it has.
    pub(crate) count: u32,
    /// The branch that ended first, when they compete.
    pub(crate) winner: Option<u32>,
    /// So many branches from the first on were seen to have settled: where to look next. Not part of the state.
    pub(crate) seen: u32,
    /// What follows once all branches have stopped.
    pub(crate) pending: Option<Pending>,
}

/// What follows once all branches of a fork have stopped.
#[derive(Debug, Clone)]
pub(crate) enum Pending {
    /// The error goes on from the frame at `end` outwards. Time limits of frames below `limit` still count.
    Raise { error: WorkflowError, end: usize, limit: usize },
    /// The workflow ends with this data.
    End(Value),
    /// The thread itself is being stopped.
    Stop,
}

impl Pending {
    /// Frames below this position still have their time limits.
    pub(crate) fn limit(&self) -> usize {
        match self {
            Self::Raise { limit, .. } => *limit,
            Self::End(_) | Self::Stop => 0,
        }
    }
}

impl Execution {
    /// Begins the branches of the fork on top; they run when the live thread is blocked.
    pub(crate) fn begin_fork(&mut self, fork: &Fork, input: &Value) -> Result<Signal, WorkflowError> {
        let spent = |detail: String| WorkflowError::standard("runtime", 500, "Budget Spent", detail);
        let count = fork.branches.tasks.len();
        if self.threads.len() + count > THREADS_MAX {
            return Err(spent(format!("more than {THREADS_MAX} branches at the same time")));
        }
        let depth = self.live.depth + self.live.stack.len();
        if depth >= DEPTH_MAX * 2 {
            return Err(spent(format!("more than {DEPTH_MAX} nested tasks")));
        }
        let first = ThreadId(self.threads_begun);
        let numbers = u32::try_from(count).ok().and_then(|count| self.threads_begun.checked_add(count));
        self.threads_begun = numbers.ok_or_else(|| spent("more branches than can be counted".to_owned()))?;
        let count = self.threads_begun - first.0;
        self.set_doing(Doing::Fork(Box::new(Forking { first, count, winner: None, seen: 0, pending: None })));
        let owner = self.live.top_task().map(|frame| Arc::clone(&frame.task));
        for ((number, branch), task) in (first.0..).zip(0..).zip(&fork.branches.tasks) {
            let id = ThreadId(number);
            let list =
                ListFrame { owner: owner.clone(), part: Part::Branch, position: branch, data: input.clone() };
            let thread = Thread {
                id,
                parent: self.live.id,
                branch,
                depth,
                stack: vec![Frame::List(list)],
                context: self.live.context.clone(),
                visits: taken_below(&mut self.live.visits, &task.pointer),
                armed: Vec::new(),
                course: Course::Running,
            };
            self.threads.insert(id, thread);
            self.ready.push_back((id, Signal::Next));
        }
        Ok(Signal::Blocked)
    }

    /// The live branch came to its end.
    pub(crate) fn branch_ended(&mut self, data: Value) -> Signal {
        self.live.course = Course::Ended(data);
        Signal::Settled
    }

    /// `then: end` in a branch: it has ended, branches that are still at it are stopped, and the workflow ends.
    pub(crate) fn end_from_branch(&mut self, data: Value) -> Signal {
        self.pop_completed();
        self.live.course = Course::Ended(data.clone());
        let parent = self.live.parent;
        self.enter(parent);
        self.pend(Pending::End(data));
        self.stop_branches(Thread::is_settled);
        self.branch_settled()
    }

    /// A branch of the fork on top has settled: is it over?
    pub(crate) fn branch_settled(&mut self) -> Signal {
        let Some((first, count, compete)) = self.forking() else { return Signal::Blocked };
        if compete && self.winner().is_none() && self.pending().is_none() {
            let ended = (0..count).find(|branch| self.course_of(first, *branch).is_some_and(is_ended));
            if let Some(branch) = ended {
                if let Some(forking) = self.forking_mut() {
                    forking.winner = Some(branch);
                }
                self.stop_branches(Thread::is_settled);
            }
        }
        let from = self.forking_mut().map_or(0, |forking| forking.seen);
        let settled = |branch| self.threads.get(&ThreadId(first.0 + branch)).is_none_or(Thread::is_settled);
        let unsettled = (from..count).find(|branch| !settled(*branch));
        if let Some(forking) = self.forking_mut() {
            forking.seen = unsettled.unwrap_or(count);
        }
        if unsettled.is_some() {
            return Signal::Blocked;
        }
        let winner = self.winner();
        let pending = self.forking_mut().and_then(|forking| forking.pending.take());
        match pending {
            Some(Pending::Stop) => {
                self.join(first, count, None);
                self.set_doing(Doing::Do);
                match std::mem::replace(&mut self.live.course, Course::Running) {
                    Course::Stopping(after) => self.unwind(0, after),
                    other => {
                        self.live.course = other;
                        Signal::Blocked
                    }
                }
            }
            Some(Pending::Raise { error, end, .. }) => {
                self.join(first, count, None);
                self.set_doing(Doing::Do);
                Signal::RaiseFrom(end, error)
            }
            Some(Pending::End(data)) => {
                self.join(first, count, None);
                Signal::EndWorkflow(data)
            }
            None if compete => match winner {
                Some(winner) => {
                    let output = self.output_of(first, winner);
                    self.join(first, count, Some(winner));
                    Signal::Complete(output)
                }
                None => {
                    let error = (0..count).find_map(|branch| match self.course_of(first, branch) {
                        Some(Course::Failed(error)) => Some(error.clone()),
                        _ => None,
                    });
                    self.join(first, count, None);
                    self.set_doing(Doing::Do);
                    error.map_or(Signal::Blocked, Signal::Raise)
                }
            },
            None => {
                let outputs = (0..count).map(|branch| self.output_of(first, branch)).collect::<Vec<_>>();
                self.join(first, count, None);
                Signal::Complete(Value::array(outputs))
            }
        }
    }

    /// Keeps an error until the branches of the fork on top have stopped; none when there are no branches, so that the
    /// error goes on at once.
    pub(crate) fn stopped_first(
        &mut self,
        error: &WorkflowError,
        end: usize,
        limit: usize,
    ) -> Option<Signal> {
        self.forking()?;
        self.pend(Pending::Raise { error: error.clone(), end, limit });
        self.stop_branches(|_| false);
        Some(self.branch_settled())
    }

    /// Stops every branch, because the live thread itself is stopped. None when there are no branches.
    pub(crate) fn stopped_with(&mut self) -> Option<Signal> {
        self.forking()?;
        self.pend(Pending::Stop);
        self.stop_branches(|_| false);
        Some(self.branch_settled())
    }

    /// True when the live thread stands at a fork whose branches compete.
    pub(crate) fn competes(&self) -> bool {
        self.forking().is_some_and(|(_, _, compete)| compete)
    }

    /// Stops the branches of the fork on top, but those that are spared.
    fn stop_branches(&mut self, spared: fn(&Thread) -> bool) {
        let Some((first, count, _)) = self.forking() else { return };
        if let Some(forking) = self.forking_mut() {
            // What has ended may have to be undone now.
            forking.seen = 0;
        }
        let here = self.live.id;
        for branch in 0..count {
            if self.enter(ThreadId(first.0 + branch)) && !spared(&self.live) {
                // What it would signal is that it has settled, which whoever stops it looks at.
                self.stop(After::Abandoned);
            }
        }
        self.enter(here);
    }

    /// Takes the branches of the fork on top away: what they have armed, exported and counted is the fork's. With a
    /// winner, only the winner's.
    fn join(&mut self, first: ThreadId, count: u32, winner: Option<u32>) {
        let base = self.live.context.clone();
        for branch in 0..count {
            let Some(thread) = self.threads.remove(&ThreadId(first.0 + branch)) else { continue };
            self.live.visits.extend(thread.visits);
            let counts = winner.is_none_or(|winner| winner == branch) && is_ended(&thread.course);
            if counts {
                self.live.context = merged(&self.live.context, &base, thread.context);
            }
            self.live.armed.extend(thread.armed);
        }
    }

    fn pend(&mut self, pending: Pending) {
        if let Some(forking) = self.forking_mut() {
            forking.pending = Some(pending);
        }
    }

    /// First thread, number of branches, and whether they compete, of the fork at which the live thread stands.
    fn forking(&self) -> Option<(ThreadId, u32, bool)> {
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return None };
        let (Doing::Fork(forking), TaskKind::Fork(fork)) = (&frame.doing, &frame.task.kind) else {
            return None;
        };
        Some((forking.first, forking.count, fork.compete))
    }

    fn forking_mut(&mut self) -> Option<&mut Forking> {
        let Some(Frame::Task(frame)) = self.live.stack.last_mut() else { return None };
        if let Doing::Fork(forking) = &mut frame.doing { Some(forking) } else { None }
    }

    fn winner(&self) -> Option<u32> {
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return None };
        if let Doing::Fork(forking) = &frame.doing { forking.winner } else { None }
    }

    fn pending(&self) -> Option<&Pending> {
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return None };
        if let Doing::Fork(forking) = &frame.doing { forking.pending.as_ref() } else { None }
    }

    fn course_of(&self, first: ThreadId, branch: u32) -> Option<&Course> {
        self.threads.get(&ThreadId(first.0 + branch)).map(|thread| &thread.course)
    }

    fn output_of(&self, first: ThreadId, branch: u32) -> Value {
        match self.course_of(first, branch) {
            Some(Course::Ended(output)) => output.clone(),
            _ => Value::NULL,
        }
    }
}

fn is_ended(course: &Course) -> bool {
    matches!(course, Course::Ended(_))
}

/// What a branch made of `$context`, put into what the branches before it made of it. Members that it set or changed
/// are taken, members that it dropped are dropped; what it left alone stays as it is.
fn merged(present: &Value, base: &Value, branch: Value) -> Value {
    // The same value from another origin is another one: labels decide who may be paid.
    let same = |a: &Value, b: &Value| a == b && a.label_of_all() == b.label_of_all();
    if same(&branch, base) {
        return present.clone();
    }
    let (Data::Object(now), Data::Object(before), Data::Object(after)) =
        (&present.data, &base.data, &branch.data)
    else {
        return branch;
    };
    let mut members = (**now).clone();
    members.retain(|name, value| {
        after.contains_key(name) || !before.get(name).is_some_and(|before| same(before, value))
    });
    for (name, value) in after.iter() {
        if !before.get(name).is_some_and(|before| same(before, value)) {
            members.insert(name.clone(), value.clone());
        }
    }
    Value::labelled(Data::Object(Arc::new(members)), present.label.join(branch.label))
}

/// Takes the counts of a task and of everything below it.
fn taken_below(visits: &mut BTreeMap<Arc<str>, u32>, pointer: &Arc<str>) -> BTreeMap<Arc<str>, u32> {
    let below: Vec<Arc<str>> = visits
        .range(Arc::clone(pointer)..)
        .map(|(name, _)| name)
        .take_while(|name| name.starts_with(&**pointer))
        .filter(|name| matches!(name.as_bytes().get(pointer.len()), None | Some(b'/')))
        .cloned()
        .collect();
    below.iter().filter_map(|name| visits.remove_entry(name)).collect()
}
