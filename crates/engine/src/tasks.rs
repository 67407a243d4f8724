//! How each kind of task begins.

use std::sync::{Arc, OnceLock};

use dsl::plan::{For, RaiseError, Task, TaskKind, Work};
use model::problem::WorkflowError;
use model::sabotage::{self, Bug};
use model::{Data, Label, Timestamp, Value};

use crate::effects::Purpose;
use crate::flow::Signal;
use crate::lifecycle::{TOLD_MAX, Turn};
use crate::scope::{check_schema, moment};
use crate::state::{Doing, Execution, Frame, Part, TaskFrame, TryPhase, Trying};
use crate::trace::{TRACE_MAX, TaskStatus, TraceEntry};

impl Execution {
    /// Begins a task of the list on top with its raw input.
    pub(crate) fn begin_task(&mut self, task: Arc<Task>, raw: Value) -> Signal {
        let var = TaskVar::new(raw.clone(), self.now);
        if let Some(condition) = &task.condition {
            self.foresee_condition(&task, condition, &raw, Some(&var));
            match self.scope(&raw).with_task(&var, &task).test(condition, &raw) {
                Ok(true) => {}
                Ok(false) => {
                    self.push_trace(&task, TaskStatus::Skipped);
                    return self.go(dsl::plan::Then::Continue, raw);
                }
                Err(error) => return self.raise_at(&task, error),
            }
        }
        let input = match self.task_input(&task, raw, &var) {
            Ok(input) => input,
            Err(error) => return self.raise_at(&task, error),
        };
        let deadline = match task
            .timeout
            .as_ref()
            .map(|after| self.scope(&input).with_task(&var, &task).duration(after, &input))
            .transpose()
        {
            Ok(after) => after.map(|after| self.now.plus(after)),
            Err(error) => return self.raise_at(&task, error),
        };
        *self.live.visits.entry(Arc::clone(&task.pointer)).or_default() += 1;
        let trace = self.push_trace(&task, TaskStatus::Running);
        self.live.stack.push(Frame::Task(Box::new(TaskFrame {
            task: Arc::clone(&task),
            begun_at: self.now,
            input: input.clone(),
            var,
            deadline,
            doing: Doing::Do,
            trace,
        })));
        match self.begin_kind(&task, input) {
            Ok(signal) => signal,
            Err(error) => Signal::Raise(error),
        }
    }

    fn task_input(&self, task: &Task, raw: Value, var: &TaskVar) -> Result<Value, WorkflowError> {
        if let Some(schema) = &task.input.schema {
            check_schema(schema, &raw, "the input")?;
        }
        match &task.input.from {
            Some(from) => self.scope(&raw).with_task(var, task).fill(from, &raw),
            None => Ok(raw),
        }
    }

    fn begin_kind(&mut self, task: &Arc<Task>, input: Value) -> Result<Signal, WorkflowError> {
        Ok(match &task.kind {
            TaskKind::Do(_) => self.enter_list(Part::Body, input),
            TaskKind::Set(template) => Signal::Complete(self.scope(&input).fill(template, &input)?),
            TaskKind::Switch(cases) => {
                for case in cases {
                    let chosen = match &case.when {
                        Some(when) => {
                            self.foresee_condition(task, when, &input, None);
                            self.scope(&input).test(when, &input)?
                        }
                        None => true,
                    };
                    if chosen {
                        return Ok(Signal::CompleteTo(input, case.then));
                    }
                }
                Signal::Complete(input)
            }
            TaskKind::For(each) => self.begin_for(task, each, input)?,
            TaskKind::Raise(error) => Signal::Raise(self.built_error(error, &input, task)?),
            TaskKind::Try(_) => {
                let trying = Trying {
                    retries: 0,
                    first_at: self.now,
                    phase: TryPhase::Body { deadline: None },
                    error_var: Value::NULL,
                    visits: self.live.visits.clone(),
                };
                self.set_doing(Doing::Try(Box::new(trying)));
                self.begin_try_body()
            }
            TaskKind::Wait(duration) => {
                let duration = self.scope(&input).duration(duration, &input)?;
                if duration.is_zero() {
                    return Ok(Signal::Complete(input));
                }
                let from = if sabotage::is(Bug::TimerEarly) { self.started_at } else { self.now };
                self.set_doing(Doing::Wait { until: from.plus(duration) });
                Signal::Blocked
            }
            TaskKind::Listen(listen) => self.begin_listen(listen, &input)?,
            TaskKind::Emit(with) => self.begin_emit(with, &input)?,
            TaskKind::Work(work) => self.begin_work(work, &input)?,
            TaskKind::Action { action, with } => {
                let arguments = self.scope(&input).fill(with, &input)?;
                self.begin_action(action, arguments, Purpose::Task)?
            }
            TaskKind::Child(child) => self.begin_child(child, &input)?,
            TaskKind::Fork(fork) => self.begin_fork(fork, &input)?,
            TaskKind::Checkpoint(name) => {
                self.savepoint(name)?;
                Signal::Complete(input)
            }
            TaskKind::OnRollback { action, with } => {
                let arguments = self.scope(&input).fill(with, &input)?;
                self.arm_action(action, arguments)?;
                Signal::Complete(input)
            }
            TaskKind::Declassify(word) => self.begin_declassify(word, &input)?,
            TaskKind::Ask(word) => self.begin_ask(word, &input)?,
            TaskKind::Rollback(to) => self.roll_back(to.as_ref())?,
            TaskKind::Release(from) => {
                self.release(from.as_ref())?;
                Signal::Complete(input)
            }
        })
    }

