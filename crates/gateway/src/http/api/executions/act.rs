//! `POST /executions/{id}/cancel`, `/pause`, `/resume`, `/retry`, `/effects/{number}/force`: what operators do with an
//! execution.

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
use crate::http::wire::{Cancel, CancelMode, Reason, reason};

type Accepted = Result<(StatusCode, Json<ExecutionSummary>), Refusal>;

fn accepted(row: app::view::ExecutionSummary) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

/// Stop an execution for good
///
/// Nothing new starts. What is on the wire cannot be taken back. `graceful` waits for the answers of what can be undone
/// and then undoes everything that is armed, newest first, before the execution ends. `forced` ends it at once: what is
/// on the wire is `unknown`, what was done stays done, and `compensation.armed` says what that is.
#[utoipa::path(
    post, path = "/{id}/cancel", operation_id = "executions.cancel", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = Cancel,
    responses(
        (status = 202, body = ExecutionSummary),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "its status does not allow it")
    )
)]
pub(crate) async fn cancel(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    OptionalBody(body): OptionalBody<Cancel>,
) -> Accepted {
    let Segments([id]) = segments;
    let mode = match body.mode {
        CancelMode::Graceful => model::event::CancelMode::Graceful,
        CancelMode::Forced => model::event::CancelMode::Forced,
    };
    accepted(app.cancel(&caller, &id, &reason(body.reason)?, mode).await?)
}

/// Give up on an undo
///
/// For an undo that is parked, or an effect whose undo cannot even be made: what it was to undo stays done, undoing goes
/// on with what is behind it, and the outcome of the execution is `unknown`.
#[utoipa::path(
    post, path = "/{id}/effects/{number}/force", operation_id = "executions.force", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("number" = u32, Path, description = "The effect's number")
    ),
    request_body = Reason,
    responses(
        (status = 202, body = ExecutionSummary),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "it is no undo that waits for a person")
    )
)]
pub(crate) async fn force(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Accepted {
    let Segments([id, number]) = segments;
    accepted(app.force(&caller, &id, &number, &reason(body.reason)?).await?)
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
