//! `GET /audit/consistency`: that a later log holds an earlier one unchanged.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::Query;

/// Between which sizes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sizes {
    /// Number of leaves of the earlier head.
    first: u64,
    /// Number of leaves of the later head.
    second: u64,
}

/// A consistency proof (RFC 6962).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Consistency {
    /// Number of leaves of the earlier head.
    first: u64,
    /// Number of leaves of the later head.
    second: u64,
    /// Hashes in hexadecimal.
    path: Vec<String>,
}

/// Prove that a later log holds an earlier one unchanged
#[utoipa::path(
    get, path = "/consistency", operation_id = "audit.consistency", tag = "audit", params(Sizes),
    responses((status = 200, body = Consistency))
)]
pub(crate) async fn consistency(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(sizes): Query<Sizes>,
) -> Answer<Consistency> {
    let path = app.audit_consistency(&caller, sizes.first, sizes.second).await?;
    Ok(Json(Consistency { first: sizes.first, second: sizes.second, path }))
}