    /// A round of the `try` on top.
    pub(crate) fn begin_try_body(&mut self) -> Signal {
        let Some(frame) = self.live.top_task() else { return Signal::Blocked };
        let TaskKind::Try(task) = &frame.task.kind else { return Signal::Blocked };
        let input = frame.input.clone();
        let limit = match task.retry.as_ref().and_then(|retry| retry.attempt_limit.as_ref()) {
            Some(limit) => match self.scope(&input).duration(limit, &input) {
                Ok(limit) => Some(self.now.plus(limit)),
                Err(error) => return Signal::Raise(error),
            },
            None => None,
        };
        if let Some(Frame::Task(frame)) = self.live.stack.last_mut()
            && let Doing::Try(trying) = &mut frame.doing
        {
            trying.phase = TryPhase::Body { deadline: limit };
        }
        self.enter_list(Part::Body, input)
    }

    fn begin_for(&mut self, task: &Task, each: &For, input: Value) -> Result<Signal, WorkflowError> {
        let items = self.scope(&input).fill(&each.items, &input)?;
        let items = self.foresee_items(task, items);
        let Data::Array(list) = &items.data else {
            let detail = format!("`for.in` gave a {} and must give a list", items.kind());
            return Err(WorkflowError::standard("expression", 400, "Expression Error", detail));
        };
        if list.is_empty() {
            return Ok(Signal::Complete(input));
        }
        let doing = Doing::For {
            items: labelled_items(list, items.label),
            index: 0,
            item_var: Value::NULL,
            index_var: Value::NULL,
        };
        self.set_doing(doing);
        Ok(self.next_iteration(input))
    }

    /// The next iteration of the `for` on top, or its end. `data` is what the iteration before gave.
    pub(crate) fn next_iteration(&mut self, data: Value) -> Signal {
        let Some(Frame::Task(frame)) = self.live.stack.last_mut() else { return Signal::Blocked };
        let task = Arc::clone(&frame.task);
        let TaskKind::For(each) = &task.kind else { return Signal::Blocked };
        let Doing::For { items, index, item_var, index_var } = &mut frame.doing else {
            return Signal::Blocked;
        };
        let Some(item) = items.get(*index) else { return Signal::Complete(data) };
        *item_var = item.clone();
        *index_var = index_value(*index, item.label);
        if let Some(condition) = &each.condition {
            self.foresee_condition(&task, condition, &data, None);
        }
        match each.condition.as_ref().map(|condition| self.scope(&data).test(condition, &data)).transpose() {
            Ok(Some(false)) => Signal::Complete(data),
            Ok(_) => self.enter_list(Part::Body, data),
            Err(error) => Signal::Raise(error),
        }
    }

    fn begin_work(&mut self, work: &Work, input: &Value) -> Result<Signal, WorkflowError> {
        self.request_inline(work, input)?;
        Ok(Signal::Blocked)
    }

