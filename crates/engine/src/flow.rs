//! The flow: one loop over a closed set of signals, until everything waits for the outside, for time or for people.

use std::sync::Arc;

use dsl::plan::{Output, Task, TaskKind, TaskList, Then};
use model::Value;
use model::problem::WorkflowError;

use crate::lifecycle::Turn;
use crate::scope::{Scope, check_schema};
use crate::state::{Doing, End, Execution, Frame, ListFrame, Part, TaskFrame, TryPhase};
use crate::thread::ThreadId;
use crate::trace::TaskStatus;
use crate::unwind::After;
use crate::{DEPTH_MAX, TRANSITIONS_MAX};

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// The list on top begins its present task, or ends.
    Next,
    /// The task on top has this raw output.
    Complete(Value),
    /// The task on top has this raw output, and a `switch` chose where the flow goes.
    CompleteTo(Value, Then),
    /// The list on top ends early with this data.
    Leave(Value),
    /// The whole workflow ends with this data.
    EndWorkflow(Value),
    /// An error rises from the top.
    Raise(WorkflowError),
    /// An error rises from the frame at this position outwards.
    RaiseFrom(usize, WorkflowError),
    /// The live thread goes on undoing.
    Unwind,
    /// Nothing more comes from the live thread: whoever forked it looks at its branches.
    Settled,
    /// Nothing more happens by itself.
    Blocked,
}

impl Execution {
    /// Runs until blocked.
    pub(crate) fn run(&mut self, mut signal: Signal) {
        loop {
            self.transitions += 1;
            let spent = match self.transitions > TRANSITIONS_MAX {
                true => Some(format!("more than {TRANSITIONS_MAX} transitions")),
                false => self.meter.spent(),
            };
            if let Some(spent) = spent {
                let detail = format!("{spent} without an effect: does the flow loop for ever?");
                self.ready.clear();
                self.enter(ThreadId::ROOT);
                // What it forked stops, and what was done is undone: neither takes transitions.
                self.stop(After::Fault(WorkflowError::standard("runtime", 500, "Budget Spent", detail)));
                return;
            }
            signal = match signal {
                Signal::Next => self.next_task(),
                Signal::Complete(output) => self.complete(output, None),
                Signal::CompleteTo(output, then) => self.complete(output, Some(then)),
                Signal::Leave(data) => self.leave_list(data),
                Signal::EndWorkflow(data) if self.in_root() => self.end_workflow(&data),
                Signal::EndWorkflow(data) => self.end_from_branch(data),
                Signal::Raise(error) => self.raise(error),
                Signal::RaiseFrom(end, error) => self.raise_within(end, error),
                Signal::Unwind => self.unwind_on(),
                Signal::Settled => {
                    let parent = self.live.parent;
                    self.enter(parent);
                    self.branch_settled()
                }
                Signal::Blocked => match self.ready.pop_front() {
                    Some((thread, signal)) if self.enter(thread) => signal,
                    Some(_) => Signal::Blocked,
                    None => return,
                },
            };
        }
    }

    /// The list that a frame runs.
    pub(crate) fn list_of<'a>(&'a self, frame: &'a ListFrame) -> Option<&'a TaskList> {
        match &frame.owner {
            None => Some(&self.definition.tasks),
            Some(owner) => body_of(owner, frame.part),
        }
    }

    /// Puts a list of the task on top onto the stack.
    pub(crate) fn enter_list(&mut self, part: Part, data: Value) -> Signal {
        let owner = self.live.top_task().map(|frame| Arc::clone(&frame.task));
        if self.live.depth + self.live.stack.len() >= DEPTH_MAX * 2 {
            return Signal::Raise(WorkflowError::standard(
                "runtime",
                500,
                "Budget Spent",
                format!("more than {DEPTH_MAX} nested tasks"),
            ));
        }
        self.live.stack.push(Frame::List(ListFrame { owner, part, position: 0, data }));
        Signal::Next
    }

    fn next_task(&mut self) -> Signal {
        let Some(Frame::List(frame)) = self.live.stack.last() else { return Signal::Blocked };
        let task = self.list_of(frame).and_then(|list| list.tasks.get(frame.position)).cloned();
        let data = frame.data.clone();
        match task {
            Some(task) => self.begin_task(task, data),
            None => Signal::Leave(data),
        }
    }

