//! `GET /tenants`: every tenant.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List tenants by id
#[utoipa::path(get, path = "", operation_id = "tenants.list", tag = "access", responses((status = 200, body = Page<String>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<String>> {
    Ok(Json(Page::whole(app.tenants(&caller).await?)))
}
