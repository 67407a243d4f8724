//! `DELETE /limits/{name}`: take a limit out of force.

use std::sync::Arc;

use app::App;
use axum::extract::State as Shared;
use axum::http::StatusCode;

use crate::http::Authenticated;
use crate::http::body::OptionalBody;
use crate::http::problem::Refusal;
use crate::http::segments::Segments;
use crate::http::wire::{Reason, reason};

/// Take a limit out of force
///
/// What it held back goes on.
#[utoipa::path(
    delete, path = "/{name}", operation_id = "limits.delete", tag = "limits",
    params(("name" = String, Path, description = "The limit's name")), request_body = Reason,
    responses((status = 204, description = "it is gone"))
)]
pub(crate) async fn delete(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Result<StatusCode, Refusal> {
    let Segments([name]) = segments;
    app.delete_limit(&caller, &name, &reason(body.reason)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