    /// `output`, `export` and `then` of the task on top.
    fn complete(&mut self, raw: Value, chosen: Option<Then>) -> Signal {
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return Signal::Blocked };
        let task = Arc::clone(&frame.task);
        let input = frame.input.clone();
        // `$task` of `output` and `export` has the raw output, too.
        let shapes = task.output.transform.is_some() || task.export.transform.is_some();
        let var = if shapes {
            completed_var(frame.var.value(&self.definition.document, &task), &raw)
        } else {
            Value::NULL
        };
        let shaped = match self.shape(&task.output, raw, self.scope(&input).with("task", &var), "the output")
        {
            Ok(output) => output,
            Err(error) => return Signal::Raise(error),
        };
        if task.export.transform.is_some() {
            match self.export(&task.export, &shaped, self.scope(&input).with("task", &var)) {
                Ok(context) => self.live.context = context,
                Err(error) => return Signal::Raise(error),
            }
        }
        self.end_trace(TaskStatus::Completed);
        self.live.stack.pop();
        self.go(chosen.unwrap_or(task.then), shaped)
    }

    /// Moves the list on top to where `then` says.
    pub(crate) fn go(&mut self, then: Then, data: Value) -> Signal {
        let Some(Frame::List(list)) = self.live.stack.last_mut() else { return Signal::Blocked };
        match then {
            // A branch is one task.
            Then::Continue | Then::Task(_) if list.part == Part::Branch => return Signal::Leave(data),
            Then::Continue => list.position += 1,
            Then::Task(position) => list.position = position,
            Then::Exit => return Signal::Leave(data),
            Then::End => return Signal::EndWorkflow(data),
        }
        list.data = data;
        Signal::Next
    }

    /// Ends the list on top and tells its owner.
    fn leave_list(&mut self, data: Value) -> Signal {
        self.live.stack.pop();
        let root = self.in_root();
        match self.live.stack.last_mut() {
            None if root => Signal::EndWorkflow(data),
            None => self.branch_ended(data),
            Some(Frame::List(_)) => Signal::Blocked,
            Some(Frame::Task(frame)) => match &mut frame.doing {
                Doing::For { index, .. } => {
                    *index += 1;
                    self.next_iteration(data)
                }
                Doing::Try(trying) if trying.phase == TryPhase::Catching => {
                    crate::errors::caught(&frame.task, data)
                }
                Doing::Do | Doing::Try(_) => Signal::Complete(data),
                Doing::Listen(_) => self.end_round(data),
                Doing::Wait { .. } | Doing::Effect(_) | Doing::Fork(_) => Signal::Blocked,
            },
        }
    }

    fn end_workflow(&mut self, data: &Value) -> Signal {
        self.pop_completed();
        let definition = Arc::clone(&self.definition);
        match self.shape(&definition.output, data.clone(), self.outer_scope(), "the workflow's output") {
            Ok(output) => {
                self.give_up_everything();
                // Who waits for it may have to undo it as a whole.
                if !self.started.is_awaited() {
                    for item in std::mem::take(&mut self.live.armed) {
                        self.forget_armed(&item);
                    }
                }
                self.end = Some(End::Completed(output));
                Signal::Blocked
            }
            Err(error) => self.fault(error),
        }
    }

    /// `as`, then `schema`.
    pub(crate) fn shape(
        &self,
        output: &Output,
        raw: Value,
        scope: Scope<'_>,
        what: &str,
    ) -> Result<Value, WorkflowError> {
        let shaped = match &output.transform {
            Some(template) => scope.with("output", &raw).fill(template, &raw)?,
            None => raw,
        };
        if let Some(schema) = &output.schema {
            check_schema(schema, &shaped, what)?;
        }
        Ok(shaped)
    }

    pub(crate) fn export(
        &self,
        export: &Output,
        output: &Value,
        scope: Scope<'_>,
    ) -> Result<Value, WorkflowError> {
        let Some(template) = &export.transform else { return Ok(self.live.context.clone()) };
        let context = scope.with("output", output).fill(template, output)?;
        if let Some(schema) = &export.schema {
            check_schema(schema, &context, "the exported context")?;
        }
        Ok(context)
    }

    /// Takes everything off the live stack, as done.
    pub(crate) fn pop_completed(&mut self) {
        while !self.live.stack.is_empty() {
            if matches!(self.live.stack.last(), Some(Frame::Task(_))) {
                self.end_trace(TaskStatus::Completed);
            }
            self.live.stack.pop();
        }
    }

    pub(crate) fn task_at(&self, position: usize) -> Option<&TaskFrame> {
        match self.live.stack.get(position)? {
            Frame::Task(task) => Some(task),
            Frame::List(_) => None,
        }
    }

    /// Drops all frames from `position` on.
    pub(crate) fn cut(&mut self, position: usize) {
        while self.live.stack.len() > position {
            if matches!(self.live.stack.last(), Some(Frame::Task(_))) {
                self.end_trace(TaskStatus::Faulted);
            }
            self.live.stack.pop();
        }
    }

    /// Ends the trace entry of the task on top.
    fn end_trace(&mut self, status: TaskStatus) {
        let now = self.now;
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return };
        if let (Some(index), Some(trace)) = (frame.trace, &mut self.trace)
            && let Some(entry) = trace.get_mut(index)
        {
            let before = std::mem::replace(&mut entry.status, status);
            entry.ended_at = Some(now);
            match status {
                TaskStatus::Completed => self.tell(index, Turn::Completed),
                TaskStatus::Faulted if before == TaskStatus::Running => self.tell(index, Turn::Faulted),
                _ => {}
            }
        }
    }

    /// Marks every task on the stack as faulted, without dropping it.
    pub(crate) fn trace_faults(&mut self) {
        let now = self.now;
        let Some(trace) = &mut self.trace else { return };
        let mut faulted = Vec::new();
        for frame in &self.live.stack {
            let Frame::Task(frame) = frame else { continue };
            if let Some(index) = frame.trace
                && let Some(entry) = trace.get_mut(index)
            {
                if std::mem::replace(&mut entry.status, TaskStatus::Faulted) == TaskStatus::Running {
                    faulted.push(index);
                }
                entry.ended_at = Some(now);
            }
        }
        for index in faulted.into_iter().rev() {
            self.tell(index, Turn::Faulted);
        }
    }
}

fn completed_var(begun: &Value, raw: &Value) -> Value {
    let model::Data::Object(members) = &begun.data else { return begun.clone() };
    let members = members.iter().map(|(name, value)| (&**name, value.clone()));
    Value::object(members.chain([("output", raw.clone())]))
}

fn body_of(task: &Task, part: Part) -> Option<&TaskList> {
    match (&task.kind, part) {
        (TaskKind::Do(list), Part::Body) => Some(list),
        (TaskKind::For(task), Part::Body) => Some(&task.tasks),
        (TaskKind::Try(task), Part::Body) => Some(&task.tasks),
        (TaskKind::Try(task), Part::Catch) => task.catch.as_ref(),
        (TaskKind::Fork(fork), Part::Branch) => Some(&fork.branches),
        (TaskKind::Listen(listen), Part::Body) => listen.each.as_ref().map(|each| &each.tasks),
        _ => None,
    }
}
