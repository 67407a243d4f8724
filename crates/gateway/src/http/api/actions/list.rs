//! `GET /actions`: the catalogue of actions.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Action;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{self, PageQuery, Query};
use crate::http::wire::Page;

/// List published actions
#[utoipa::path(
    get, path = "", operation_id = "actions.list", tag = "actions", params(PageQuery),
    responses((status = 200, body = Page<Action>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(page): Query<PageQuery>,
) -> Answer<Page<Action>> {
    let limit = query::limit(page.limit)?;
    Ok(Json(Page::of(app.actions(&caller, page.cursor, limit).await?)))
}
