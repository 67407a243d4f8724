//! `PUT /retention/{name}`: set a rule.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::{NewRetentionRule, RetentionRule};
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument};
use crate::http::segments::Segments;

/// Set a retention rule
///
/// Executions that ended longer ago are removed in the background: row, history, snapshot, approvals and dead letters.
/// Audit leaves stay, and each removal adds one.
#[utoipa::path(
    put, path = "/{name}", operation_id = "retention.put", tag = "retention",
    params(("name" = String, Path, description = "1 to 64 of `a-z`, `0-9` and `-`")),
    request_body = NewRetentionRule,
    responses(
        (status = 200, body = RetentionRule),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "it makes no sense (OH-5065)")
    )
)]
pub(crate) async fn put(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(body): Body<NewRetentionRule>,
) -> Answer<RetentionRule> {
    let Segments([name]) = segments;
    Ok(Json(app.put_retention(&caller, &name, body.read()?).await?.into()))
}
