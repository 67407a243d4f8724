//! `foreach` of a `listen`: one event after the other, while more wait in the inbox.

use dsl::plan::{Listen, TaskKind};
use model::problem::WorkflowError;
use model::{Data, Value};

use super::UPDATE;
use crate::flow::Signal;
use crate::state::{Doing, Execution, Frame, Part};
use crate::tasks::index_value;

impl Execution {
    /// Whether the task on top took an event that `foreach` has to work on.
    pub(super) fn works_on_event(&self) -> bool {
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return false };
        let (Doing::Listen(listening), TaskKind::Listen(listen)) = (&frame.doing, &frame.task.kind) else {
            return false;
        };
        listening.is_busy(listen)
    }

    /// Begins to work on the event that was taken last.
    pub(super) fn begin_round(&mut self) -> Signal {
        let Some(Frame::Task(frame)) = self.live.stack.last_mut() else { return Signal::Blocked };
        let (Doing::Listen(listening), TaskKind::Listen(listen)) = (&mut frame.doing, &frame.task.kind)
        else {
            return Signal::Blocked;
        };
        let (Some(each), Some(event)) = (&listen.each, listening.taken.last()) else {
            return Signal::Blocked;
        };
        let item = listen.read.of(event);
        listening.vars = Some((item.clone(), index_value(listening.outputs.len(), event.label)));
        let (input, empty) = (frame.input.clone(), each.tasks.tasks.is_empty());
        if empty { self.end_round(item) } else { self.enter_list(Part::Body, input) }
    }

    /// The tasks of `foreach` on top are done with an event: `data` is what they gave.
    pub(crate) fn end_round(&mut self, data: Value) -> Signal {
        match self.round_output(data) {
            Ok(output) => {
                let now = self.now;
                let Some(Frame::Task(frame)) = self.live.stack.last_mut() else { return Signal::Blocked };
                let Doing::Listen(listening) = &mut frame.doing else { return Signal::Blocked };
                let update = listening.taken.last().and_then(update_id).map(str::to_owned);
                listening.outputs.push(output.clone());
                if let Some(id) = update {
                    self.updates.settle(&id, Ok(output), now);
                }
                self.listen_on()
            }
            Err(error) => Signal::Raise(error),
        }
    }

    /// `output` and `export` of `foreach`.
    fn round_output(&mut self, data: Value) -> Result<Value, WorkflowError> {
        let Some(Frame::Task(frame)) = self.live.stack.last() else { return Ok(data) };
        let TaskKind::Listen(Listen { each: Some(each), .. }) = &frame.task.kind else { return Ok(data) };
        let Doing::Listen(listening) = &frame.doing else { return Ok(data) };
        let Some((item, index)) = &listening.vars else { return Ok(data) };
        let scope = || self.scope(&frame.input).with(&each.item, item).with(&each.at, index);
        let output = self.shape(&each.output, data, scope(), "the output of `foreach`")?;
        let answers = listening.taken.last().is_some_and(|event| update_id(event).is_some());
        if answers && model::canonical::canonical(&output).len() > crate::UPDATE_ANSWER_MAX {
            let most = crate::UPDATE_ANSWER_MAX;
            let detail =
                format!("the answer to an update may have {most} bytes; answer with a reference to more");
            return Err(WorkflowError::standard("validation", 400, "Validation Error", detail));
        }
        if each.export.transform.is_some() {
            let context = self.export(&each.export, &output, scope())?;
            self.live.context = context;
        }
        Ok(output)
    }
}

/// The id of an update, when the event is one.
pub(crate) fn update_id(event: &Value) -> Option<&str> {
    matches!(event.get(UPDATE), Some(Value { data: Data::Bool(true), .. }))
        .then(|| event.get("id").and_then(Value::as_str))
        .flatten()
}
