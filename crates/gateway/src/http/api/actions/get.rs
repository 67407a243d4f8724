//! `GET /actions/{reference}`: one action.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Action;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;

/// Read one action
#[utoipa::path(
    get, path = "/{reference}", operation_id = "actions.get", tag = "actions",
    params(("reference" = String, Path, description = "`name:version`, for example `refund-create:1.0.0`")),
    responses((status = 200, body = Action))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Action> {
    let Segments([reference]) = segments;
    Ok(Json(app.action(&caller, &reference).await?.into()))
}
