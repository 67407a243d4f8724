//! `/controls`: stop, watch, take over, narrow.

mod drills;
mod get;
mod list;
mod reports;
mod set;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(drills::list))
        .routes(routes!(drills::start))
        .routes(routes!(drills::get))
        .routes(routes!(reports::list))
        .routes(routes!(reports::get))
        .routes(routes!(get::get, set::set))
}
