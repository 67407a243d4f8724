//! `GET /executions/{id}/state`: where an execution stands now.

use std::sync::Arc;

use app::App;
use app::view::{PlaceView, StateView};
use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::Query;
use crate::http::segments::Segments;
use crate::http::wire::moment;

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// A JSON Pointer into `$context`; all of it when absent.
    #[param(example = "/order/id")]
    pointer: Option<String>,
}

/// Where an execution stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct State {
    /// The execution.
    execution_id: String,
    /// Its status.
    status: String,
    /// What it waits for.
    blocked_on: Option<String>,
    /// Number of its events: two answers with the same number say the same.
    version: u64,
    /// When the last of them was.
    at: String,
    /// `$context`, or the part that was asked for.
    #[schema(value_type = Object)]
    context: Value,
    /// The tasks at which it stands, one for each branch, 1,000 at the most; none in line and at the end.
    places: Vec<Place>,
    /// Names of the signals that came and that nobody took yet, oldest first.
    inbox: Vec<String>,
    /// Names of the updates that something takes now.
    updates: Vec<String>,
}

/// A task at which an execution stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Place {
    /// JSON Pointer of the branch; none for the workflow's own tasks.
    branch: Option<String>,
    /// JSON Pointer of the task.
    task: String,
    /// Its name.
    name: String,
    /// Its keyword.
    kind: String,
    /// When it began.
    since: String,
    /// `timer`, `retry`, `effect:<number>`, `branches` or `signal:<names>`; none while it undoes.
    waits_for: Option<String>,
    /// When that is over by itself.
    until: Option<String>,
    /// When its own time limit strikes.
    deadline: Option<String>,
}

impl From<PlaceView> for Place {
    fn from(place: PlaceView) -> Self {
        Self {
            branch: place.branch,
            task: place.task,
            name: place.name,
            kind: place.kind,
            since: moment(place.since),
            waits_for: place.waits_for,
            until: place.until.map(moment),
            deadline: place.deadline.map(moment),
        }
    }
}

impl From<StateView> for State {
    fn from(state: StateView) -> Self {
        Self {
            execution_id: state.execution_id.to_string(),
            status: state.status,
            blocked_on: state.blocked_on,
            version: state.version,
            at: moment(state.at),
            context: state.context,
            places: state.places.into_iter().map(Into::into).collect(),
            inbox: state.inbox,
            updates: state.updates,
        }
    }
}

/// Ask an execution where it stands
///
/// Read from what is committed, all of it after the same event. Changes nothing and leaves nothing in the history.
#[utoipa::path(
    get, path = "/{id}/state", operation_id = "executions.state", tag = "executions",
    params(("id" = String, Path, description = "The execution's id"), Part),
    responses((status = 200, body = State))
)]
pub(crate) async fn state(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Query(part): Query<Part>,
) -> Answer<State> {
    let Segments([id]) = segments;
    Ok(Json(app.execution_state(&caller, &id, part.pointer.as_deref()).await?.into()))
}
