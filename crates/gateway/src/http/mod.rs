//! The HTTP API. The module tree mirrors the URL tree; one endpoint a file.
//!
//! Every request passes, outermost first: [`observe`] (id, log, metrics, headers, panics), CORS, [`limits::admit`],
//! [`limits::deadline`], [`authenticate::guard`], [`query::check`], and then its handler.

mod api;
mod authenticate;
mod body;
mod health;
mod limits;
mod metrics;
mod observe;
pub(crate) mod openapi;
mod pages;
mod problem;
mod query;
pub(crate) mod rate;
mod segments;
pub(crate) mod streams;
mod strict;
mod wire;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use model::Problem;
use tower_http::cors::CorsLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::{Settings, State};
use problem::Refusal;

pub use authenticate::Authenticated;

/// Everything on the main port: API, console, health, error pages.
pub fn router(state: State) -> Router {
    let (described, _) = described().split_for_parts();
    let router = described
        .merge(pages::routes())
        .merge(crate::console::routes())
        .method_not_allowed_fallback(not_allowed)
        .fallback(unknown)
        .layer(from_fn(query::check))
        .layer(from_fn_with_state(state.clone(), authenticate::guard))
        .layer(from_fn_with_state(state.clone(), limits::deadline))
        .layer(from_fn_with_state(state.clone(), limits::admit));
    let router = match cors(&state.settings) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(from_fn(observe::observe)).with_state(state)
}

/// Metrics and health, for a port that only operators reach.
pub fn admin_router(state: State) -> Router {
    let (health, _) = health::routes().split_for_parts();
    health
        .merge(metrics::admin_routes())
        .method_not_allowed_fallback(not_allowed)
        .fallback(unknown)
        .layer(from_fn_with_state(state.clone(), limits::deadline))
        .layer(from_fn_with_state(state.clone(), limits::admit))
        .layer(from_fn(observe::observe))
        .with_state(state)
}

/// Every operation that the published description holds.
fn described() -> OpenApiRouter<State> {
    OpenApiRouter::new().nest("/api/v1", api::routes()).merge(health::routes()).merge(metrics::routes())
}

async fn unknown(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(200).collect();
    Refusal::of(Problem::new(404, 4040, "not found", format!("there is nothing at `{path}`")))
}

async fn not_allowed(method: Method) -> Refusal {
    let detail = format!("`{method}` is not possible here; the `Allow` header names what is");
    Refusal::of(Problem::new(405, 4050, "method not allowed", detail))
}

fn cors(settings: &Settings) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> =
        settings.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("last-event-id"),
        HeaderName::from_static("x-request-id"),
        HeaderName::from_static("traceparent"),
    ];
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(headers)
        .expose_headers([header::ETAG, header::LOCATION, HeaderName::from_static("x-request-id")]);
    Some(layer)
}
