//! `GET /schedules`: those of the caller's tenant.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Schedule;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List schedules
///
/// The newest version of each workflow that has one decides.
#[utoipa::path(get, path = "", operation_id = "schedules.list", tag = "schedules", responses((status = 200, body = Page<Schedule>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<Schedule>> {
    Ok(Json(Page::whole(app.schedules(&caller).await?)))
}
