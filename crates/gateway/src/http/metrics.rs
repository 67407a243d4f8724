//! Figures for Prometheus.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use model::Problem;
use model::principal::Role;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Authenticated;
use super::problem::Refusal;
use crate::State;

/// On the main port: for those who may know how the whole server is.
pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(guarded))
}

/// On the admin port, which only operators reach.
pub(crate) fn admin_routes() -> Router<State> {
    Router::new().route("/metrics", get(exposition))
}

/// Figures in the Prometheus exposition format
///
/// Needs a token of one of the roles operator, compliance and admin; the admin port shows them without.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "health",
    responses(
        (status = 200, body = String, content_type = "text/plain; version=0.0.4"),
        (status = 401, description = "no token (OH-4010)"),
        (status = 403, description = "none of the roles (OH-4030)"),
        (status = 404, description = "metrics are switched off (OH-4040)")
    )
)]
async fn guarded(shared: Shared<State>, Authenticated(caller): Authenticated) -> Result<Response, Refusal> {
    let roles = &caller.principal.roles;
    if ![Role::Operator, Role::Compliance, Role::Admin].iter().any(|role| roles.contains(role)) {
        let detail = format!("`{}` needs one of the roles operator, compliance, admin", caller.principal.id);
        return Err(Problem::new(403, 4030, "not permitted", detail).into());
    }
    exposition(shared).await
}

async fn exposition(Shared(state): Shared<State>) -> Result<Response, Refusal> {
    let Some(metrics) = &state.shared.metrics else {
        return Err(Problem::not_found("page", "/metrics").into());
    };
    let load = state.app.load();
    for (name, value) in [
        ("omnihub_executions_at_work", load.at_work as f64),
        ("omnihub_executions_done_per_second", load.pace_per_second as f64),
        ("omnihub_steps_waiting", load.turns_waiting as f64),
        ("omnihub_effects_waiting", load.work_waiting as f64),
        ("omnihub_effects_under_way", load.work_under_way as f64),
        ("omnihub_commit_seconds", load.commit_us as f64 / 1e6),
        ("omnihub_step_seconds", load.step_us as f64 / 1e6),
    ] {
        metrics::gauge!(name).set(value);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
        .into_response())
}