    fn built_error(
        &self,
        raise: &RaiseError,
        input: &Value,
        task: &Task,
    ) -> Result<WorkflowError, WorkflowError> {
        let scope = self.scope(input);
        let text = |template: &Option<dsl::template::Template>| {
            template.as_ref().map(|template| scope.text(template, input)).transpose()
        };
        let status = scope.fill(&raise.status, input)?;
        let number = match &status.data {
            Data::Int(i) => u16::try_from(*i).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be in range"
            )]
            Data::Float(f) if f.fract() == 0.0 && (0.0..65536.0).contains(f) => Some(*f as u16),
            Data::String(s) => s.parse().ok(),
            _ => None,
        };
        let Some(status) = number else {
            let detail = format!("`raise.error.status` gave `{status}` and must give a number such as 400");
            return Err(WorkflowError::standard("expression", 400, "Expression Error", detail));
        };
        Ok(WorkflowError {
            kind: scope.text(&raise.kind, input)?,
            status,
            title: text(&raise.title)?,
            detail: text(&raise.detail)?,
            instance: Some(text(&raise.instance)?.unwrap_or_else(|| task.pointer.to_string())),
        })
    }

    /// Raises an error of a task that has not begun.
    fn raise_at(&self, task: &Task, mut error: WorkflowError) -> Signal {
        error.instance.get_or_insert_with(|| task.pointer.to_string());
        Signal::Raise(error)
    }

    pub(crate) fn set_doing(&mut self, doing: Doing) {
        if let Some(Frame::Task(frame)) = self.live.stack.last_mut() {
            frame.doing = doing;
        }
    }

    fn push_trace(&mut self, task: &Task, status: TaskStatus) -> Option<usize> {
        let depth = u32::try_from((self.live.depth + self.live.stack.len()) / 2).unwrap_or(u32::MAX);
        let now = self.now;
        let most = if self.told.is_some() { TOLD_MAX } else { TRACE_MAX };
        let trace = self.trace.as_mut()?;
        if trace.len() >= most {
            return None;
        }
        trace.push(TraceEntry {
            pointer: Arc::clone(&task.pointer),
            name: Arc::clone(&task.name),
            kind: kind_name(&task.kind),
            depth,
            status,
            started_at: now,
            ended_at: (status == TaskStatus::Skipped).then_some(now),
        });
        let index = trace.len() - 1;
        self.tell(index, if status == TaskStatus::Skipped { Turn::Skipped } else { Turn::Started });
        Some(index)
    }
}

/// `$task` of a task that has begun, made when an expression is evaluated: most tasks have none.
#[derive(Debug, Clone)]
pub(crate) struct TaskVar {
    /// Its input before `input.from`.
    raw: Value,
    begun_at: Timestamp,
    made: OnceLock<Value>,
}

impl TaskVar {
    pub(crate) fn new(raw: Value, begun_at: Timestamp) -> Self {
        Self { raw, begun_at, made: OnceLock::new() }
    }

    /// The variable of this task in this document.
    pub(crate) fn value(&self, document: &Value, task: &Task) -> &Value {
        self.made.get_or_init(|| task_var(document, task, &self.raw, self.begun_at))
    }
}

/// `$task`; `raw` is its input before `input.from`.
fn task_var(document: &Value, task: &Task, raw: &Value, now: Timestamp) -> Value {
    Value::object([
        ("name", Value::string(&task.name)),
        ("reference", Value::string(&task.pointer)),
        ("definition", at_pointer(document, &task.pointer)),
        ("input", raw.clone()),
        ("startedAt", moment(now)),
    ])
}

/// The part of a document that a JSON Pointer names; `null` when there is none.
fn at_pointer(document: &Value, pointer: &str) -> Value {
    let found = pointer.split('/').skip(1).try_fold(document, |value, name| match &value.data {
        Data::Object(_) if name.contains('~') => value.get(&name.replace("~1", "/").replace("~0", "~")),
        Data::Object(_) => value.get(name),
        Data::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    });
    found.cloned().unwrap_or(Value::NULL)
}

/// `$index`. How far a loop comes is told by the same that gave the item.
pub(crate) fn index_value(index: usize, item: Label) -> Value {
    Value::labelled(Data::Int(i64::try_from(index).unwrap_or(i64::MAX)), item)
}

/// The items of a loop: each is a part of the list, so it has the list's own label too.
fn labelled_items(list: &Arc<Vec<Value>>, label: Label) -> Arc<Vec<Value>> {
    if list.iter().all(|item| item.label.join(label) == item.label) {
        return Arc::clone(list);
    }
    let part = |item: &Value| Value::labelled(item.data.clone(), item.label.join(label));
    Arc::new(list.iter().map(part).collect())
}

/// The keyword of a kind of task.
pub(crate) fn kind_name(kind: &TaskKind) -> &'static str {
    match kind {
        TaskKind::Do(_) => "do",
        TaskKind::Set(_) => "set",
        TaskKind::Switch(_) => "switch",
        TaskKind::For(_) => "for",
        TaskKind::Raise(_) => "raise",
        TaskKind::Try(_) => "try",
        TaskKind::Wait(_) => "wait",
        TaskKind::Fork(_) => "fork",
        TaskKind::Listen(_) => "listen",
        TaskKind::Emit(_) => "emit",
        TaskKind::Work(
            Work::Http(_) | Work::OpenApi(_) | Work::Grpc(_) | Work::AsyncApi(_) | Work::Rpc(_),
        )
        | TaskKind::Action { .. }
        | TaskKind::Checkpoint(_)
        | TaskKind::OnRollback { .. }
        | TaskKind::Rollback(_)
        | TaskKind::Release(_)
        | TaskKind::Declassify(_)
        | TaskKind::Ask(_) => "call",
        TaskKind::Work(Work::Process(_)) | TaskKind::Child(_) => "run",
    }
}
