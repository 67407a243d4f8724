//! `GET /controls`: all four.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Controls;
use crate::http::Authenticated;
use crate::http::problem::Answer;

/// Read all controls
#[utoipa::path(get, path = "", operation_id = "controls.list", tag = "controls", responses((status = 200, body = Controls)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Controls> {
    Ok(Json(app.controls(&caller).await?.into()))
}
