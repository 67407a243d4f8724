//! `GET /dead-letters`: what is parked.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::DeadLetter;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{self, Query};
use crate::http::wire::Page;

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// `true`: only those that are still parked.
    #[serde(default)]
    open: bool,
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// List parked work, newest first
#[utoipa::path(
    get, path = "", operation_id = "dead_letters.list", tag = "dead letters", params(Search),
    responses((status = 200, body = Page<DeadLetter>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(search): Query<Search>,
) -> Answer<Page<DeadLetter>> {
    let limit = query::limit(search.limit)?;
    Ok(Json(Page::of(app.dead_letters(&caller, search.open, search.cursor, limit).await?)))
}
