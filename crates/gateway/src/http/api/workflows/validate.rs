//! `POST /workflows/validate`: check a document without publishing it.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Checked;
use crate::http::Authenticated;
use crate::http::body::Document;
use crate::http::problem::Answer;

/// Check a workflow document without publishing it
#[utoipa::path(
    post, path = "/validate", operation_id = "workflows.validate", tag = "workflows",
    request_body(
        content((String = "application/yaml", example = json!("document: { dsl: '1.0.0', namespace: shop, name: hello, version: '1.0.0' }\ndo:\n  - greet:\n      set: { text: hello }\n")), (String = "application/json"), (String = "text/plain")),
        description = "The document"
    ),
    responses((status = 200, body = Checked))
)]
pub(crate) async fn validate(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    document: Document,
) -> Answer<Checked> {
    Ok(Json(app.validate_workflow(&caller, &document.text).await?.into()))
}
