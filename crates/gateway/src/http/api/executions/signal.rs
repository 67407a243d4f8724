//! `POST /executions/{id}/signals/{name}`: tells an execution something.

use std::sync::Arc;

use app::App;
use app::view::{SignalAccepted as AppAccepted, SignalRequest};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::Authenticated;
use crate::http::body::OptionalBody;
use crate::http::problem::{ProblemDocument, Refusal};
use crate::http::segments::Segments;

/// What a signal carries.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"data": {"parcel": "P-1042"}, "id": "scan-77"}))]
pub(crate) struct SignalBody {
    /// Any JSON of 64 KiB at the most; `null` when absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    data: Value,
    /// Chosen by the caller: the same id with the same name and data changes nothing. The server makes one when absent.
    #[schema(max_length = 128)]
    id: Option<String>,
}

/// A signal that has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignalAccepted {
    /// The execution.
    execution_id: String,
    /// Its status when the answer was made.
    status: String,
    /// What it waits for.
    blocked_on: Option<String>,
    /// The signal's id.
    id: String,
    /// True when this very signal had come before.
    repeated: bool,
}

impl From<AppAccepted> for SignalAccepted {
    fn from(accepted: AppAccepted) -> Self {
        Self {
            execution_id: accepted.execution_id.to_string(),
            status: accepted.status,
            blocked_on: accepted.blocked_on,
            id: accepted.id,
            repeated: accepted.repeated,
        }
    }
}

/// Send a signal to an execution
///
/// The signal is durable when this answers. A `listen` takes it at once, or as soon as one begins that fits: signals
/// that come early wait in the inbox of the execution, 256 at the most.
#[utoipa::path(
    post, path = "/{id}/signals/{name}", operation_id = "executions.signal", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("name" = String, Path, description = "The signal's name: the `type` that a `listen` waits for"),
    ),
    request_body = SignalBody,
    responses(
        (status = 202, body = SignalAccepted),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "it has ended (OH-2010), or the id was used for another signal (OH-2140)"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "its inbox is full (OH-2141), or too many requests")
    )
)]
pub(crate) async fn signal(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
    OptionalBody(body): OptionalBody<SignalBody>,
) -> Result<(StatusCode, Json<SignalAccepted>), Refusal> {
    let Segments([id, name]) = segments;
    let request = SignalRequest { name, data: body.data, id: body.id };
    Ok((StatusCode::ACCEPTED, Json(app.signal(&caller, &id, request).await?.into())))
}
