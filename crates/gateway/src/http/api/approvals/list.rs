//! `GET /approvals`: what waits for people.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use model::approval::ApprovalStatus;
use model::{ExecutionId, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::Approval;
use crate::http::Authenticated;
use crate::http::problem::{Answer, Refusal};
use crate::http::query::{self, Query};
use crate::http::wire::Page;

const STATUSES: [ApprovalStatus; 5] = [
    ApprovalStatus::Pending,
    ApprovalStatus::Approved,
    ApprovalStatus::Rejected,
    ApprovalStatus::Expired,
    ApprovalStatus::Withdrawn,
];

/// Which approvals.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// `pending`, `approved`, `rejected`, `expired` or `withdrawn`.
    #[param(example = "pending")]
    status: Option<String>,
    /// Only of this execution.
    execution: Option<String>,
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// List approvals, newest first
#[utoipa::path(
    get, path = "", operation_id = "approvals.list", tag = "approvals", params(Search),
    responses((status = 200, body = Page<Approval>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(search): Query<Search>,
) -> Answer<Page<Approval>> {
    let names = STATUSES.map(ApprovalStatus::name);
    let status = query::word("status", search.status.as_deref(), &names)?;
    let query = store::ApprovalQuery {
        status: STATUSES.into_iter().find(|known| status.as_deref() == Some(known.name())),
        execution: search.execution.map(execution).transpose()?,
        cursor: search.cursor,
        limit: query::limit(search.limit)?,
    };
    Ok(Json(Page::of(app.approvals(&caller, query).await?)))
}

fn execution(text: String) -> Result<ExecutionId, Refusal> {
    ExecutionId::try_from(text).map_err(|wrong| {
        Refusal::of(
            Problem::new(400, 4002, "bad parameter", wrong.to_string()).field("execution", wrong.to_string()),
        )
    })
}
