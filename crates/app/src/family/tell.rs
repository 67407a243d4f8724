//! How an execution hears that another one ended, and undoes one that had completed.

use std::sync::Arc;

use engine::{Execution, Input};
use model::effect::EffectNumber;
use model::family::{ChildAnswer, ChildStatus, Origins};
use model::problem::WorkflowError;
use model::{ExecutionId, Label, Outcome, Problem, Value};

use super::mail::Message;
use crate::app::App;
use crate::runner::Change;

impl App {
    /// Delivers [`super::mail::What::Ended`].
    pub(crate) async fn hear_of(
        self: &Arc<Self>,
        message: &Message,
        child: &ExecutionId,
        effect: EffectNumber,
    ) -> Result<(), Problem> {
        let state = match self.brought_back(&message.tenant, child).await {
            Ok((state, _)) => state,
            Err(problem) if problem.status == 404 => {
                return self.answer_effect(message, &message.execution, effect, gone(child)).await;
            }
            Err(problem) => return Err(problem),
        };
        let answer = if state.started.is_awaited() { state.child_answer() } else { Some(began(&state)) };
        match answer {
            Some(answer) => self.answer_effect(message, &message.execution, effect, answer).await,
            // It goes on undoing: its next end is told again.
            None => self.drop_message(message).await,
        }
    }

    /// Delivers [`super::mail::What::Undo`].
    pub(crate) async fn undo_child(
        self: &Arc<Self>,
        message: &Message,
        parent: &ExecutionId,
        effect: EffectNumber,
    ) -> Result<(), Problem> {
        let held = match self.hold(&message.tenant, &message.execution).await {
            Ok(held) => held,
            Err(problem) if problem.status == 404 => {
                return self.answer_effect(message, parent, effect, gone(&message.execution)).await;
            }
            Err(problem) => return Err(problem),
        };
        let ours = held.state().is_some_and(|state| {
            let above = state.started.family.parent.as_ref();
            above.is_some_and(|above| above.waits && above.execution == *parent)
        });
        let ended = held.state().and_then(Execution::child_answer).filter(|_| ours);
        match ended {
            _ if !ours => {
                self.let_go(held);
                self.answer_effect(message, parent, effect, gone(&message.execution)).await
            }
            Some(answer) if answer.status == ChildStatus::Completed => {
                let puts = vec![message.remove()];
                let change = Change { input: Some(Input::Undo(effect)), puts, ..Change::default() };
                self.go_on(held, change, None).await.map(drop)
            }
            // Asked a second time, or it had no need: it told how it ended, and tells it again.
            Some(answer) => {
                self.let_go(held);
                let whole = answer.status == ChildStatus::Undone || answer.outcome != Outcome::Unknown;
                let outcome = if whole && answer.status != ChildStatus::Undone {
                    Outcome::Verified
                } else {
                    answer.outcome
                };
                let answer = ChildAnswer { status: ChildStatus::Undone, outcome, error: None, ..answer };
                self.answer_effect(message, parent, effect, answer).await
            }
            // It is undoing: its end is told to the effect that it undoes for.
            None => {
                self.let_go(held);
                self.drop_message(message).await
            }
        }
    }
}

/// What is told of an execution that nobody waits for: which it is.
fn began(state: &Execution) -> ChildAnswer {
    let started = &state.started;
    let output = serde_json::json!({
        "id": started.execution, "namespace": started.namespace, "name": started.name, "version": started.version,
    });
    ChildAnswer {
        execution: started.execution.clone(),
        status: ChildStatus::Started,
        outcome: Outcome::Verified,
        output: Some(Value::from_json(&output, Label::DEFINITION)),
        output_blob: None,
        origins: Origins::default(),
        error: None,
    }
}

fn gone(child: &ExecutionId) -> ChildAnswer {
    let detail = format!("execution `{child}` is gone, so nobody knows what became of it");
    ChildAnswer {
        execution: child.clone(),
        status: ChildStatus::Faulted,
        outcome: Outcome::Unknown,
        output: None,
        output_blob: None,
        origins: Origins::default(),
        error: Some(WorkflowError::governed("lost", 504, "Answer Lost", detail)),
    }
}
