//! Signals: what a caller tells an execution that listens, or will listen.

use std::sync::Arc;

use engine::{Input, Signalled};
use guard::filter::{self, InputLimits};
use model::principal::Permission;
use model::{Label, Problem, Value};

use crate::app::App;
use crate::caller::Caller;
use crate::executions::execution_id;
use crate::goals::refuse_filtered;
use crate::payloads::{INLINE_BYTES_MAX, weighs_more};
use crate::runner::Change;
use crate::view::{SignalAccepted, SignalRequest};

/// Characters of the name and of the id of a signal at the most.
const NAME_MAX: usize = 128;

impl App {
    /// Tells an execution something. It is durable when this answers: a task that listens takes it, now or later.
    pub async fn signal(
        self: &Arc<Self>,
        caller: &Caller,
        execution: &str,
        request: SignalRequest,
    ) -> Result<SignalAccepted, Problem> {
        caller.demand(Permission::SubmitGoal)?;
        let execution = execution_id(execution)?;
        checked_name("the name of a signal", "/name", &request.name)?;
        if let Some(id) = &request.id {
            checked_name("the id of a signal", "/id", id)?;
        }
        let label = caller.principal.label();
        let large =
            |detail: String| Problem::new(422, 2142, "signal refused", detail.clone()).field("/data", detail);
        let data = carried(&request.data, label).map_err(large)??;
        let id = request.id.unwrap_or_else(|| self.ids.next(self.clock.now()).to_string());
        let signal = Signalled {
            id: id.clone(),
            name: request.name,
            data,
            label,
            by: caller.principal.id.clone(),
            attributes: None,
        };
        let held = self.hold(&caller.principal.tenant, &execution).await?;
        let repeated = held.state().is_some_and(|state| state.knows_signal(&id));
        let change = Change { input: Some(Input::Signal(signal)), ..Change::default() };
        let row = Arc::unwrap_or_clone(self.go_on(held, change, Some(caller)).await?.row);
        Ok(SignalAccepted {
            execution_id: row.id,
            status: row.status,
            blocked_on: row.blocked_on,
            id,
            repeated,
        })
    }
}

/// What is said to an execution, if it is not too large and passes the content filter. The outer error says how large it may
/// be.
pub(crate) fn carried(data: &serde_json::Value, label: Label) -> Result<Result<Value, Problem>, String> {
    let data = Value::from_json(data, label);
    if weighs_more(&data, INLINE_BYTES_MAX) {
        return Err(format!("the data may have {INLINE_BYTES_MAX} bytes; send a reference to more"));
    }
    let filtered = refuse_filtered(&filter::check_input(&data, &InputLimits::default()), "/data");
    Ok(filtered.map(|()| data))
}

/// Names and ids are shown and searched: printable, without spaces, and not long.
fn checked_name(what: &str, field: &str, name: &str) -> Result<(), Problem> {
    let fine = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if fine {
        return Ok(());
    }
    let detail = format!("{what} must be 1 to {NAME_MAX} printable ASCII characters without spaces");
    Err(Problem::new(422, 2142, "signal refused", detail.clone()).field(field, detail))
}
