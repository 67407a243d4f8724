//! `DELETE /tokens/{id}`: a token stops working.

use std::sync::Arc;

use app::App;
use axum::extract::State as Shared;
use axum::http::StatusCode;

use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::segments::Segments;

/// Revoke a token
#[utoipa::path(
    delete, path = "/{id}", operation_id = "tokens.revoke", tag = "access",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204, description = "it works no more"))
)]
pub(crate) async fn revoke(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Result<StatusCode, Refusal> {
    let Segments([id]) = segments;
    app.revoke_token(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
