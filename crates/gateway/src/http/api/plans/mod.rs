//! `/plans`: what goals would do, approved as a whole.

mod decide;
mod get;
mod list;
pub(super) mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(decide::approve))
        .routes(routes!(decide::reject))
}
