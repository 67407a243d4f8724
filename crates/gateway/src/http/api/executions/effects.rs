//! `/executions/{id}/effects`: the outside acts of one execution, and what people find out about them.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::Effect;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument};
use crate::http::segments::Segments;
use crate::http::wire::{Page, reason};

/// List the effects of an execution, in order
#[utoipa::path(
    get, path = "/{id}/effects", operation_id = "executions.effects.list", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")),
    responses((status = 200, body = Page<Effect>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Page<Effect>> {
    let Segments([id]) = segments;
    Ok(Json(Page::whole(app.effects(&caller, &id).await?)))
}

/// Read one effect of an execution
#[utoipa::path(
    get, path = "/{id}/effects/{number}", operation_id = "executions.effects.get", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("number" = String, Path, description = "The effect's number, from 1"),
    ),
    responses((status = 200, body = Effect))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
) -> Answer<Effect> {
    let Segments([id, number]) = segments;
    Ok(Json(app.effect(&caller, &id, &number).await?.into()))
}

/// What a person found out about an effect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"outcome": "verified", "evidence": "the shop's ledger shows refund 77 of 25.00 EUR"}))]
pub(crate) struct Resolution {
    /// `verified` when it is real, `failed` when it is not.
    outcome: String,
    /// What was seen, and where; 1 to 2,000 characters. It goes into history and audit log.
    #[schema(max_length = 2000)]
    evidence: String,
    /// What the flow goes on with, when it still waits; what the contract predicts when absent. Only with `verified`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    output: Option<serde_json::Value>,
    /// Why it is settled by hand.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
}

/// Say what became of an effect whose outcome is unknown
///
/// For effects that are parked, and for those that settled `unknown`, even of an execution that has ended. A flow that
/// waits for it goes on: with an output when it is `verified`, with the effect's error when it `failed`. Neither who
/// asked for the execution nor who edited the effect may say so (OH-2121). The same word again changes nothing; another
/// one is a conflict (OH-2122).
#[utoipa::path(
    post, path = "/{id}/effects/{number}/resolve", operation_id = "executions.effects.resolve", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("number" = String, Path, description = "The effect's number, from 1"),
    ),
    request_body = Resolution,
    responses(
        (status = 200, body = Effect),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "it is one's own (OH-2121)"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "there is nothing to resolve (OH-2120), or it was resolved otherwise (OH-2122)")
    )
)]
pub(crate) async fn resolve(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
    Body(body): Body<Resolution>,
) -> Answer<Effect> {
    let Segments([id, number]) = segments;
    let request = app::view::ResolveRequest {
        outcome: body.outcome,
        evidence: body.evidence,
        output: body.output,
        reason: reason(body.reason)?,
    };
    Ok(Json(app.resolve(&caller, &id, &number, request).await?.into()))
}
