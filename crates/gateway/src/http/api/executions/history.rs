//! `GET /executions/{id}/history`: the events.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::HistoryEntry;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{self, Query};
use crate::http::segments::Segments;
use crate::http::wire::Page;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct From {
    /// The sequence to begin with: 0, or the `next` of the page before.
    #[serde(default)]
    after: u64,
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Read the history of an execution, oldest first
#[utoipa::path(
    get, path = "/{id}/history", operation_id = "executions.history", tag = "executions",
    params(("id" = String, Path, description = "The execution's id"), From),
    responses((status = 200, body = Page<HistoryEntry>))
)]
pub(crate) async fn history(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Query(from): Query<From>,
) -> Answer<Page<HistoryEntry>> {
    let Segments([id]) = segments;
    let limit = query::limit(from.limit)?;
    Ok(Json(Page::of(app.history(&caller, &id, from.after, limit).await?)))
}
