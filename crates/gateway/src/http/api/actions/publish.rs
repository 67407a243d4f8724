//! `POST /actions`: publish an action with its contract.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::wire::Action;
use crate::http::Authenticated;
use crate::http::body::Document;
use crate::http::problem::{ProblemDocument, Refusal};

/// Publish an action with its contract
///
/// The document is YAML or JSON. A published version never changes.
#[utoipa::path(
    post, path = "", operation_id = "actions.publish", tag = "actions",
    request_body(
        content((String = "application/yaml", example = json!("action: order-read:1.0.0\neffect: read\nclass: read\nrun: { call: http, with: { method: get, endpoint: 'https://shop.example/orders/{id}' } }\n")), (String = "application/json"), (String = "text/plain")),
        description = "The document"
    ),
    responses(
        (status = 201, body = Action),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "this version was published with other content"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "it does not compile; `problems` says where and what to write (OH-1000)")
    )
)]
pub(crate) async fn publish(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    document: Document,
) -> Result<Response, Refusal> {
    let view = app.publish_action(&caller, &document.text).await?;
    let place = format!("/api/v1/actions/{}", view.reference);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(Action::from(view))).into_response())
}
