//! `GET /workflows/{namespace}/{name}/{version}`: one version.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::Workflow;
use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::query::{self, Query};
use crate::http::segments::Segments;

/// In which form.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Form {
    /// `source` answers the text as it was published.
    format: Option<String>,
}

/// Read one workflow version
#[utoipa::path(
    get, path = "/{namespace}/{name}/{version}", operation_id = "workflows.get", tag = "workflows",
    params(
        ("namespace" = String, Path, description = "Namespace"),
        ("name" = String, Path, description = "Name"),
        ("version" = String, Path, description = "Semantic version, or `latest`"),
        Form,
    ),
    responses((status = 200, content((Workflow = "application/json"), (String = "application/yaml"))))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<3>,
    Query(form): Query<Form>,
) -> Result<Response, Refusal> {
    let Segments([namespace, name, version]) = segments;
    let source = query::word("format", form.format.as_deref(), &["json", "source"])?
        .is_some_and(|word| word == "source");
    let view = app.workflow(&caller, &namespace, &name, &version).await?;
    if source {
        return Ok(([(header::CONTENT_TYPE, "application/yaml; charset=utf-8")], view.source).into_response());
    }
    Ok(Json(Workflow::from(view)).into_response())
}
