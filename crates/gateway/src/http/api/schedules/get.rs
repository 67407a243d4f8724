//! `GET /schedules/{namespace}/{name}`: the schedule of one workflow.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Schedule;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;

/// Read one schedule
#[utoipa::path(
    get, path = "/{namespace}/{name}", operation_id = "schedules.get", tag = "schedules",
    params(("namespace" = String, Path, description = "The workflow's namespace"), ("name" = String, Path, description = "The workflow's name")),
    responses((status = 200, body = Schedule))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
) -> Answer<Schedule> {
    let Segments([namespace, name]) = segments;
    Ok(Json(app.schedule(&caller, &namespace, &name).await?.into()))
}
