//! The operations console: server-rendered pages, live by a feed that says what changed, no build step.
//!
//! A page is a pure function from views to markup; a handler loads, then renders. Acts are forms that work without
//! script; with script they are sent in place and the page is morphed to its new state. Everything is escaped by
//! construction, and the content policy allows only this server's own style and script.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};

use store::{ApprovalQuery, ExecutionQuery};

pub mod actions;
pub mod approvals;
mod assets;
pub mod audit;
pub mod controls;
mod data;
pub mod dead_letters;
mod effect;
pub mod execution;
pub mod executions;
mod form;
pub mod format;
pub mod goal;
pub mod graph;
mod icon;
pub mod layout;
mod live;
pub mod many;
pub mod overview;
pub mod picture;
pub mod plans;
pub mod policies;
mod recovery;
pub mod reports;
pub mod returning;
pub mod schedules;
mod session;
pub mod sign_in;
pub mod stops;
pub mod system;
pub mod time_machine;
pub mod timeline;
pub mod workflows;

pub use session::Notice;

/// What pages may load and do: only this server's own files, no inline script or style, no frames.
const CONTENT_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Every route of the console. Sessions live as long as the router.
pub fn routes() -> Router<crate::State> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/console") }))
        .route("/console", get(overview::get))
        .route("/console/assets/{digest}/{name}", get(assets::get))
        .route("/console/sign-in", get(sign_in::get).post(sign_in::post))
        .route("/console/sign-out", post(sign_in::out))
        .route("/console/live", get(live::get))
        .route("/console/goals/plan", post(goal::plan))
        .route("/console/goals/run", post(goal::run))
        .route("/console/executions", get(executions::get))
        .route("/console/executions/many", get(many::look).post(many::begin))
        .route("/console/operations/{id}", get(many::get))
        .route("/console/executions/{id}", get(execution::get))
        .route("/console/executions/{id}/return", get(returning::get).post(returning::post))
        .route("/console/executions/{id}/{act}", post(execution::act))
        .route("/console/approvals", get(approvals::list))
        .route("/console/approvals/{id}", get(approvals::get))
        .route("/console/approvals/{id}/decide", post(approvals::decide))
        .route("/console/plans", get(plans::list))
        .route("/console/plans/{digest}", get(plans::get).post(plans::act))
        .route("/console/controls", get(controls::get))
        .route("/console/controls/stop", get(stops::look).post(stops::begin))
        .route("/console/controls/lift", post(stops::lift))
        .route("/console/controls/drill", post(stops::drill))
        .route("/console/controls/reports", get(reports::list))
        .route("/console/controls/reports/{id}", get(reports::get))
        .route("/console/controls/drills/{id}", get(reports::drill))
        .route("/console/controls/{name}", post(controls::set))
        .route("/console/dead-letters", get(dead_letters::get))
        .route("/console/dead-letters/{id}/redrive", post(dead_letters::redrive))
        .route("/console/audit", get(audit::get))
        .route("/console/audit/check", post(audit::check))
        .route("/console/audit/proof/{index}", get(audit::proof))
        .route("/console/workflows", get(workflows::list))
        .route("/console/workflows/{namespace}/{name}/{version}", get(workflows::get))
        .route("/console/schedules", get(schedules::get))
        .route("/console/schedules/{namespace}/{name}/{act}", post(schedules::act))
        .route("/console/actions", get(actions::list))
        .route("/console/actions/{reference}", get(actions::get))
        .route("/console/policies", get(policies::list))
        .route("/console/policies/{name}/test", post(policies::test))
        .route("/console/policies/{name}/simulate", post(time_machine::simulate))
        .route("/console/policies/{name}/shadow", post(time_machine::shadow))
        .route("/console/policies/{name}/unshadow", post(time_machine::unshadow))
        .route("/console/system", get(system::get))
        .layer(middleware::map_response(guard_headers))
        .layer(axum::Extension(session::Sessions::new()))
}

async fn guard_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    // `no-referrer` would make browsers send `Origin: null` with our own forms.
    set(header::REFERRER_POLICY, "same-origin");
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
