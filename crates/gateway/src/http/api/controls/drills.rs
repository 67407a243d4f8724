//! `POST /controls/drill`: measure the kill switch.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::wire::SignedReport;
use crate::State;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::query::Query;
use crate::http::segments::Segments;
use crate::http::wire::{Page, reason};

/// A drill.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"trials": 10, "reason": "monthly drill"}))]
pub(crate) struct NewDrill {
    /// How often to stop (1 to 200); 10 when absent.
    #[schema(minimum = 1, maximum = 200)]
    trials: Option<u32>,
    /// Why; it is kept in the audit log.
    #[schema(max_length = 2000)]
    reason: String,
}

/// Which drills.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Where an earlier page said to go on.
    cursor: Option<String>,
    /// At most this many (1 to 100).
    limit: Option<u32>,
}

/// Measure the kill switch
///
/// Starts programs of its own that sleep, stops them again and again, and measures the time to the acknowledgement, to
/// the last start and to the last program's end. Nothing else is stopped. The answer names the drill; its result is
/// there when it is `complete`.
#[utoipa::path(
    post, path = "/drill", operation_id = "controls.drill", tag = "controls", request_body = NewDrill,
    responses(
        (status = 202, body = SignedReport),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "a drill is under way")
    )
)]
pub(crate) async fn start(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    Body(body): Body<NewDrill>,
) -> Result<Response, Refusal> {
    let begun = state.app.start_drill(&caller, body.trials.unwrap_or(10), &reason(body.reason)?).await?;
    Ok((StatusCode::ACCEPTED, Json(SignedReport::from(begun))).into_response())
}

/// Read what drills measured
#[utoipa::path(
    get, path = "/drills", operation_id = "controls.drills.list", tag = "controls", params(Which),
    responses((status = 200, body = Page<SignedReport>))
)]
pub(crate) async fn list(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    Query(which): Query<Which>,
) -> Answer<Page<SignedReport>> {
    let page = state.app.drills(&caller, which.cursor.as_deref(), which.limit.unwrap_or(20)).await?;
    Ok(Json(Page::of(page)))
}

/// Read what a drill measured
#[utoipa::path(
    get, path = "/drills/{id}", operation_id = "controls.drills.get", tag = "controls",
    params(("id" = String, Path, description = "the drill's id")),
    responses((status = 200, body = SignedReport))
)]
pub(crate) async fn get(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<SignedReport> {
    let Segments([id]) = segments;
    Ok(Json(state.app.drill_result(&caller, &id).await?.into()))
}
