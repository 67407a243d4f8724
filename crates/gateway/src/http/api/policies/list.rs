//! `GET /policies`: every bundle, and the shadows beside them.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Policy;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List policies
///
/// Those in force, then the shadows, which do not enforce.
#[utoipa::path(get, path = "", operation_id = "policies.list", tag = "policies", responses((status = 200, body = Page<Policy>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<Policy>> {
    let mut items: Vec<Policy> = app.policies(&caller).await?.into_iter().map(Policy::from).collect();
    items.extend(app.shadows(&caller).await?.into_iter().map(Policy::from));
    Ok(Json(Page { items, next: None }))
}
