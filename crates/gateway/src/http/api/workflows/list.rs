//! `GET /workflows`: the catalogue of workflows.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Workflow;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{self, PageQuery, Query};
use crate::http::wire::Page;

/// List published workflow versions
#[utoipa::path(
    get, path = "", operation_id = "workflows.list", tag = "workflows", params(PageQuery),
    responses((status = 200, body = Page<Workflow>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(page): Query<PageQuery>,
) -> Answer<Page<Workflow>> {
    let limit = query::limit(page.limit)?;
    Ok(Json(Page::of(app.workflows(&caller, page.cursor, limit).await?)))
}
