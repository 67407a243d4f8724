//! What becomes of the executions that another one runs, when that one is stopped or held.

use std::sync::Arc;

use engine::Input;
use model::{ExecutionId, Problem};

use super::mail::{Act, KIND, Message, What};
use crate::app::{App, store_problem, system_principal, system_tenant};
use crate::runner::Change;

impl App {
    /// Delivers [`What::Act`].
    pub(crate) async fn act_on_child(
        self: &Arc<Self>,
        message: &Message,
        parent: &ExecutionId,
        act: Act,
    ) -> Result<(), Problem> {
        let held = match self.hold(&message.tenant, &message.execution).await {
            Ok(held) => held,
            Err(problem) if problem.status == 404 => return self.act_before_it_begins(message, parent).await,
            Err(problem) => return Err(problem),
        };
        let above = held.state().and_then(|state| state.started.family.parent.as_ref());
        if above.is_none_or(|above| above.execution != *parent) {
            self.let_go(held);
            return self.drop_message(message).await;
        }
        let by = system_principal();
        let input = match act {
            Act::Cancel(mode) => {
                let reason = format!("execution `{parent}`, which runs it, does not wait for it any more");
                Input::Cancel(by, reason, mode)
            }
            Act::Pause => Input::Pause(by, format!("execution `{parent}`, which runs it, is paused")),
            Act::Resume => Input::Resume(by, format!("execution `{parent}`, which runs it, goes on")),
        };
        let puts = vec![message.remove()];
        match self.go_on(held, Change { input: Some(input), puts, ..Change::default() }, None).await {
            Ok(_) => Ok(()),
            // It has ended, or is so already.
            Err(problem) if problem.status == 409 && problem.code == model::problem::Code(2010) => {
                self.drop_message(message).await
            }
            Err(problem) => Err(problem),
        }
    }

    /// It has not begun: when it is about to, this waits; otherwise it never will.
    async fn act_before_it_begins(&self, message: &Message, parent: &ExecutionId) -> Result<(), Problem> {
        let what = What::Begin { parent: parent.clone(), effect: model::effect::EffectNumber(0) };
        let begin = Message { what, ..message.clone() };
        let waits = self.store.document(&system_tenant(), KIND, &begin.key()).await;
        match waits.map_err(|e| store_problem(&e))? {
            Some(_) => Err(Problem::new(503, 5001, "not yet", "it has not begun yet")),
            None => self.drop_message(message).await,
        }
    }
}
