//! `POST /policies/evaluate`: ask a policy without doing anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::wire::Ruling;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::Answer;

/// What to ask.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"input": {"effect": "money", "amount": 250, "operation": "refund-create:1.0.0"}}))]
pub(crate) struct Question {
    /// What the policy sees as `input`.
    #[schema(value_type = Object)]
    input: Value,
    /// File name to Rego text: asked in place of the policies in force.
    modules: Option<BTreeMap<String, String>>,
}

/// Ask what the policies say about an input
#[utoipa::path(
    post, path = "/evaluate", operation_id = "policies.evaluate", tag = "policies", request_body = Question,
    responses((status = 200, body = Ruling))
)]
pub(crate) async fn evaluate(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(question): Body<Question>,
) -> Answer<Ruling> {
    Ok(Json(app.evaluate_policy(&caller, question.input, question.modules).await?.into()))
}
