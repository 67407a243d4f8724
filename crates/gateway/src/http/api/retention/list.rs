//! `GET /retention`: the tenant's rules.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::RetentionRule;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List retention rules
#[utoipa::path(get, path = "", operation_id = "retention.list", tag = "retention", responses((status = 200, body = Page<RetentionRule>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<RetentionRule>> {
    Ok(Json(Page::whole(app.retention_rules(&caller).await?)))
}
