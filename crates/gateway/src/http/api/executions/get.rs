//! `GET /executions/{id}`: one execution in full.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Execution;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;

/// Read one execution in full
#[utoipa::path(
    get, path = "/{id}", operation_id = "executions.get", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")),
    responses((status = 200, body = Execution))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Execution> {
    let Segments([id]) = segments;
    Ok(Json(app.execution(&caller, &id).await?.into()))
}
