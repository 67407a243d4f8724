//! `POST /tenants`: make a tenant.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{ProblemDocument, Refusal};

/// A tenant.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "acme", "title": "Acme Ltd"}))]
pub(crate) struct Tenant {
    /// Its id: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
    id: String,
    /// Its name for people.
    #[serde(default)]
    title: String,
}

/// Make a tenant
#[utoipa::path(
    post, path = "", operation_id = "tenants.create", tag = "access", request_body = Tenant,
    responses(
        (status = 201, body = Tenant),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "it exists")
    )
)]
pub(crate) async fn create(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(tenant): Body<Tenant>,
) -> Result<(StatusCode, Json<Tenant>), Refusal> {
    app.create_tenant(&caller, &tenant.id, &tenant.title).await?;
    Ok((StatusCode::CREATED, Json(tenant)))
}
