//! `POST /dead-letters/{id}/redrive`: put parked work back to work.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;

use super::wire::DeadLetter;
use crate::http::Authenticated;
use crate::http::body::OptionalBody;
use crate::http::problem::{ProblemDocument, Refusal};
use crate::http::segments::Segments;
use crate::http::wire::{Reason, reason};

/// Put parked work back to work
#[utoipa::path(
    post, path = "/{id}/redrive", operation_id = "dead_letters.redrive", tag = "dead letters",
    params(("id" = String, Path, description = "The dead letter's id")), request_body = Reason,
    responses(
        (status = 202, body = DeadLetter),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "it is not parked any more")
    )
)]
pub(crate) async fn redrive(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Result<(StatusCode, Json<DeadLetter>), Refusal> {
    let Segments([id]) = segments;
    let view = app.redrive(&caller, &id, &reason(body.reason)?).await?;
    Ok((StatusCode::ACCEPTED, Json(view.into())))
}
