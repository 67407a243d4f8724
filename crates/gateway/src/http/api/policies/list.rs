//! `GET /policies`: every bundle.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Policy;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List policies
#[utoipa::path(get, path = "", operation_id = "policies.list", tag = "policies", responses((status = 200, body = Page<Policy>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<Policy>> {
    Ok(Json(Page::whole(app.policies(&caller).await?)))
}
