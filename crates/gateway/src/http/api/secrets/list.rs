//! `GET /secrets`: their names.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List secrets by name; values are never shown
#[utoipa::path(get, path = "", operation_id = "secrets.list", tag = "secrets", responses((status = 200, body = Page<String>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<String>> {
    Ok(Json(Page::whole(app.secret_names(&caller).await?)))
}
