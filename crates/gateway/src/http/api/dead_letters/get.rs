//! `GET /dead-letters/{id}`: one piece of parked work.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::DeadLetter;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;

/// Read one dead letter
#[utoipa::path(
    get, path = "/{id}", operation_id = "dead_letters.get", tag = "dead letters",
    params(("id" = String, Path, description = "The dead letter's id")),
    responses((status = 200, body = DeadLetter))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<DeadLetter> {
    let Segments([id]) = segments;
    Ok(Json(app.dead_letter(&caller, &id).await?.into()))
}
