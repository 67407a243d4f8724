//! `POST /executions/{id}/cancel`, `/pause`, `/resume`, `/retry`: what operators do with an execution.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;

use super::wire::ExecutionSummary;
use crate::http::Authenticated;
use crate::http::body::OptionalBody;
use crate::http::problem::{ProblemDocument, Refusal};
use crate::http::segments::Segments;
use crate::http::wire::{Reason, reason};

type Accepted = Result<(StatusCode, Json<ExecutionSummary>), Refusal>;

fn accepted(row: app::view::ExecutionSummary) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

/// Stop an execution for good
///
/// Nothing new starts. What is on the wire cannot be taken back: its outcome is `unknown`, and an answer that still
/// comes is recorded in the audit log.
#[utoipa::path(
    post, path = "/{id}/cancel", operation_id = "executions.cancel", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = Reason,
    responses(
        (status = 202, body = ExecutionSummary),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "its status does not allow it")
    )
)]
pub(crate) async fn cancel(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Accepted {
    let Segments([id]) = segments;
    accepted(app.cancel(&caller, &id, &reason(body.reason)?).await?)
}

/// Hold an execution
#[utoipa::path(
    post, path = "/{id}/pause", operation_id = "executions.pause", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = Reason,
    responses(
        (status = 202, body = ExecutionSummary),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "its status does not allow it")
    )
)]
pub(crate) async fn pause(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Accepted {
    let Segments([id]) = segments;
    accepted(app.pause(&caller, &id, &reason(body.reason)?).await?)
}

/// Let a held execution go on
#[utoipa::path(
    post, path = "/{id}/resume", operation_id = "executions.resume", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = Reason,
    responses(
        (status = 202, body = ExecutionSummary),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "its status does not allow it")
    )
)]
pub(crate) async fn resume(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Accepted {
    let Segments([id]) = segments;
    accepted(app.resume(&caller, &id, &reason(body.reason)?).await?)
}

/// Try a faulted execution again from where it failed
#[utoipa::path(
    post, path = "/{id}/retry", operation_id = "executions.retry", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = Reason,
    responses(
        (status = 202, body = ExecutionSummary),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "its status does not allow it")
    )
)]
pub(crate) async fn retry(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Accepted {
    let Segments([id]) = segments;
    accepted(app.retry(&caller, &id, &reason(body.reason)?).await?)
}
