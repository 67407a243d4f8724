//! `GET /plans`: plans, newest first.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::Plan;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{self, Query};
use crate::http::wire::Page;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// Items at the most, 1 to 500; 50 when absent. Pages of plans hold 100 at the most.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// List plans, newest first
#[utoipa::path(
    get, path = "", operation_id = "plans.list", tag = "plans", params(Search),
    responses((status = 200, body = Page<Plan>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(search): Query<Search>,
) -> Answer<Page<Plan>> {
    let limit = query::limit(search.limit)?;
    Ok(Json(Page::of(app.plans(&caller, search.cursor.as_deref(), limit).await?)))
}
