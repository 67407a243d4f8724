//! `GET /audit/head`: the signed tree head.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::SignedHead;
use crate::http::Authenticated;
use crate::http::problem::Answer;

/// Read the signed tree head
#[utoipa::path(get, path = "/head", operation_id = "audit.head", tag = "audit", responses((status = 200, body = SignedHead)))]
pub(crate) async fn head(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<SignedHead> {
    let head = app.audit_head(&caller).await?;
    Ok(Json(SignedHead::new(head.size, &head.root, head.at, head.key_id, &head.signature)))
}
