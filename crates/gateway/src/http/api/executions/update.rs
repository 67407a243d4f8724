//! `/executions/{id}/updates`: asks something of an execution, which answers.

use std::time::Duration;

use app::view::{UpdateRequest, UpdateView, WaitFor as AppWaitFor};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::State;
use crate::http::Authenticated;
use crate::http::body::OptionalBody;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::query::{Query, wait};
use crate::http::segments::Segments;

/// How long whoever asks waits when they do not say.
const WAIT: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"data": {"street": "Elm Street 5"}, "id": "move-77", "wait_for": "completed"}))]
pub(crate) struct UpdateBody {
    /// Any JSON of 64 KiB at the most; `null` when absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    data: Value,
    /// Chosen by the caller: the same id with the same name and data changes nothing, and gets the same answer. The server makes
    /// one when absent.
    #[schema(max_length = 128)]
    id: Option<String>,
    /// What to wait for.
    #[serde(default)]
    wait_for: WaitFor,
}

/// What to wait for.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum WaitFor {
    /// Until it is durable, and something will handle it.
    Accepted,
    /// For the answer.
    #[default]
    Completed,
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wait {
    /// Wait so long, for somebody who takes it and for the answer (ISO 8601 duration, PT1M at the most; PT10S when absent).
    #[param(example = "PT30S")]
    wait: Option<String>,
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitForAnswer {
    /// Wait so long for the answer (ISO 8601 duration, PT1M at the most; not at all when absent).
    #[param(example = "PT30S")]
    wait: Option<String>,
}

/// Where an update stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Update {
    /// The execution.
    execution_id: String,
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// `accepted`, `completed` or `failed`.
    status: &'static str,
    /// The answer, when it completed.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// What went wrong, when it failed: what the workflow raised while it handled it, or that it ended without an answer.
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    /// Status of the execution when this was answered.
    execution_status: String,
    /// True when this very update had come before.
    repeated: bool,
}

impl From<UpdateView> for Update {
    fn from(view: UpdateView) -> Self {
        let (status, output, error) = match view.answer {
            None => ("accepted", None, None),
            Some(Ok(output)) => ("completed", Some(output), None),
            Some(Err(error)) => ("failed", None, serde_json::to_value(error).ok()),
        };
        Self {
            execution_id: view.execution_id.to_string(),
            id: view.id,
            name: view.name,
            status,
            output,
            error,
            execution_status: view.execution_status,
            repeated: view.repeated,
        }
    }
}

/// Ask something of an execution
///
/// An update is let in only when a `listen` of the workflow takes it; then it is durable, and handled once. 200 has the answer,
/// 202 says that it is accepted and not answered yet: ask for it again with the same id, or with `GET`.
#[utoipa::path(
    post, path = "/{id}/updates/{name}", operation_id = "executions.update", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("name" = String, Path, description = "The update's name: the `type` that a `listen` takes"),
        Wait,
    ),
    request_body = UpdateBody,
    responses(
        (status = 200, body = Update, description = "answered"),
        (status = 202, body = Update, description = "accepted"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "it has ended (OH-2010), nothing takes the update now (OH-2151), or the id was used for another one (OH-2153)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "the workflow takes no such update (OH-2150), or refuses this one (OH-2152)"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "too many updates wait (OH-2154), or too many requests")
    )
)]
pub(crate) async fn update(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
    Query(query): Query<Wait>,
    OptionalBody(body): OptionalBody<UpdateBody>,
) -> Result<(StatusCode, Json<Update>), Refusal> {
    let Segments([id, name]) = segments;
    let longest = state.settings.wait_max;
    let wait = query.wait.as_deref().map(|text| wait(text, longest)).transpose()?;
    let wait_for = match body.wait_for {
        WaitFor::Accepted => AppWaitFor::Accepted,
        WaitFor::Completed => AppWaitFor::Completed,
    };
    let wait = wait.unwrap_or(WAIT.min(longest));
    let request = UpdateRequest { name, data: body.data, id: body.id, wait_for, wait };
    let update: Update = state.app.update(&caller, &id, request).await?.into();
    let status = if update.status == "accepted" { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(update)))
}

/// Show an update
///
/// The answers to the newest 1,000 updates of an execution are kept as long as the execution.
#[utoipa::path(
    get, path = "/{id}/updates/{name}/{update}", operation_id = "executions.updates.get", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("name" = String, Path, description = "The update's name"),
        ("update" = String, Path, description = "The update's id"),
        WaitForAnswer,
    ),
    responses(
        (status = 200, body = Update),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json", description = "its answer is not kept any more (OH-2155)")
    )
)]
pub(crate) async fn get(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    segments: Segments<3>,
    Query(query): Query<WaitForAnswer>,
) -> Answer<Update> {
    let Segments([id, name, update]) = segments;
    let wait = query.wait.as_deref().map(|text| wait(text, state.settings.wait_max)).transpose()?;
    Ok(Json(state.app.update_state(&caller, &id, (&name, &update), wait.unwrap_or_default()).await?.into()))
}
