//! `PUT /secrets/{name}`: keep a secret.

use std::sync::Arc;

use app::App;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::Value;

use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::Refusal;
use crate::http::segments::Segments;

/// Keep a secret
///
/// Encrypted at rest, put in at the last moment by the connection that names it, shown to nobody.
#[utoipa::path(
    put, path = "/{name}", operation_id = "secrets.put", tag = "secrets",
    params(("name" = String, Path, description = "The secret's name")),
    request_body(content = Object, description = "The secret: text, or an object such as `{\"username\", \"password\"}`", example = json!({"token": "…"})),
    responses((status = 204, description = "it is kept"))
)]
pub(crate) async fn put(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(document): Body<Value>,
) -> Result<StatusCode, Refusal> {
    let Segments([name]) = segments;
    app.put_secret(&caller, &name, document).await?;
    Ok(StatusCode::NO_CONTENT)
}
