//! Is it alive, is it ready, and how are its parts.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Authenticated;
use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(alive))
        .routes(routes!(ready))
        .routes(routes!(deep))
        .routes(routes!(omn))
}

/// How it is, in a word.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
struct Status {
    /// `ok`, `starting`, `stopping` or `failing`.
    status: &'static str,
    /// The stable code of what fails (`OH-nnnn`), for example `OH-5003` for a store that stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl Status {
    const fn word(status: &'static str) -> Self {
        Self { status, code: None }
    }
}

/// The state of the parts.
#[derive(Serialize, ToSchema)]
struct Deep {
    /// `ok` or `failing`.
    status: &'static str,
    /// Names of the parts that fail.
    failing: Vec<String>,
    /// The stable codes of what fails (`OH-nnnn`), each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    codes: Vec<String>,
    /// Every part; only for callers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    dependencies: Option<Vec<Dependency>>,
}

/// The state of one part.
#[derive(Serialize, ToSchema)]
struct Dependency {
    /// For example `store`.
    name: String,
    /// Whether it works.
    ok: bool,
    /// How long the check took, in microseconds.
    latency_us: u64,
    /// How it is, or what is wrong.
    detail: String,
    /// The stable code of what is wrong (`OH-nnnn`), where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

/// Whether the process is alive
///
/// Answers as long as the process can answer at all; looks at nothing else.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "health", responses((status = 200, body = Status)))]
async fn alive() -> Json<Status> {
    Json(Status::word("ok"))
}

/// Whether the server takes work
///
/// 503 while it starts or stops, and while it can write nothing: the code says why.
#[utoipa::path(
    get, path = "/ready", operation_id = "ready", tag = "health",
    responses((status = 200, body = Status), (status = 503, body = Status, description = "starting, stopping or failing"))
)]
async fn ready(Shared(state): Shared<State>) -> Response {
    if *state.shared.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Status::word("stopping"))).into_response();
    }
    let status = match state.app.readiness().await {
        Ok(()) => return Json(Status::word("ok")).into_response(),
        Err(None) => Status::word("starting"),
        Err(Some(code)) => Status { status: "failing", code: Some(code.to_string()) },
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(status)).into_response()
}

/// The state of every part the server depends on
///
/// Checks each one now. 503 names those that fail. Details are for callers with a token.
#[utoipa::path(
    get, path = "/health/deep", operation_id = "health.deep", tag = "health",
    responses((status = 200, body = Deep), (status = 503, body = Deep, description = "some part fails"))
)]
async fn deep(Shared(app): Shared<Arc<App>>, caller: Option<Authenticated>) -> Response {
    let viewer = caller.as_ref().map(|Authenticated(caller)| &caller.principal.tenant);
    let parts = app.health_deep(viewer).await;
    let failing: Vec<String> = parts.iter().filter(|part| !part.ok).map(|part| part.name.clone()).collect();
    let codes: BTreeSet<String> = parts.iter().filter_map(|part| part.code.clone()).collect();
    let codes = codes.into_iter().collect();
    let (status, word) = if failing.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    };
    let dependencies = caller.map(|_| {
        let each = |part: app::view::DependencyView| Dependency {
            name: part.name,
            ok: part.ok,
            latency_us: part.latency_us,
            detail: part.detail,
            code: part.code,
        };
        parts.into_iter().map(each).collect()
    });
    (status, Json(Deep { status: word, failing, codes, dependencies })).into_response()
}

/// The state of the execution engine
///
/// Queues, workers, timers and controls. Without a token only the overall word.
#[utoipa::path(
    get, path = "/health/omn", operation_id = "health.omn", tag = "health",
    responses((status = 200, body = Object, description = "figures of the engine"))
)]
async fn omn(Shared(app): Shared<Arc<App>>, caller: Option<Authenticated>) -> Json<Value> {
    let whole = app.omn_health().await;
    if caller.is_some() {
        return Json(whole);
    }
    let word = whole.get("status").cloned().unwrap_or_else(|| "ok".into());
    Json(serde_json::json!({ "status": word }))
}
