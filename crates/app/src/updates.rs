//! Updates: what a caller asks of an execution, which answers.
//!
//! An update is a signal that is weighed first: it is durable when it is accepted, and only what something in the flow will
//! handle is. The answer is state of the execution like any other; whoever waits for it looks again when that changes.

use std::sync::Arc;
use std::time::Duration;

use engine::{Input, Rejected, Signalled, UpdateAnswer, Updated};
use model::principal::Permission;
use model::{ExecutionId, Problem};
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use crate::app::App;
use crate::caller::Caller;
use crate::executions::execution_id;
use crate::runner::Change;
use crate::signals::carried;
use crate::view::{Live, UpdateRequest, UpdateView, WaitFor};

/// Characters of the name and of the id of an update at the most.
const NAME_MAX: usize = 128;
/// Longest time that a caller may wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A notice may be missed: then it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The code of what nothing takes at this moment: somebody may begin to listen.
const NOT_NOW: u16 = 2151;

impl App {
    /// Asks something of an execution. Waits for the answer, or for its acceptance, and answers where it stands then.
    pub async fn update(
        self: &Arc<Self>,
        caller: &Caller,
        execution: &str,
        request: UpdateRequest,
    ) -> Result<UpdateView, Problem> {
        caller.demand(Permission::SubmitGoal)?;
        let execution = execution_id(execution)?;
        checked_name("the name of an update", "/name", &request.name)?;
        if let Some(id) = &request.id {
            checked_name("the id of an update", "/id", id)?;
        }
        let label = caller.principal.label();
        let data = carried(&request.data, label).map_err(|detail| refused("/data", detail))??;
        let id = request.id.unwrap_or_else(|| self.ids.next(self.clock.now()).to_string());
        let signal = Signalled {
            id: id.clone(),
            name: request.name,
            data,
            label,
            by: caller.principal.id.clone(),
            attributes: Some(Signalled::update_attributes()),
        };
        let until = Instant::now() + request.wait.min(WAIT_MAX);
        let repeated = self.accepted(caller, &execution, &signal, until).await?;
        let until = match request.wait_for {
            WaitFor::Accepted => Instant::now(),
            WaitFor::Completed => until,
        };
        let view = self.answered(caller, &execution, &id, until).await?;
        Ok(UpdateView { repeated, ..view })
    }

    /// Where an update of this name and id stands, once it is answered or the time is over.
    pub async fn update_state(
        self: &Arc<Self>,
        caller: &Caller,
        execution: &str,
        (name, id): (&str, &str),
        wait: Duration,
    ) -> Result<UpdateView, Problem> {
        caller.demand(Permission::Read)?;
        let execution = execution_id(execution)?;
        let view = self.answered(caller, &execution, id, Instant::now() + wait.min(WAIT_MAX)).await?;
        if view.name == name { Ok(view) } else { Err(Problem::not_found("update", id)) }
    }

    /// Lets an update in, as soon as something listens for it; true when it had come before.
    async fn accepted(
        self: &Arc<Self>,
        caller: &Caller,
        execution: &ExecutionId,
        signal: &Signalled,
        until: Instant,
    ) -> Result<bool, Problem> {
        let mut live = self.subscribe();
        loop {
            let held = self.hold(&caller.principal.tenant, execution).await?;
            let repeated = held.state().is_some_and(|state| state.update(&signal.id).is_some());
            let change = Change { input: Some(Input::Signal(signal.clone())), ..Change::default() };
            match self.go_on(held, change, Some(caller)).await {
                Ok(_) => return Ok(repeated),
                Err(problem) if problem.code == model::problem::Code(NOT_NOW) && Instant::now() < until => {
                    changed(&mut live, execution, until).await;
                }
                Err(problem) => return Err(problem),
            }
        }
    }

    async fn answered(
        self: &Arc<Self>,
        caller: &Caller,
        execution: &ExecutionId,
        id: &str,
        until: Instant,
    ) -> Result<UpdateView, Problem> {
        // Subscribed before the first look, so that no answer is missed in between.
        let mut live = self.subscribe();
        loop {
            let held = self.hold(&caller.principal.tenant, execution).await?;
            let found = held.state().map(|state| view_of(state, id));
            self.let_go(held);
            let view = found.unwrap_or_else(|| Err(Problem::not_found("execution", execution.as_str())))?;
            if view.answer.is_some() || Instant::now() >= until {
                return Ok(view);
            }
            changed(&mut live, execution, until).await;
        }
    }
}

fn view_of(state: &engine::Execution, id: &str) -> Result<UpdateView, Problem> {
    let (name, stands) = state.update(id).ok_or_else(|| Problem::not_found("update", id))?;
    let answer: Option<UpdateAnswer> = match stands {
        Updated::Accepted => None,
        Updated::Answered(answer) => Some(answer),
        Updated::Forgotten => {
            let kept = engine::UPDATES_REMEMBERED;
            let detail = format!(
                "the update `{id}` was handled, and its answer is not kept any more: those of the newest {kept} are"
            );
            return Err(Problem::new(410, 2155, "answer not kept", detail));
        }
    };
    Ok(UpdateView {
        execution_id: state.started.execution.clone(),
        id: id.to_owned(),
        name: name.to_owned(),
        answer: answer.map(|answer| answer.map(|output| output.to_json())),
        execution_status: state.status().name().to_owned(),
        repeated: false,
    })
}

/// Waits until an execution may have changed.
async fn changed(live: &mut Receiver<Live>, execution: &ExecutionId, until: Instant) {
    let look_again = (Instant::now() + LOOK_AGAIN).min(until);
    loop {
        match tokio::time::timeout_at(look_again, live.recv()).await {
            Ok(Ok(notice)) if notice.topic == "execution" && notice.id == execution.as_str() => return,
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// What the engine says of an update that has no place; none when it says something else.
pub(crate) fn update_problem(rejected: &Rejected) -> Option<Problem> {
    let text = rejected.to_string();
    let problem = match rejected {
        Rejected::UpdateUnknown { .. } => {
            Problem::new(422, 2150, "no such update", text.clone()).field("/name", text)
        }
        Rejected::UpdateNotNow(_) => Problem::new(409, NOT_NOW, "update not taken now", text),
        Rejected::UpdateRefused { .. } => refused("/data", text),
        Rejected::UpdateReused(_) => {
            Problem::new(409, 2153, "update id reused", text.clone()).field("/id", text)
        }
        Rejected::UpdatesFull => Problem::new(429, 2154, "too many updates wait", text),
        _ => return None,
    };
    Some(problem)
}

fn refused(field: &str, detail: String) -> Problem {
    Problem::new(422, 2152, "update refused", detail.clone()).field(field, detail)
}

/// Names and ids stand in paths.
fn checked_name(what: &str, field: &str, name: &str) -> Result<(), Problem> {
    let possible = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'+' | b'-');
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(possible) {
        return Ok(());
    }
    Err(refused(field, format!("{what} must be 1 to {NAME_MAX} letters, digits and `._:+-`")))
}
