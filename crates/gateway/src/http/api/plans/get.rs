//! `GET /plans/{digest}`: one plan.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Plan;
use crate::http::Authenticated;
use crate::http::problem::{Answer, ProblemDocument};
use crate::http::segments::Segments;

/// Read one plan
///
/// A plan whose document was changed behind the server's back, or whose seal does not hold, is refused.
#[utoipa::path(
    get, path = "/{digest}", operation_id = "plans.get", tag = "plans",
    params(("digest" = String, Path, description = "The plan's digest")),
    responses(
        (status = 200, body = Plan),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "damaged (OH-3048)")
    )
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Plan> {
    let Segments([digest]) = segments;
    Ok(Json(app.plan(&caller, &digest).await?.into()))
}
