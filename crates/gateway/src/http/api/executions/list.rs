//! `GET /executions`: list and search.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use model::Problem;
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::ExecutionSummary;
use crate::http::Authenticated;
use crate::http::problem::{Answer, Refusal};
use crate::http::query::{self, Query};
use crate::http::wire::Page;

const STATUSES: [&str; 7] =
    ["pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed"];

/// Which executions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// Any of these statuses, separated by commas.
    #[param(example = "running,waiting")]
    status: Option<String>,
    /// `namespace/name`, or the name alone.
    #[param(example = "shop/refund")]
    workflow: Option<String>,
    /// `verified`, `unknown` or `failed`.
    outcome: Option<String>,
    /// What it waits for: all of it, or the beginning up to a colon.
    #[param(example = "limit:one-at-a-time")]
    blocked_on: Option<String>,
    /// Who asked, for example `user:alice`.
    requester: Option<String>,
    /// Run by this execution: its id.
    parent: Option<String>,
    /// Text in id, workflow name, intent, requester or error.
    q: Option<String>,
    /// Started at or after this moment (RFC 3339).
    after: Option<String>,
    /// Started before this moment (RFC 3339).
    before: Option<String>,
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// List and search executions, newest first
#[utoipa::path(
    get, path = "", operation_id = "executions.list", tag = "executions", params(Search),
    responses((status = 200, body = Page<ExecutionSummary>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(search): Query<Search>,
) -> Answer<Page<ExecutionSummary>> {
    let query = store::ExecutionQuery {
        statuses: statuses(search.status.as_deref())?,
        workflow: search.workflow,
        outcome: query::word("outcome", search.outcome.as_deref(), &["verified", "unknown", "failed"])?,
        blocked_on: search.blocked_on,
        requester: search.requester,
        parent: search.parent,
        text: search.q,
        after: query::moment("after", search.after)?,
        before: query::moment("before", search.before)?,
        cursor: search.cursor,
        limit: query::limit(search.limit)?,
    };
    Ok(Json(Page::of(app.executions(&caller, query).await?)))
}

pub(crate) fn statuses(given: Option<&str>) -> Result<Vec<String>, Refusal> {
    let words: Vec<&str> = given.into_iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    match words.iter().find(|word| !STATUSES.contains(word)) {
        None => Ok(words.into_iter().map(str::to_owned).collect()),
        Some(_) => {
            let message = format!("write one or more of {}, separated by commas", STATUSES.join(", "));
            Err(Problem::new(400, 4002, "bad parameter", format!("`status`: {message}"))
                .field("status", message)
                .into())
        }
    }
}
