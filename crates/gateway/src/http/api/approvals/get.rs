//! `GET /approvals/{id}`: one approval.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Approval;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;

/// Read one approval
#[utoipa::path(
    get, path = "/{id}", operation_id = "approvals.get", tag = "approvals",
    params(("id" = String, Path, description = "The approval's id")),
    responses((status = 200, body = Approval))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Approval> {
    let Segments([id]) = segments;
    Ok(Json(app.approval(&caller, &id).await?.into()))
}
