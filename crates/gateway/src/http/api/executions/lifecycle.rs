//! `GET /executions/{id}/lifecycle`: what it went through, as CloudEvents.

use std::sync::Arc;

use app::App;
use app::view::LifecycleView;
use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{self, Query};
use crate::http::segments::Segments;
use crate::http::wire::{Page, moment};

/// Something that happened to an execution.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LifecycleEvent {
    /// The event of the history that it follows from, from 0.
    sequence: u64,
    /// When.
    at: String,
    /// The CloudEvent. Its id is the same whenever it is read.
    #[schema(value_type = Object)]
    event: Value,
}

impl From<LifecycleView> for LifecycleEvent {
    fn from(view: LifecycleView) -> Self {
        Self { sequence: view.sequence, at: moment(view.at), event: view.event }
    }
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Place {
    /// How many were read before: 0, or the `next` of the page before.
    #[serde(default)]
    after: u64,
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Read what an execution and its tasks went through, oldest first
///
/// CloudEvents under the names of the specification (`io.serverlessworkflow.workflow.started.v1` and so on), derived from the
/// history when they are asked for: the same history always gives the same events, with the same ids.
#[utoipa::path(
    get, path = "/{id}/lifecycle", operation_id = "executions.lifecycle", tag = "executions",
    params(("id" = String, Path, description = "The execution's id"), Place),
    responses((status = 200, body = Page<LifecycleEvent>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Query(from): Query<Place>,
) -> Answer<Page<LifecycleEvent>> {
    let Segments([id]) = segments;
    let limit = query::limit(from.limit)?;
    Ok(Json(Page::of(app.lifecycle(&caller, &id, from.after, limit).await?)))
}
