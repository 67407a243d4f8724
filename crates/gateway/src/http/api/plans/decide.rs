//! `POST /plans/{digest}/approve`, `/reject`: a person's word on a whole plan.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::Plan;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument};
use crate::http::segments::Segments;
use crate::http::wire::reason;

/// Why a plan is approved or rejected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the refunds of this week, as agreed"}))]
pub(crate) struct PlanWord {
    /// Why; it is kept in the audit log.
    #[schema(max_length = 2000)]
    reason: String,
}

/// Approve a plan
///
/// The path names exactly what is approved. With enough votes the plan is signed, and its effects need no second
/// approval; what the plan does not hold does. Nobody approves what they asked for.
#[utoipa::path(
    post, path = "/{digest}/approve", operation_id = "plans.approve", tag = "plans",
    params(("digest" = String, Path, description = "The plan's digest")), request_body = PlanWord,
    responses(
        (status = 200, body = Plan),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "not open (OH-3041), expired (OH-3043), void (OH-3045 to OH-3047), damaged (OH-3048), or holds what policy denies (OH-3049)")
    )
)]
pub(crate) async fn approve(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(word): Body<PlanWord>,
) -> Answer<Plan> {
    let Segments([digest]) = segments;
    Ok(Json(app.approve_plan(&caller, &digest, &reason(word.reason)?).await?.into()))
}

/// Reject a plan
///
/// One no is enough.
#[utoipa::path(
    post, path = "/{digest}/reject", operation_id = "plans.reject", tag = "plans",
    params(("digest" = String, Path, description = "The plan's digest")), request_body = PlanWord,
    responses(
        (status = 200, body = Plan),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "not open (OH-3041) or expired (OH-3043)")
    )
)]
pub(crate) async fn reject(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(word): Body<PlanWord>,
) -> Answer<Plan> {
    let Segments([digest]) = segments;
    Ok(Json(app.reject_plan(&caller, &digest, &reason(word.reason)?).await?.into()))
}
