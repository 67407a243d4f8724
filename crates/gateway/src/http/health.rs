//! Is it alive, is it ready, and how are its parts.

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
}

/// The state of the parts.
#[derive(Serialize, ToSchema)]
struct Deep {
    /// `ok` or `failing`.
    status: &'static str,
    /// Names of the parts that fail.
    failing: Vec<String>,
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
}

/// Whether the process is alive
///
/// Answers as long as the process can answer at all; looks at nothing else.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "health", responses((status = 200, body = Status)))]
async fn alive() -> Json<Status> {
    Json(Status { status: "ok" })
}

/// Whether the server takes work
#[utoipa::path(
    get, path = "/ready", operation_id = "ready", tag = "health",
    responses((status = 200, body = Status), (status = 503, body = Status, description = "starting or stopping"))
)]
async fn ready(Shared(state): Shared<State>) -> Response {
    if *state.shared.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Status { status: "stopping" })).into_response();
    }
    if state.app.ready() {
        return Json(Status { status: "ok" }).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(Status { status: "starting" })).into_response()
}

/// The state of every part the server depends on
///
/// Checks each one now. 503 names those that fail. Details are for callers with a token.
#[utoipa::path(
    get, path = "/health/deep", operation_id = "health.deep", tag = "health",
    responses((status = 200, body = Deep), (status = 503, body = Deep, description = "some part fails"))
)]
async fn deep(Shared(app): Shared<Arc<App>>, caller: Option<Authenticated>) -> Response {
    let parts = app.health_deep().await;
    let failing: Vec<String> = parts.iter().filter(|part| !part.ok).map(|part| part.name.clone()).collect();
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
        };
        parts.into_iter().map(each).collect()
    });
    (status, Json(Deep { status: word, failing, dependencies })).into_response()
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
