//! `GET /policies/{name}`: one bundle.

use std::sync::Arc;

use app::App;
use axum::extract::State as Shared;
use axum::response::Response;

use super::wire::Policy;
use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::segments::Segments;

/// Read one policy
#[utoipa::path(
    get, path = "/{name}", operation_id = "policies.get", tag = "policies",
    params(("name" = String, Path, description = "The policy's name")),
    responses((status = 200, body = Policy, headers(("ETag" = String, description = "its digest"))))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Result<Response, Refusal> {
    let Segments([name]) = segments;
    Ok(Policy::from(app.policy(&caller, &name).await?).tagged())
}
