//! `GET /audit/proof/{index}`: that a leaf is in the log.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Proof;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::{Segments, position};

/// Prove that a leaf is in the log
#[utoipa::path(
    get, path = "/proof/{index}", operation_id = "audit.proof", tag = "audit",
    params(("index" = u64, Path, description = "The leaf's position, from 0")),
    responses((status = 200, body = Proof))
)]
pub(crate) async fn proof(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Proof> {
    let Segments([index]) = segments;
    Ok(Json(app.audit_proof(&caller, position(&index)?).await?.into()))
}
