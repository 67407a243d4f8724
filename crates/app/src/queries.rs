//! Queries: where an execution stands, read from what is committed. Changes nothing.

use engine::{Stand, Waits};
use model::Problem;
use model::principal::Permission;

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::executions::execution_id;
use crate::view::{PlaceView, StateView};

/// Places of one answer at the most.
const PLACES_MAX: usize = 1000;

impl App {
    /// Where an execution stands after its last committed event; `pointer` is a JSON Pointer into `$context`.
    pub async fn execution_state(
        &self,
        caller: &Caller,
        execution: &str,
        pointer: Option<&str>,
    ) -> Result<StateView, Problem> {
        caller.demand(Permission::Read)?;
        let (tenant, id) = (&caller.principal.tenant, execution_id(execution)?);
        let row = self.store.execution(tenant, &id).await.map_err(|e| store_problem(&e))?;
        if row.is_none() {
            return Err(Problem::not_found("execution", id.as_str()));
        }
        let state = self.brought_back(tenant, &id).await?.0;
        let row = crate::rows::row_of(&state, row.as_ref().and_then(held), state.now);
        let whole = state.context().to_json();
        let context = match pointer {
            None => whole,
            Some(pointer) => whole.pointer(pointer).cloned().ok_or_else(|| {
                let detail = "`$context` has nothing at this JSON Pointer now; write for example `/order/id`";
                Problem::new(404, 4040, "not found", detail).field("pointer", detail)
            })?,
        };
        Ok(StateView {
            execution_id: id,
            status: row.status,
            blocked_on: row.blocked_on,
            version: state.version,
            at: state.now,
            context,
            places: state.stands().into_iter().take(PLACES_MAX).map(place).collect(),
            inbox: state.inbox().map(str::to_owned).collect(),
            updates: state.takes_updates().into_iter().collect(),
        })
    }
}

/// What holds it from outside; only the row knows.
fn held(row: &store::ExecutionRow) -> Option<&str> {
    let outside = |on: &&str| ["control:", "limit:", "worker:"].iter().any(|kind| on.starts_with(kind));
    row.blocked_on.as_deref().filter(outside)
}

fn place(place: Stand) -> PlaceView {
    let (waits_for, until) = match place.waits {
        Waits::Timer(until) => (Some("timer".to_owned()), Some(until)),
        Waits::Retry(until) => (Some("retry".to_owned()), Some(until)),
        Waits::Effect(number) => (Some(format!("effect:{}", number.0)), None),
        Waits::Branches => (Some("branches".to_owned()), None),
        Waits::Signals(names) => (Some(format!("signal:{}", names.join(","))), None),
        Waits::Nothing => (None, None),
    };
    PlaceView {
        branch: place.branch.map(|branch| branch.to_string()),
        task: place.task.to_string(),
        name: place.name.to_string(),
        kind: place.kind.to_owned(),
        since: place.since,
        waits_for,
        until,
        deadline: place.deadline,
    }
}
