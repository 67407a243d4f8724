//! `GET /limits`: all that concern the caller's tenant.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Limit;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List limits
///
/// The tenant's own, and those that the platform set upon it, each with what it holds at this moment.
#[utoipa::path(get, path = "", operation_id = "limits.list", tag = "limits", responses((status = 200, body = Page<Limit>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<Limit>> {
    Ok(Json(Page::whole(app.limits(&caller).await?)))
}
