//! `POST /schedules/{namespace}/{name}/resume`.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Schedule;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::Answer;
use crate::http::segments::Segments;
use crate::http::wire::{Reason, reason};

/// Resume a paused schedule
///
/// Moments of the pause are not caught up with: they were meant to pass.
#[utoipa::path(
    post, path = "/{namespace}/{name}/resume", operation_id = "schedules.resume", tag = "schedules",
    params(("namespace" = String, Path, description = "The workflow's namespace"), ("name" = String, Path, description = "The workflow's name")),
    request_body = Reason, responses((status = 200, body = Schedule))
)]
pub(crate) async fn resume(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
    Body(body): Body<Reason>,
) -> Answer<Schedule> {
    let Segments([namespace, name]) = segments;
    Ok(Json(app.resume_schedule(&caller, &namespace, &name, &reason(body.reason)?).await?.into()))
}
