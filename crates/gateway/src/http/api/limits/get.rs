//! `GET /limits/{name}`: one of the tenant's limits.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Limit;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;

/// Read one limit
#[utoipa::path(
    get, path = "/{name}", operation_id = "limits.get", tag = "limits",
    params(("name" = String, Path, description = "The limit's name")),
    responses((status = 200, body = Limit))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Limit> {
    let Segments([name]) = segments;
    Ok(Json(app.limit(&caller, &name).await?.into()))
}
