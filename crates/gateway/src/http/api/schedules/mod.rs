//! `/schedules`: executions that begin by themselves.

mod get;
mod list;
mod pause;
mod resume;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(pause::pause))
        .routes(routes!(resume::resume))
}
