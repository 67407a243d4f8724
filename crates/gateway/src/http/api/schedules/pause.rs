//! `POST /schedules/{namespace}/{name}/pause`.

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

/// Pause a schedule
///
/// Nothing begins by it until it is resumed; what runs goes on. Pausing a paused schedule changes nothing.
#[utoipa::path(
    post, path = "/{namespace}/{name}/pause", operation_id = "schedules.pause", tag = "schedules",
    params(("namespace" = String, Path, description = "The workflow's namespace"), ("name" = String, Path, description = "The workflow's name")),
    request_body = Reason, responses((status = 200, body = Schedule))
)]
pub(crate) async fn pause(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
    Body(body): Body<Reason>,
) -> Answer<Schedule> {
    let Segments([namespace, name]) = segments;
    Ok(Json(app.pause_schedule(&caller, &namespace, &name, &reason(body.reason)?).await?.into()))
}
