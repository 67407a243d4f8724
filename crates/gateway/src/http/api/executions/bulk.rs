//! `POST /executions/cancel`, `/pause`, `/resume`, `/retry`: one command for many; `GET /operations/{id}`: how far it is.

use std::sync::Arc;

use app::App;
use app::operations::Act;
use app::view::{BulkRequest, OperationView};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list::statuses;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::query;
use crate::http::segments::Segments;
use crate::http::wire::{moment, reason};

type Accepted = Result<(StatusCode, Json<Operation>), Refusal>;

/// Which executions: all members must hold, and at least one must be given.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"workflow": "shop/refund", "status": "waiting"}))]
pub(crate) struct Which {
    /// Any of these statuses, separated by commas; those that the act can change when absent.
    #[serde(default)]
    #[schema(max_length = 200)]
    status: Option<String>,
    /// `namespace/name`, or the name alone.
    #[serde(default)]
    #[schema(max_length = 300)]
    workflow: Option<String>,
    /// `verified`, `unknown` or `failed`.
    #[serde(default)]
    #[schema(max_length = 20)]
    outcome: Option<String>,
    /// Text in id, workflow name, intent, requester or error.
    #[serde(default)]
    #[schema(max_length = 300)]
    q: Option<String>,
    /// Started at or after this moment (RFC 3339).
    #[serde(default)]
    #[schema(max_length = 40)]
    after: Option<String>,
    /// Started before this moment (RFC 3339).
    #[serde(default)]
    #[schema(max_length = 40)]
    before: Option<String>,
}

/// An act on many executions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": {"workflow": "shop/refund", "status": "waiting"}, "reason": "the shop is closed", "limit": 500}))]
pub(crate) struct Many {
    /// Which.
    query: Which,
    /// Why; it is kept in the audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
    /// Executions at the most, 1 to 1,000,000; 10,000 when absent.
    #[serde(default)]
    limit: Option<u64>,
    /// The command's id; the same id with the same command answers the same one.
    #[serde(default)]
    #[schema(max_length = 128)]
    operation_id: Option<String>,
    /// True: count what it would look at, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// How far a command has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Operation {
    /// Its id.
    operation_id: String,
    /// `cancel`, `pause`, `resume` or `retry`.
    act: String,
    /// `running`, `done` or `dry-run`.
    status: String,
    /// Why.
    reason: String,
    /// Who.
    by: String,
    /// Executions at the most.
    limit: u64,
    /// Executions that it would look at; only of a dry run.
    matched: Option<u64>,
    /// Executions acted on.
    done: u64,
    /// Executions whose status did not allow it any more.
    skipped: u64,
    /// Executions that could not be acted on.
    failed: u64,
    /// The first 100 failures.
    failures: Vec<BulkFailure>,
    /// When it was taken.
    started_at: String,
    /// When it last got on.
    updated_at: String,
    /// When it was done.
    ended_at: Option<String>,
}

/// Why one execution could not be acted on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkFailure {
    /// Which.
    execution_id: String,
    /// Stable code.
    code: String,
    /// What went wrong.
    detail: String,
}

impl From<OperationView> for Operation {
    fn from(view: OperationView) -> Self {
        let failures = view.failures.into_iter().map(|failure| BulkFailure {
            execution_id: failure.execution_id,
            code: failure.code,
            detail: failure.detail,
        });
        Self {
            operation_id: view.id,
            act: view.act,
            status: view.status,
            reason: view.reason,
            by: view.by,
            limit: view.limit,
            matched: view.matched,
            done: view.done,
            skipped: view.skipped,
            failed: view.failed,
            failures: failures.collect(),
            started_at: moment(view.started_at),
            updated_at: moment(view.updated_at),
            ended_at: view.ended_at.map(moment),
        }
    }
}

/// Stop many executions for good
///
/// One command: it is durable when it is answered, goes on by itself (also after a restart), and is followed at
/// `GET /operations/{id}`. Executions whose status does not allow it any more are skipped.
#[utoipa::path(
    post, path = "/cancel", operation_id = "executions.cancel_many", tag = "executions", request_body = Many,
    responses(
        (status = 202, body = Operation),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the operation's id is taken (OH-2130)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "the query does not say which (OH-2131)")
    )
)]
pub(crate) async fn cancel(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(body): Body<Many>,
) -> Accepted {
    accept(&app, &caller, Act::Cancel, body).await
}

/// Hold many executions
///
/// One command: it is durable when it is answered, goes on by itself (also after a restart), and is followed at
/// `GET /operations/{id}`. Executions whose status does not allow it any more are skipped.
#[utoipa::path(
    post, path = "/pause", operation_id = "executions.pause_many", tag = "executions", request_body = Many,
    responses(
        (status = 202, body = Operation),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the operation's id is taken (OH-2130)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "the query does not say which (OH-2131)")
    )
)]
pub(crate) async fn pause(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(body): Body<Many>,
) -> Accepted {
    accept(&app, &caller, Act::Pause, body).await
}

/// Let many held executions go on
///
/// One command: it is durable when it is answered, goes on by itself (also after a restart), and is followed at
/// `GET /operations/{id}`. Executions whose status does not allow it any more are skipped.
#[utoipa::path(
    post, path = "/resume", operation_id = "executions.resume_many", tag = "executions", request_body = Many,
    responses(
        (status = 202, body = Operation),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the operation's id is taken (OH-2130)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "the query does not say which (OH-2131)")
    )
)]
pub(crate) async fn resume(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(body): Body<Many>,
) -> Accepted {
    accept(&app, &caller, Act::Resume, body).await
}

/// Try many faulted executions again
///
/// One command: it is durable when it is answered, goes on by itself (also after a restart), and is followed at
/// `GET /operations/{id}`. Executions whose status does not allow it any more are skipped.
#[utoipa::path(
    post, path = "/retry", operation_id = "executions.retry_many", tag = "executions", request_body = Many,
    responses(
        (status = 202, body = Operation),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the operation's id is taken (OH-2130)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "the query does not say which (OH-2131)")
    )
)]
pub(crate) async fn retry(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(body): Body<Many>,
) -> Accepted {
    accept(&app, &caller, Act::Retry, body).await
}

/// Read how far a command on many executions has come
#[utoipa::path(
    get, path = "/operations/{id}", operation_id = "operations.get", tag = "executions",
    params(("id" = String, Path, description = "The operation's id")),
    responses((status = 200, body = Operation))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Operation> {
    let Segments([id]) = segments;
    Ok(Json(app.operation(&caller, &id).await?.into()))
}

async fn accept(app: &Arc<App>, caller: &app::Caller, act: Act, body: Many) -> Accepted {
    let which = body.query;
    let status = which.status.as_deref();
    let query = store::ExecutionQuery {
        statuses: if status.is_some() { statuses(status)? } else { Vec::new() },
        workflow: which.workflow,
        outcome: query::word("outcome", which.outcome.as_deref(), &["verified", "unknown", "failed"])?,
        text: which.q,
        after: query::moment("after", which.after)?,
        before: query::moment("before", which.before)?,
        ..store::ExecutionQuery::default()
    };
    let request = BulkRequest {
        query,
        reason: reason(body.reason)?,
        limit: body.limit,
        operation_id: body.operation_id,
        dry_run: body.dry_run,
    };
    let view = app.act_on_many(caller, act, request).await?;
    Ok((StatusCode::ACCEPTED, Json(view.into())))
}
