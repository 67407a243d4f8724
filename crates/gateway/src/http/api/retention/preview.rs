//! `POST /retention/preview`: what a rule would remove.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::{NewRetentionRule, RetentionPreview};
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::Answer;

/// Show what a retention rule would remove, without removing it
#[utoipa::path(
    post, path = "/preview", operation_id = "retention.preview", tag = "retention",
    request_body = NewRetentionRule, responses((status = 200, body = RetentionPreview))
)]
pub(crate) async fn preview(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(body): Body<NewRetentionRule>,
) -> Answer<RetentionPreview> {
    Ok(Json(app.preview_retention(&caller, body.read()?).await?.into()))
}
