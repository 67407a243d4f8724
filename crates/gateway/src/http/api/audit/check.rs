//! `POST /audit/check`: check the whole log now.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::AuditCheck;
use crate::http::Authenticated;
use crate::http::problem::Answer;

/// Check every leaf and the head
#[utoipa::path(post, path = "/check", operation_id = "audit.check", tag = "audit", responses((status = 200, body = AuditCheck)))]
pub(crate) async fn check(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<AuditCheck> {
    Ok(Json(app.audit_check(&caller).await?.into()))
}
