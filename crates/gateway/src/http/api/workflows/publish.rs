//! `POST /workflows`: publish a version.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::wire::Workflow;
use crate::http::Authenticated;
use crate::http::body::Document;
use crate::http::problem::{ProblemDocument, Refusal};

/// Publish a workflow version
///
/// The document is YAML or JSON of the workflow language. A published version never changes: the same content again
/// answers the same version, other content is refused.
#[utoipa::path(
    post, path = "", operation_id = "workflows.publish", tag = "workflows",
    request_body(
        content((String = "application/yaml", example = json!("document: { dsl: '1.0.0', namespace: shop, name: hello, version: '1.0.0' }\ndo:\n  - greet:\n      set: { text: hello }\n")), (String = "application/json"), (String = "text/plain")),
        description = "The document"
    ),
    responses(
        (status = 201, body = Workflow),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "this version was published with other content"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "it does not compile; `problems` says where and what to write (OH-1000)")
    )
)]
pub(crate) async fn publish(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    document: Document,
) -> Result<Response, Refusal> {
    let view = app.publish_workflow(&caller, &document.text).await?;
    let place = format!("/api/v1/workflows/{}/{}/{}", view.namespace, view.name, view.version);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(Workflow::from(view))).into_response())
}
