//! `GET /audit`: search the log.

use std::sync::Arc;

use app::App;
use app::view::AuditSearch;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::AuditEntry;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{self, Query};
use crate::http::wire::Page;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// An execution's or request's id.
    correlation: Option<String>,
    /// Beginning of the action, for example `effect.`.
    action: Option<String>,
    /// Who.
    actor: Option<String>,
    /// From this position on.
    #[serde(default)]
    from: u64,
    /// `newest` or `oldest` (the default) first.
    order: Option<String>,
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Search the audit log
#[utoipa::path(
    get, path = "", operation_id = "audit.list", tag = "audit", params(Search),
    responses((status = 200, body = Page<AuditEntry>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(search): Query<Search>,
) -> Answer<Page<AuditEntry>> {
    let search = AuditSearch {
        correlation: search.correlation,
        action: search.action,
        actor: search.actor,
        from: search.from,
        newest_first: query::word("order", search.order.as_deref(), &["newest", "oldest"])?.as_deref()
            == Some("newest"),
        cursor: search.cursor,
        limit: query::limit(search.limit)?,
    };
    Ok(Json(Page::of(app.audit(&caller, search).await?)))
}
