//! `DELETE /policies/{name}`: take a bundle out of force.

use std::sync::Arc;

use app::App;
use axum::extract::State as Shared;
use axum::http::StatusCode;

use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::segments::Segments;

/// Take a policy out of force
#[utoipa::path(
    delete, path = "/{name}", operation_id = "policies.delete", tag = "policies",
    params(("name" = String, Path, description = "The policy's name")),
    responses((status = 204, description = "it is gone"))
)]
pub(crate) async fn delete(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Result<StatusCode, Refusal> {
    let Segments([name]) = segments;
    app.delete_policy(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
